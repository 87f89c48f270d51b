"""Parquet: tables of pyarrow, and records and their entities as tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from ...corpus.json_values import text_problem
from ...errors import WnutError
from ..records import OTHER_FIELDS, Chunk, Found, Record, to_json
from ..sources import STDIN, DamagedInput, Input, Source, check_columns
from ..writer import Writer

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.compute as pc  # type: ignore[import-untyped]
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
# The key of the unit in the metadata of the column.
OFFSETS = "offsets"
TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)
BINARY_TYPES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)
INT64 = range(-(2**63), 2**63)
# Integers that float64 represents exactly.
EXACT_INT = range(-(2**53), 2**53 + 1)


# Rows per row group, at least.
ROW_GROUP = 50_000


class ParquetSource(Source):
    """An open parquet file. Its rows are numbered from 1.

    source (Input): The file, and the names of its columns.

    Raises WnutError if the file cannot be read, or lacks the column of the text.
    """

    def __init__(self, source: Input) -> None:
        name, text_field = source.name, source.text_field
        if name == STDIN:
            raise WnutError("parquet can't be read from standard input: name a file")
        self.name = name
        try:
            # Buffered reading: a row group may be as large as the file.
            self._table = pq.ParquetFile(name, buffer_size=2**20, pre_buffer=False)
        except (OSError, pa.ArrowException) as err:
            raise WnutError(f"{name} can't be read as parquet: {err}") from err
        self.schema = plain_schema(self._table.schema_arrow, text_field)
        self.total = self._table.metadata.num_rows
        self._text_field = text_field
        self._read = 0
        check_table(name, self.schema, source)

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def identity(self) -> str:
        """RETURNS (str): The footer of the file: position and size of every column."""
        return repr(self._table.metadata.to_dict())

    def fraction(self) -> float | None:
        """RETURNS (Optional[float]): The fraction of the rows that was read."""
        return self._read / self.total if self.total else None

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Read the rows in chunks.

        Raises DamagedInput if the file cannot be read to its end.
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


class ParquetWriter(Writer):
    """Writes the columns of the records, and one more for their entities."""

    is_plain = False

    def table(self, chunk: Chunk, found: Mapping[int, Found]) -> Any:
        """Return the table of a chunk (pyarrow.Table)."""
        if chunk.rows is None:
            fields = chunk.fields()
            table = to_table([fields[i] for i in found], self.schema)
        else:
            rows = chunk.rows
            if isinstance(rows, pa.RecordBatch):
                rows = pa.Table.from_batches([rows])
            table = rows.take(pa.array(list(found), type=pa.int64()))
        entities = [one.entities for one in found.values()]
        return self._with_entities(table, entities)

    def encode(self, chunk: Chunk, found: Mapping[int, Found]) -> bytes:
        """Return the segment of a chunk: an Arrow IPC stream."""
        table = self.table(chunk, found)
        sink = BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue()

    def assemble(self, segments: Iterator[bytes], path: Path) -> None:
        """Write the file of all segments."""
        nothing = self._with_entities(self.schema.empty_table(), [])
        tables = []
        with pq.ParquetWriter(path, nothing.schema) as file:
            for segment in segments:
                tables.append(pa.ipc.open_stream(segment).read_all())
                # Row groups larger than a segment are read faster.
                if sum(map(len, tables)) >= ROW_GROUP:
                    file.write_table(pa.concat_tables(tables))
                    tables = []
            file.write_table(pa.concat_tables([nothing, *tables]))

    def count(self, path: Path) -> int:
        """Count the records of a file."""
        return int(pq.read_metadata(path).num_rows)

    def _with_entities(
        self, table: Any, entities: Sequence[Sequence[Mapping[str, Any]]]
    ) -> Any:
        """Return a table with one more column: the entities of each row. The metadata of
        the column have the unit of the offsets.
        """
        unit = {OFFSETS: self.settings.offsets}
        column = pa.array(entities, type=ENTITIES)
        field = pa.field(self.entities_field, ENTITIES, metadata=unit)
        return table.append_column(field, column)


def check_table(name: str, schema: Any, source: Input) -> None:
    """Check the columns of a table.

    name (str): The file.
    schema (pyarrow.Schema): Its columns.
    source (Input): The names of the fields.

    Raises WnutError if the column or the nested field of the text is missing or has
    another type than text, or if a column has the name of a field that the output adds.
    """
    column, *inner = _text_path(schema, source.text_field)
    if column not in schema.names:
        # Named as a whole, as in formats without nested fields.
        column, inner = source.text_field, []
    check_columns(name, schema.names, replace(source, text_field=column))
    type_ = schema.field(column).type
    for part in inner:
        if not pa.types.is_struct(type_):
            raise WnutError(
                f"the column {column!r} of {name} is of type {type_}, which has no field "
                f"{part!r}: name the text with --text-field"
            )
        names = [field.name for field in type_]
        if part not in names:
            raise WnutError(
                f"the column {column!r} of {name} has no field {part!r} (it has "
                f"{', '.join(map(repr, names)) or 'none'}): name the text with "
                "--text-field"
            )
        type_ = type_.field(part).type
        column = f"{column}.{part}"
    # Bytes are decoded in columns only.
    if not (_is_text(type_) or (_is_binary(type_) and not inner)):
        raise WnutError(
            f"the column {column!r} of {name} is of type {type_}, not of texts: name "
            "another one with --text-field"
        )


def _text_path(schema: Any, text_field: str) -> list[str]:
    """Return the column of the text and, if the text is a nested field of it, the names
    of the fields.
    """
    return [text_field] if text_field in schema.names else text_field.split(".")


def without_views(schema: Any) -> Any:
    """Return a schema with large_string for string_view and so on, since pyarrow lacks
    functions for views.

    schema (pyarrow.Schema): The columns of a table.
    """
    fields = [field.with_type(_without_views(field.type)) for field in schema]
    return pa.schema(fields, schema.metadata)


def plain_schema(schema: Any, text_field: str) -> Any:
    """Return the schema to read a table with: without views, and with a text type for
    the column of the text if it holds bytes.

    schema (pyarrow.Schema): The columns of the table.
    text_field (str): The column of the text.
    """
    schema = without_views(schema)
    place = schema.get_field_index(text_field)
    # -1 for a nested field.
    field = schema.field(place) if place >= 0 else None
    if field is not None and _is_binary(field.type):
        schema = schema.set(place, field.with_type(pa.large_string()))
    return schema


def row_chunk(rows: Any, schema: Any, text_field: str, first: int | None) -> Chunk:
    """Return the records of the rows of a table.

    rows (Any): The rows (pyarrow.Table or pyarrow.RecordBatch).
    schema (pyarrow.Schema): The columns, as `plain_schema` returns them.
    text_field (str): The column of the text.
    first (Optional[int]): The number of the first row, if it is known.
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
    name, *inner = _text_path(schema, text_field)
    texts = rows.column(name)
    if inner:
        texts = pc.struct_field(texts, inner)
    for i, text in enumerate(texts.to_pylist()):
        problem = problems.get(i) or text_problem(text, text_field)
        line = None if first is None else first + i
        records.append(Record(line, "" if problem else text, problem=problem))
    return Chunk(records, rows)


