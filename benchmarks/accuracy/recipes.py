"""Collect measured accuracy in three files and write README's tables from them.

    spacy-wnut sweep configs/distilbert.cfg configs/tutorial.cfg configs/spacy_ner.cfg \\
        --corpus corpus/wnut17 --output training/wnut17/sweep \\
        --paths.encoder training/wnut17/encoder
    python benchmarks/accuracy.py collect training/wnut17/sweep --encoder all-MiniLM-L6
    python benchmarks/accuracy.py table

Seeds that were trained elsewhere or later are added by `collect --add`.
`benchmarks/trainer_baseline.py --out training/wnut17/sweep` adds transformers' Trainer.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from readme import format_table, percent, write_block

from spacy_wnut.files import replacing
from spacy_wnut.scoring.significance import compare_f1, f1_interval
from spacy_wnut.sweep.metrics import read_all_metrics
from spacy_wnut.sweep.summary import TEST

BENCHMARKS = Path(__file__).parent
RESULTS = BENCHMARKS / "results" / "accuracy.json"
# What each training found in each post of test, for the bootstrap.
POSTS = BENCHMARKS / "results" / "test_posts.json"
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
    add: Annotated[
        bool, typer.Option("--add", help="Keep other seeds of the same recipes")
    ] = False,
) -> None:
    """Put the trainings of a sweep into the results, in place of all earlier ones of
    the same recipes on the same encoder, and compare the recipes.
    """
    trainings = read_all_metrics(folder)
    for training in trainings:
        training["encoder"] = encoder or training["encoder"]
        for row in training["rows"]:
            row["encoder"] = training["encoder"]
    replaced = {training_of(t) if add else recipe_of(t) for t in trainings}

    def merge(path: Path, new: list[Any]) -> list[Any]:
        kept = [
            row
            for row in read_json(path)
            if not {training_of(row), recipe_of(row)} & replaced
        ]
        return sorted(kept + new, key=training_of)

    rows = [row for training in trainings for row in training["rows"]]
    write_json(RESULTS, merge(RESULTS, rows))
    posts = [
        {
            **{name: training[name] for name in ("config", "encoder", "seed")},
            **training["posts"][TEST],
        }
        for training in trainings
    ]
    posts = merge(POSTS, posts)
    # A line a training.
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in posts)
    write_text(POSTS, f"[\n{lines}\n]\n")
    write_json(SIGNIFICANCE, compare(posts))


def compare(posts: list[Any]) -> list[Any]:
    """The interval of each recipe, and how far ours is above it."""
    groups: dict[Any, list[Any]] = {}
    for training in posts:
        groups.setdefault(recipe_of(training), []).append(training)
    entries = []
    for (config, encoder), runs in groups.items():
        entry = {
            "config": config,
            "encoder": encoder,
            "seeds": [run["seed"] for run in runs],
            "interval": f1_interval(runs),
        }
        ours = groups.get((OURS, encoder))
        if ours and config != OURS:
            difference, p = compare_f1(ours, runs)
            entry["ours"] = {"difference": difference, "p": p}
        entries.append(entry)
    return entries


@app.command()
def table() -> None:
    """Write README's tables, in percent."""
    for name, text in make_tables().items():
        write_block(name, text)


def make_tables() -> dict[str, str]:
    """README's tables, by the names of their places."""
    rows = read_json(RESULTS)
    known = {recipe_of(entry): entry for entry in read_json(SIGNIFICANCE)}
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


def recipe_of(row: Any) -> tuple[str, str]:
    return row["config"], row["encoder"]


def training_of(row: Any) -> tuple[str, str, int]:
    return row["config"], row["encoder"], row["seed"]


def recipes(rows: list[Any]) -> list[tuple[str, str]]:
    """Ours first."""
    return sorted({recipe_of(row) for row in rows}, key=lambda k: (k[0] != OURS, k))


def select(rows: list[Any], *wanted: str) -> list[Any]:
    names = ("config", "encoder", "protocol", "split")
    return [row for row in rows if tuple(row[name] for name in names) == wanted]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf8")) if path.exists() else []


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf8")


if __name__ == "__main__":
    app()
