"""GLiNER: training data with words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...labels import Entity
from ..json_values import kind_of
from ..posts import Post, Rejection, make_post
from .json_file import read_json
from .options import ReadOptions
from .records import (
    RecordError,
    check_label,
    check_object,
    check_offset,
    check_word,
    get_id,
    get_list,
    read_posts,
)


def read_gliner(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read training data of GLiNER: a JSON list, or JSON Lines.

    `tokenized_text` has the words, and `ner` the entities as `[start, end, type]`: the
    indices of their first and their last word, from 0.

    path (Path): The file.
    options (ReadOptions): Not used.
    YIELDS (Post | Rejection): The posts. The spaces between the words are not known.

    Raises WnutError if the file cannot be read.
    """

    def to_post(value: Any, where: str) -> Post:
        record = check_object(value)
        words = [check_word(word) for word in get_list(record, "tokenized_text")]
        if not words:
            raise RecordError("has no words: the field 'tokenized_text' is empty")
        entities = dict.fromkeys(
            _make_entity(one, len(words)) for one in get_list(record, "ner")
        )
        return make_post(words, tuple(entities), id=get_id(record), where=where)

    return read_posts(read_json(path), to_post)


def is_gliner(record: Any) -> bool:
    """Return whether a record has the form of GLiNER.

    >>> is_gliner({"tokenized_text": ["in", "Oslo"], "ner": [[1, 1, "location"]]})
    True
    """
    return isinstance(record, dict) and isinstance(record.get("tokenized_text"), list)


def _make_entity(value: Any, n_words: int) -> Entity:
    if not isinstance(value, list) or len(value) != 3:
        raise RecordError(
            f"the field 'ner' holds {kind_of(value)}: expected [start, end, type]"
        )
    start, end, label = value
    name = f"the entity {start} to {end} ({label})"
    check_offset(start, "the start of an entity")
    check_offset(end, "the end of an entity")
    if start < 0 or end >= n_words:
        raise RecordError(
            f"{name} is outside of the {n_words} words, which are counted from 0: "
            "correct it or remove it"
        )
    if end < start:
        raise RecordError(
            f"{name} is empty: its end is the index of its last word. Correct it or "
            "remove it"
        )
    return Entity(start, end + 1, check_label(label, name))
