"""Collect measured accuracy in two files and write README's tables from them.

    spacy-wnut sweep configs/distilbert.cfg configs/tutorial.cfg configs/spacy_ner.cfg \\
        --corpus corpus/wnut17 --output training/wnut17/sweep \\
        --paths.encoder training/wnut17/encoder
    python benchmarks/accuracy.py collect training/wnut17/sweep --encoder all-MiniLM-L6
    python benchmarks/accuracy.py table

`benchmarks/trainer_baseline.py --out training/wnut17/sweep` adds transformers' Trainer.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from readme import format_table, percent, write_block

from spacy_wnut.files import replacing
from spacy_wnut.scoring.significance import f1_interval
from spacy_wnut.sweep.metrics import read_all_metrics
from spacy_wnut.sweep.summary import TEST, compare_configs

BENCHMARKS = Path(__file__).parent
RESULTS = BENCHMARKS / "results" / "accuracy.json"
SIGNIFICANCE = BENCHMARKS / "results" / "significance.json"
PUBLISHED = BENCHMARKS / "published.json"
# The recipe that is compared with all others.
OURS = "distilbert.cfg"
TOKENS = {"gold": "gold", "spacy": "spaCy"}

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def collect(
    folder: Annotated[Path, typer.Argument(help="The output folder of a sweep")],
    encoder: Annotated[
        str | None, typer.Option(help="What to call the encoder, if not as its folder")
    ] = None,
) -> None:
    """Put the trainings of a sweep into the results, in place of all earlier ones of
    the same recipes on the same encoder, and compare the recipes.
    """
    trainings = read_all_metrics(folder)
    for training in trainings:
        training["encoder"] = encoder or training["encoder"]
        for row in training["rows"]:
            row["encoder"] = training["encoder"]
    collected = [row for training in trainings for row in training["rows"]]
    replaced = {key(row) for row in collected}
    rows = [row for row in read_json(RESULTS) if key(row) not in replaced]
    write_json(RESULTS, sorted(rows + collected, key=lambda r: (*key(r), r["seed"])))

    groups: dict[Any, list[Any]] = {}
    for training in trainings:
        groups.setdefault(key(training), []).append(training)
    entries = []
    for (config, name), runs in groups.items():
        interval = f1_interval([training["posts"][TEST] for training in runs])
        entry = {
            "config": config,
            "encoder": name,
            "seeds": [training["seed"] for training in runs],
            "interval": interval,
        }
        ours = groups.get((OURS, name))
        if ours and config != OURS:
            compared = compare_configs(ours, runs)
            entry["ours"] = {k: compared[k] for k in ("difference", "p")}
        entries.append(entry)
    kept = [e for e in read_json(SIGNIFICANCE) if key(e) not in replaced]
    for entry in kept:
        # It was compared with trainings that are gone.
        if (OURS, entry["encoder"]) in replaced:
            entry.pop("ours", None)
    write_json(SIGNIFICANCE, sorted(kept + entries, key=key))


@app.command()
def table() -> None:
    """Write README's tables, in percent."""
    for name, text in make_tables().items():
        write_block(name, text)


def make_tables() -> dict[str, str]:
    """README's tables, by the names of their places."""
    rows = read_json(RESULTS)
    known = {key(entry): entry for entry in read_json(SIGNIFICANCE)}
    return {
        "accuracy: benchmarks/accuracy.py table": main_table(rows, known),
        "accuracy by type: benchmarks/accuracy.py table": type_table(rows),
        "significance: benchmarks/accuracy.py table": significance_table(known),
        "published: benchmarks/accuracy.py table": published_table(rows),
    }


