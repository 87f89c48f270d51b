"""Memory over a long run: many posts through `nlp.pipe`, in one process and in two.

    python benchmarks/soak.py MODEL --posts posts.txt.gz

Writes benchmarks/results/soak.json: for each number of processes the memory of
all of them together after the first tenth of the posts and at the end, whether it
grew by no more than 5%, the posts that came back, and posts a second.
"""

import gzip
import itertools
import json
import os
import platform
import random
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer
from spacy.language import Language
from tqdm import tqdm

from spacy_wnut.files import replacing

RESULTS = Path(__file__).parent / "results" / "soak.json"
ALLOWED = 1.05
PROCESSES = [1, 2]
# How often memory is read, in posts.
EVERY = 1_000

WORDS = "lol so the storm in New York is bad Ada Lovelace moved to Oslo today".split()


def read_posts(path: Path | None, count: int) -> Iterator[str]:
    """Posts of a text file, a line a post, over and over; or made up ones, each with
    words that no other has.

    path (Optional[Path]): The file, with gzip if it ends in .gz.
    count (int): How many.
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
            raise SystemExit(f"{path} has no line: give a file with a post a line")


def memory() -> float:
    """Memory of this process and those it started, in MiB. What they share counts
    once (Pss). Files that are mapped, as libraries are, don't count: their share falls
    and rises with the other programs that use them.
    """
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name before the last bracket may hold anything.
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
        # One that has just ended.
        except OSError:
            continue
        total += sum(
            int(line.split()[1])
            for line in lines
            if line.startswith(("Pss_Anon:", "Pss_Shmem:"))
        )
    return total / 1024


def soak(
    nlp: Language,
    posts: Iterator[str],
    count: int,
    n_process: int,
    batch_size: int,
    zone: int,
) -> dict[str, Any]:
    """Run posts through a pipeline and watch the memory.

    zone (int): For every so many posts a memory zone is opened, as spaCy asks of what
        runs for long: at its end the words are forgotten that were new in it. 0 leaves
        it out, and spaCy's vocabulary grows by every new word.
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
            if seen % EVERY == 0 or seen in (warm, count):
                course.append((seen, round(memory(), 1)))

    if zone:
        while part := list(itertools.islice(posts, zone)):
            with nlp.memory_zone():
                run(iter(part))
    else:
        run(posts)
    seconds = time.perf_counter() - began
    progress.close()
    at = dict(course)
    return {
        "n_process": n_process,
        "memory_zone": zone,
        "posts_in": count,
        "posts_out": seen,
        "entities": entities,
        "mib_after_first_tenth": at[warm],
        "mib_at_the_end": at[count],
        "growth": round(at[count] / at[warm] - 1, 4),
        "is_flat": at[count] <= ALLOWED * at[warm],
        "posts_a_second": round(seen / seconds, 1),
        "course": course,
    }


def main(
    model: Annotated[
        str, typer.Argument(help="Name of an installed pipeline, or its folder")
    ],
    posts: Annotated[
        Path | None, typer.Option(help="Text, a post a line, also .gz. Else made up")
    ] = None,
    count: Annotated[int, typer.Option(min=10, help="How many posts")] = 100_000,
    n_process: Annotated[
        list[int], typer.Option(help="Several times for several")
    ] = PROCESSES,
    batch_size: Annotated[int, typer.Option(help="Posts in a batch")] = 256,
    zone: Annotated[
        int, typer.Option(help="Posts in a memory zone; 0 for none")
    ] = 10_000,
    out: Annotated[Path, typer.Option(help="The JSON to write")] = RESULTS,
) -> None:
    """Run posts through a pipeline for long, and see that memory stays flat."""
    runs = [
        soak(spacy.load(model), read_posts(posts, count), count, each, batch_size, zone)
        for each in n_process
    ]
    results = {
        # Where they lie on this machine is nobody's concern.
        "command": " ".join(
            ["python benchmarks/soak.py"]
            + [Path(arg).name if "/" in arg else arg for arg in sys.argv[1:]]
        ),
        "model": Path(model).name,
        "posts": posts.name if posts else "made up",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "versions": {name: metadata.version(name) for name in ("spacy", "thinc")},
        "runs": runs,
    }
    with replacing(out) as beside:
        beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")
    for run in runs:
        print(
            f"{run['n_process']} process(es): {run['posts_out']:,} of "
            f"{run['posts_in']:,} posts, {run['mib_after_first_tenth']} MiB after the "
            f"first tenth, {run['mib_at_the_end']} at the end ({run['growth']:+.1%})"
        )
    if not all(run["is_flat"] and run["posts_in"] == run["posts_out"] for run in runs):
        raise SystemExit("memory grew by more than 5%, or posts were lost")


if __name__ == "__main__":
    typer.run(main)
