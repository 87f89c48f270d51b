"""spaCy's training examples in JSON: a text with its annotation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

from ..json_values import kind_of
from ..posts import Post, Rejection, Word
from .json_file import is_pair, read_json
from .options import ReadOptions
from .records import (
    RawSpan,
    RecordError,
    check_word,
    get_list,
    get_text,
    make_spans,
    make_words,
    read_posts,
)

MISSING_TAGS = (None, "", "-")
TAG = re.compile("O|[BILU]-.+", re.DOTALL)


def read_spacy_json(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read spaCy's training examples: `[text, {"entities": [[start, end, type], ...]}]`,
    in a JSON list, or one per line.

    Offsets are in code points. As in spaCy, `entities` may also be a list of BILUO or
    BIO tags for the words in `words`, where `-` is a missing annotation.

    path (Path): The file.
    options (ReadOptions): Not used.
    YIELDS (Post | Rejection): The posts.

    Raises WnutError if the file cannot be read.
    """

    def to_post(value: Any, where: str) -> Post:
        if not is_pair(value):
            raise RecordError(
                f"is {kind_of(value)}, not a text with its annotation: expected [text, "
                '{"entities": [[start, end, type]]}]'
            )
        text = get_text({"text": value[0]}, "text")
        annotation = value[1]
        entities = get_list(annotation, "entities")
        words = None
        if annotation.get("words") is not None:
            words = make_words(text, _find_words(text, get_list(annotation, "words")))
        if entities and all(one is None or isinstance(one, str) for one in entities):
            return _from_tags(text, words, entities, where)
        spans = make_spans(text, [_make_span(one) for one in entities])
        return Post(text, spans, words, where=where)

    return read_posts(read_json(path), to_post)


def is_spacy_json(record: Any) -> bool:
    """Return whether a record is one of spaCy's training examples.

    >>> is_spacy_json(["in Oslo", {"entities": [[3, 7, "location"]]}])
    True
    """
    return is_pair(record) and "entities" in record[1]


def _make_span(value: Any) -> RawSpan:
    if not isinstance(value, list) or len(value) != 3:
        raise RecordError(
            f"the field 'entities' holds {kind_of(value)}: expected [start, end, type]"
        )
    return RawSpan(*value)


def _find_words(text: str, words: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Yield the offsets of words, which are in the text one after another."""
    end = 0
    for word in words:
        start = text.find(check_word(word), end)
        if start < 0:
            raise RecordError(f"the word {word!r} is not in the text: correct 'words'")
        end = start + len(word)
        yield start, end


def _from_tags(
    text: str, words: tuple[Word, ...] | None, tags: Sequence[Any], where: str
) -> Post:
    if words is None or len(words) != len(tags):
        n_words = "no" if words is None else len(words)
        raise RecordError(
            f"has {len(tags)} tags in 'entities' and {n_words} words in 'words': each "
            "word needs a tag, or give the entities as [start, end, type]"
        )
    missing = [tag in MISSING_TAGS for tag in tags]
    plain = [
        "O" if is_missing else tag
        for tag, is_missing in zip(tags, missing, strict=True)
    ]
    for tag in plain:
        if not TAG.fullmatch(tag):
            raise RecordError(
                f"the tag {tag!r} is not BILUO or BIO: expected O, -, or a type after "
                "B-, I-, L- or U-"
            )
    # Not imported above, since spaCy takes seconds.
    from spacy.training.iob_utils import iob_to_biluo, tags_to_entities

    spans = [
        RawSpan(words[first].start, words[last].end, label)
        for label, first, last in tags_to_entities(iob_to_biluo(plain))
    ]
    return Post(
        text,
        make_spans(text, spans),
        words,
        missing=tuple(compress(words, missing)),
        where=where,
    )
