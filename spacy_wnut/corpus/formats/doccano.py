"""Doccano: JSON Lines of projects for sequence labelling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..json_values import kind_of
from ..posts import Post, Rejection
from .json_file import read_json
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

# The order of versions: `labels` and `data` are of older ones.
LABEL_FIELDS = ("label", "labels")
TEXT_FIELDS = ("text", "data")


def read_doccano(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read an export of Doccano.

    The spans are in `label` or `labels` as `[start, end, type]`, or in `entities` with
    `start_offset`, `end_offset` and `label`, as in projects with relations. The text is
    in `text`, or `data` in older exports. Offsets are in code points. Relations and
    other fields are ignored. A record whose list of spans is empty is a post without
    entities.

    path (Path): The file.
    options (ReadOptions): `text_field` names another field of the text.
    YIELDS (Post | Rejection): The posts.

    Raises WnutError if the file cannot be read.
    """

    def to_post(value: Any, where: str) -> Post:
        record = check_object(value)
        field = options.text_field or next(
            (name for name in TEXT_FIELDS if name in record), TEXT_FIELDS[0]
        )
        text = get_text(record, field)
        spans = make_spans(text, list(_read_spans(record)))
        return Post(text, spans, id=get_id(record), where=where)

    return read_posts(read_json(path), to_post)


def is_doccano(record: Any) -> bool:
    """Return whether a record has the form of Doccano.

    >>> is_doccano({"id": 1, "text": "in Oslo", "label": [[3, 7, "location"]]})
    True
    """
    # Label Studio's JSON-MIN has dictionaries in its lists.
    if not isinstance(record, dict) or "annotation_id" in record:
        return False
    if any(_is_labels(record.get(name)) for name in LABEL_FIELDS):
        return True
    entities = record.get("entities")
    if not isinstance(entities, list):
        return False
    if not entities:
        return isinstance(record.get("relations"), list)
    return all(isinstance(one, dict) and "start_offset" in one for one in entities)


def _is_labels(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and len(one) == 3 for one in value
    )


def _read_spans(record: dict[str, Any]) -> Iterator[RawSpan]:
    fields = [name for name in (*LABEL_FIELDS, "entities") if name in record]
    if not fields:
        raise RecordError(
            "has no field 'label', 'labels' or 'entities': if the post has no entities, "
            "write an empty list there"
        )
    for one in get_list(record, fields[0]):
        if isinstance(one, list) and len(one) == 3:
            yield RawSpan(*one)
        elif isinstance(one, dict):
            yield RawSpan(
                *(one.get(name) for name in ("start_offset", "end_offset", "label"))
            )
        else:
            raise RecordError(
                f"the field {fields[0]!r} holds {kind_of(one)}: expected "
                "[start, end, type], as in projects for sequence labelling"
            )
