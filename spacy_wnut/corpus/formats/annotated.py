"""The output of `spacy-wnut annotate`, as it is or corrected: JSON Lines and parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..posts import Post, Rejection
from .json_file import read_json
from .options import ReadOptions
from .parquet_file import is_parquet, read_rows
from .records import (
    check_object,
    get_id,
    get_spans,
    get_text,
    make_spans,
    read_posts,
)

FIELD = "entities"


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
        spans = make_spans(text, get_spans(record, FIELD))
        return Post(text, spans, id=get_id(record), where=where)

    return read_posts(read_rows(path) if is_parquet(path) else read_json(path), to_post)


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
