"""The local engine: a file on this machine, in one process or several."""

import hashlib
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]

from ..about import __version__
from ..corpus.conll import Columns
from ..errors import WnutError
from .formats import Format, check_names, input_format, output_format
from .journal import Journal, check_output, is_finished
from .pool import Result, in_pool, in_process
from .readers import Source, open_source
from .records import Chunk
from .work import Annotator, Settings
from .writers import Writer, make_writer

STDOUT = "-"
# How many chunks are looked at for a record that can be read.
LOOK_AHEAD = 10


@dataclass(frozen=True)
class Job:
    """A file to annotate.

    settings (Settings): What decides which entities are found.
    input (str): The file, or "-" for standard input.
    output (str): The file to write, or "-" for standard output.
    input_format (Optional[str]): Its format, or None to tell it by its name.
    output_format (Optional[str]): Likewise.
    n_process (int): How many processes work on it.
    chunk_size (int): How many records are one step, of which a run that goes on does
        those that are missing.
    resume (bool): Whether to go on where an earlier run was ended.
    overwrite (bool): Whether to replace the output, or what is there of it.
    columns (Columns): The columns of a CoNLL file that the user names.
    """

    settings: Settings
    input: str
    output: str
    input_format: str | None = None
    output_format: str | None = None
    n_process: int = 1
    chunk_size: int = 1000
    resume: bool = False
    overwrite: bool = False
    columns: Columns = field(default_factory=Columns)


class Summary(NamedTuple):
    """What a run did: all records that were read, annotated and rejected, how many
    of them an earlier run had done, and how long the others took, in seconds.
    """

    read: int
    annotated: int
    rejected: int
    resumed: int
    seconds: float


def annotate_file(job: Job) -> Summary | None:
    """Annotate the records of a file, with a progress bar on stderr.

    Those that can't be annotated go to OUTPUT.rejected.jsonl.

    job (Job): The file, and how to annotate it.
    RETURNS (Optional[Summary]): What was done, or None if it was to go on and the
        output is there already.

    Raises WnutError if a file or the pipeline can't be used.
    """
    source_format = input_format(job.input, job.input_format)
    target_format = output_format(job.output, job.output_format)
    check_numbers(job.settings, job.n_process, job.chunk_size)
    if job.output == STDOUT:
        _check_stdout(job, target_format)
    else:
        check_output(Path(job.output), job.resume, job.overwrite)
        if job.resume and is_finished(Path(job.output)):
            return None
    settings = job.settings
    check_columns(job.columns, source_format.name)
    check_names(source_format, settings.text_field, settings.entities_field)
    names = (settings.text_field, settings.entities_field)
    if source_format.name in ("txt", "conll"):
        # They have no fields but those that we give them.
        names = ("text", settings.entities_field)
    with open_source(job.input, source_format.name, *names, job.columns) as source:
        annotator, identity = _load(job)
        if job.output == STDOUT:
            return _to_stdout(job, source, target_format, annotator)
        facts = _facts(job, source_format, target_format, identity)
        with Journal(Path(job.output), facts, job.resume) as journal:
            if journal.is_committed:
                return None
            return _to_file(job, source, target_format, annotator, journal)


def check_numbers(settings: Settings, n_process: int, chunk_size: int) -> None:
    """Raises WnutError if a number of something is less than one."""
    for name, value in (
        ("--n-process", n_process),
        ("--chunk-size", chunk_size),
        ("--batch-size", settings.batch_size),
    ):
        if value is not None and value < 1:
            raise WnutError(f"{name} has to be at least 1, got {value}")


def check_columns(columns: Columns, format_: str) -> None:
    """Raises WnutError if columns are named of an input that isn't CoNLL."""
    if columns != Columns() and format_ != "conll":
        raise WnutError(
            "--token-column and --tag-column name columns of CoNLL, and the input is "
            f"{format_}: leave them out"
        )


def _load(job: Job) -> tuple[Annotator | None, str]:
    """The pipeline and its hash. If processes will load it for themselves, it is only
    seen that it can be used.
    """
    annotator = Annotator(job.settings)
    return annotator if job.n_process == 1 else None, annotator.identity()


def _to_file(
    job: Job,
    source: Source,
    format_: Format,
    annotator: Annotator | None,
    journal: Journal,
) -> Summary:
    began = journal.state.read
    start = time.perf_counter()
    chunks = _Chunks(source, job.chunk_size)
    writer = make_writer(*format_, job.settings.entities_field, chunks.schema(format_))
    chunks.skip(journal.state.read, journal.state.digest)
    with (
        closing(_results(job, chunks, annotator, writer)) as results,
        _progress(source, began) as progress,
    ):
        for done, read, digest in results:
            if (
                writer.most_words
                and journal.state.words + done.words > writer.most_words
            ):
                raise WnutError(
                    f"a DocBin can't hold more than {writer.most_words} words: split "
                    f"{job.input} after {journal.state.read} records, or write another "
                    "format"
                )
            journal.append(done, read, digest)
            _show(progress, source, read)
    journal.finish(writer)
    state = journal.state
    seconds = time.perf_counter() - start
    return Summary(state.read, state.annotated, state.rejected, began, seconds)