def main_table(rows: list[Any], known: dict[Any, Any]) -> str:
    lines = []
    for protocol in TOKENS:
        for config, encoder in recipes(rows):
            dev, test = (
                select(rows, config, encoder, protocol, split)
                for split in ("dev", "test")
            )
            if not test:
                continue
            entry = known.get((config, encoder), {})
            low, high = entry.get("interval", (None, None))
            has_interval = protocol == "gold" and low is not None
            lines.append(
                [
                    *(config, encoder, ", ".join(str(row["seed"]) for row in test)),
                    TOKENS[protocol],
                    percent([row["entity"]["f1"] for row in dev]),
                    percent([row["entity"]["precision"] for row in test]),
                    percent([row["entity"]["recall"] for row in test]),
                    percent([row["entity"]["f1"] for row in test]),
                    f"{100 * low:.1f} to {100 * high:.1f}" if has_interval else "",
                    percent([row["surface"]["f1"] for row in test]),
                ]
            )
    header = ["recipe", "encoder", "seeds", "tokens", "dev F1", "test P", "test R"]
    header += ["test F1", "95%", "test surface F1"]
    return format_table(header, lines, left=4)


def type_table(rows: list[Any]) -> str:
    """Test, gold tokens. A type that a training neither has nor predicts counts as 0."""
    rows = [r for r in rows if (r["split"], r["protocol"]) == ("test", "gold")]
    types = sorted({label for row in rows for label in row["per_type"]})
    lines = []
    for config, encoder in recipes(rows):
        mine = select(rows, config, encoder, "gold", "test")
        per_type = [
            [row["per_type"].get(label, {"f1": 0.0})["f1"] for row in mine]
            for label in types
        ]
        halves = [
            [row[half]["f1"] for row in mine if half in row]
            for half in ("seen", "unseen")
        ]
        lines.append([config, encoder, *map(percent, [*per_type, *halves])])
    header = ["recipe", "encoder", *types, "seen", "unseen"]
    return format_table(header, lines, left=2)


def significance_table(known: dict[Any, Any]) -> str:
    lines = [
        [
            *(f"{OURS} over {config}", encoder),
            f"{100 * entry['ours']['difference']:+.1f}",
            f"{entry['ours']['p']:.4f}",
        ]
        for (config, encoder), entry in known.items()
        if "ours" in entry
    ]
    return format_table(["", "encoder", "test F1", "p"], lines, left=2)


def published_table(rows: list[Any]) -> str:
    """Ours among the published figures, by entity F1."""
    systems = [
        {
            "system": f"**{config}, {encoder}**",
            "entity_f1": [row["entity"]["f1"] for row in ours],
            "surface_f1": [row["surface"]["f1"] for row in ours],
            "figure": percent([row["entity"]["f1"] for row in ours]),
            "split": "test",
            "source": "`benchmarks/results/accuracy.json`",
        }
        for config, encoder in recipes(rows)
        if config == OURS and (ours := select(rows, config, encoder, "gold", "test"))
    ]
    systems += read_json(PUBLISHED)
    systems.sort(key=lambda s: sum(s["entity_f1"]) / len(s["entity_f1"]))
    lines = []
    for system in systems:
        ends = dict.fromkeys(f"{100 * f1:.1f}" for f1 in system["entity_f1"])
        surface = system.get("surface_f1")
        lines.append(
            [
                *(system["system"], system["split"], system["source"]),
                system.get("figure", " to ".join(ends)),
                percent(surface) if surface else "",
            ]
        )
    header = ["system", "split", "source", "entity F1", "surface F1"]
    return format_table(header, lines, left=3)


def key(row: Any) -> tuple[str, str]:
    return row["config"], row["encoder"]


def recipes(rows: list[Any]) -> list[tuple[str, str]]:
    """Ours first."""
    return sorted({key(row) for row in rows}, key=lambda k: (k[0] != OURS, k))


def select(rows: list[Any], *wanted: str) -> list[Any]:
    names = ("config", "encoder", "protocol", "split")
    return [row for row in rows if tuple(row[name] for name in names) == wanted]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf8")) if path.exists() else []


def write_json(path: Path, data: Any) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    app()
