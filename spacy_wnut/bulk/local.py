"""The local engine: a file on this machine, in one process or several."""

import hashlib
import re
import shlex
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]

from ..about import __version__
from ..corpus.conll import Columns
from ..errors import WnutError
from .encoding import find_encoding
from .formats import (
    Format,
    check_names,
    find_delimiter,
    input_format,
    is_stream,
    output_format,
)
from .journal import (
    Journal,
    check_output,
    is_finished,
    partial_path,
    rejected_path,
)
from .pool import Result, in_pool, in_process
from .readers import DamagedInput, Source, open_source
from .reasons import MOST_REJECTED, Reasons
from .records import Chunk
from .work import Annotator, Settings
from .writers import Writer, make_writer

STDOUT = "-"
# How many chunks are looked at for a record that can be read.
LOOK_AHEAD = 10
CONTROLS = re.compile("[\x7f-\x9f]")


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
    delimiter (Optional[str]): What separates columns of csv or tsv, if not the usual.
    encoding (Optional[str]): The encoding of the input, if not UTF-8.
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
    delimiter: str | None = None
    encoding: str | None = None
    columns: Columns = field(default_factory=Columns)


class Summary(NamedTuple):
    """What a run did: all records that were read, annotated and rejected, how many
    of them an earlier run had done, how long the others took, in seconds, the most
    frequent reasons for rejection with their counts, a hint against the first of them,
    and how many numbers became null, as JSON doesn't have them.
    """

    read: int
    annotated: int
    rejected: int
    resumed: int
    seconds: float
    reasons: Sequence[tuple[str, int]] = ()
    hint: str = ""
    nulls: int = 0


def annotate_file(job: Job) -> Summary | None:
    """Annotate the records of a file, with a progress bar on stderr.

    Those that can't be annotated go to OUTPUT.rejected.jsonl, or to stderr if the
    output is a stream.

    job (Job): The file, and how to annotate it.
    RETURNS (Optional[Summary]): What was done, or None if it was to go on and the
        output is there already.

    Raises WnutError if a file or the pipeline can't be used, or if all records were
    rejected for one reason.
    """
    source_format = input_format(job.input, job.input_format)
    target_format = output_format(job.output, job.output_format)
    check_numbers(job.settings, job.n_process, job.chunk_size)
    delimiter = find_delimiter(source_format.name, job.delimiter)
    encoding = find_encoding(job.encoding)
    if encoding and source_format.name == "parquet":
        raise WnutError("--encoding is for files of text, and the input is parquet")
    _check_apart(job)
    if is_stream(job.output):
        _check_stream(job, target_format)
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
    with open_source(
        job.input, source_format.name, *names, delimiter, encoding, job.columns
    ) as source:
        annotator, identity = _load(job)
        if job.output == STDOUT:
            return _to_stream(job, source, target_format, annotator, sys.stdout.buffer)
        if is_stream(job.output):
            # Nothing is cut off, if it is a file after all.
            with open(job.output, "ab") as stream:
                return _to_stream(job, source, target_format, annotator, stream)
        facts = _facts(job, source_format, target_format, identity)
        with Journal(Path(job.output), facts, job.resume, job.overwrite) as journal:
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
    reasons = Reasons(journal.rejected_lines())
    try:
        schema = chunks.schema(format_)
        writer = make_writer(*format_, job.settings.entities_field, schema)
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
                        f"a DocBin can't hold more than {writer.most_words} words: "
                        f"split {job.input} after {journal.state.read} records, or "
                        "write another format"
                    )
                journal.append(done, read, digest)
                reasons.add(done.rejected)
                _show(progress, source, read)
                if read >= MOST_REJECTED:
                    _check_some(journal, reasons, source)
        chunks.check_end()
    except DamagedInput as err:
        raise WnutError(f"{err}. {_way_on(job, err, journal)}") from err
    _check_some(journal, reasons, source)
    journal.finish(writer)
    state = journal.state
    return Summary(
        state.read,
        state.annotated,
        state.rejected,
        began,
        time.perf_counter() - start,
        *reasons.summary(),
        state.nulls,
    )


def _check_some(journal: Journal, reasons: Reasons, source: Source) -> None:
    """Raises WnutError if all records were rejected for one reason."""
    if verdict := reasons.verdict(journal.state.annotated, source.name):
        journal.discard()
        raise WnutError(verdict)


def _way_on(job: Job, err: DamagedInput, journal: Journal) -> str:
    """What is kept of a run on a damaged input, and what to do."""
    state = journal.state
    if state.read:
        kept = (
            f"{state.annotated:,} posts are annotated and {state.rejected:,} rejected, "
            f"and are kept in {partial_path(Path(job.output))}: bring the whole file, "
            "and go on with --resume"
        )
    else:
        kept = "No chunk was finished, so nothing is kept: bring the whole file"
    return f"{kept}.{_rescue(job, err, ' --resume' if state.read else '')}"


