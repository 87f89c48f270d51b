"""Records: what stands on a line or in a row of the input, and what of it is
annotated. What can't be annotated says why.
"""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, NamedTuple

from ..corpus.conll import Layout, split_columns

# Objects and lists in each other. Deeper ones exceed Python's stack somewhere.
DEEPEST = 200


class Record(NamedTuple):
    """A record of the input.

    line (Optional[int]): The line of the file on which it begins, or the row of a
        table, from 1. None if nobody knows.
    text (str): The text to annotate.
    words (Optional[List[str]]): The text's words, if the input has them.
    fields (Optional[Dict[str, Any]]): The whole record. None if it can't be read,
        or is a row of the chunk's `rows`.
    problem (str): Why it can't be annotated, or "".
    raw (str): What was read, if it can't be told in fields.
    file (str): The file, if there are several.
    """

    line: int | None
    text: str = ""
    words: list[str] | None = None
    fields: dict[str, Any] | None = None
    problem: str = ""
    raw: str = ""
    file: str = ""


@dataclass(frozen=True)
class Chunk:
    """Records that are annotated together.

    records (List[Record]): The records.
    rows (Any): The rows that they are in a table of pyarrow, or None.
    """

    records: list[Record]
    rows: Any = None

    def fields(self) -> list[dict[str, Any]]:
        """RETURNS (List[Dict[str, Any]]): The fields of every record; none of one
        that can't be read.
        """
        if self.rows is not None:
            return list(self.rows.to_pylist())
        return [record.fields or {} for record in self.records]


class RawLine(NamedTuple):
    """A line of a file as it stands there, without its end."""

    number: int
    line: bytes


def parse_json(raw: RawLine, text_field: str, entities_field: str) -> Record | None:
    """The record of a line of JSON, or None if the line is blank.

    raw (RawLine): The line.
    text_field (str): The field that holds the text.
    entities_field (str): The field that will hold the entities. It has to be free.
    """
    number, line = raw
    if not line.strip():
        return None
    try:
        fields = json.loads(line.decode("utf8"))
    except UnicodeDecodeError as err:
        return _unread(raw, f"isn't UTF-8: the byte {line[err.start]:#04x}")
    # ValueError is also for a number of thousands of digits.
    except (ValueError, RecursionError) as err:
        return _unread(raw, f"isn't JSON: {err}")
    if not isinstance(fields, dict):
        return _unread(raw, f"is {_kind(fields)}, not an object with fields")
    if line.count(b"[") + line.count(b"{") > DEEPEST and _is_deep(fields):
        return _unread(raw, f"is nested more than {DEEPEST} levels deep")
    # Escapes are the one way for halves of characters to come into JSON.
    if b"\\u" in line and has_surrogates(json.dumps(fields, ensure_ascii=False)):
        return _unread(raw, "holds half a character (a lone surrogate)")
    problem = ""
    if entities_field in fields:
        problem = (
            f"has a field {entities_field!r} already: name another one for the "
            "entities with --entities-field"
        )
    elif text_field not in fields:
        names = ", ".join(map(repr, list(fields)[:10])) or "none"
        problem = f"has no field {text_field!r} (its fields: {names})"
    else:
        problem = text_problem(fields[text_field], text_field)
    text = "" if problem else fields[text_field]
    return Record(number, text, fields=fields, problem=problem)


def parse_text(raw: RawLine) -> Record:
    """The record of a line of plain text: its one field is `text`."""
    number, line = raw
    try:
        text = line.decode("utf8")
    except UnicodeDecodeError as err:
        return _unread(raw, f"isn't UTF-8: the byte {line[err.start]:#04x}")
    return Record(
        number, text, fields={"text": text}, problem=text_problem(text, "text")
    )


def parse_post(lines: Sequence[RawLine], layout: Layout | None = None) -> Record:
    """The record of a post in CoNLL: the words of its lines. Its fields are `text`
    (the words with single spaces between them), `tokens` and, if there is a column
    of tags, `tags`.

    lines (Sequence[RawLine]): The lines with its words, at least one.
    layout (Optional[Layout]): The columns of words and tags. None if these are the
        first and the last.
    """
    layout = layout or Layout()
    first = lines[0].number
    words, tags = [], []
    for number, line in lines:
        try:
            columns = split_columns(line.decode("utf8"))
        except UnicodeDecodeError as err:
            reason = f"line {number} isn't UTF-8: the byte {line[err.start]:#04x}"
            return _unread_post(lines, reason)
        try:
            word = layout.token_of(columns)
        except ValueError as err:
            return _unread_post(lines, f"line {number} has no word: {err}")
        if word.isspace() or "\0" in word:
            return _unread_post(lines, f"line {number} has no word, but {word!r}")
        words.append(word)
        tag = layout.tag_of(columns)
        if tag is not None:
            tags.append(tag)
    text = " ".join(words)
    fields: dict[str, Any] = {"text": text, "tokens": words}
    if len(tags) == len(words):
        fields["tags"] = tags
    return Record(first, text, words=words, fields=fields)


def text_problem(text: Any, field: str) -> str:
    """Why a value can't be annotated as a text, or ""."""
    if text is None:
        return f"the field {field!r} is missing (null)"
    if not isinstance(text, str):
        return f"the field {field!r} is {_kind(text)}, not text"
    if "\0" in text:
        return "the text holds a NUL character: it isn't text, or in UTF-16"
    if has_surrogates(text):
        return "the text isn't UTF-8"
    return ""


def rejection(chunk: Chunk, index: int, reason: str) -> str:
    """The line of JSON that says which record was rejected and why, with the
    record itself.
    """
    record = chunk.records[index]
    whole: Any = record.fields
    if record.raw:
        whole = record.raw
    elif whole is None and chunk.rows is not None:
        [whole] = chunk.rows.slice(index, 1).to_pylist()
    where: dict[str, Any] = {"file": record.file} if record.file else {}
    if record.line is not None:
        where["line"] = record.line
    return to_json({**where, "reason": reason, "record": whole})


def to_json(fields: Any) -> str:
    """A value as one line of JSON. Numbers that JSON doesn't have (NaN, infinity) become
    null, and values of other types text.
    """
    try:
        text = _dump(fields)
    except ValueError:
        fields = _finite(fields)
        text = _dump(fields)
    # Rejected records of CSV may hold bytes that aren't UTF-8.
    return _dump(fields, ensure_ascii=True) if has_surrogates(text) else text


def count_nulls(value: Any) -> int:
    """How many numbers of a value `to_json` writes as null."""
    if isinstance(value, float):
        return int(not math.isfinite(value))
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return 0
    return sum(map(count_nulls, value))


def _dump(fields: Any, ensure_ascii: bool = False) -> str:
    return json.dumps(
        fields, ensure_ascii=ensure_ascii, allow_nan=False, default=_plain
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _plain(value: Any) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)


def _unread(raw: RawLine, reason: str) -> Record:
    shown = raw.line.decode("utf8", "backslashreplace")
    return Record(raw.number, problem=reason, raw=shown)


def _unread_post(lines: Sequence[RawLine], reason: str) -> Record:
    whole = RawLine(lines[0].number, b"\n".join(line for _, line in lines))
    return _unread(whole, reason)


def has_surrogates(text: str) -> bool:
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return True
    return False


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole)
            if isinstance(part, dict | list)
        ]
        if not level:
            return False
    return True


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "text", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")
