"""Collect the accuracy of trained recipes, compare them, and write their tables.

    spacy-wnut sweep configs/distilbert.cfg configs/tutorial.cfg configs/spacy_ner.cfg \\
        --corpus corpus/wnut17 --output training/wnut17/sweep \\
        --paths.encoder training/wnut17/encoder
    python -m benchmarks.accuracy.recipes collect training/wnut17/sweep \\
        --encoder all-MiniLM-L6
    python -m benchmarks.accuracy.recipes table

`collect --add` adds seeds that were trained separately, and `collect --twice` collects
pipelines whose teachers were self-trained. `table` writes the tables of accuracy in
docs/results.md. The baseline of transformers' Trainer comes from `python -m
benchmarks.accuracy.trainer_baseline`, with the output folder of the sweep as its --out.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.pages import (
    RESULTS_PAGE,
    format_percent,
    format_table,
    write_block,
)
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import read_results, read_rows, write_results, write_text
from spacy_wnut.scoring.significance import compare_f1, f1_interval
from spacy_wnut.sweep.metrics import read_all_metrics
from spacy_wnut.sweep.summary import TEST

RESULTS = FOLDER / "accuracy.json"
# Counts per test post of each training, for the bootstrap.
POSTS = FOLDER / "test_posts.json"
SIGNIFICANCE = FOLDER / "significance.json"
PUBLISHED = Path(__file__).with_name("published.json")
# Appended to the name of a recipe with pseudo-labels: from teachers that were trained on
# annotated posts alone, and from teachers that were self-trained.
FIRST_ROUND = ", self-trained"
SECOND_ROUND = f"{FIRST_ROUND} twice"
# Names of our recipe. The last one with trainings is compared with the other recipes.
RECIPE = "distilbert.cfg"
SELF_TRAINED_TWICE = f"{RECIPE}{SECOND_ROUND}"
OUR_RECIPES = (RECIPE, f"{RECIPE}{FIRST_ROUND}", SELF_TRAINED_TWICE)
TOKENS = {"gold": "gold", "spacy": "spaCy"}

app = make_app(__doc__)


@app.command()
def collect(
    folder: Annotated[Path, typer.Argument(help="Output folder of a sweep")],
    encoder: Annotated[
        str | None,
        typer.Option(help="Name of the encoder in tables; by default its folder's"),
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Keep other seeds of the same recipes")
    ] = False,
    twice: Annotated[
        bool, typer.Option("--twice", help="The teachers were self-trained as well")
    ] = False,
) -> None:
    """Merge the trainings of a sweep into the results and compare the recipes.

    They replace all earlier trainings of the same recipe on the same encoder; with
    --add only those with the same seeds.
    """
    trainings = read_all_metrics(folder)
    for training in trainings:
        training["encoder"] = encoder or training["encoder"]
        if "paths.pseudo_labelled" in training["made_of"]:
            training["config"] += SECOND_ROUND if twice else FIRST_ROUND
        for row in training["rows"]:
            row["config"], row["encoder"] = training["config"], training["encoder"]
    replaced = {training_key(t) if add else recipe_key(t) for t in trainings}

    def merge(path: Path, new: list[Any]) -> list[Any]:
        kept = [
            row
            for row in read_rows(path)
            if not {training_key(row), recipe_key(row)} & replaced
        ]
        return sorted(kept + new, key=training_key)

    rows = [row for training in trainings for row in training["rows"]]
    write_results(RESULTS, merge(RESULTS, rows))
    posts = [
        {
            **{name: training[name] for name in ("config", "encoder", "seed")},
            **training["posts"][TEST],
        }
        for training in trainings
    ]
    posts = merge(POSTS, posts)
    # One line per training.
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in posts)
    write_text(POSTS, f"[\n{lines}\n]\n")
    write_results(SIGNIFICANCE, compare_recipes(posts))


def compare_recipes(posts: list[Any]) -> list[Any]:
    """Bootstrap the F1 of each recipe, and its distance to that of ours.

    posts (List[Any]): Counts per test post, one entry per training.
    RETURNS (List[Any]): One entry per recipe and encoder: its seeds, the 95% interval
        of the mean F1, and under "ours" the name of our `recipe`, its `difference` to
        this one and the p-value `p`, unless it is ours itself or ours wasn't trained on the
        encoder. Ours is the last of OUR_RECIPES that was trained on it.
    """
    groups: dict[Any, list[Any]] = {}
    for training in posts:
        groups.setdefault(recipe_key(training), []).append(training)
    entries = []
    for (config, encoder), trainings in groups.items():
        entry = {
            "config": config,
            "encoder": encoder,
            "seeds": [training["seed"] for training in trainings],
            "interval": f1_interval(trainings),
        }
        ours = next((r for r in reversed(OUR_RECIPES) if (r, encoder) in groups), None)
        if ours is not None and config != ours:
            difference, p = compare_f1(groups[ours, encoder], trainings)
            entry["ours"] = {"recipe": ours, "difference": difference, "p": p}
        entries.append(entry)
    return entries


@app.command()
def table() -> None:
    """Write the tables of accuracy in docs/results.md."""
    for name, text in make_blocks().items():
        write_block(name, text, RESULTS_PAGE)


def make_blocks() -> dict[str, str]:
    """Tables of accuracy by the names of their blocks; scores are in percent."""
    rows = read_rows(RESULTS)
    comparisons = {recipe_key(entry): entry for entry in read_rows(SIGNIFICANCE)}
    command = "python -m benchmarks.accuracy.recipes table"
    return {
        f"accuracy: {command}": accuracy_table(rows, comparisons),
        f"accuracy by type: {command}": type_table(rows),
        f"significance: {command}": significance_table(comparisons),
        f"published: {command}": published_table(rows),
    }


def accuracy_table(rows: list[Any], comparisons: dict[Any, Any]) -> str:
    """Scores of each recipe on gold tokens and on spaCy's."""
    lines = []
    for protocol in TOKENS:
        for config, encoder in recipes_of(rows):
            dev, test = (
                select(rows, config, encoder, protocol, split)
                for split in ("dev", "test")
            )
            if not test:
                continue
            entry = comparisons.get((config, encoder), {})
            low, high = entry.get("interval", (None, None))
            has_interval = protocol == "gold" and low is not None
            lines.append(
                [
                    *(config, encoder, ", ".join(str(row["seed"]) for row in test)),
                    TOKENS[protocol],
                    format_percent([row["entity"]["f1"] for row in dev]),
                    format_percent([row["entity"]["precision"] for row in test]),
                    format_percent([row["entity"]["recall"] for row in test]),
                    format_percent([row["entity"]["f1"] for row in test]),
                    f"{100 * low:.1f} to {100 * high:.1f}" if has_interval else "",
                    format_percent([row["surface"]["f1"] for row in test]),
                ]
            )
    header = ["recipe", "encoder", "seeds", "tokens", "dev F1", "test P", "test R"]
    header += ["test F1", "95%", "test surface F1"]
    return format_table(header, lines, left=4)


