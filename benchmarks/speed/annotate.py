"""How fast annotate is, and that its memory doesn't grow with the input.

    python benchmarks/annotate.py measure training/wnut17/distilbert-0/model-best \\
        --size 1000 --size 10000 --size 100000 --size 1000000
    python benchmarks/annotate.py table

Each size is a run of the command in a process of its own, over posts made of the sample
corpus with a number in each, so that there are always new words.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import psutil
import typer
from readme import write_block

from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.files import replacing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "annotate.json"
SCALING = ROOT / "docs" / "scaling.md"
SAMPLE = ROOT / "corpus" / "sample" / "train.conll"
BILLION = 1_000_000_000

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def measure(
    model: Annotated[str, typer.Argument(help="Name or folder of a pipeline")],
    sizes: Annotated[list[int], typer.Option("--size", help="Posts; may be repeated")],
    corpus: Annotated[Path, typer.Option(help="Posts to take the words of")] = SAMPLE,
    name: Annotated[str, typer.Option(help="The pipeline's name in the table")] = "",
    n_process: Annotated[int, typer.Option("--n-process")] = 1,
) -> None:
    """Annotate files of these sizes, and put the figures into the results."""
    name = name or Path(model).name
    rows = read_results()
    with tempfile.TemporaryDirectory() as folder:
        for size in sorted(sizes):
            posts = Path(folder) / "posts.jsonl"
            write_posts(posts, corpus, size)
            out = Path(folder) / "out.jsonl"
            row = {
                "pipeline": name,
                "posts": size,
                "n_process": n_process,
                "cpu": cpu_name(),
                **run(model, posts, out, n_process),
            }
            print(json.dumps(row))
            key = ("pipeline", "posts", "n_process")
            rows = [old for old in rows if any(old[k] != row[k] for k in key)]
            rows.append(row)
            out.unlink()
    rows.sort(key=lambda row: (row["pipeline"], row["n_process"], row["posts"]))
    with replacing(RESULTS) as beside:
        beside.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf8")


@app.command()
def table() -> None:
    """Write the tables of docs/scaling.md: memory, and what a billion posts cost."""
    rows = read_results()
    lines = [
        "| pipeline | posts | processes | posts a second | peak memory, MB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['pipeline']} | {row['posts']:,} | {row['n_process']} | "
            f"{row['posts_per_second']:,.0f} | {row['peak_mb']:,.0f} |"
        )
    lines += [
        "",
        "| pipeline | posts a second a core | core hours for a billion posts | "
        "hours on 1,000 cores |",
        "| --- | ---: | ---: | ---: |",
    ]
    for pipeline in dict.fromkeys(row["pipeline"] for row in rows):
        mine = [row for row in rows if row["pipeline"] == pipeline]
        # The longest run on one core is the one in which starting counts least.
        best = max(
            (row for row in mine if row["n_process"] == 1),
            key=lambda row: row["posts"],
            default=None,
        )
        if best is not None:
            rate = best["posts_per_second"]
            hours = BILLION / rate / 3600
            lines.append(
                f"| {pipeline} | {rate:,.0f} | {hours:,.0f} | {hours / 1000:,.1f} |"
            )
    if rows:
        cpus = ", ".join(dict.fromkeys(row["cpu"] for row in rows))
        lines += [
            "",
            f"Measured on {cpus}, one thread a process, memory of all processes.",
        ]
    write_block(
        "scaling: benchmarks/annotate.py table",
        "".join(f"{line}\n" for line in lines),
        SCALING,
    )


def run(model: str, posts: Path, out: Path, n_process: int) -> dict[str, float]:
    """The figures of one run."""
    command = [
        *(sys.executable, "-m", "spacy_wnut", "annotate", model, str(posts), str(out)),
        *("--n-process", str(n_process)),
    ]
    # One thread a process: what is measured is what one core does.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    peak = 0.0
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        # Nothing is shown, but what it says has to be read.
        said: list[bytes] = []
        reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
        reader.start()
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, memory_mb(watched))
            time.sleep(0.05)
        reader.join()
    text = b"".join(said).decode("utf8")
    # It doesn't count loading the pipeline, which is not what a billion posts cost.
    rate = re.search(r"\(([\d,.]+) a second\)", " ".join(text.split()))
    if process.returncode or rate is None:
        raise SystemExit(text)
    return {
        "posts_per_second": float(rate[1].replace(",", "")),
        "peak_mb": round(peak, 1),
    }


def memory_mb(process: psutil.Process) -> float:
    """The memory of a process and of those that it started."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def write_posts(path: Path, corpus: Path, size: int) -> None:
    """Write a file of posts, none twice."""
    texts = [" ".join(post.tokens) for post in read_conll(corpus, None)]
    with path.open("w", encoding="utf8") as file:
        for i, text in enumerate(islice(cycle(texts), size)):
            post = {"id": i, "text": f"{text} @user{i}"}
            file.write(json.dumps(post, ensure_ascii=False) + "\n")


def cpu_name() -> str:
    """The machine's CPU."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def read_results() -> list[dict]:
    return json.loads(RESULTS.read_text(encoding="utf8")) if RESULTS.exists() else []


if __name__ == "__main__":
    app()
