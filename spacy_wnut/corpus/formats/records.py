"""Records as posts: the text, the spans and the id of a record, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ...labels import type_problem
from ..json_values import find_field, kind_of, text_problem
from ..posts import LabelledSpan, Post, Rejection, Word
from .json_file import JsonRecord

# Field names and characters in a message.
MAX_NAMES = 10
MAX_LENGTH = 60


class RecordError(ValueError):
    """Raised for a record that cannot be converted. The message is the reason of its
    rejection.
    """


class RawSpan(NamedTuple):
    """A span as a record has it, not checked.

    start (Any): The offset of its first character.
    end (Any): The offset after its last character.
    label (Any): Its entity type.
    text (Any): Its text, if the record repeats it, to prove the offsets.
    """

    start: Any
    end: Any
    label: Any
    text: Any = None


def read_posts(
    records: Iterable[JsonRecord | Rejection],
    to_post: Callable[[Any, str], Post | None],
) -> Iterator[Post | Rejection]:
    """Convert records to posts.

    records (Iterable[JsonRecord | Rejection]): The records, as `read_json` yields them.
    to_post (Callable[[Any, str], Optional[Post]]): Converts the JSON value of a record
        and its place to a post, or to None for a record to skip. Raises RecordError for
        a record that cannot be converted.
    YIELDS (Post | Rejection): The posts, in the order of the records.
    """
    for record in records:
        if isinstance(record, Rejection):
            yield record
            continue
        try:
            post = to_post(record.value, record.where)
        except RecordError as err:
            yield Rejection(record.where, str(err), record.value)
        else:
            if post is not None:
                yield post


def check_object(value: Any) -> dict[str, Any]:
    """Return a record that has to be a JSON object.

    Raises RecordError if it is not.
    """
    if not isinstance(value, dict):
        raise RecordError(f"is {kind_of(value)}, not an object with fields")
    return value


def get_field(record: dict[str, Any], name: str) -> Any:
    """Return the value of a field.

    record (Dict[str, Any]): The record.
    name (str): The name of the field. Dots in it name a field inside of another one,
        unless the record has a field of the whole name.
    RETURNS (Any): The value.

    Raises RecordError if there is no such field.

    Example:
        >>> from spacy_wnut.corpus.formats.records import get_field
        >>> get_field({"data": {"text": "lol"}}, "data.text")
        'lol'
    """
    try:
        return find_field(record, name)
    except LookupError as err:
        raise RecordError(err.args[0]) from None


def get_list(record: dict[str, Any], name: str) -> list[Any]:
    """Return the value of a field that has to be a list.

    Raises RecordError if there is no such field, or if it is not a list.
    """
    value = get_field(record, name)
    if not isinstance(value, list):
        raise RecordError(f"the field {name!r} is {kind_of(value)}, not a list")
    return value


def get_objects(record: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the value of a field that has to be a list of JSON objects.

    Raises RecordError if there is no such field, or if it is not a list of objects.
    """
    values = get_list(record, name)
    for one in values:
        if not isinstance(one, dict):
            raise RecordError(f"the field {name!r} holds {kind_of(one)}, not objects")
    return values


def get_spans(record: dict[str, Any], name: str) -> list[RawSpan]:
    """Return the spans in a field: a list of objects with `start`, `end`, `label` and
    possibly `text`.

    Raises RecordError as `get_objects` does.
    """
    return [
        RawSpan(one.get("start"), one.get("end"), one.get("label"), one.get("text"))
        for one in get_objects(record, name)
    ]


def get_text(record: dict[str, Any], name: str) -> str:
    """Return the text of a record.

    record (Dict[str, Any]): The record.
    name (str): The field of the text, as for `get_field`.
    RETURNS (str): The text.

    Raises RecordError if there is no such field, or if it holds no text.
    """
    text = get_field(record, name)
    if problem := text_problem(text, name):
        raise RecordError(problem)
    if not text.strip():
        raise RecordError(
            f"the field {name!r} is empty: it needs a text with other characters than "
            "white space"
        )
    return str(text)


def get_id(record: dict[str, Any]) -> str:
    """Return the id of a record as text, or "" if it has none."""
    value = record.get("id")
    is_id = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if is_id else ""


def make_spans(text: str, spans: Sequence[RawSpan]) -> tuple[LabelledSpan, ...]:
    """Check the spans of a text.

    Offsets are in code points, as in Python. If spans have a `text` that proves offsets
    in UTF-16 code units, as JavaScript counts, they are converted. White space at the
    ends of a span is cut off, and of equal spans only one is kept.

    text (str): The text.
    spans (Sequence[RawSpan]): The spans.
    RETURNS (Tuple[LabelledSpan, ...]): The spans, with offsets in code points.

    Raises RecordError if the offsets of a span are not integers in the text, if a span
    is empty or white space, if its label cannot be an entity type, or if its `text` is
    not at its offsets in either unit.

    Example:
        >>> from spacy_wnut.corpus.formats.records import RawSpan, make_spans
        >>> make_spans("🎉 in Oslo", [RawSpan(6, 10, "location", "Oslo")])
        (LabelledSpan(start=5, end=9, label='location'),)
    """
    for span in spans:
        _check_types(span)
    offsets = _utf16_offsets(text)
    in_utf16 = [
        span._replace(start=offsets.get(span.start, -1), end=offsets.get(span.end, -1))
        for span in spans
    ]
    # The spans of a record have one unit, unless their texts prove the opposite.
    chosen = spans
    if not all(_is_proven(text, span) for span in spans):
        has_one_unit = all(_is_proven(text, span) for span in in_utf16)
        chosen = [
            other
            if has_one_unit or (_is_proven(text, other) and not _is_proven(text, span))
            else span
            for span, other in zip(spans, in_utf16, strict=True)
        ]
    made = [
        _make_span(text, span, f"the span {raw.start} to {raw.end} {_named(raw.label)}")
        for raw, span in zip(spans, chosen, strict=True)
    ]
    return tuple(dict.fromkeys(made))


