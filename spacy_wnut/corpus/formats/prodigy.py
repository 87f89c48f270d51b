"""Prodigy: JSON Lines of `prodigy db-out`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..posts import Post, Rejection, Word
from .json_file import read_json
from .options import ReadOptions
from .records import (
    RecordError,
    check_object,
    get_id,
    get_objects,
    get_spans,
    get_text,
    make_spans,
    make_words,
    read_posts,
)

ANSWERS = ("accept", "reject", "ignore")
# The interfaces that show given spans to accept or reject. The rest of the text is not
# annotated there.
BINARY_VIEWS = ("ner", "spans")


def read_prodigy(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read the annotations of Prodigy.

    - Accepted tasks: `spans` are the entities. All other words are outside of entities,
      unless the task is from an interface for binary decisions (`_view_id` "ner" or
      "spans"), where the rest of the text is missing annotation.
    - Rejected tasks: `spans` are annotated as not entities, and the rest of the text is
      missing annotation. A rejected task without spans is skipped.
    - Ignored tasks are skipped.

    A task without `answer` counts as accepted, and one without `spans` has no entities.
    `tokens` are the words. Offsets are in code points.

    path (Path): The file.
    options (ReadOptions): `text_field` names another field of the text.
    YIELDS (Post | Rejection): The posts.

    Raises WnutError if the file cannot be read.
    """

    def to_post(value: Any, where: str) -> Post | None:
        record = check_object(value)
        answer = record.get("answer", "accept")
        if answer not in ANSWERS:
            raise RecordError(
                f"the answer is {answer!r}: expected one of {', '.join(ANSWERS)}"
            )
        raw = get_spans(record, "spans") if record.get("spans") is not None else []
        is_rejected = answer == "reject"
        if answer == "ignore" or (is_rejected and not raw):
            return None
        text = get_text(record, options.text_field or "text")
        spans = make_spans(text, raw)
        words = None
        if record.get("tokens") is not None:
            tokens = get_objects(record, "tokens")
            words = make_words(
                text, ((token.get("start"), token.get("end")) for token in tokens)
            )
        is_partial = is_rejected or record.get("_view_id") in BINARY_VIEWS
        return Post(
            text,
            () if is_rejected else spans,
            words,
            missing=(Word(0, len(text)),) if is_partial else (),
            incorrect=spans if is_rejected else (),
            id=get_id(record),
            where=where,
        )

    return read_posts(read_json(path), to_post)


def is_prodigy(record: Any) -> bool:
    """Return whether a record has the form of Prodigy.

    >>> span = {"start": 3, "end": 7, "label": "location"}
    >>> is_prodigy({"text": "in Oslo", "spans": [span], "answer": "accept"})
    True
    """
    if not isinstance(record, dict):
        return False
    spans = record.get("spans")
    has_spans = isinstance(spans, list) and all(
        isinstance(one, dict) and "start" in one and "end" in one for one in spans
    )
    return has_spans or record.get("answer") in ANSWERS or "_input_hash" in record
