"""F1 and speed by the number of an encoder's layers that are kept, from the first.

    python -m benchmarks.accuracy.depth run sentence-transformers/all-mpnet-base-v2 \\
        --name all-mpnet-base-v2 --depths 3,6,9,12 --corpus corpus/wnut17/gold --seed 0 \\
        --training.max_steps 640 --components.transformer.model.freeze_embeddings true
    python -m benchmarks.accuracy.depth speed
    python -m benchmarks.accuracy.depth table

`run` trains configs/distilbert.cfg on four fifths of train for each number of layers,
and scores dev and the left-out fifth, like `python -m benchmarks.accuracy.experiments`.
Test is not read. Finished trainings are skipped, so a run can be interrupted and started
again. `speed` measures the trained pipelines of all encoders, in turn and in one
process, on the texts of dev. The machine must be idle otherwise. The results are kept in
benchmarks/results/depth.json; `table` draws the chart and writes the table in
docs/results.md.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Annotated, Any

import typer
from wasabi import msg

from benchmarks.common.charts import Axis, draw_line_chart
from benchmarks.common.machine import (
    QUIET_LOAD,
    QUIET_SPREAD,
    describe_machine,
    load_average,
)
from benchmarks.common.pages import (
    RESULTS_PAGE,
    format_percent,
    format_table,
    write_block,
)
from benchmarks.common.program import SpacyPosts, make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import (
    ROOT,
    read_results,
    read_rows,
    write_results,
    write_text,
)
from spacy_wnut.errors import WnutError

from .experiments import (
    PARTS,
    is_finished,
    read_scores,
    train_and_evaluate,
    training_folder,
)

if TYPE_CHECKING:
    from spacy.language import Language

RESULTS = FOLDER / "depth.json"
CHART = RESULTS_PAGE.parent / "depth.svg"
BLOCK = "depth: python -m benchmarks.accuracy.depth table"
CONFIG = ROOT / "configs" / "distilbert.cfg"
TRAININGS = Path("training/depth")
WARM_UP_POSTS = 64

# Name of an encoder, and number of its layers.
Key = tuple[str, int]

app = make_app(__doc__)

Folder = Annotated[Path, typer.Option(help="Folder for trained pipelines")]


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def run(
    context: typer.Context,
    encoder: Annotated[
        str, typer.Argument(help="Whole encoder, as for spacy-wnut encoder")
    ],
    name: Annotated[str, typer.Option(help="Name of the encoder in the results")],
    depths: Annotated[str, typer.Option(help="Numbers of layers, between commas")],
    corpus: Annotated[Path, typer.Option(help="Folder with train.spacy and dev.spacy")],
    seed: Annotated[int, typer.Option(help="Seed of the training and the fold")],
    folder: Folder = TRAININGS,
) -> None:
    """Train with overrides of settings, as for spacy train, and keep the scores."""
    from spacy_wnut.models.checkpoints import check_source, fetch_encoder, is_current

    numbers = parse_depths(depths)
    outs = {depth: depth_folder(folder, name, depth, seed) for depth in numbers}
    encoders = {
        depth: folder / "encoders" / out.name
        for depth, out in outs.items()
        if not is_finished(out)
    }
    if encoders:
        check_source(encoder)
    # All of them first: an encoder that can't be reduced must not stop a long run.
    for depth, path in encoders.items():
        if not is_current(encoder, path, depth):
            fetch_encoder(encoder, path, n_layers=depth)
    for depth, out in outs.items():
        if depth in encoders:
            msg.info(f"{name}, {depth} layers, seed {seed}")
            train_and_evaluate(CONFIG, corpus, encoders[depth], seed, out, context.args)
        collect(name, depth, seed, out)


def collect(name: str, depth: int, seed: int, out: Path) -> None:
    """Put a finished training into the results, replacing its earlier scores. The speed
    of its encoder at this depth is kept.
    """
    from thinc.api import Config

    # Without interpolation: the stored config has numbers of steps.
    config = Config().from_disk(out / "model-best" / "config.cfg", interpolate=False)
    encoder = config["components"]["transformer"]["model"]
    row = {
        **{"encoder": name, "depth": depth, "seed": seed},
        "steps": config["training"]["max_steps"],
        "freeze_embeddings": encoder["freeze_embeddings"],
        **read_scores(out),
        "speed": None,
    }
    others = []
    for other in read_rows(RESULTS):
        if key_of(other) == key_of(row):
            row["speed"] = other["speed"]
            if other["seed"] == seed:
                continue
        others.append(other)
    write_results(RESULTS, [*others, row])


@app.command()
def speed(
    posts: SpacyPosts = ROOT / "corpus" / "wnut17" / "spacy" / "dev.spacy",
    folder: Folder = TRAININGS,
    threads: Annotated[int, typer.Option(help="Threads of torch")] = 2,
    rounds: Annotated[int, typer.Option(help="Number of rounds")] = 3,
) -> None:
    """Measure words per second of one pipeline per encoder and depth, on the CPU."""
    import torch

    from benchmarks.speed.posts import count_words, read_posts
    from spacy_wnut.pipeline.loading import load_pipeline
    from spacy_wnut.pipeline.parts import find_parts

    # Before the pipelines are loaded, which is a load, too.
    load = load_average()
    if load > QUIET_LOAD:
        msg.warn(f"The machine is not idle (load {load:.1f})")
    annotated = read_posts(posts)
    rows = read_results(RESULTS)
    # The speed is that of the architecture, so one seed is sufficient.
    paths: dict[Key, Path] = {}
    for row in rows:
        out = depth_folder(folder, row["encoder"], row["depth"], row["seed"])
        paths.setdefault(key_of(row), out / "model-best")
    pipelines = {key: load_pipeline(str(path)) for key, path in paths.items()}
    torch.set_num_threads(threads)
    seconds = time_in_turns(pipelines, [post.text for post in annotated], rounds)
    n_words = count_words([annotated])
    device = {**describe_machine(), "threads": threads, "rounds": rounds}
    for row in rows:
        key = key_of(row)
        encoder = find_parts(pipelines[key]).encoder.transformer
        row["speed"] = {
            "words_per_second": round(n_words / median(seconds[key]), 1),
            "spread": round(max(seconds[key]) / min(seconds[key]), 3),
            "parameters": sum(weights.numel() for weights in encoder.parameters()),
            "device": device,
        }
    write_results(RESULTS, rows)
    for (name, depth), values in seconds.items():
        print(f"{name}, {depth} layers: {n_words / median(values):,.0f} words/s")
        if max(values) > QUIET_SPREAD * min(values):
            msg.warn("the machine was not idle: the rounds differ, measure again")


def time_in_turns(
    pipelines: "Mapping[Key, Language]", texts: Sequence[str], rounds: int
) -> dict[Key, list[float]]:
    """Run pipelines on texts, one after the other in each round.

    pipelines (Mapping[Tuple[str, int], Language]): The pipelines by encoder and depth.
    texts (Sequence[str]): The texts of one run.
    rounds (int): Number of rounds.
    RETURNS (Dict[Tuple[str, int], List[float]]): Seconds of each pipeline, one value per
        round.
    """
    for nlp in pipelines.values():
        list(nlp.pipe(texts[:WARM_UP_POSTS]))
    seconds: dict[Key, list[float]] = {key: [] for key in pipelines}
    keys = list(pipelines)
    for i in range(rounds):
        # Rotate the order, so that no pipeline always follows the same other one.
        first = i % len(keys)
        for key in keys[first:] + keys[:first]:
            began = time.perf_counter()
            for _ in pipelines[key].pipe(texts):
                pass
            seconds[key].append(time.perf_counter() - began)
    return seconds


@app.command()
def table() -> None:
    """Draw the chart and write the table in docs/results.md."""
    rows = read_results(RESULTS)
    if any(row["speed"] is None for row in rows):
        raise WnutError(
            f"{RESULTS} has trainings without words per second: measure them with "
            "`python -m benchmarks.accuracy.depth speed`"
        )
    write_text(CHART, make_chart(rows))
    write_block(BLOCK, make_block(rows), RESULTS_PAGE)


def make_chart(rows: Iterable[dict[str, Any]]) -> str:
    """A chart as SVG, with a line per encoder and a dot per depth."""
    lines: dict[str, list[tuple[float, float]]] = {}
    labels: dict[str, list[str]] = {}
    for (name, depth), trainings in by_depth(rows).items():
        words_per_second = trainings[0]["speed"]["words_per_second"]
        score = 100 * mean(mean_f1(row) for row in trainings)
        lines.setdefault(name, []).append((words_per_second, score))
        labels.setdefault(name, []).append(str(depth))
    points = [point for line in lines.values() for point in line]
    return draw_line_chart(
        "F1 and speed by number of layers, WNUT 17",
        Axis.around("words per second", (x for x, _ in points), is_log=True),
        Axis.around("F1, mean of dev and left-out", (y for _, y in points)),
        lines,
        has_dots=True,
        dot_labels=labels,
    )


def make_block(rows: Sequence[dict[str, Any]]) -> str:
    """The table, with the chart below it."""
    lines = []
    for (name, depth), trainings in by_depth(rows).items():
        measured = trainings[0]["speed"]
        scores = [[row[part]["f1"] for row in trainings] for part in PARTS]
        scores.append([mean_f1(row) for row in trainings])
        lines.append(
            [
                name,
                ", ".join(str(row["seed"]) for row in trainings),
                str(depth),
                f"{measured['parameters'] / 1e6:.1f} M",
                *(format_percent(values) for values in scores),
                f"{measured['words_per_second']:,.0f}",
            ]
        )
    header = ["encoder", "seeds", "layers", "parameters", "dev F1", "left-out F1"]
    header += ["mean", "words/s"]
    settings = [
        f"{name}: {' or '.join(describe_settings(rows, name))}"
        for name in dict.fromkeys(row["encoder"] for row in rows)
    ]
    # All pipelines are measured in one run.
    device = rows[0]["speed"]["device"]
    return (
        f"{format_table(header, lines, left=2)}\n"
        f"{'; '.join(settings)}. Speed: torch on {device['name']}, {device['threads']} "
        f"threads, median of {device['rounds']} rounds.\n\n"
        f"![Depth]({CHART.name})\n"
    )


def describe_settings(rows: Iterable[dict[str, Any]], name: str) -> list[str]:
    """Steps of the trainings of an encoder, and whether its vectors were frozen."""
    texts = (
        f"{row['steps']:,} steps"
        + (", vectors of pieces frozen" if row["freeze_embeddings"] else "")
        for row in rows
        if row["encoder"] == name
    )
    return list(dict.fromkeys(texts))


def by_depth(rows: Iterable[dict[str, Any]]) -> dict[Key, list[dict[str, Any]]]:
    """Group trainings by encoder, in the order of the results, and by depth. Trainings
    of a group are sorted by seed.
    """
    rows = list(rows)
    names = list(dict.fromkeys(row["encoder"] for row in rows))
    rows.sort(key=lambda row: (names.index(row["encoder"]), row["depth"], row["seed"]))
    groups: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(key_of(row), []).append(row)
    return groups


def key_of(row: Mapping[str, Any]) -> Key:
    """Encoder and depth of a training."""
    return row["encoder"], row["depth"]


def mean_f1(row: Mapping[str, Any]) -> float:
    """Mean of the F1 scores on dev and on the left-out fifth."""
    return float(mean(row[part]["f1"] for part in PARTS))


def depth_folder(folder: Path, name: str, depth: int, seed: int) -> Path:
    """Folder of a training: that of the experiment "NAME DEPTH layers"."""
    return training_folder(folder, f"{name} {depth} layers", seed)


def parse_depths(text: str) -> list[int]:
    """Parse numbers of layers between commas.

    Raises WnutError if there is anything else between the commas.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as err:
        raise WnutError(
            f"--depths {text} is no list of numbers: give something like 3,6,9,12"
        ) from err


if __name__ == "__main__":
    run_app(app)
