"""Speed and memory of decoding and of the loss, by the number of entity types.

    python -m benchmarks.speed.decoding run
    python -m benchmarks.speed.decoding table

The emissions are random: a tenth of the words has an entity tag that is far more probable
than O. A program that decodes with the pipelines of users spends the same time per word.
`run` writes benchmarks/results/decoding.json, `table` the table in docs/results.md.
"""

import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Annotated, Any

import numpy
import typer

from benchmarks.common.machine import describe_machine
from benchmarks.common.pages import RESULTS_PAGE, format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import read_results, write_results
from spacy_wnut.crf.chain import Chain, negative_log_likelihood, viterbi
from spacy_wnut.crf.decoding import Emitted, decode, legal_chain
from spacy_wnut.labels import LabelScheme

RESULTS = FOLDER / "decoding.json"
BLOCK = "decoding: python -m benchmarks.speed.decoding table"
POSTS, WORDS = 128, 25
# A batch of distilbert.cfg.
LOSS_POSTS = 16
# The numbers of short posts whose memory is compared.
SHORT_POSTS, SHORT_WORDS = (1024, 4096), 4

app = make_app(__doc__)


@app.command()
def run(
    types: Annotated[str, typer.Option(help="Numbers of entity types")] = (
        "6,12,25,50,66,100,150,200"
    ),
    rounds: Annotated[int, typer.Option(help="Rounds; the median is kept")] = 5,
) -> None:
    """Measure, and write the results."""
    rows = [measure(int(n_types), rounds) for n_types in types.split(",")]
    results = {"device": describe_machine(), "rounds": rounds, "rows": rows}
    write_results(RESULTS, results)
    print(make_block(results))


def measure(n_types: int, rounds: int) -> dict[str, Any]:
    """Measure one number of entity types.

    RETURNS (Dict[str, Any]): Words per second of `decode`; seconds of the loss of a
        batch with its gradient; peak memory of `decode` in MiB by the number of short
        posts, without its input.
    """
    emitted = make_emitted(n_types, POSTS, WORDS)
    n_tags = emitted.emissions.shape[1]
    scores = emitted.emissions.reshape(POSTS, WORDS, n_tags)[:LOSS_POSTS]
    lengths = emitted.lengths[:LOSS_POSTS]
    allowed = numpy.eye(n_tags, dtype=bool)[viterbi(scores, lengths, emitted.chain)]
    return {
        "types": n_types,
        "tags": n_tags,
        "words_per_second": round(
            POSTS * WORDS / median_seconds(lambda: decode(emitted), rounds)
        ),
        "loss_seconds": round(
            median_seconds(
                lambda: negative_log_likelihood(
                    scores, lengths, emitted.chain, allowed
                ),
                rounds,
            ),
            5,
        ),
        "peak_memory_mib": {
            str(n): round(peak_mib(make_emitted(n_types, n, SHORT_WORDS)), 1)
            for n in SHORT_POSTS
        },
    }


def make_emitted(n_types: int, n_posts: int, n_words: int) -> Emitted:
    """Draw emissions and the scores of a chain at random."""
    rng = numpy.random.default_rng(0)
    scheme = LabelScheme(tuple(f"type {i:03}" for i in range(n_types)))
    n_tags = len(scheme.tags)
    emissions = rng.normal(size=(n_posts * n_words, n_tags))
    emissions[:, 0] += 8.0
    [rows] = numpy.nonzero(rng.random(len(emissions)) < 0.1)
    emissions[rows, rng.integers(1, n_tags, size=len(rows))] += 12.0
    shapes = ((n_tags, n_tags), n_tags, n_tags)
    learned = Chain(*(rng.normal(scale=0.3, size=shape) for shape in shapes))
    return Emitted(
        emissions, numpy.full(n_posts, n_words), legal_chain(scheme) + learned
    )


def median_seconds(call: Callable[[], Any], rounds: int) -> float:
    """Median time of a call, after one call that is not timed."""
    call()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def peak_mib(emitted: Emitted) -> float:
    """Peak memory that `decode` allocates, in MiB."""
    tracemalloc.start()
    try:
        decode(emitted)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


@app.command()
def table() -> None:
    """Write the table in docs/results.md."""
    write_block(BLOCK, make_block(read_results(RESULTS)), RESULTS_PAGE)


def make_block(results: dict[str, Any]) -> str:
    """One row per number of entity types."""
    rows = [
        [
            f"{row['types']}",
            f"{row['tags']}",
            f"{row['words_per_second']:,}",
            f"{1000 * row['loss_seconds']:.0f} ms",
            *(f"{row['peak_memory_mib'][str(n)]:,.0f} MiB" for n in SHORT_POSTS),
        ]
        for row in results["rows"]
    ]
    header = ["types", "tags", "words per second", f"loss of {LOSS_POSTS} posts"]
    header += [f"memory, {n:,} posts" for n in SHORT_POSTS]
    return (
        f"{format_table(header, rows, left=0)}\n{results['device']['name']}, median of "
        f"{results['rounds']} rounds. {POSTS} posts of {WORDS} words; the memory is the "
        f"peak for posts of {SHORT_WORDS} words.\n"
    )


if __name__ == "__main__":
    run_app(app)