def _rescue(job: Job, err: DamagedInput, option: str = "") -> str:
    """How to annotate what can be read of a damaged file that is compressed."""
    if not err.rescue:
        return ""
    output = shlex.quote(job.output)
    name = input_format(job.input, job.input_format).name
    return (
        " To annotate what can be decompressed: "
        f"{err.rescue} | spacy-wnut annotate {shlex.quote(job.settings.model)} - "
        f"{output} --input-format {name}{option}, with the other options as before"
    )


def _to_stream(
    job: Job,
    source: Source,
    format_: Format,
    annotator: Annotator | None,
    stream: BinaryIO,
) -> Summary:
    start = time.perf_counter()
    chunks = _Chunks(source, job.chunk_size)
    writer = make_writer(*format_, job.settings.entities_field, None)
    reasons = Reasons()
    # They aren't shown before it is clear that not all are rejected for one reason.
    waiting: list[str] = []
    annotated = rejected = nulls = 0
    try:
        with closing(_results(job, chunks, annotator, writer)) as results:
            for done, read, _ in results:
                annotated += done.annotated
                rejected += len(done.rejected)
                nulls += done.nulls
                reasons.add(done.rejected)
                waiting += done.rejected
                verdict = reasons.verdict(annotated, source.name)
                if verdict and read >= MOST_REJECTED:
                    raise WnutError(verdict)
                stream.write(done.segment)
                stream.flush()
                if not verdict:
                    _show_rejected(waiting)
        chunks.check_end()
    except DamagedInput as err:
        raise WnutError(
            f"{err}. {annotated:,} posts were annotated and written before, and "
            f"{rejected:,} rejected: bring the whole file, and begin anew."
            f"{_rescue(job, err)}"
        ) from err
    if verdict := reasons.verdict(annotated, source.name):
        raise WnutError(verdict)
    if annotated + rejected != chunks.read:
        raise WnutError(
            f"{chunks.read} records were read, but {annotated} annotated and {rejected} "
            "rejected. This is a fault: please report it"
        )
    seconds = time.perf_counter() - start
    return Summary(
        chunks.read, annotated, rejected, 0, seconds, *reasons.summary(), nulls
    )


def _show_rejected(lines: list[str]) -> None:
    """Show rejected records, and forget them."""
    for line in lines:
        # JSON escapes no control characters but those of ASCII.
        print(CONTROLS.sub(lambda c: f"\\u{ord(c[0]):04x}", line), file=sys.stderr)
    lines.clear()


class _Chunks:
    """The chunks of a source, with the number and the hash of all records until
    there.
    """

    def __init__(self, source: Source, size: int) -> None:
        self._chunks = source.chunks(size)
        self._waiting: deque[Chunk] = deque()
        self._name = source.name
        self._source_schema = source.schema
        self._damage: DamagedInput | None = None
        self._digest = hashlib.blake2b(source.identity().encode("utf8"), digest_size=16)
        self.read = 0

    def __iter__(self) -> Iterator[tuple[Chunk, int, str]]:
        return self

    def __next__(self) -> tuple[Chunk, int, str]:
        chunk = self._waiting.popleft() if self._waiting else self._next()
        if chunk is None:
            raise StopIteration
        self.read += len(chunk.records)
        text = repr(chunk.records).encode("utf8", "surrogatepass")
        self._digest.update(text)
        return chunk, self.read, self._digest.hexdigest()

    def _next(self) -> Chunk | None:
        # What was read before can be annotated first.
        try:
            return next(self._chunks, None)
        except DamagedInput as err:
            self._damage = err
            return None

    def check_end(self) -> None:
        """Raises DamagedInput if it wasn't the end of the input."""
        if self._damage:
            raise self._damage

    def schema(self, format_: Format) -> Any:
        """The columns of the source or, if it has none, of the first records that can
        be read.
        """
        if format_.name != "parquet" or self._source_schema is not None:
            return self._source_schema
        from .parquet import infer_schema

        sample: list[dict[str, Any]] = []
        while not sample and len(self._waiting) < LOOK_AHEAD:
            chunk = self._next()
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

        Raises WnutError if they aren't the same, or can't be read.
        """
        last = ""
        while self.read < read:
            _, _, last = next(self, (None, 0, ""))
            if not last:
                break
        if self.read < read:
            self.check_end()
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
        "delimiter": find_delimiter(source.name, job.delimiter),
        "encoding": find_encoding(job.encoding),
        "token column": job.columns.token,
        "tag column": job.columns.tag,
    }


def _check_stream(job: Job, format_: Format) -> None:
    name = "standard output" if job.output == STDOUT else job.output
    if format_.name not in ("jsonl", "conll"):
        raise WnutError(f"{format_.name} can't go to {name}: name a file")
    if job.resume:
        raise WnutError(
            f"--resume needs a file: {name} keeps nothing that could be gone on with"
        )


def _check_apart(job: Job) -> None:
    """Raises WnutError if the input would be replaced."""
    source, output = Path(job.input), Path(job.output)
    if is_stream(job.input) or is_stream(job.output) or not source.exists():
        return
    for path in (output, rejected_path(output)):
        if path.exists() and path.samefile(source):
            raise WnutError(
                f"{path} is the input, which would be replaced: give another output"
            )


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