def type_table(rows: list[Any]) -> str:
    """Test F1 by type, on gold tokens; 0 for a type that is neither annotated nor
    predicted.
    """
    rows = [r for r in rows if (r["split"], r["protocol"]) == ("test", "gold")]
    types = sorted({label for row in rows for label in row["per_type"]})
    lines = []
    for config, encoder in recipes_of(rows):
        selected = select(rows, config, encoder, "gold", "test")
        per_type = [
            [row["per_type"].get(label, {"f1": 0.0})["f1"] for row in selected]
            for label in types
        ]
        # Entities whose form is among those of train, and the others.
        halves = [
            [row[half]["f1"] for row in selected if half in row]
            for half in ("seen", "unseen")
        ]
        lines.append([config, encoder, *map(format_percent, [*per_type, *halves])])
    header = ["recipe", "encoder", *types, "seen", "unseen"]
    return format_table(header, lines, left=2)


def significance_table(comparisons: dict[Any, Any]) -> str:
    """Differences between our recipe and each other one."""
    lines = [
        [
            *(f"{entry['ours']['recipe']} over {config}", encoder),
            f"{100 * entry['ours']['difference']:+.1f}",
            f"{entry['ours']['p']:.4f}",
        ]
        for (config, encoder), entry in comparisons.items()
        if "ours" in entry
    ]
    return format_table(["", "encoder", "test F1", "p"], lines, left=2)


def published_table(rows: list[Any]) -> str:
    """Our recipe among published scores, in ascending order of entity F1."""
    systems: list[dict[str, Any]] = [
        {
            "system": f"**{config}, {encoder}**",
            "entity_f1": [row["entity"]["f1"] for row in ours],
            "surface_f1": [row["surface"]["f1"] for row in ours],
            "figure": format_percent([row["entity"]["f1"] for row in ours]),
            "split": "test",
            "source": "`benchmarks/results/accuracy.json`",
        }
        for config, encoder in recipes_of(rows)
        if config in OUR_RECIPES
        and (ours := select(rows, config, encoder, "gold", "test"))
    ]
    systems += read_results(PUBLISHED)
    systems.sort(key=lambda s: sum(s["entity_f1"]) / len(s["entity_f1"]))
    lines = []
    for system in systems:
        ends = dict.fromkeys(f"{100 * f1:.1f}" for f1 in system["entity_f1"])
        surface = system.get("surface_f1")
        lines.append(
            [
                *(system["system"], system["split"], system["source"]),
                system.get("figure", " to ".join(ends)),
                format_percent(surface) if surface else "",
            ]
        )
    header = ["system", "split", "source", "entity F1", "surface F1"]
    return format_table(header, lines, left=3)


def recipe_key(row: Any) -> tuple[str, str]:
    return row["config"], row["encoder"]


def training_key(row: Any) -> tuple[str, str, int]:
    return row["config"], row["encoder"], row["seed"]


def recipes_of(rows: list[Any]) -> list[tuple[str, str]]:
    """Config and encoder of each recipe, ours first."""
    keys = {recipe_key(row) for row in rows}
    return sorted(keys, key=lambda key: (key[0] not in OUR_RECIPES, key))


def select(
    rows: list[Any], config: str, encoder: str, protocol: str, split: str
) -> list[Any]:
    """Rows of one recipe, protocol, and split, one per seed."""
    wanted = (config, encoder, protocol, split)
    names = ("config", "encoder", "protocol", "split")
    return [row for row in rows if tuple(row[name] for name in names) == wanted]


if __name__ == "__main__":
    run_app(app)
