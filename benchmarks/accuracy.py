"""Collect measured accuracy in one file and write README's table from it.

    python benchmarks/accuracy.py collect metrics/wnut17/distilbert-0 \\
        --config distilbert.cfg --encoder distilbert-base-uncased --seed 0
    python benchmarks/accuracy.py table
"""

import json
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer
from _readme import write_between

from spacy_wnut.files import replacing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "accuracy.json"
README = ROOT / "README.md"
BEGIN = "<!-- accuracy: benchmarks/accuracy.py table -->"

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def collect(
    folder: Annotated[Path, typer.Argument(help="What evaluate --json wrote")],
    config: Annotated[str, typer.Option(help="The recipe")],
    encoder: Annotated[str, typer.Option(help="The encoder's name")],
    seed: Annotated[int, typer.Option(help="The training's seed")],
    device: Annotated[str, typer.Option(help="What it was trained on")] = "cpu",
) -> None:
    """Put the scores of a training into the results, in place of its old ones."""
    key = {"config": config, "encoder": encoder, "seed": seed}
    rows = [row for row in read_results() if not key.items() <= row.items()]
    for path in sorted(folder.glob("*_*.json")):
        split, protocol = path.stem.split("_")
        scores = json.loads(path.read_text(encoding="utf8"))
        rows.append(
            {**key, "device": device, "protocol": protocol, "split": split, **scores}
        )
    rows.sort(key=lambda row: [row[k] for k in ("config", "encoder", "seed")])
    with replacing(RESULTS) as beside:
        beside.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf8")


@app.command()
def table() -> None:
    """Write README's table: means over the seeds, in percent."""
    rows = read_results()
    lines = [
        "| recipe | encoder | seeds | tokens | dev F1 | test P | test R | test F1 | test surface F1 |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    keys = dict.fromkeys((r["config"], r["encoder"], r["protocol"]) for r in rows)
    for config, encoder, protocol in sorted(keys, key=lambda k: (k[2], k[0])):
        mine = [
            row
            for row in rows
            if (row["config"], row["encoder"], row["protocol"])
            == (config, encoder, protocol)
        ]
        dev = [row for row in mine if row["split"] == "dev"]
        test = [row for row in mine if row["split"] == "test"]
        seeds = ", ".join(str(row["seed"]) for row in test)
        figures = [
            percent(dev, "entity", "f1"),
            percent(test, "entity", "precision"),
            percent(test, "entity", "recall"),
            percent(test, "entity", "f1"),
            percent(test, "surface", "f1"),
        ]
        lines.append(
            f"| {config} | {encoder} | {seeds} | {protocol} | {' | '.join(figures)} |"
        )
    write_between(README, BEGIN, lines)


def percent(rows: list[dict], measure: str, figure: str) -> str:
    return f"{100 * mean(row[measure][figure] for row in rows):.1f}"


def read_results() -> list[dict]:
    return json.loads(RESULTS.read_text(encoding="utf8")) if RESULTS.exists() else []


if __name__ == "__main__":
    app()