def _is_valid(column: Any) -> bool:
    """Return whether a column is of a text type and all its texts are UTF-8."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return _is_text(column.type)


def _decode(column: Any) -> tuple[list[str | None], dict[int, int]]:
    """Return the texts of a column, and the first invalid byte of those that are not
    UTF-8, by their index.
    """
    texts: list[str | None] = []
    invalid = {}
    for i, value in enumerate(column.cast(pa.large_binary()).to_pylist()):
        try:
            texts.append(None if value is None else value.decode("utf8"))
        except UnicodeDecodeError as err:
            invalid[i] = value[err.start]
            texts.append(value.decode("utf8", "backslashreplace"))
    return texts, invalid


def _is_any(type_: Any, predicates: Iterable[Callable[[Any], bool]]) -> bool:
    """Return whether a type, or the value type of a dictionary, has one of the kinds."""
    value = type_.value_type if pa.types.is_dictionary(type_) else type_
    return any(is_type(value) for is_type in predicates)


def _is_text(type_: Any) -> bool:
    return _is_any(type_, TEXT_TYPES)


def _is_binary(type_: Any) -> bool:
    return _is_any(type_, BINARY_TYPES)


def _without_views(type_: Any) -> Any:
    """Return a type without views."""
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
    """Infer the columns of a table from records. A field whose values have one type
    becomes a column. The column `other_fields` holds, as JSON, the fields of later
    records that have no column or another type.

    sample (Sequence[Mapping[str, Any]]): The fields of records.
    RETURNS (pyarrow.Schema): The columns.
    """
    names = dict.fromkeys(name for fields in sample for name in fields)
    columns = [
        pa.field(name, type_)
        for name in names
        if name != OTHER_FIELDS
        and (type_ := _infer_type([fields.get(name) for fields in sample])) is not None
    ]
    return pa.schema([*columns, pa.field(OTHER_FIELDS, pa.string())])


def to_table(records: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    """Return records as a table (pyarrow.Table).

    records (Sequence[Mapping[str, Any]]): The fields of the records.
    schema (pyarrow.Schema): The columns, as `infer_schema` returns them.
    """
    types = {field.name: field.type for field in schema}
    rows = []
    for fields in records:
        row = {
            name: value
            for name, value in fields.items()
            if name != OTHER_FIELDS and name in types and _fits(value, types[name])
        }
        others = {name: value for name, value in fields.items() if name not in row}
        if others:
            row[OTHER_FIELDS] = to_json(others)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schema)


def _infer_type(values: Sequence[Any]) -> Any:
    try:
        type_ = pa.infer_type(values)
    except (OverflowError, pa.ArrowException):
        return None
    if pa.types.is_null(type_):
        return pa.string()
    # Lists that are all empty do not tell the type of their items.
    is_known = "null" not in str(type_)
    return type_ if is_known and all(_fits(v, type_) for v in values) else None


def _fits(value: Any, type_: Any) -> bool:
    """Return whether a JSON value survives a round trip through a column of a type."""
    if value is None:
        return True
    if isinstance(value, bool):
        return bool(pa.types.is_boolean(type_))
    if isinstance(value, int):
        is_int = pa.types.is_int64(type_) and value in INT64
        return is_int or (pa.types.is_float64(type_) and value in EXACT_INT)
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
