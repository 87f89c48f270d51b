"""The local engine: one file, in one or several processes of this machine."""

import re
import shlex
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]

from ..about import __version__
from ..corpus.layout import Columns
from ..errors import WnutError
from ..inputs import check_pipeline
from .chunks import NumberedChunks
from .encoding import find_encoding
from .formats.registry import (
    FileType,
    check_columns_option,
    check_names,
    check_output_options,
    check_unescape,
    find_delimiter,
    input_type,
    is_stream,
    output_type,
)
from .journal import Journal, check_output, is_finished, partial_path, rejected_path
from .pool import Result, in_pool, in_process
from .reasons import MAX_REJECTED, Reasons
from .settings import Settings
from .sources import DamagedInput, Input, Source
from .writer import Writer

if TYPE_CHECKING:
    from .annotator import Annotator

STDOUT = "-"
CONTROLS = re.compile("[\x7f-\x9f]")


@dataclass(frozen=True)
class Job:
    """A file to annotate.

    settings (Settings): The settings that determine the entities.
    input (str): The file, or "-" for standard input.
    output (str): The file to write, or "-" for standard output.
    input_format (Optional[str]): The format of the input. By default its suffix
        determines it.
    output_format (Optional[str]): The same for the output.
    n_process (int): The number of processes.
    chunk_size (int): Records per checkpoint. A resumed run redoes only unfinished ones.
    resume (bool): Whether to resume an interrupted run.
    overwrite (bool): Whether to replace the output, finished or not, of an earlier run.
    delimiter (Optional[str]): The delimiter of CSV or TSV, if not the default.
    encoding (Optional[str]): The encoding of the input, if not UTF-8.
    columns (Columns): The columns of a CoNLL file. By default they are inferred.
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
    """The result of a run.

    read (int): All records that were read.
    annotated (int): Records that were annotated.
    rejected (int): Records that were rejected.
    resumed (int): Records that an earlier run had processed.
    seconds (float): The time for the other records.
    reasons (Sequence[Tuple[str, int]]): The most frequent reasons for rejection, with
        their counts.
    hint (str): Advice on the first of them, or "".
    nulls (int): Numbers that were written as null, since JSON does not have them.
    unselected (int): Records that were annotated, but not selected, and are not in the
        output.
    note (str): A warning about the settings, or "".
    """

    read: int
    annotated: int
    rejected: int
    resumed: int
    seconds: float
    reasons: Sequence[tuple[str, int]] = ()
    hint: str = ""
    nulls: int = 0
    unselected: int = 0
    note: str = ""


def annotate_file(job: Job) -> Summary | None:
    """Annotate the records of a file, with a progress bar on stderr.

    Rejected records are written to OUTPUT.rejected.jsonl, or to stderr if the output is
    a stream.

    job (Job): The file, and the options.
    RETURNS (Optional[Summary]): The result, or None if a run to resume is finished.

    Raises WnutError if a file or the pipeline cannot be used, or if all records were
    rejected for one reason.
    """
    settings = job.settings
    source_type = input_type(job.input, job.input_format)
    target_type = output_type(job.output, job.output_format)
    check_numbers(settings, job.n_process, job.chunk_size)
    source_format = source_type.format
    delimiter = find_delimiter(source_format, job.delimiter)
    encoding = find_encoding(job.encoding)
    if encoding and not source_format.is_text:
        raise WnutError(
            f"--encoding is for files of text, and the input is {source_format.name}"
        )
    _check_apart(job.input, job.output)
    if is_stream(job.output):
        _check_stream(job.output, target_type, job.resume)
    else:
        check_output(Path(job.output), job.resume, job.overwrite)
        if job.resume and is_finished(Path(job.output)):
            return None
    check_columns_option(source_format, job.columns)
    check_unescape(source_format, settings)
    check_output_options(target_type.format, settings)
    added = target_type.format.added
    if not added:
        check_names(source_format, settings.text_field, settings.entities_field)
    source_input = Input(
        job.input,
        source_format.fields[0] if source_format.fields else settings.text_field,
        None if added else settings.entities_field,
        delimiter,
        encoding,
        job.columns,
        added,
    )
    assert source_format.open is not None
    with source_format.open(source_input) as source:
        annotator, identity, note = _load(job)
        run = _Run(job, source, source_input.text_field, target_type, annotator, note)
        if job.output == STDOUT:
            return run.to_stream(sys.stdout.buffer)
        if is_stream(job.output):
            # Appending does not truncate a regular file behind such a name.
            with open(job.output, "ab") as stream:
                return run.to_stream(stream)
        facts = {
            "spacy-wnut": __version__,
            "pipeline": identity,
            "input format": source_format.name,
            "output format": target_type.format.name,
            "text field": settings.text_field,
            "entities field": settings.entities_field,
            "threshold": settings.threshold,
            "labels": None if settings.labels is None else sorted(settings.labels),
            "batch size": settings.batch_size,
            "chunk size": job.chunk_size,
            "delimiter": None if job.delimiter is None else delimiter,
            "encoding": encoding,
            "token column": job.columns.token,
            "tag column": job.columns.tag,
            "offsets": settings.offsets,
            "unescape": settings.unescape,
            # JSON has no tuples.
            "only doubtful": settings.only_doubtful and list(settings.only_doubtful),
        }
        with Journal(Path(job.output), facts, job.resume, job.overwrite) as journal:
            if journal.is_committed:
                return None
            return run.to_file(journal)


def check_numbers(settings: Settings, n_process: int, chunk_size: int) -> None:
    """Check the numbers among the options.

    Raises WnutError if one is less than 1.
    """
    for name, value in (
        ("--n-process", n_process),
        ("--chunk-size", chunk_size),
        ("--batch-size", settings.batch_size),
    ):
        if value is not None and value < 1:
            raise WnutError(f"{name} has to be at least 1, got {value}")


def _load(job: Job) -> "tuple[Annotator | None, str, str]":
    """Load the pipeline, and return it with its digest and a warning about the settings.
    With several processes it is loaded only to check it, since each of them loads it
    again.
    """
    check_pipeline(job.settings.model)
    # After all checks: it imports spaCy, which takes seconds.
    from .annotator import Annotator

    annotator = Annotator(job.settings)
    used = annotator if job.n_process == 1 else None
    return used, annotator.identity(), annotator.note()


class _Run:
    """A run over an open source.

    job (Job): The job.
    source (Source): The input.
    text_field (str): The field of the text in its records.
    target_type (FileType): The format and compression of the output.
    annotator (Optional[Annotator]): The loaded pipeline, or None if other processes load
        it.
    note (str): A warning about the settings, or "".
    """

    def __init__(
        self,
        job: Job,
        source: Source,
        text_field: str,
        target_type: FileType,
        annotator: "Annotator | None",
        note: str,
    ) -> None:
        self.job = job
        self.source = source
        self.text_field = text_field
        self.note = note
        self.target_type = target_type
        self.chunks = NumberedChunks(source, job.chunk_size)
        self.reasons = Reasons()
        self.annotator = annotator

    def to_file(self, journal: Journal) -> Summary:
        """Annotate into a file, by way of its journal."""
        resumed = journal.state.read
        start = time.perf_counter()
        self.reasons.add(journal.rejected_lines())
        try:
            writer = self._writer()
            self.chunks.skip(journal.state.read, journal.state.digest)
            with (
                closing(self._results(writer)) as results,
                _progress_bar(self.source, resumed) as progress,
            ):
                for done, read, digest in results:
                    n_words = journal.state.words + done.words
                    if writer.max_words and n_words > writer.max_words:
                        raise WnutError(
                            f"a DocBin can't hold more than {writer.max_words} words: "
                            f"split {self.job.input} after {journal.state.read} "
                            "records, or write another format"
                        )
                    journal.append(done, read, digest)
                    self.reasons.add(done.rejected)
                    _update(progress, self.source, read)
                    if read >= MAX_REJECTED:
                        self._check_some(journal)
            self.chunks.check_end()
        except DamagedInput as err:
            raise WnutError(f"{err}. {self._advice(err, journal)}") from err
        self._check_some(journal)
        journal.finish(writer)
        state = journal.state
        return Summary(
            state.read,
            state.annotated,
            state.rejected,
            resumed,
            time.perf_counter() - start,
            *self.reasons.summary(),
            state.nulls,
            state.unselected,
            self.note,
        )

    def to_stream(self, stream: BinaryIO) -> Summary:
        """Annotate into a stream."""
        start = time.perf_counter()
        writer = self._writer()
        # Not printed before one record is annotated, or two reasons are known.
        waiting: list[str] = []
        annotated = rejected = nulls = unselected = 0

        def segments() -> Generator[bytes, None, None]:
            nonlocal annotated, rejected, nulls, unselected
            with closing(self._results(writer)) as results:
                for done, read, _ in results:
                    annotated += done.annotated
                    rejected += len(done.rejected)
                    nulls += done.nulls
                    unselected += done.unselected
                    self.reasons.add(done.rejected)
                    waiting.extend(done.rejected)
                    good = annotated + unselected
                    verdict = self.reasons.verdict(good, self.source.name)
                    if verdict and read >= MAX_REJECTED:
                        raise WnutError(verdict)
                    yield done.segment
                    if not verdict:
                        _print_rejected(waiting)
            self.chunks.check_end()
            # Before the writer writes the end of the file.
            if verdict := self.reasons.verdict(
                annotated + unselected, self.source.name
            ):
                raise WnutError(verdict)

        try:
            with closing(segments()) as found:
                for piece in writer.join(found):
                    stream.write(piece)
                    stream.flush()
        except DamagedInput as err:
            raise WnutError(
                f"{err}. {annotated:,} posts were annotated and written before, and "
                f"{rejected:,} rejected: bring the whole file, and begin anew."
                f"{self._rescue(err)}"
            ) from err
        if annotated + rejected + unselected != self.chunks.read:
            raise WnutError(
                f"{self.chunks.read} records were read, but {annotated} annotated, "
                f"{unselected} not selected and {rejected} rejected. This is a bug: "
                "please report it"
            )
        return Summary(
            self.chunks.read,
            annotated,
            rejected,
            0,
            time.perf_counter() - start,
            *self.reasons.summary(),
            nulls,
            unselected,
            self.note,
        )

    def _writer(self) -> Writer:
        format_, codec = self.target_type
        schema = self.chunks.schema() if format_.has_schema else None
        assert format_.writer is not None
        settings = replace(self.job.settings, text_field=self.text_field)
        return format_.writer(settings, codec, schema)

    def _results(self, writer: Writer) -> Generator[Result, None, None]:
        if self.annotator is not None:
            return in_process(self.annotator, writer, self.chunks)
        return in_pool(self.job.settings, writer, self.chunks, self.job.n_process)

    def _check_some(self, journal: Journal) -> None:
        """Raises WnutError if all records were rejected for one reason."""
        good = journal.state.annotated + journal.state.unselected
        if verdict := self.reasons.verdict(good, self.source.name):
            journal.discard()
            raise WnutError(verdict)

    def _advice(self, err: DamagedInput, journal: Journal) -> str:
        """Describe the records that are kept, and the options of the user."""
        state = journal.state
        if state.read:
            kept = (
                f"{state.annotated:,} posts are annotated and {state.rejected:,} "
                f"rejected, and are kept in {partial_path(Path(self.job.output))}: "
                "bring the whole file, and go on with --resume"
            )
        else:
            kept = "No chunk was finished, so nothing is kept: bring the whole file"
        return f"{kept}.{self._rescue(err, ' --resume' if state.read else '')}"

    def _rescue(self, err: DamagedInput, option: str = "") -> str:
        """Describe how to annotate the readable part of a damaged compressed file."""
        if not err.rescue:
            return ""
        name = input_type(self.job.input, self.job.input_format).format.name
        return (
            " To annotate what can be decompressed: "
            f"{err.rescue} | spacy-wnut annotate "
            f"{shlex.quote(self.job.settings.model)} - {shlex.quote(self.job.output)} "
            f"--input-format {name}{option}, with the other options as before"
        )


def _print_rejected(lines: list[str]) -> None:
    """Print rejected records to stderr, and clear the list."""
    for line in lines:
        # JSON escapes only the control characters of ASCII.
        print(CONTROLS.sub(lambda c: f"\\u{ord(c[0]):04x}", line), file=sys.stderr)
    lines.clear()


def _check_stream(output: str, target_type: FileType, resume: bool) -> None:
    name = "standard output" if output == STDOUT else output
    if not target_type.format.is_text:
        raise WnutError(f"{target_type.format.name} can't go to {name}: name a file")
    if resume:
        raise WnutError(
            f"--resume needs a file: {name} keeps nothing that could be resumed"
        )


def _check_apart(input_: str, output: str) -> None:
    """Raises WnutError if the output would replace the input."""
    if is_stream(input_) or is_stream(output) or not Path(input_).exists():
        return
    for path in (Path(output), rejected_path(Path(output))):
        if path.exists() and path.samefile(input_):
            raise WnutError(
                f"{path} is the input, which would be replaced: give another output"
            )


def _progress_bar(source: Source, resumed: int) -> Any:
    return tqdm(
        total=source.total, initial=resumed, unit="post", leave=False, disable=None
    )


def _update(progress: Any, source: Source, read: int) -> None:
    fraction = source.fraction()
    if source.total is None and fraction:
        # Estimated from the fraction of the bytes, to show the remaining time.
        progress.total = max(read, round(read / min(fraction, 1.0)))
    progress.update(read - progress.n)
