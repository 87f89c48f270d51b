"""Try a change of a recipe: trained without a fifth of train, scored on that and on dev.

    python benchmarks/experiments.py run "no shapes" configs/distilbert.cfg \\
        --corpus corpus/wnut17/gold --encoder training/wnut17/encoder --seed 0 \\
        --components.ner.model.shape_width 0
    python benchmarks/experiments.py table

Dev is YouTube alone and train is older tweets: a change is judged by the mean of both,
over at least two seeds. Seed n leaves out every fifth post of train from the nth on.
The figures are in benchmarks/results/experiments.json, and `table` writes those of
docs/experiments.md. Test is not read.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Annotated

import spacy
import typer
from readme import format_table, write_block
from spacy.tokens import DocBin

from spacy_wnut.files import replacing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "experiments.json"
DOCS = ROOT / "docs" / "experiments.md"
FOLDS = 5

app = typer.Typer(pretty_exceptions_enable=False)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What is tried")],
    config: Annotated[Path, typer.Argument(help="The recipe")],
    corpus: Annotated[Path, typer.Option(help="Folder with train.spacy, dev.spacy")],
    encoder: Annotated[str, typer.Option(help="The encoder")],
    seed: Annotated[int, typer.Option(help="Seed, and which fifth is left out")],
    folder: Annotated[Path, typer.Option(help="For models")] = Path(
        "training/experiments"
    ),
) -> None:
    """Train with settings replaced, as for spacy train, and keep the scores."""
    out = folder / f"{name.replace(' ', '-')}-{seed}"
    if not (out / "heldout.json").is_file():
        split(corpus / "train.spacy", seed, out)
        settings = ["--paths.train", out / "train.spacy"]
        settings += ["--paths.dev", corpus / "dev.spacy", "--paths.encoder", encoder]
        settings += ["--system.seed", seed, *context.args]
        run_module("spacy", "train", config, "--output", out, *settings)
        for part, path in (("dev", corpus), ("heldout", out)):
            scores = ["--json", out / f"{part}.json"]
            docs = path / f"{part}.spacy"
            run_module("spacy_wnut", "evaluate", out / "model-best", docs, *scores)
    collect(name, out, seed)


@app.command()
def collect(
    name: Annotated[str, typer.Argument(help="What was tried")],
    folder: Annotated[Path, typer.Argument(help="With dev.json and heldout.json")],
    seed: Annotated[int, typer.Option(help="The training's seed")],
) -> None:
    """Put the scores of a training into the results, in place of its old ones."""
    row = {"name": name, "seed": seed, "device": "cpu"}
    for part in ("dev", "heldout"):
        scores = json.loads((folder / f"{part}.json").read_text(encoding="utf8"))
        row[part] = scores["entity"]
    rows = [r for r in read_results() if (r["name"], r["seed"]) != (name, seed)]
    with replacing(RESULTS) as beside:
        beside.write_text(json.dumps([*rows, row], indent=1) + "\n", encoding="utf8")


@app.command()
def table() -> None:
    """Write the table of docs/experiments.md."""
    write_block("experiments: benchmarks/experiments.py table", make_table(), DOCS)


def make_table() -> str:
    """Entity F1 in percent of each thing tried, in the order in which it was."""
    rows = read_results()
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        mine = [row for row in rows if row["name"] == name]
        parts = ("dev", "heldout")
        means = [100 * mean(row[part]["f1"] for row in mine) for part in parts]
        recall = 100 * mean(row[part]["recall"] for row in mine for part in parts)
        seeds = ", ".join(str(row["seed"]) for row in mine)
        figures = (*means, mean(means), recall)
        lines.append([name, seeds, *(f"{figure:.1f}" for figure in figures)])
    header = ["tried", "seeds", "dev F1", "left out of train F1", "mean", "recall"]
    return format_table(header, lines, left=2)


def read_results() -> list[dict]:
    return json.loads(RESULTS.read_text(encoding="utf8")) if RESULTS.exists() else []


def split(path: Path, seed: int, out: Path) -> None:
    """Deal the posts of train to train.spacy and heldout.spacy."""
    docs = list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))
    out.mkdir(parents=True, exist_ok=True)
    for name, is_left_out in (("train", False), ("heldout", True)):
        kept = [
            d for i, d in enumerate(docs) if (i % FOLDS == seed % FOLDS) == is_left_out
        ]
        DocBin(attrs=["ENT_IOB", "ENT_TYPE"], docs=kept).to_disk(out / f"{name}.spacy")


def run_module(*words: object) -> None:
    """Run a module's command in a process of its own, as its users do."""
    subprocess.run([sys.executable, "-m", *map(str, words)], check=True)


if __name__ == "__main__":
    app()
