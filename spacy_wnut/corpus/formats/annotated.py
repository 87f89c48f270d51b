"""The output of `spacy-wnut annotate`, as it is or corrected: JSON Lines and parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import WnutError
from ..json_values import kind_of
from ..posts import Post, Rejection
from .json_file import JsonRecord, open_content, read_json
from .options import ReadOptions
from .records import (
    RawSpan,
    RecordError,
    check_object,
    get_id,
    get_list,
    get_text,
    make_spans,
    read_posts,
)

FIELD = "entities"
PARQUET_MAGIC = b"PAR1"
# Rows that are in memory together.
BATCH_SIZE = 1000


def read_annotated(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read what `spacy-wnut annotate` has written.

    The entities are in `entities`, with `start`, `end` and `label`. `confidence` is
    ignored. If an entity has a `text`, it has to be the text at its offsets, so that a
    post whose text was edited is not read with wrong entities. It also shows whether
    offsets are in UTF-16 code units instead of code points.

    path (Path): The file, in JSON or parquet.
    options (ReadOptions): `text_field` names the field of the text. By default it is
        "text".
    YIELDS (Post | Rejection): The posts.

    Raises WnutError if the file cannot be read.
    """

    def to_post(value: Any, where: str) -> Post:
        record = check_object(value)
        text = get_text(record, options.text_field or "text")
        spans = make_spans(text, list(_read_spans(record)))
        return Post(text, spans, id=get_id(record), where=where)

    return read_posts(_read_records(path), to_post)


def is_annotated(record: Any) -> bool:
    """Return whether a record has the form that `spacy-wnut annotate` writes.

    >>> entity = {"start": 3, "end": 7, "label": "location", "text": "Oslo"}
    >>> is_annotated({"text": "in Oslo", "entities": [entity]})
    True
    """
    entities = record.get(FIELD) if isinstance(record, dict) else None
    if not isinstance(entities, list) or (not entities and "relations" in record):
        return False
    return all(isinstance(one, dict) and "start" in one for one in entities)


def _read_spans(record: dict[str, Any]) -> Iterator[RawSpan]:
    for one in get_list(record, FIELD):
        if not isinstance(one, dict):
            raise RecordError(f"the field {FIELD!r} holds {kind_of(one)}, not objects")
        yield RawSpan(
            one.get("start"), one.get("end"), one.get("label"), one.get("text")
        )


def _read_records(path: Path) -> Iterator[JsonRecord | Rejection]:
    with open_content(path) as file:
        is_parquet = file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    return _read_rows(path) if is_parquet else read_json(path)


def _read_rows(path: Path) -> Iterator[JsonRecord | Rejection]:
    """Yield the rows of a parquet file."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError as err:
        raise WnutError(
            f"{path}: parquet needs pyarrow, which isn't installed: "
            'pip install "spacy-wnut[annotate]"'
        ) from err
    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for rows in table.iter_batches(batch_size=BATCH_SIZE):
                for i in range(len(rows)):
                    number += 1
                    where = f"row {number}"
                    try:
                        [value] = rows.slice(i, 1).to_pylist()
                    except UnicodeDecodeError as err:
                        yield Rejection(where, "isn't UTF-8", ascii(err.object))
                    else:
                        yield JsonRecord(where, _as_json(value))
    except (OSError, pa.ArrowException) as err:
        raise WnutError(
            f"{path} can't be read as parquet: {err} (after row {number})"
        ) from err
    if not number:
        raise WnutError(f"{path} has no rows: expected annotated posts")


def _as_json(value: Any) -> Any:
    """Return a value of a table as JSON values. Bytes become text."""
    if isinstance(value, dict):
        return {name: _as_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return list(map(_as_json, value))
    if isinstance(value, bytes):
        # Invalid UTF-8 becomes lone surrogates, for which the text is rejected.
        return value.decode("utf8", "surrogateescape")
    is_json = value is None or isinstance(value, str | int | float | bool)
    return value if is_json else str(value)
