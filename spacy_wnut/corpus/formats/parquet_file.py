"""Rows of parquet files as JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import WnutError
from ..posts import Rejection
from .json_file import JsonRecord, open_content

PARQUET_MAGIC = b"PAR1"
# Rows that are in memory together.
BATCH_SIZE = 1000


def is_parquet(path: Path) -> bool:
    """Return whether a file is in parquet, by its first bytes.

    path (Path): The file.

    Raises WnutError if it cannot be read.
    """
    with open_content(path) as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def read_rows(path: Path) -> Iterator[JsonRecord | Rejection]:
    """Read the rows of a parquet file lazily.

    path (Path): The file.
    YIELDS (JsonRecord | Rejection): The rows as JSON values, with their place ("row 3").
        A `Rejection` is a row with a text that is not UTF-8.

    Raises WnutError if the file cannot be read, or has no rows, or if pyarrow is not
    installed.
    """
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