def _to_stdout(
    job: Job, source: Source, format_: Format, annotator: Annotator | None
) -> Summary:
    start = time.perf_counter()
    chunks = _Chunks(source, job.chunk_size)
    writer = make_writer(*format_, job.settings.entities_field, None)
    annotated = rejected = 0
    with closing(_results(job, chunks, annotator, writer)) as results:
        for done, _, _ in results:
            sys.stdout.buffer.write(done.segment)
            sys.stdout.buffer.flush()
            for line in done.rejected:
                print(line, file=sys.stderr)
            annotated += done.annotated
            rejected += len(done.rejected)
    read = chunks.read
    if annotated + rejected != read:
        raise WnutError(
            f"{read} records were read, but {annotated} annotated and {rejected} "
            "rejected. This is a fault: please report it"
        )
    return Summary(read, annotated, rejected, 0, time.perf_counter() - start)


class _Chunks:
    """The chunks of a source, with the number and the hash of all records until
    there.
    """

    def __init__(self, source: Source, size: int) -> None:
        self._chunks = source.chunks(size)
        self._waiting: deque[Chunk] = deque()
        self._name = source.name
        self._source_schema = source.schema
        self._digest = hashlib.blake2b(source.identity().encode("utf8"), digest_size=16)
        self.read = 0

    def __iter__(self) -> Iterator[tuple[Chunk, int, str]]:
        return self

    def __next__(self) -> tuple[Chunk, int, str]:
        chunk = self._waiting.popleft() if self._waiting else next(self._chunks)
        self.read += len(chunk.records)
        text = repr(chunk.records).encode("utf8", "surrogatepass")
        self._digest.update(text)
        return chunk, self.read, self._digest.hexdigest()

    def schema(self, format_: Format) -> Any:
        """The columns of the source or, if it has none, of the first records that can
        be read.
        """
        if format_.name != "parquet" or self._source_schema is not None:
            return self._source_schema
        from .tables import infer_schema

        sample: list[dict[str, Any]] = []
        while not sample and len(self._waiting) < LOOK_AHEAD:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._waiting.append(chunk)
            sample = [
                record.fields
                for record in chunk.records
                if record.fields and not record.problem
            ]
        return infer_schema(sample)

    def skip(self, read: int, digest: str) -> None:
        """Pass over the records that an earlier run has done.

        Raises WnutError if they aren't the same.
        """
        last = ""
        while self.read < read:
            _, _, last = next(self, (None, 0, ""))
            if not last:
                break
        if read and (self.read, last) != (read, digest):
            raise WnutError(
                f"the first {read} records of {self._name} aren't those that were "
                "annotated: go on with the same input, or begin anew with --overwrite"
            )


def _results(
    job: Job, chunks: _Chunks, annotator: Annotator | None, writer: Writer
) -> Generator[Result, None, None]:
    if annotator is not None:
        return in_process(annotator, writer, chunks)
    return in_pool(job.settings, writer, chunks, job.n_process)


def _facts(job: Job, source: Format, target: Format, identity: str) -> dict[str, Any]:
    """What has to stay the same for the output to be as if it was never interrupted."""
    settings = job.settings
    return {
        "spacy-wnut": __version__,
        "pipeline": identity,
        "input format": source.name,
        "output format": target.name,
        "text field": settings.text_field,
        "entities field": settings.entities_field,
        "threshold": settings.threshold,
        "labels": None if settings.labels is None else sorted(settings.labels),
        "batch size": settings.batch_size,
        "chunk size": job.chunk_size,
        "token column": job.columns.token,
        "tag column": job.columns.tag,
    }


def _check_stdout(job: Job, format_: Format) -> None:
    if format_.name not in ("jsonl", "conll"):
        raise WnutError(f"{format_.name} can't go to standard output: name a file")
    if job.resume:
        raise WnutError("--resume needs a file: standard output can't be gone on with")


def _progress(source: Source, began: int) -> Any:
    return tqdm(
        total=source.total, initial=began, unit="post", leave=False, disable=None
    )


def _show(progress: Any, source: Source, read: int) -> None:
    fraction = source.fraction()
    if source.total is None and fraction:
        # A guess by the part of the file that was read, for the time left.
        progress.total = max(read, round(read / min(fraction, 1.0)))
    progress.update(read - progress.n)
