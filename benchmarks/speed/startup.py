"""Start-up of the command line, as a ratio to the time of `import spacy`.

    python -m benchmarks.speed.startup run
    python -m benchmarks.speed.startup table

`run` times command lines that need no pipeline, each in a process of its own, and writes
benchmarks/results/startup.json; `table` writes the table in docs/design.md. Run it on an
otherwise idle machine.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from wasabi import msg

from benchmarks.common.machine import describe_machine, load_average
from benchmarks.common.pages import format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, write_results
from spacy_wnut.errors import WnutError

PAGE = ROOT / "docs" / "design.md"
RESULTS = FOLDER / "startup.json"
BLOCK = "startup: python -m benchmarks.speed.startup table"
REFERENCE = 'python -c "import spacy"'
# Arguments of Python and the exit status, by the command line in the table.
COMMANDS = {
    REFERENCE: (["-c", "import spacy"], 0),
    'python -c "pass"': (["-c", "pass"], 0),
    "spacy-wnut --help": (["-m", "spacy_wnut", "--help"], 0),
    "spacy-wnut --version": (["-m", "spacy_wnut", "--version"], 0),
    "spacy-wnut annotate --help": (["-m", "spacy_wnut", "annotate", "--help"], 0),
    "spacy-wnut show --wrong": (["-m", "spacy_wnut", "show", "--wrong"], 2),
    "spacy-wnut show en_nowhere": (["-m", "spacy_wnut", "show", "en_nowhere"], 1),
    "spacy-wnut score gone.conll gone.conll": (
        ["-m", "spacy_wnut", "score", "gone.conll", "gone.conll"],
        1,
    ),
}

app = make_app(__doc__)


@app.command()
def run(
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds")] = 5,
) -> None:
    """Time the command lines in turn, and write the results."""
    load = load_average()
    device = {**describe_machine(), "load_before": round(load, 2)}
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    # The first round is not stored: it loads files into the page cache.
    for i in range(rounds + 1):
        for name, (arguments, status) in COMMANDS.items():
            took = time_process(arguments, status)
            if i:
                seconds[name].append(round(took, 3))
        msg.info(f"round {i} of {rounds}")
    results = {"device": device, "rounds": rounds, "seconds": seconds}
    write_results(RESULTS, results)
    print(make_block(results))


@app.command()
def table() -> None:
    """Write the table in docs/design.md."""
    write_block(BLOCK, make_block(read_results(RESULTS)), PAGE)


def time_process(arguments: Sequence[str], status: int) -> float:
    """Time a Python process from its start to its end.

    arguments (Sequence[str]): Its arguments.
    status (int): Its expected exit status.
    RETURNS (float): Seconds.

    Raises WnutError for another exit status.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, encoding="utf8", cwd=ROOT
    )
    took = time.perf_counter() - began
    if done.returncode != status:
        raise WnutError(
            f"python {' '.join(arguments)} ended with status {done.returncode} instead of "
            f"{status}: {done.stderr.strip()}"
        )
    return took


def make_block(results: dict[str, Any]) -> str:
    """Format the results as a table with a note on the machine."""
    reference = results["seconds"][REFERENCE]
    rows = []
    for name, seconds in results["seconds"].items():
        # Of each round, since the speed of the machine changes between rounds.
        ratios = [mine / its for mine, its in zip(seconds, reference, strict=True)]
        median = statistics.median(seconds)
        rows.append([f"`{name}`", f"{median:.2f}", f"{statistics.median(ratios):.2f}"])
    header = ["command line", "seconds", "times `import spacy`"]
    device = results["device"]
    note = (
        f"{device['name']}, {device['cores']} cores, load {device['load_before']} before, "
        f"medians of {results['rounds']} rounds."
    )
    return f"{format_table(header, rows, left=1)}\n{note}\n"


if __name__ == "__main__":
    run_app(app)
