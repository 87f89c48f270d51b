"""Columns: reading tables of pyarrow, and records and their entities as tables."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import WnutError
from .formats import OTHER
from .readers import STDIN, Source, check_columns
from .records import Chunk, Record, text_problem, to_json

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
except ImportError as err:
    raise WnutError(
        "parquet needs pyarrow, which isn't installed: "
        'pip install "spacy-wnut[annotate]"'
    ) from err

ENTITIES = pa.list_(
    pa.struct(
        [
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("label", pa.string()),
            ("text", pa.string()),
            ("confidence", pa.float64()),
        ]
    )
)
INT64 = range(-(2**63), 2**63)
# Whole numbers beyond are not exact as floats.
EXACT = range(-(2**53), 2**53 + 1)


class ParquetSource(Source):
    """A parquet file. Its rows are numbered from 1."""

    def __init__(self, name: str, text_field: str, entities_field: str) -> None:
        if name == STDIN:
            raise WnutError("parquet can't be read from standard input: name a file")
        self.name = name
        try:
            # In pieces: a group of rows may be as large as the file.
            self._table = pq.ParquetFile(name, buffer_size=2**20, pre_buffer=False)
        except (OSError, pa.ArrowException) as err:
            raise WnutError(f"{name} can't be read as parquet: {err}") from err
        self.schema = self._table.schema_arrow
        self.total = self._table.metadata.num_rows
        self._text_field = text_field
        self._read = 0
        check_columns(name, self.schema.names, text_field, entities_field)
        check_text_column(name, self.schema, text_field)

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def identity(self) -> str:
        """RETURNS (str): The file's footer: the place and size of every column."""
        return repr(self._table.metadata.to_dict())

    def fraction(self) -> float | None:
        """RETURNS (Optional[float]): How much of the table was read."""
        return self._read / self.total if self.total else None

    def chunks(self, size: int) -> Iterator[Chunk]:
        """The rows, `size` at a time. The same file gives the same chunks.

        Raises WnutError if it can't be read to its end.
        """
        try:
            for rows in self._table.iter_batches(batch_size=size):
                records = row_records(rows, self._text_field, self._read + 1)
                self._read += len(records)
                yield Chunk(records, rows)
        except (OSError, pa.ArrowException) as err:
            raise WnutError(
                f"{self.name} can't be read to its end: {err} (after row {self._read}). "
                "What was annotated is kept: bring the whole file, and go on with "
                "--resume"
            ) from err


def check_text_column(name: str, schema: Any, text_field: str) -> None:
    """Raises WnutError if a column can't hold texts."""
    type_ = schema.field(text_field).type
    value = type_.value_type if pa.types.is_dictionary(type_) else type_
    if not (pa.types.is_string(value) or pa.types.is_large_string(value)):
        raise WnutError(
            f"the column {text_field!r} of {name} is of type {type_}, not of texts: name "
            "another one with --text-field"
        )


def row_records(rows: Any, text_field: str, first: int | None) -> list[Record]:
    """The records of a table's rows.

    rows (Any): The table.
    text_field (str): The column of the texts.
    first (Optional[int]): The number of the first row, if it has one.
    """
    records = []
    for i, text in enumerate(rows.column(text_field).to_pylist()):
        problem = text_problem(text, text_field)
        line = None if first is None else first + i
        records.append(Record(line, "" if problem else text, problem=problem))
    return records


def infer_schema(sample: Sequence[Mapping[str, Any]]) -> Any:
    """The columns of records: those fields whose values are of one kind, and
    `other_fields`. There goes, as JSON, what other records have in other fields or of
    other kinds.

    sample (Sequence[Mapping[str, Any]]): Records.
    RETURNS (pyarrow.Schema): The columns.
    """
    names = dict.fromkeys(name for fields in sample for name in fields)
    columns = [
        pa.field(name, type_)
        for name in names
        if name != OTHER
        and (type_ := _infer_type([fields.get(name) for fields in sample])) is not None
    ]
    return pa.schema([*columns, pa.field(OTHER, pa.string())])


def to_table(records: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    """Records as a table.

    records (Sequence[Mapping[str, Any]]): The records.
    schema (pyarrow.Schema): Its columns, as `infer_schema` gives them.
    """
    types = {field.name: field.type for field in schema}
    rows = []
    for fields in records:
        row = {
            name: value
            for name, value in fields.items()
            if name != OTHER and name in types and _fits(value, types[name])
        }
        others = {name: value for name, value in fields.items() if name not in row}
        if others:
            row[OTHER] = to_json(others)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schema)


def with_entities(
    table: Any, entities: Sequence[Sequence[Mapping[str, Any]]], name: str
) -> Any:
    """A table with a column of the rows' entities."""
    column = pa.array(entities, type=ENTITIES)
    return table.append_column(pa.field(name, ENTITIES), column)


def count_rows(path: Path) -> int:
    """How many rows a parquet file has."""
    return int(pq.read_metadata(path).num_rows)


def _infer_type(values: Sequence[Any]) -> Any:
    try:
        type_ = pa.infer_type(values)
    except (OverflowError, pa.ArrowException):
        return None
    if pa.types.is_null(type_):
        return pa.string()
    # A list that is always empty doesn't tell what may be in it.
    is_known = "null" not in str(type_)
    return type_ if is_known and all(_fits(v, type_) for v in values) else None


def _fits(value: Any, type_: Any) -> bool:
    """Whether a value of JSON is the same after it was in a column of a type."""
    if value is None:
        return True
    if isinstance(value, bool):
        return bool(pa.types.is_boolean(type_))
    if isinstance(value, int):
        is_int = pa.types.is_int64(type_) and value in INT64
        return is_int or (pa.types.is_float64(type_) and value in EXACT)
    if isinstance(value, float):
        return bool(pa.types.is_float64(type_))
    if isinstance(value, str):
        return bool(pa.types.is_string(type_))
    if isinstance(value, list):
        return bool(pa.types.is_list(type_)) and all(
            _fits(part, type_.value_type) for part in value
        )
    if not pa.types.is_struct(type_):
        return False
    types = {field.name: field.type for field in type_}
    return all(
        name in types and _fits(part, types[name]) for name, part in value.items()
    )
