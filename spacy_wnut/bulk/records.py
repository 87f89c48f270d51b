"""Records of the input, the entities found in them, and the reasons for which some
cannot be annotated.
"""

import base64
import json
import math
from dataclasses import dataclass
from datetime import date, time
from typing import Any, NamedTuple

from ..corpus.json_values import has_surrogates

# The column of a table for fields that fit no other column.
OTHER_FIELDS = "other_fields"


class Record(NamedTuple):
    """A record of the input.

    line (Optional[int]): The number of its first line in the file, or of its row in the
        table, from 1. None if it is not known.
    text (str): The text to annotate.
    words (Optional[List[str]]): The words of the text, if the input has them.
    fields (Optional[Dict[str, Any]]): All its fields. None if it cannot be parsed, or
        if it is a row of the chunk's `rows`.
    problem (str): The reason why it cannot be annotated, or "".
    raw (str): Its line, if it cannot be parsed into fields.
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
    rows (Any): The rows of a table of pyarrow that they are from, or None.
    """

    records: list[Record]
    rows: Any = None

    def fields(self) -> list[dict[str, Any]]:
        """RETURNS (List[Dict[str, Any]]): The fields of each record, {} for a record
        that cannot be parsed.
        """
        if self.rows is not None:
            return list(self.rows.to_pylist())
        return [record.fields or {} for record in self.records]


class Found(NamedTuple):
    """The entities and tokens of one text.

    entities (List[Dict[str, Any]]): For each entity `start` and `end` (in the unit of
        the settings), `label`, `text` and `confidence` (None if it is not from an
        entity_tagger).
    words (List[str]): The tokens.
    spaces (List[bool]): Whether a space follows each token.
    spans (List[Tuple[int, int]]): For each entity its first token and the token after
        its last.
    tokens (Optional[List[Tuple[int, int]]]): For each token its first code point in the
        text of the record, and the one after its last. None if the tokens and the spaces
        are this text.
    """

    entities: list[dict[str, Any]]
    words: list[str]
    spaces: list[bool]
    spans: list[tuple[int, int]]
    tokens: list[tuple[int, int]] | None = None


def token_places(found: Found) -> list[tuple[int, int]]:
    """Return the first code point of each token, and the one after its last.

    >>> token_places(Found([], ["in", "Oslo", "!"], [True, False, False], []))
    [(0, 2), (3, 7), (7, 8)]
    """
    if found.tokens is not None:
        return found.tokens
    places = []
    start = 0
    for word, has_space in zip(found.words, found.spaces, strict=True):
        places.append((start, start + len(word)))
        start += len(word) + has_space
    return places


class RawLine(NamedTuple):
    """A line of a file with its number, without the line break."""

    number: int
    line: bytes


def rejection(chunk: Chunk, index: int, reason: str) -> str:
    """Return the line of JSON for a rejected record: its file and line, the reason, and
    the record.
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
    """Return a value as one line of JSON. Numbers that JSON does not have (NaN, infinity)
    become null, and values of other types become strings.

    >>> to_json({"score": float("nan"), "day": date(2017, 9, 7)})
    '{"score": null, "day": "2017-09-07"}'
    """
    try:
        text = _dump(fields)
    except ValueError:
        fields = _finite(fields)
        text = _dump(fields)
    # Rejected records of CSV may contain invalid UTF-8.
    return _dump(fields, ensure_ascii=True) if has_surrogates(text) else text


def count_nulls(value: Any) -> int:
    """Count the numbers of a value that `to_json` writes as null.

    >>> count_nulls({"scores": [0.5, float("inf")]})
    1
    """
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


def unreadable(raw: RawLine, reason: str) -> Record:
    """Return the record of a line that cannot be parsed."""
    shown = raw.line.decode("utf8", "backslashreplace")
    return Record(raw.number, problem=reason, raw=shown)
