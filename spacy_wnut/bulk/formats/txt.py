"""Plain text: one text per line."""

from collections.abc import Iterator
from typing import BinaryIO

from ...corpus.json_values import text_problem
from ..records import RawLine, Record, unreadable
from ..sources import Input, read_lines

TEXT_FIELD = "text"


def read_txt(file: BinaryIO, source: Input) -> Iterator[Record]:
    """Read the records of a file. An empty line is an empty text."""
    for raw in read_lines(file):
        yield raw if isinstance(raw, Record) else parse_text(raw)


def parse_text(raw: RawLine) -> Record:
    """Make the record of one line. Its only field is `text`."""
    number, line = raw
    try:
        text = line.decode("utf8")
    except UnicodeDecodeError as err:
        return unreadable(raw, f"isn't UTF-8: the byte {line[err.start]:#04x}")
    problem = text_problem(text, TEXT_FIELD)
    return Record(number, text, fields={TEXT_FIELD: text}, problem=problem)
