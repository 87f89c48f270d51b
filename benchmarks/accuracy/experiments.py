"""Measure a change of a recipe on dev and on a held-out fifth of train.

    python -m benchmarks.accuracy.experiments run "no shapes" configs/distilbert.cfg \\
        --corpus corpus/wnut17/gold --encoder training/wnut17/encoder --seed 0 \\
        --training.max_steps 1065 --corpora.train.limit 10252 \\
        --components.ner.model.shape_width 0
    python -m benchmarks.accuracy.experiments table

Dev is from YouTube alone and train is from older tweets: judge a change by the mean of
both scores, over at least two seeds. Seed n holds out every fifth post of train,
starting with the n-th. The number of steps above is that for the whole of train, with
which the stored figures were measured. Test is not read. The scores are kept in
benchmarks/results/experiments.json; `table` writes the table in docs/experiments.md.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from benchmarks.common.pages import format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, read_rows, write_results

RESULTS = FOLDER / "experiments.json"
PAGE = ROOT / "docs" / "experiments.md"
BLOCK = "experiments: python -m benchmarks.accuracy.experiments table"
FOLDS = 5
PARTS = ("dev", "heldout")

app = make_app(__doc__)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the experiment")],
    config: Annotated[Path, typer.Argument(help="Config of the recipe")],
    corpus: Annotated[Path, typer.Option(help="Folder with train.spacy and dev.spacy")],
    encoder: Annotated[str, typer.Option(help="Folder of the encoder")],
    seed: Annotated[int, typer.Option(help="Seed of the training and the fold")],
    folder: Annotated[Path, typer.Option(help="Folder for trained pipelines")] = Path(
        "training/experiments"
    ),
) -> None:
    """Train with overrides of settings, as for spacy train, and keep the scores."""
    out = training_folder(folder, name, seed)
    if not is_finished(out):
        train_and_evaluate(config, corpus, encoder, seed, out, context.args)
    collect(name, out, seed)


@app.command()
def collect(
    name: Annotated[str, typer.Argument(help="Name of the experiment")],
    folder: Annotated[Path, typer.Argument(help="With dev.json and heldout.json")],
    seed: Annotated[int, typer.Option(help="Seed of the training")],
) -> None:
    """Put the scores of a training into the results, replacing its earlier ones."""
    row = {"name": name, "seed": seed, "device": "cpu", **read_scores(folder)}
    others = [r for r in read_rows(RESULTS) if (r["name"], r["seed"]) != (name, seed)]
    write_results(RESULTS, [*others, row])


@app.command()
def table() -> None:
    """Write the table in docs/experiments.md."""
    write_block(BLOCK, make_block(), PAGE)


def make_block() -> str:
    """Entity F1 of each experiment in percent, in the order of the results."""
    rows = read_rows(RESULTS)
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        trainings = [row for row in rows if row["name"] == name]
        f1 = [100 * mean(row[part]["f1"] for row in trainings) for part in PARTS]
        recall = 100 * mean(row[part]["recall"] for row in trainings for part in PARTS)
        seeds = ", ".join(str(row["seed"]) for row in trainings)
        scores = (*f1, mean(f1), recall)
        lines.append([name, seeds, *(f"{score:.1f}" for score in scores)])
    header = ["experiment", "seeds", "dev F1", "held-out train F1", "mean", "recall"]
    return format_table(header, lines, left=2)


def training_folder(folder: Path, name: str, seed: int) -> Path:
    """Folder of a training, without blanks in its name.

    folder (Path): Folder of all trainings.
    name (str): Name of the experiment.
    seed (int): Seed of the training.
    RETURNS (Path): The folder.
    """
    return folder / f"{name.replace(' ', '-')}-{seed}"


def is_finished(out: Path) -> bool:
    """Whether the folder of a training has the scores on both parts."""
    return all((out / f"{part}.json").is_file() for part in PARTS)


def train_and_evaluate(
    config: Path,
    corpus: Path,
    encoder: str | Path,
    seed: int,
    out: Path,
    settings: Sequence[str],
) -> None:
    """Train on four fifths of train, and score the pipeline on dev and the held-out
    fifth.

    config (Path): Config of the recipe.
    corpus (Path): Folder with train.spacy and dev.spacy.
    encoder (Union[str, Path]): Folder of the encoder.
    seed (int): Seed of the training and the fold.
    out (Path): Folder of the training.
    settings (Sequence[str]): Overrides of settings, as for spacy train.

    Raises CalledProcessError if the training or an evaluation fails.
    """
    split_train(corpus / "train.spacy", seed, out)
    options = ["--paths.train", out / "train.spacy"]
    options += ["--paths.dev", corpus / "dev.spacy", "--paths.encoder", encoder]
    options += ["--system.seed", seed, *settings]
    run_module("spacy", "train", config, "--output", out, *options)
    for part, path in zip(PARTS, (corpus, out), strict=True):
        scores = ["--json", out / f"{part}.json"]
        docs = path / f"{part}.spacy"
        run_module("spacy_wnut", "evaluate", out / "model-best", docs, *scores)


def read_scores(out: Path) -> dict[str, dict[str, float]]:
    """Read the entity scores of a finished training.

    out (Path): Folder of the training.
    RETURNS (Dict[str, Dict[str, float]]): Precision, recall and F1 by part.

    Raises WnutError if the training is not finished.
    """
    return {part: read_results(out / f"{part}.json")["entity"] for part in PARTS}


def split_train(path: Path, seed: int, out: Path) -> None:
    """Split train into train.spacy and heldout.spacy.

    path (Path): DocBin of train.
    seed (int): The fold: every fifth post from this one on is held out.
    out (Path): Folder to write to.
    """
    import spacy
    from spacy.tokens import DocBin

    docs = list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))
    out.mkdir(parents=True, exist_ok=True)
    for name, is_held_out in (("train", False), ("heldout", True)):
        kept = [
            doc
            for i, doc in enumerate(docs)
            if (i % FOLDS == seed % FOLDS) == is_held_out
        ]
        DocBin(attrs=["ENT_IOB", "ENT_TYPE"], docs=kept).to_disk(out / f"{name}.spacy")


def run_module(*words: object) -> None:
    """Run `python -m` with the given words; raise CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", *map(str, words)], check=True)


if __name__ == "__main__":
    run_app(app)
