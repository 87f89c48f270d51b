"""The engine for many machines: Ray Data, with a pool of actors that each load the
pipeline once.

If an actor dies, Ray discards its batch and gives the batch to another actor, so no
record is lost or written twice.
"""

import io
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ..compression import ERRORS, decompress, explain
from ..errors import WnutError
from .annotator import Annotator
from .encoding import check_unicode
from .formats.jsonl import parse_json
from .formats.parquet import (
    ParquetWriter,
    check_table,
    infer_schema,
    plain_schema,
    row_chunk,
    without_views,
)
from .formats.registry import PARQUET, check_names
from .local import Summary, check_numbers
from .ray_files import File, clear_output, finish_output, list_files
from .reasons import MAX_REJECTED, Reasons
from .records import Chunk, RawLine, Record, rejection
from .settings import Settings
from .sources import DamagedInput, Input, read_lines

# Set before Ray is imported, which reads it on import.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
    import ray
    from ray.data.block import BlockAccessor
    from ray.data.datasource import BlockBasedFileDatasink, FileBasedDatasource
except ImportError as err:
    raise WnutError(
        '--engine ray needs Ray, which isn\'t installed: pip install "spacy-wnut[ray]"'
    ) from err

# Internal columns: the rejected records, the number of records that are not selected in
# a row of its own, and the lines of JSON before they are parsed.
REJECTED, UNSELECTED, FILE, LINE, RAW, PROBLEM = (
    "_spacy_wnut_rejected",
    "_spacy_wnut_unselected",
    "_spacy_wnut_file",
    "_spacy_wnut_line",
    "_spacy_wnut_raw",
    "_spacy_wnut_problem",
)
# Records per file of the output, at least.
FILE_ROWS = 100_000
# Bytes of the input per task, which take some minutes. Ray's default of 128 MiB takes
# hours, which are repeated if the actor dies.
BLOCK_SIZE = 2**22


@dataclass(frozen=True)
class RayJob:
    """Files to annotate with Ray.

    settings (Settings): The settings that determine the entities.
    input (str): A file or folder of .parquet or .jsonl, in any file system of pyarrow
        (s3://, gs://, hdfs://).
    output (str): The folder to write .parquet to.
    n_actors (Optional[int]): The number of actors; None for one less than the CPUs.
    chunk_size (int): Records per batch of an actor.
    overwrite (bool): Whether to replace the output of an earlier run.
    """

    settings: Settings
    input: str
    output: str
    n_actors: int | None = None
    chunk_size: int = 1000
    overwrite: bool = False


def annotate_with_ray(job: RayJob) -> Summary:
    """Annotate the records of a file or a folder on the cluster of RAY_ADDRESS, by default
    on a cluster of this machine only.

    A complete output has a file _SUCCESS. Rejected records are written to
    OUTPUT.rejected.jsonl.

    job (RayJob): The files, and the options.
    RETURNS (Summary): The result.

    Raises WnutError if the input, the output or the pipeline cannot be used, or if a
    record is missing at the end.
    """
    start = time.perf_counter()
    n_actors = 1 if job.n_actors is None else job.n_actors
    check_numbers(job.settings, n_actors, job.chunk_size)
    names = (job.settings.text_field, job.settings.entities_field)
    check_names(PARQUET, *names)
    # To check that it can be used.
    note = Annotator(job.settings).note()
    files = list_files(job.input)
    is_lines = not files[0].path.endswith(".parquet")
    schema, given = _schemas(job, files, is_lines)
    clear_output(job.output, job.overwrite)
    if not ray.is_initialized():
        ray.init(include_dashboard=None if "RAY_ADDRESS" in os.environ else False)
    paths = [file.uri for file in files]
    sink = _Sink(job.output)
    context = ray.data.DataContext.get_current()
    before, context.target_max_block_size = context.target_max_block_size, BLOCK_SIZE
    try:
        source = (
            ray.data.read_datasource(LinesSource(paths))
            if is_lines
            else ray.data.read_parquet(paths, schema=given)
        )
        source.map_batches(
            RayAnnotator,
            fn_constructor_args=(job.settings, schema, is_lines),
            batch_size=job.chunk_size,
            batch_format="pyarrow",
            num_cpus=1,
            num_gpus=1 if job.settings.gpu_id >= 0 else None,
            compute=ray.data.ActorPoolStrategy(size=job.n_actors or _n_free()),
        ).write_datasink(sink)
        read = source.count()
    except Exception as err:
        if problem := _problem(err):
            raise WnutError(problem) from err
        raise
    finally:
        context.target_max_block_size = before
    reasons = Reasons(sink.rejected)
    if verdict := reasons.verdict(read - len(sink.rejected), job.input):
        raise WnutError(verdict)
    annotated = finish_output(job.output, sink.rejected, read, sink.unselected)
    return Summary(
        read,
        annotated,
        len(sink.rejected),
        0,
        time.perf_counter() - start,
        *reasons.summary(),
        unselected=sink.unselected,
        note=note,
    )


