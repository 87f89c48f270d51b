"""JSON Lines: one JSON object per line."""

import json
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from ...corpus.json_values import kind_of, record_problem, text_problem
from ..records import (
    Chunk,
    Found,
    RawLine,
    Record,
    count_nulls,
    to_json,
    unreadable,
)
from ..sources import Input, read_lines
from ..writer import Writer


def read_jsonl(file: BinaryIO, source: Input) -> Iterator[Record]:
    """Read the records of a file. Blank lines are skipped."""
    for raw in read_lines(file):
        record = (
            raw
            if isinstance(raw, Record)
            else parse_json(raw, source.text_field, source.entities_field)
        )
        if record is not None:
            yield record


def parse_json(raw: RawLine, text_field: str, entities_field: str) -> Record | None:
    """Parse one line.

    raw (RawLine): The line.
    text_field (str): The field of the text.
    entities_field (str): The field that will hold the entities. The record must not
        have it.
    RETURNS (Optional[Record]): The record, with a `problem` if it cannot be annotated,
        or None if the line is blank.
    """
    number, line = raw
    if not line.strip():
        return None
    try:
        text = line.decode("utf8")
        fields = json.loads(text)
    except UnicodeDecodeError as err:
        return unreadable(raw, f"isn't UTF-8: the byte {line[err.start]:#04x}")
    # ValueError is also raised for a number of thousands of digits.
    except (ValueError, RecursionError) as err:
        return unreadable(raw, f"isn't JSON: {err}")
    if not isinstance(fields, dict):
        return unreadable(raw, f"is {kind_of(fields)}, not an object with fields")
    if problem := record_problem(fields, text):
        return unreadable(raw, problem)
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


class JsonlWriter(Writer):
    """Writes the fields of each record and, in one more field, its entities."""

    def count_nulls(self, chunk: Chunk, found: Mapping[int, Found]) -> int:
        """Count the numbers that are written as null."""
        fields = chunk.fields() if found else []
        return sum(count_nulls(fields[i]) for i in found)

    def _encode(self, chunk: Chunk, found: Mapping[int, Found]) -> str:
        lines = []
        fields = chunk.fields() if found else []
        for i, one in found.items():
            lines.append(to_json({**fields[i], self.entities_field: one.entities}))
            lines.append("\n")
        return "".join(lines)
