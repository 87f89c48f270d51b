"""Measure the gain of the page "Correct and retrain".

    python -m benchmarks.accuracy.correct run
    python -m benchmarks.accuracy.correct table

`run` needs a project in which the commands of docs/correct.md were run. It writes
benchmarks/results/correct.json: the entity F1 of the pipelines before and after, on the
new posts and on the sample corpus. `table` writes the table of the page.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.machine import describe_machine
from benchmarks.common.pages import format_percent, format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, write_results

RESULTS = FOLDER / "correct.json"
PAGE = ROOT / "docs" / "correct.md"
BLOCK = "correct scores"
PIPELINES = {
    "before": Path("training", "sample", "distilbert-0", "model-best"),
    "after": Path("training", "cycling", "model-best"),
}
TEST_SPLITS = {
    "cycling": Path("corpus", "cycling", "test.spacy"),
    "sample": Path("corpus", "sample", "gold", "test.spacy"),
}

app = make_app(__doc__)


@app.command()
def run(
    project: Annotated[
        Path, typer.Option(help="The project in which the commands were run")
    ] = ROOT,
) -> None:
    """Measure both pipelines on both test splits, and store the results."""
    from spacy_wnut.scoring.evaluation import evaluate_corpora
    from spacy_wnut.scoring.measures import all_scores

    corpora = [project / path for path in TEST_SPLITS.values()]
    f1: dict[str, dict[str, float]] = {}
    posts: dict[str, int] = {}
    for pipeline, path in PIPELINES.items():
        f1[pipeline] = {}
        evaluations = evaluate_corpora(str(project / path), corpora, -1)
        for split, (tagged, _) in zip(TEST_SPLITS, evaluations, strict=True):
            posts[split] = len(tagged)
            f1[pipeline][split] = all_scores(tagged)["entity"]["f1"]
    write_results(RESULTS, {"machine": describe_machine(), "posts": posts, "f1": f1})


@app.command()
def table() -> None:
    """Write the table of docs/correct.md."""
    write_block(BLOCK, make_block(read_results(RESULTS)), PAGE)


def make_block(results: dict[str, Any]) -> str:
    """The entity F1 of each pipeline, in percent: one row per pipeline."""
    posts = results["posts"]
    header = ["entity F1", *(f"{split}, {posts[split]} posts" for split in posts)]
    rows = [
        [pipeline, *(format_percent([f1[split]]) for split in posts)]
        for pipeline, f1 in results["f1"].items()
    ]
    return format_table(header, rows, left=1)


if __name__ == "__main__":
    run_app(app)
