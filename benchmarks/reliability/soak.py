"""Measure memory over a long run of `nlp.pipe`, in one process and in two.

    python -m benchmarks.reliability.soak MODEL --posts posts.txt.gz

Writes benchmarks/results/soak.json. For each number of processes it has the memory of
all of them together after the first tenth of the posts and at the end, whether it grew
by no more than 5%, the number of docs, and the posts per second.
"""

import gzip
import itertools
import os
import platform
import random
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm import tqdm  # type: ignore[import-untyped]

from benchmarks.common.program import make_app, run_app, to_help
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import write_results
from spacy_wnut.errors import WnutError

if TYPE_CHECKING:
    from spacy.language import Language

RESULTS = FOLDER / "soak.json"
# Largest ratio of the memory at the end to that after the first tenth.
MAX_GROWTH = 1.05
PROCESSES = [1, 2]
# Posts between two readings of the memory.
INTERVAL = 1_000

WORDS = "lol so the storm in New York is bad Ada Lovelace moved to Oslo today".split()

app = make_app(__doc__)


def stream_posts(path: Path | None, count: int) -> Iterator[str]:
    """Yield posts.

    path (Optional[Path]): Text file with one post per line, with gzip if it ends in
        .gz; it is repeated as needed. None for generated posts, each of which has words
        that no other has.
    count (int): Number of posts.

    Raises WnutError if the file is empty.
    """
    if path is None:
        draw = random.Random(0)
        for i in range(count):
            words = draw.choices(WORDS, k=draw.randint(1, 40))
            yield f"{' '.join(words)} @user{i} #tag{draw.randrange(10**6)}"
        return
    seen = 0
    while seen < count:
        before = seen
        with (gzip.open if path.suffix == ".gz" else open)(
            path, "rt", encoding="utf8"
        ) as lines:
            for line in itertools.islice(lines, count - seen):
                yield line.rstrip("\n")
                seen += 1
        if seen == before:
            raise WnutError(f"{path} is empty: give a file with one post per line")


def unshared_memory_mib() -> float:
    """Memory of this process and its descendants, in MiB, from /proc.

    Pages that they share count once (Pss). Mapped files, such as libraries, are left
    out: their share varies with the other programs that map them.
    """
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command name in brackets may contain spaces and brackets.
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        children.setdefault(int(parent), []).append(int(stat.parent.name))
    waiting, total = [os.getpid()], 0
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        # The process has just ended.
        except OSError:
            continue
        total += sum(
            int(line.split()[1])
            for line in lines
            if line.startswith(("Pss_Anon:", "Pss_Shmem:"))
        )
    return total / 1024


def soak(
    nlp: "Language",
    posts: Iterator[str],
    count: int,
    n_process: int,
    batch_size: int,
    zone: int,
) -> dict[str, Any]:
    """Run posts through a pipeline and record the memory.

    nlp (Language): The pipeline.
    posts (Iterator[str]): Texts.
    count (int): Number of texts, at least 10.
    n_process, batch_size (int): Arguments of `nlp.pipe`.
    zone (int): Posts per memory zone, which drops the words that were new in it; 0 for
        no zones, so that the vocabulary grows with each new word.
    RETURNS (Dict[str, Any]): The results of the run; `course` has pairs of the number
        of docs so far and the memory in MiB.
    """
    warm = count // 10
    course: list[tuple[int, float]] = []
    entities = seen = 0
    progress = tqdm(total=count, unit="post", mininterval=5)
    began = time.perf_counter()

    def run(stream: Iterator[str]) -> None:
        nonlocal entities, seen
        for doc in nlp.pipe(stream, n_process=n_process, batch_size=batch_size):
            entities += len(doc.ents)
            seen += 1
            progress.update()
            if seen % INTERVAL == 0 or seen in (warm, count):
                course.append((seen, round(unshared_memory_mib(), 1)))

    if zone:
        while part := list(itertools.islice(posts, zone)):
            with nlp.memory_zone():
                run(iter(part))
    else:
        run(posts)
    seconds = time.perf_counter() - began
    progress.close()
    memory_at = dict(course)
    return {
        "n_process": n_process,
        "memory_zone": zone,
        "posts_in": count,
        "posts_out": seen,
        "entities": entities,
        "mib_after_first_tenth": memory_at[warm],
        "mib_at_the_end": memory_at[count],
        "growth": round(memory_at[count] / memory_at[warm] - 1, 4),
        "is_flat": memory_at[count] <= MAX_GROWTH * memory_at[warm],
        "posts_a_second": round(seen / seconds, 1),
        "course": course,
    }


@app.command(help=to_help(__doc__))
def main(
    model: Annotated[
        str, typer.Argument(help="Name of an installed pipeline, or its folder")
    ],
    posts: Annotated[
        Path | None,
        typer.Option(help="Text or .gz, one post per line; generated by default"),
    ] = None,
    count: Annotated[int, typer.Option(min=10, help="Number of posts")] = 100_000,
    n_process: Annotated[
        list[int], typer.Option(help="Number of processes; may be repeated")
    ] = PROCESSES,
    batch_size: Annotated[int, typer.Option(help="Posts per batch")] = 256,
    zone: Annotated[
        int, typer.Option(help="Posts per memory zone; 0 for no zones")
    ] = 10_000,
    out: Annotated[Path, typer.Option(help="JSON file to write")] = RESULTS,
) -> None:
    import spacy

    runs = [
        soak(
            spacy.load(model), stream_posts(posts, count), count, each, batch_size, zone
        )
        for each in n_process
    ]
    results = {
        # File names only: folders are private.
        "command": " ".join(
            ["python -m benchmarks.reliability.soak"]
            + [Path(arg).name if "/" in arg else arg for arg in sys.argv[1:]]
        ),
        "model": Path(model).name,
        "posts": posts.name if posts else "made up",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "versions": {name: metadata.version(name) for name in ("spacy", "thinc")},
        "runs": runs,
    }
    write_results(out, results)
    for run in runs:
        print(
            f"{run['n_process']} process(es): {run['posts_out']:,} of "
            f"{run['posts_in']:,} posts, {run['mib_after_first_tenth']} MiB after the "
            f"first tenth, {run['mib_at_the_end']} at the end ({run['growth']:+.1%})"
        )
    if not all(run["is_flat"] and run["posts_in"] == run["posts_out"] for run in runs):
        raise WnutError("memory grew by more than 5%, or posts were lost")


if __name__ == "__main__":
    run_app(app)
