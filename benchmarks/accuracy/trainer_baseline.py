"""Baseline of configs/tutorial.cfg: the tutorial's recipe in transformers' Trainer.

Same encoder, data, seed, and recipe
(https://huggingface.co/docs/transformers/tasks/token_classification), scored by the
measures of `spacy-wnut evaluate`.

    python -m spacy init nlp configs/tutorial.cfg training/start --system.seed 0 \\
        --paths.train corpus/wnut17/gold/train.spacy \\
        --paths.dev corpus/wnut17/gold/dev.spacy \\
        --paths.encoder training/wnut17/encoder
    python -m benchmarks.accuracy.trainer_baseline training/wnut17/encoder wnut_17 \\
        --seed 0 --start training/start --out training/wnut17/sweep

Writes metrics.json to OUT/trainer/seed-SEED, as `spacy-wnut sweep` does for each
training, for `python -m benchmarks.accuracy.recipes collect`.

With --start the head is initialized with the weights that `spacy train` starts from
with the same seed. The 426 steps of the tutorial end before a small encoder has
converged, so single runs vary widely: compare means over seeds.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.program import make_app, run_app, to_help
from spacy_wnut.files import replacing

app = make_app(__doc__)


@app.command(help=to_help(__doc__))
def main(
    encoder: Annotated[str, typer.Argument(help="Folder or hub name of the encoder")],
    source: Annotated[str, typer.Argument(help="WNUT 17, as for spacy-wnut convert")],
    seed: Annotated[int, typer.Option(help="Seed of the training")] = 0,
    start: Annotated[
        Path | None, typer.Option(help="Initialized pipeline whose head is copied")
    ] = None,
    out: Annotated[Path, typer.Option(help="Output folder of a sweep")] = Path(
        "training/sweep"
    ),
) -> None:
    # Imports torch.
    from benchmarks.common.tutorial_trainer import make_trainer
    from spacy_wnut.corpus.sources import load_rows
    from spacy_wnut.sweep.metrics import Metrics, add_scores, write_metrics

    rows = load_rows(source)
    name = "trainer" if start else "trainer (head of its own)"
    folder = out / ("trainer" if start else "trainer-own-head") / f"seed-{seed}"
    with tempfile.TemporaryDirectory() as checkpoints:
        trainer, encoded, posts_of = make_trainer(
            encoder, rows, seed, start, checkpoints
        )
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
        trainer.compute_metrics = None
        metrics: Metrics = {
            "config": name,
            "encoder": Path(encoder).name,
            "seed": seed,
            "device": str(trainer.model.device),
            "seconds": seconds,
            "made_of": {},
            "calibration": None,
            "rows": [],
            "posts": {},
        }
        splits = {"dev": "validation", "test": "test"}

        def predict(protocol: str, split: str) -> Any:
            logits = trainer.predict(encoded[splits[split]]).predictions
            return posts_of(splits[split], logits)

        add_scores(
            metrics, predict, collect_surface_forms(rows["train"]), protocols=("gold",)
        )
        with replacing(folder) as beside:
            beside.mkdir()
            write_metrics(beside, metrics)
    for row in metrics["rows"]:
        print(row["split"], row["entity"])


def collect_surface_forms(rows: Any) -> set[str]:
    """Casefolded surface forms of the gold entities."""
    from spacy_wnut.scoring.measures import ScoredPost

    tags = rows.features["ner_tags"].feature.names
    forms = set()
    for row in rows:
        gold = [tags[i] for i in row["ner_tags"]]
        post = ScoredPost([f"{token} " for token in row["tokens"]], gold, gold)
        forms |= {post.form(entity).casefold() for entity in post.gold}
    return forms


if __name__ == "__main__":
    run_app(app)
