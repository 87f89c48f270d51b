"""Annotation of chunks in this process or in several, in the order of the input."""

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
from typing import TYPE_CHECKING

from ..errors import WnutError
from .chunks import NumberedChunk
from .journal import Done
from .records import Chunk
from .settings import Settings
from .writer import Writer

if TYPE_CHECKING:
    from .annotator import Annotator

# A processed chunk, the number of records read up to its end, and their digest.
Result = tuple[Done, int, str]
# Chunks that are queued per process, so that no process is idle.
N_QUEUED = 2
THREADS = "OMP_NUM_THREADS"

_worker: "tuple[Annotator, Writer] | None" = None


def process(annotator: "Annotator", writer: Writer, chunk: Chunk) -> Done:
    """Annotate a chunk and encode its segment.

    annotator (Annotator): The pipeline.
    writer (Writer): The writer of the output's format.
    chunk (Chunk): The records.
    RETURNS (Done): The segment and the rejected records.
    """
    found, rejected = annotator.annotate(chunk, writer.objection)
    words = sum(len(one.words) for one in found.values())
    nulls = writer.count_nulls(chunk, found)
    unselected = len(chunk.records) - len(found) - len(rejected)
    segment = writer.encode(chunk, found)
    return Done(segment, rejected, len(found), words, nulls, unselected)


def in_process(
    annotator: "Annotator", writer: Writer, chunks: Iterable[NumberedChunk]
) -> Generator[Result, None, None]:
    """Process chunks in this process."""
    for chunk, read, digest in chunks:
        yield process(annotator, writer, chunk), read, digest


def in_pool(
    settings: Settings, writer: Writer, chunks: Iterable[NumberedChunk], n_process: int
) -> Generator[Result, None, None]:
    """Process chunks in several processes, each of which loads the pipeline once.

    settings (Settings): The settings that determine the entities.
    writer (Writer): The writer of the output's format.
    chunks (Iterable[NumberedChunk]): The chunks.
    n_process (int): The number of processes.
    YIELDS (Result): The results, in the order of the chunks.

    Raises WnutError if a process dies.
    """
    # Not forked, since torch hangs in a fork of a process in which it has threads.
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
                if len(waiting) >= N_QUEUED * n_process:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        except BaseException as err:
            # A resumed run redoes their chunks.
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
    """Limit the threads of each new process to its share of the CPUs."""
    is_set = THREADS in os.environ
    os.environ.setdefault(THREADS, str(max(1, (os.cpu_count() or 1) // n_process)))
    try:
        yield
    finally:
        if not is_set:
            del os.environ[THREADS]


def _start(settings: Settings, writer: Writer) -> None:
    # Ctrl-C reaches all processes of a terminal. The parent terminates the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    from .annotator import Annotator

    global _worker
    _worker = Annotator(settings), writer


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _process(chunk: Chunk) -> Done:
    assert _worker is not None
    return process(*_worker, chunk)
