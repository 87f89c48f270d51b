"""Columns: reading tables of pyarrow, and records and their entities as tables."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import WnutError
from .formats import OTHER
from .readers import STDIN, DamagedInput, Source, check_columns
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
        self.schema = plain_schema(self._table.schema_arrow, text_field)
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
                chunk = row_chunk(rows, self.schema, self._text_field, self._read + 1)
                self._read += len(chunk.records)
                yield chunk
        except (OSError, pa.ArrowException) as err:
            raise DamagedInput(
                f"{self.name} can't be read to its end: {err} (after row {self._read})"
            ) from err


def check_text_column(name: str, schema: Any, text_field: str) -> None:
    """Raises WnutError if a column can't hold texts."""
    type_ = schema.field(text_field).type
    if not (_is_text(type_) or _is_binary(type_)):
        raise WnutError(
            f"the column {text_field!r} of {name} is of type {type_}, not of texts: name "
            "another one with --text-field"
        )


def without_views(schema: Any) -> Any:
    """The columns of a table, with ordinary ones in the place of views, which pyarrow
    lacks functions for.

    schema (pyarrow.Schema): The columns.
    """
    fields = [field.with_type(_without_views(field.type)) for field in schema]
    return pa.schema(fields, schema.metadata)


def plain_schema(schema: Any, text_field: str) -> Any:
    """The columns that are kept of a table: without views, and with texts in the place
    of bytes in the column of the texts.

    schema (pyarrow.Schema): The columns of the table.
    text_field (str): The column of the texts.
    """
    schema = without_views(schema)
    place = schema.get_field_index(text_field)
    field = schema.field(place)
    if _is_binary(field.type):
        schema = schema.set(place, field.with_type(pa.large_string()))
    return schema


def row_chunk(rows: Any, schema: Any, text_field: str, first: int | None) -> Chunk:
    """The records of a table's rows.

    rows (Any): The table.
    schema (pyarrow.Schema): The columns, as `plain_schema` gives them.
    text_field (str): The column of the texts.
    first (Optional[int]): The number of the first row, if it has one.
    """
    columns = []
    problems: dict[int, str] = {}
    for column, field in zip(rows.columns, schema, strict=True):
        name = "the text" if field.name == text_field else f"the column {field.name!r}"
        if _is_text(field.type) and not _is_valid(column):
            texts, invalid = _decode(column)
            column = pa.array(texts, type=field.type)
            for i, byte in invalid.items():
                problems.setdefault(i, f"{name} isn't UTF-8: the byte {byte:#04x}")
        columns.append(column if column.type == field.type else column.cast(field.type))
    rows = type(rows).from_arrays(columns, schema=schema)
    rows.validate(full=True)
    records = []
    for i, text in enumerate(rows.column(text_field).to_pylist()):
        problem = problems.get(i) or text_problem(text, text_field)
        line = None if first is None else first + i
        records.append(Record(line, "" if problem else text, problem=problem))
    return Chunk(records, rows)


def _is_valid(column: Any) -> bool:
    """Whether a column is of texts, and all of these are UTF-8."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return _is_text(column.type)


def _decode(column: Any) -> tuple[list[str | None], dict[int, int]]:
    """The texts of a column, and the first byte of each that isn't UTF-8."""
    texts: list[str | None] = []
    invalid = {}
    for i, value in enumerate(column.cast(pa.large_binary()).to_pylist()):
        try:
            texts.append(None if value is None else value.decode("utf8"))
        except UnicodeDecodeError as err:
            invalid[i] = value[err.start]
            texts.append(value.decode("utf8", "backslashreplace"))
    return texts, invalid


def _value_type(type_: Any) -> Any:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _is_text(type_: Any) -> bool:
    value = _value_type(type_)
    return any(
        is_type(value)
        for is_type in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
        )
    )


def _is_binary(type_: Any) -> bool:
    value = _value_type(type_)
    return any(
        is_type(value)
        for is_type in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def _without_views(type_: Any) -> Any:
    """A type with ordinary columns in the place of views."""
    if pa.types.is_string_view(type_):
        return pa.large_string()
    if pa.types.is_binary_view(type_):
        return pa.large_binary()
    if "view" not in str(type_):
        return type_
    if pa.types.is_struct(type_):
        return pa.struct(
            [field.with_type(_without_views(field.type)) for field in type_]
        )
    if pa.types.is_map(type_):
        key, item = _without_views(type_.key_type), _without_views(type_.item_type)
        return pa.map_(key, item)
    if pa.types.is_dictionary(type_):
        value = _without_views(type_.value_type)
        return pa.dictionary(type_.index_type, value, type_.ordered)
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(_inner(type_), type_.list_size)
    if pa.types.is_large_list(type_) or pa.types.is_large_list_view(type_):
        return pa.large_list(_inner(type_))
    return pa.list_(_inner(type_))


def _inner(type_: Any) -> Any:
    return type_.value_field.with_type(_without_views(type_.value_type))


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
