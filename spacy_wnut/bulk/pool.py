"""Chunks through the pipeline, here or in several processes, in their order."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from threading import Thread

from ..errors import WnutError
from .journal import Done
from .records import Chunk
from .work import Annotator, Settings
from .writers import Writer

# A chunk, and the number and the hash of all records until there.
Numbered = tuple[Chunk, int, str]
Result = tuple[Done, int, str]
# How many chunks wait for each process, so that none has to wait for one.
AHEAD = 2
THREADS = "OMP_NUM_THREADS"

_here: tuple[Annotator, Writer] | None = None


def process(annotator: Annotator, writer: Writer, chunk: Chunk) -> Done:
    """Annotate a chunk and write its segment.

    annotator (Annotator): The pipeline.
    writer (Writer): The format.
    chunk (Chunk): The records.
    RETURNS (Done): What became of them.
    """
    found, rejected = annotator.annotate(chunk, writer.objection)
    words = sum(len(one.words) for one in found.values())
    nulls = writer.count_nulls(chunk, found)
    return Done(writer.encode(chunk, found), rejected, len(found), words, nulls)


def in_process(
    annotator: Annotator, writer: Writer, chunks: Iterable[Numbered]
) -> Generator[Result, None, None]:
    """Process chunks one after the other, in this process."""
    for chunk, read, digest in chunks:
        yield process(annotator, writer, chunk), read, digest


def in_pool(
    settings: Settings, writer: Writer, chunks: Iterable[Numbered], n_process: int
) -> Generator[Result, None, None]:
    """Process chunks in several processes, each with the pipeline loaded once. The
    results come in the chunks' order.

    Raises WnutError if a process dies.
    """
    # Not forked: a copy of a process in which torch has threads hangs.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    waiting: deque[tuple[Future[Done], int, str]] = deque()
    with (
        _threads_for(n_process),
        ProcessPoolExecutor(
            n_process, context, initializer=_start, initargs=(settings, writer)
        ) as pool,
    ):
        try:
            for chunk, read, digest in chunks:
                waiting.append((pool.submit(_process, chunk), read, digest))
                if len(waiting) >= AHEAD * n_process:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        except BaseException as err:
            # What they are at is done again by the next run.
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            if isinstance(err, BrokenProcessPool):
                raise WnutError(
                    "one of the processes died, maybe for lack of memory. What was "
                    "annotated is kept: go on with --resume and fewer --n-process"
                ) from None
            raise


def _first(waiting: deque[tuple[Future[Done], int, str]]) -> Result:
    future, read, digest = waiting.popleft()
    return future.result(), read, digest


@contextmanager
def _threads_for(n_process: int) -> Iterator[None]:
    """Each process its share of the CPUs. Processes that are started read it once."""
    is_set = THREADS in os.environ
    os.environ.setdefault(THREADS, str(max(1, (os.cpu_count() or 1) // n_process)))
    try:
        yield
    finally:
        if not is_set:
            del os.environ[THREADS]


def _start(settings: Settings, writer: Writer) -> None:
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    global _here
    _here = Annotator(settings), writer


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _process(chunk: Chunk) -> Done:
    assert _here is not None
    return process(*_here, chunk)