def _problem(err: BaseException | None) -> str:
    """Return the message of the WnutError of a task, without Ray's traceback, or ""."""
    while err is not None:
        if type(err) in (WnutError, DamagedInput):
            return str(err)
        err = getattr(err, "cause", None) or err.__cause__
    return ""


class RayAnnotator:
    """An actor, which annotates tables with the annotator of the local engine.

    settings (Settings): The settings.
    schema (pyarrow.Schema): The columns of the records.
    is_lines (bool): Whether the tables hold lines of JSON to be parsed.
    """

    def __init__(self, settings: Settings, schema: Any, is_lines: bool) -> None:
        if settings.gpu_id >= 0:
            # Ray hides all GPUs but one from an actor.
            settings = replace(settings, gpu_id=0)
        self.annotator = Annotator(settings)
        self.writer = ParquetWriter(settings, schema=schema)
        self.is_lines = is_lines

    def __call__(self, rows: Any) -> Any:
        settings = self.annotator.settings
        if self.is_lines:
            chunk = Chunk(list(_read_rows(rows, settings)))
        else:
            schema = self.writer.schema
            chunk = row_chunk(rows, schema, settings.text_field, None)
        found, rejected = self.annotator.annotate(chunk, self.writer.objection)
        table = self.writer.table(chunk, found)
        unselected = len(chunk.records) - len(found) - len(rejected)
        others = pa.table(
            {
                REJECTED: pa.array([*rejected, None], type=pa.string()),
                UNSELECTED: pa.array([0] * len(rejected) + [unselected], pa.int64()),
            }
        )
        return pa.concat_tables([table, others], promote_options="default")


class LinesSource(FileBasedDatasource):
    """A datasource of numbered lines. Blank lines are skipped."""

    def _read_stream(self, f: Any, path: str) -> Iterator[Any]:
        lines = _lines(f, path)
        while some := list(islice(lines, 1000)):
            yield pa.table(
                {
                    FILE: [path] * len(some),
                    LINE: [_number(raw) for raw in some],
                    RAW: pa.array([_content(raw) for raw in some], type=pa.binary()),
                    PROBLEM: [getattr(raw, "problem", "") for raw in some],
                }
            )

    def _open_input_source(self, filesystem: Any, path: str, **open_args: Any) -> Any:
        # Ray would decompress some files by their suffix only.
        return filesystem.open_input_stream(path, compression=None)


def _lines(stream: Any, path: str) -> Iterator[RawLine | Record]:
    """Read the lines of a file that are not blank.

    Raises DamagedInput if it cannot be read to its end.
    """
    last = 0
    try:
        content = decompress(io.BufferedReader(stream), path)
        check_unicode(path, content)
        for raw in read_lines(content):
            last = _number(raw) or last
            if isinstance(raw, Record) or raw.line.strip():
                yield raw
    except ERRORS as err:
        raise DamagedInput(
            f"{path} can't be read to its end: {explain(err)} (after line {last}). "
            "Nothing was finished: bring the whole file, and begin anew with --overwrite"
        ) from err


