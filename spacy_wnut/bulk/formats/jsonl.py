"""JSON Lines: one JSON object per line."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from ...corpus.json_values import (
    find_field,
    kind_of,
    record_problem,
    text_problem,
)
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
        record = raw if isinstance(raw, Record) else parse_json(raw, source)
        if record is not None:
            yield record


def parse_json(raw: RawLine, source: Input) -> Record | None:
    """Parse one line.

    raw (RawLine): The line.
    source (Input): The names of the fields.
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
    post: Any = None
    problem = source.clash(fields, "field")
    if not problem:
        try:
            post = find_field(fields, source.text_field)
        except LookupError as err:
            problem = err.args[0]
        else:
            problem = text_problem(post, source.text_field)
    return Record(number, "" if problem else post, fields=fields, problem=problem)


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
