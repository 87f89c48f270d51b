"""Measure the speed of `spacy-wnut annotate`, and its memory over the input's size.

    python -m benchmarks.speed.annotate measure training/wnut17/distilbert-0/model-best \\
        --size 1000 --size 10000 --size 100000 --size 1000000
    python -m benchmarks.speed.annotate table

Each size is one run of the command in a process of its own. The posts are those of the
sample corpus, each with a number, so that the vocabulary keeps growing. `measure` writes
benchmarks/results/annotate.json, `table` the tables in docs/scaling.md.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import psutil  # type: ignore[import-untyped]
import typer

from benchmarks.common.machine import memory_mib, processor_name
from benchmarks.common.pages import format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_rows, write_results
from benchmarks.common.sample import SAMPLE, write_posts
from spacy_wnut.errors import WnutError

RESULTS = FOLDER / "annotate.json"
PAGE = ROOT / "docs" / "scaling.md"
BLOCK = "scaling: python -m benchmarks.speed.annotate table"
BILLION = 1_000_000_000

app = make_app(__doc__)


@app.command()
def measure(
    model: Annotated[
        str, typer.Argument(help="Name of an installed pipeline, or its folder")
    ],
    sizes: Annotated[
        list[int], typer.Option("--size", help="Number of posts; may be repeated")
    ],
    corpus: Annotated[Path, typer.Option(help="CoNLL file of the posts")] = SAMPLE,
    name: Annotated[
        str,
        typer.Option(help="Name of the pipeline in tables; by default its folder's"),
    ] = "",
    n_process: Annotated[
        int, typer.Option("--n-process", help="Number of processes of annotate")
    ] = 1,
) -> None:
    """Annotate files of the given sizes, and merge the results into the stored ones."""
    name = name or Path(model).name
    rows = read_rows(RESULTS)
    with tempfile.TemporaryDirectory() as folder:
        for size in sorted(sizes):
            posts = Path(folder) / "posts.jsonl"
            write_posts(posts, corpus, size)
            out = Path(folder) / "out.jsonl"
            row = {
                "pipeline": name,
                "posts": size,
                "n_process": n_process,
                "cpu": processor_name(),
                **run_annotate(model, posts, out, n_process),
            }
            print(json.dumps(row))
            key = ("pipeline", "posts", "n_process")
            rows = [old for old in rows if any(old[k] != row[k] for k in key)]
            rows.append(row)
            out.unlink()
    rows.sort(key=lambda row: (row["pipeline"], row["n_process"], row["posts"]))
    write_results(RESULTS, rows)


@app.command()
def table() -> None:
    """Write the tables in docs/scaling.md."""
    write_block(BLOCK, make_block(), PAGE)


def make_block() -> str:
    """The table of all runs, and the table of costs extrapolated to a billion posts."""
    rows = read_rows(RESULTS)
    header = ["pipeline", "posts", "processes", "posts per second", "peak memory, MiB"]
    runs = [
        [
            row["pipeline"],
            f"{row['posts']:,}",
            str(row["n_process"]),
            f"{row['posts_per_second']:,.0f}",
            f"{row['peak_mb']:,.0f}",
        ]
        for row in rows
    ]
    text = format_table(header, runs, left=1)
    costs = []
    for pipeline in dict.fromkeys(row["pipeline"] for row in rows):
        # The longest run in one process, where loading the pipeline matters least.
        longest = max(
            (r for r in rows if (r["pipeline"], r["n_process"]) == (pipeline, 1)),
            key=lambda row: row["posts"],
            default=None,
        )
        if longest is not None:
            rate = longest["posts_per_second"]
            hours = BILLION / rate / 3600
            costs.append(
                [pipeline, f"{rate:,.0f}", f"{hours:,.0f}", f"{hours / 1000:,.1f}"]
            )
    header = ["pipeline", "posts per second and core"]
    header += ["core hours for a billion posts", "hours on 1,000 cores"]
    text += f"\n{format_table(header, costs, left=1)}"
    if rows:
        processors = ", ".join(dict.fromkeys(row["cpu"] for row in rows))
        text += (
            f"\nMeasured on {processors}, one thread per process; memory of all "
            "processes together.\n"
        )
    return text


def run_annotate(
    model: str, posts: Path, out: Path, n_process: int
) -> dict[str, float]:
    """Run `annotate` on a file, with one thread per process.

    RETURNS (Dict[str, float]): `posts_per_second` as the command prints it, without
        loading the pipeline; and `peak_mb`, the memory of all processes in MiB.

    Raises WnutError with the command's output if it fails.
    """
    command = [
        *(sys.executable, "-m", "spacy_wnut", "annotate", model, str(posts), str(out)),
        *("--n-process", str(n_process)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    peak = 0.0
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        stderr = process.stderr
        assert stderr is not None
        output: list[bytes] = []
        # A pipe that nobody reads would fill up and block the command.
        reader = threading.Thread(target=lambda: output.append(stderr.read()))
        reader.start()
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, memory_mib(watched))
            time.sleep(0.05)
        reader.join()
    text = b"".join(output).decode("utf8")
    rate = re.search(r"\(([\d,.]+) (?:a|per) second\)", " ".join(text.split()))
    if process.returncode or rate is None:
        raise WnutError(f"annotate failed: {text}")
    return {
        "posts_per_second": float(rate[1].replace(",", "")),
        "peak_mb": round(peak, 1),
    }


if __name__ == "__main__":
    run_app(app)
