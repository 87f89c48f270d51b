"""Measure the calibration of confidences on test, fitted on dev.

    python -m benchmarks.accuracy.calibration measure \\
        training/wnut17/sweep/distilbert corpus/wnut17 \\
        --encoder distilbert-base-uncased
    python -m benchmarks.accuracy.calibration table

`measure` takes the finished trainings of one recipe of a sweep and writes
benchmarks/results/calibration.json. Three states are measured: temperature 1, a
temperature fitted on dev, and in addition a bias tuned on dev. The temperature and bias
stored in the pipelines are ignored. `table` draws the charts in docs and writes
the table in docs/results.md.
"""

from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.common.charts import Axis, draw_line_chart
from benchmarks.common.pages import RESULTS_PAGE, format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import read_results, write_results, write_text
from spacy_wnut.errors import WnutError
from spacy_wnut.sweep.metrics import read_metrics

if TYPE_CHECKING:
    from spacy_wnut.calibration.sample import Sample

RESULTS = FOLDER / "calibration.json"
RELIABILITY = RESULTS_PAGE.parent / "calibration_reliability.svg"
THRESHOLD = RESULTS_PAGE.parent / "calibration_threshold.svg"
BLOCK = "calibration: python -m benchmarks.accuracy.calibration table"
MEASURES = ("precision", "recall", "f1")
STATES = {"before": "before", "after": "after", "with_bias": "with a bias tuned on dev"}

app = make_app(__doc__)


@app.command()
def measure(
    recipe: Annotated[Path, typer.Argument(help="OUTPUT/CONFIG of a sweep")],
    corpus: Annotated[Path, typer.Argument(help="Folder with gold/dev and gold/test")],
    encoder: Annotated[str, typer.Option(help="Name of the encoder in tables")],
    gpu_id: Annotated[int, typer.Option(help="GPU to run on; -1 for the CPU")] = -1,
) -> None:
    """Calibrate each training on dev and measure it on test."""
    from spacy_wnut.calibration.sample import read_sample
    from spacy_wnut.corpus.examples import read_corpus
    from spacy_wnut.pipeline.entity_tagger import find_tagger
    from spacy_wnut.pipeline.loading import load_pipeline
    from spacy_wnut.sweep.plan import corpus_file

    trainings = []
    for folder in sorted(recipe.glob("seed-*")):
        metrics = read_metrics(folder)
        if metrics is None:
            continue
        nlp = load_pipeline(str(folder / "model"), gpu_id)
        tagger = find_tagger(nlp)
        dev, test = (
            read_sample(
                nlp,
                tagger.name,
                read_corpus(corpus_file(corpus, "gold", split), nlp),
            )
            for split in ("dev", "test")
        )
        trainings.append(
            {
                "config": metrics["config"],
                "encoder": encoder,
                "seed": metrics["seed"],
                **measure_training(dev, test),
            }
        )
        print(f"{folder}: test ECE {trainings[-1]['test']['after']['ece']:.4f}")
    if not trainings:
        raise WnutError(f"{recipe} has no finished trainings (seed-*)")
    write_results(RESULTS, summarize(trainings))


def measure_training(dev: "Sample", test: "Sample") -> dict[str, Any]:
    """Fit on dev and measure in each of the STATES.

    RETURNS (Dict[str, Any]): Fitted `temperature` and `bias`, and the measures by state
        of `dev` (cross-validated where something is fitted) and `test`.
    """
    from spacy_wnut.calibration.pipeline import calibrate, measure_confidences
    from spacy_wnut.calibration.sample import find_entities

    plain, biased = calibrate(dev, 0.0), calibrate(dev)
    settings = {
        "before": (0.0, 1.0),
        "after": (0.0, plain["temperature"]),
        "with_bias": (biased["bias"], biased["temperature"]),
    }
    gold = int(test.n_gold.sum())
    return {
        "temperature": plain["temperature"],
        "bias": biased["bias"],
        "dev": {
            "before": plain["before"],
            "after": plain["cross_validated"],
            "with_bias": biased["cross_validated"],
        },
        "test": {
            state: measure_confidences(find_entities(test, *fitted), gold)
            for state, fitted in settings.items()
        },
    }


def summarize(trainings: list[dict[str, Any]]) -> dict[str, Any]:
    """Settings and ECE of each training, and the mean of all measures."""
    summary: dict[str, Any] = {
        "config": trainings[0]["config"],
        "encoder": trainings[0]["encoder"],
        "trainings": [
            {
                **{key: training[key] for key in ("seed", "temperature", "bias")},
                **{
                    f"{split}_ece_{state}": training[split][state]["ece"]
                    for split in ("dev", "test")
                    for state in STATES
                },
            }
            for training in trainings
        ],
    }
    for split in ("dev", "test"):
        summary[split] = {}
        for state in STATES:
            figures = [training[split][state] for training in trainings]
            summary[split][state] = {
                "ece": mean(f["ece"] for f in figures),
                "entity": {m: mean(f["entity"][m] for f in figures) for m in MEASURES},
                "reliability": mean_rows([f["reliability"] for f in figures]),
                "thresholds": mean_rows([f["thresholds"] for f in figures]),
            }
    return summary


def mean_rows(tables: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Mean of tables, row by row: of bins with the same rank or equal thresholds."""
    return [
        {key: round(mean(row[key] for row in rows), 6) for key in rows[0]}
        for rows in zip(*tables, strict=False)
    ]


@app.command()
def table() -> None:
    """Draw the charts and write the table in docs/results.md."""
    summary = read_results(RESULTS)
    for path, chart in make_charts(summary).items():
        write_text(path, chart)
    write_block(BLOCK, make_block(summary), RESULTS_PAGE)


def make_charts(summary: dict[str, Any]) -> dict[Path, str]:
    """Charts as SVG, by their files."""
    test = summary["test"]
    reliability = {
        when: [(r["confidence"], r["right"]) for r in test[when]["reliability"]]
        for when in ("before", "after")
    }
    curve = test["after"]["thresholds"]
    thresholds = {
        name: [(row["threshold"], row[name]) for row in curve] for name in MEASURES
    }
    return {
        RELIABILITY: draw_line_chart(
            "Confidence and share right, WNUT 17 test",
            *(Axis("confidence"), Axis("share right")),
            reliability,
            has_dots=True,
            has_diagonal=True,
        ),
        THRESHOLD: draw_line_chart(
            "Along the threshold, WNUT 17 test, calibrated",
            *(Axis("threshold"), Axis("score")),
            {{"f1": "F1"}.get(name, name): line for name, line in thresholds.items()},
        ),
    }


def make_block(summary: dict[str, Any]) -> str:
    """The table, with the charts below it."""
    rows = []
    for split in ("dev", "test"):
        for state, title in STATES.items():
            figures = summary[split][state]
            entity = (f"{100 * figures['entity'][m]:.1f}" for m in MEASURES)
            rows.append([f"{split}, {title}", f"{figures['ece']:.3f}", *entity])
    trainings = summary["trainings"]
    seeds = ", ".join(str(training["seed"]) for training in trainings)
    fitted = [
        f"{name} {mean(training[name] for training in trainings):.2f}"
        for name in ("temperature", "bias")
    ]
    return (
        f"{format_table(['', 'ECE', 'P', 'R', 'F1'], rows, left=1)}\n"
        f"`{summary['config']}` on {summary['encoder']}, mean of seeds {seeds}: "
        f"{' and, where tuned, '.join(fitted)}.\n\n"
        f"![Reliability]({RELIABILITY.name}) ![Threshold]({THRESHOLD.name})\n"
    )


if __name__ == "__main__":
    run_app(app)