def make_words(text: str, places: Iterable[tuple[Any, Any]]) -> tuple[Word, ...]:
    """Check the words of a text.

    text (str): The text.
    places (Iterable[Tuple[Any, Any]]): The start and end of each word, in code points.
        Empty words are left out.
    RETURNS (Tuple[Word, ...]): The words, in their order.

    Raises RecordError if an offset is not an integer, if words overlap or reach beyond
    the text, or if characters other than white space are in no word.
    """
    words = []
    last = 0
    for start, end in places:
        check_offset(start, "the start of a word")
        check_offset(end, "the end of a word")
        if start == end:
            continue
        if not last <= start < end <= len(text):
            raise RecordError(
                f"the word {start} to {end} overlaps the word before it, or is outside "
                f"of the text, which has {len(text)} characters: correct its offsets"
            )
        _check_gap(text, last, start)
        words.append(Word(start, end))
        last = end
    _check_gap(text, last, len(text))
    return tuple(words)


def check_word(word: Any) -> str:
    """Return a word of a record.

    Raises RecordError if it is not text, or has no characters other than white space.
    """
    if not isinstance(word, str):
        raise RecordError(f"a word is {kind_of(word)}, not text")
    if not word.strip() or text_problem(word, "word"):
        raise RecordError(f"the word {word!r} is empty or not text: remove it")
    return word


def check_label(label: Any, name: str) -> str:
    """Return the label of a span.

    label (Any): The label.
    name (str): The span, for the message.

    Raises RecordError if the label cannot be an entity type.
    """
    if not isinstance(label, str):
        raise RecordError(f"the label of {name} is {kind_of(label)}, not text")
    if "\0" in label:
        raise RecordError(f"the label of {name} holds a NUL character")
    if problem := type_problem(label):
        raise RecordError(f"the label of {name}: {problem}")
    return label


def check_offset(offset: Any, name: str) -> None:
    """Check that an offset is an integer.

    offset (Any): The offset.
    name (str): Its name, for the message.

    Raises RecordError if it is not.
    """
    # bool is a subclass of int.
    if isinstance(offset, bool) or not isinstance(offset, int):
        kind = repr(offset) if isinstance(offset, float) else kind_of(offset)
        raise RecordError(f"{name} is {kind}, not an integer")


def shorten(text: str) -> str:
    """Return a text for a message, with quotes, at most 60 characters of it."""
    return repr(text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…")


def _check_types(span: RawSpan) -> None:
    check_offset(span.start, "the start of a span")
    check_offset(span.end, "the end of a span")
    check_label(span.label, f"the span {span.start} to {span.end}")
    if span.text is not None and not isinstance(span.text, str):
        raise RecordError(
            f"the text of the span {span.start} to {span.end} is {kind_of(span.text)}, "
            "not text"
        )


def _check_gap(text: str, start: int, end: int) -> None:
    if gap := text[start:end].strip():
        raise RecordError(
            f"{shorten(gap)} is in no word: correct the words, or leave them out"
        )


def _utf16_offsets(text: str) -> dict[int, int]:
    """Return the offset in code points for each offset in UTF-16 code units. Offsets
    within a character are missing.
    """
    offsets = {}
    n_units = 0
    for i, char in enumerate(text):
        offsets[n_units] = i
        n_units += 1 + (char > "\uffff")
    offsets[n_units] = len(text)
    return offsets


def _is_proven(text: str, span: RawSpan) -> bool:
    """Return whether the `text` of a span is at its offsets, or is not known."""
    if span.text is None:
        return True
    if not 0 <= span.start <= span.end <= len(text):
        return False
    # Label Studio reduces several spaces to one, and some versions write a line break as
    # a backslash and "n".
    found = _squeeze(text[span.start : span.end])
    return found in (_squeeze(span.text), _squeeze(span.text.replace("\\n", " ")))


def _named(label: str) -> str:
    """Return a label for a message. Control characters are escaped for the terminal."""
    return f"({label})" if label.isprintable() else f"({label!r})"


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _make_span(text: str, span: RawSpan, name: str) -> LabelledSpan:
    start, end, label, quoted = span
    if start < 0 or end > len(text):
        raise RecordError(
            f"{name} is outside of the text, which has {len(text)} characters: correct "
            "its offsets or remove it"
        )
    if end <= start:
        raise RecordError(f"{name} is empty: correct its offsets or remove it")
    found = text[start:end]
    if not found.strip():
        raise RecordError(f"{name} is only white space: remove it")
    if not _is_proven(text, span):
        raise RecordError(
            f"{name} has the text {shorten(quoted)}, but at its offsets the text is "
            f"{shorten(found)}: correct the offsets"
        )
    start += len(found) - len(found.lstrip())
    return LabelledSpan(start, start + len(found.strip()), label)