class _Sink(BlockBasedFileDatasink):
    """Writes annotated records to parquet files, and returns the rejected records to the
    driver.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, min_rows_per_file=FILE_ROWS, file_format="parquet")
        self.rejected: list[str] = []
        self.unselected = 0

    def write(self, blocks: Iterable[Any], ctx: Any) -> Any:
        rejected = []
        unselected = 0
        tables = []
        for block in blocks:
            table = BlockAccessor.for_block(block).to_arrow()
            rejected += table.column(REJECTED).drop_null().to_pylist()
            counts = table.column(UNSELECTED)
            unselected += sum(counts.drop_null().to_pylist())
            records = table.filter(counts.is_null())
            tables.append(records.drop_columns([REJECTED, UNSELECTED]))
        super().write([table for table in tables if len(table)], ctx)
        return rejected, unselected

    def write_block_to_file(self, block: Any, file: Any) -> None:
        pq.write_table(block.to_arrow(), file)

    def on_write_complete(self, write_result: Any) -> None:
        # The inherited method would remove an empty folder.
        for rejected, unselected in write_result.write_returns:
            self.rejected += rejected
            self.unselected += unselected


def _schemas(job: RayJob, files: Sequence[File], is_lines: bool) -> tuple[Any, Any]:
    """Return the columns of the first file, and the columns to read all files with, if
    these differ: Ray cannot send views between processes.

    Raises WnutError if a column is missing, or if all records were rejected for one
    reason.
    """
    first, source = files[0], _input(files[0].uri, job.settings)
    text_field = source.text_field
    given = None
    if is_lines:
        stream = first.filesystem.open_input_stream(first.path, compression=None)
        with stream:
            records = (
                raw if isinstance(raw, Record) else parse_json(raw, source)
                for raw in _lines(stream, first.uri)
            )
            # `_lines` skips blank lines.
            chunk = Chunk([r for r in islice(records, MAX_REJECTED) if r])
        sample = [r for r in chunk.records[: job.chunk_size] if not r.problem]
        schema = infer_schema([record.fields or {} for record in sample])
    else:
        with first.filesystem.open_input_file(first.path) as file:
            table = pq.ParquetFile(file)
            whole = table.schema_arrow
            check_table(first.uri, whole, source)
            schema = plain_schema(whole, text_field)
            if without_views(whole) != whole:
                given = without_views(whole)
            batches = table.iter_batches(batch_size=MAX_REJECTED)
            rows = next(batches, schema.empty_table())
            chunk = row_chunk(rows, schema, text_field, None)
    if len(files) == 1 or len(chunk.records) == MAX_REJECTED:
        problems = [record.problem for record in chunk.records]
        lines = [rejection(chunk, i, why) for i, why in enumerate(problems) if why]
        if verdict := Reasons(lines).verdict(len(problems) - len(lines), job.input):
            raise WnutError(verdict)
    return schema, given


def _input(name: str, settings: Settings) -> Input:
    return Input(name, settings.text_field, settings.entities_field)


def _n_free() -> int:
    # Reading and writing need one CPU.
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(resources.get("CPU", 1)) - 1)


def _read_rows(rows: Any, settings: Settings) -> Iterator[Record]:
    columns = [rows.column(name).to_pylist() for name in (FILE, LINE, RAW, PROBLEM)]
    for file, line, raw, problem in zip(*columns, strict=True):
        if problem:
            yield Record(line, problem=problem, raw=raw.decode("utf8"), file=file)
            continue
        record = parse_json(RawLine(line, raw), _input(file, settings))
        # `_lines` skips blank lines.
        assert record is not None
        yield record._replace(file=file)


def _number(raw: RawLine | Record) -> int | None:
    return raw.line if isinstance(raw, Record) else raw.number


def _content(raw: RawLine | Record) -> bytes:
    return raw.raw.encode("utf8") if isinstance(raw, Record) else raw.line
