"""Records of JSON files: a JSON list, or one JSON value per line."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...compression import ERRORS, decompress, explain
from ...errors import WnutError
from ..json_values import record_problem
from ..posts import Rejection

WHITE_SPACE = re.compile(r"[ \t\r\n]*")
# The first line of JSON that is indented.
OPENING = re.compile(r"[\[{\s]*")
UNICODE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class JsonRecord(NamedTuple):
    """A record of a JSON file.

    where (str): Its place in the file: "line 3", or "record 3, line 17" for the third
        element of a list.
    value (Any): Its JSON value.
    """

    where: str
    value: Any


@contextmanager
def open_content(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, decompressed if it is compressed.

    path (Path): The file.
    YIELDS (BinaryIO): Its content.

    Raises WnutError if it is a folder, does not exist, or cannot be read to its end.
    """
    if os.path.isdir(path):
        raise WnutError(f"{path} is a folder: give a file in it")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise WnutError(f"{path} isn't there: give a file of annotated posts") from None
    except OSError as err:
        raise WnutError(f"{path} can't be read: {err.strerror}") from None
    with file:
        try:
            yield decompress(file, path.name)
        except ERRORS as err:
            raise WnutError(f"{path} can't be read to its end: {explain(err)}") from err


def read_json(path: Path) -> Iterator[JsonRecord | Rejection]:
    """Read the records of a JSON file: the elements of a JSON list, or one JSON value
    per line (JSON Lines). JSON objects one after another, with line breaks inside, are
    read too. The file may be compressed. A byte order mark and blank lines are skipped.

    JSON Lines is read lazily, and other JSON as a whole.

    path (Path): The file, in UTF-8.
    YIELDS (JsonRecord | Rejection): The records. A `Rejection` is a line that is not
        JSON, or a record that no pipeline can read: nested more than 200 levels deep, or
        with half a character (a lone surrogate).

    Raises WnutError if the file cannot be read or is empty. If the records are not one
    per line, it also raises WnutError, with line and column, where the JSON is invalid.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from spacy_wnut.corpus.formats.json_file import read_json
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "posts.jsonl"
        ...     _ = path.write_text('{"text": "lol"}\\n\\n{"text"\\n')
        ...     for record in read_json(path):
        ...         print(record.where)
        line 1
        line 3
    """
    with open_content(path) as file:
        lines = _read_lines(path, file)
        first = next(lines, None)
        if first is None:
            raise WnutError(
                f"{path} is empty: expected annotated posts. If it was downloaded or "
                "exported, do it again"
            )
        second = next(lines, None)
        lines = chain([first], [] if second is None else [second], lines)
        if _has_lines(first, second):
            for number, line in lines:
                yield _parse_line(number, line)
        else:
            yield from _parse_whole(path, lines)


def is_pair(value: Any) -> bool:
    """Return whether a JSON value is a text with its annotation: spaCy's training
    example. It is a list, but not a list of records.

    value (Any): The value.

    >>> is_pair(["in Oslo", {"entities": [[3, 7, "location"]]}])
    True
    """
    return (
        isinstance(value, list)
        and len(value) == 2
        and not isinstance(value[0], dict | list)
        and isinstance(value[1], dict)
    )


def _read_lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not blank, with their numbers."""
    number = 0
    # Bytes are split at "\n" only. Text would also be split at U+0085 and U+2028, which
    # may be part of a post.
    for number, line in enumerate(file, 1):
        if number == 1:
            if line.startswith(UNICODE_MARKS):
                raise WnutError(f"{path} is in UTF-16 or UTF-32: save it in UTF-8")
            line = line.removeprefix(codecs.BOM_UTF8)
        if line.strip():
            yield number, line


def _has_lines(first: tuple[int, bytes], second: tuple[int, bytes] | None) -> bool:
    """Return whether a file has one JSON value per line, by its first lines."""
    value = _try_parse(first[1])
    if isinstance(value, dict) or is_pair(value):
        return True
    if isinstance(value, list):
        return second is not None and isinstance(_try_parse(second[1]), list)
    if value is not None or first[1].lstrip()[:1] not in b"[{":
        return True
    # The first line is invalid, or it is the beginning of a longer value.
    if second is None or OPENING.fullmatch(first[1].decode("utf8", "replace")):
        return False
    value = _try_parse(second[1])
    return isinstance(value, dict) or is_pair(value)


def _try_parse(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf8"))
    except (ValueError, RecursionError):
        return None


def _parse_line(number: int, line: bytes) -> JsonRecord | Rejection:
    where = f"line {number}"
    line = line.rstrip(b"\r\n")
    try:
        text = line.decode("utf8")
        value = json.loads(text)
    except UnicodeDecodeError as err:
        problem = f"isn't UTF-8: the byte {line[err.start]:#04x}"
        return Rejection(where, problem, line.decode("utf8", "backslashreplace"))
    # ValueError is also raised for a number of thousands of digits.
    except (ValueError, RecursionError) as err:
        return Rejection(where, f"isn't JSON: {err}", text)
    if problem := record_problem(value, text):
        return Rejection(where, problem, text)
    return JsonRecord(where, value)


def _parse_whole(
    path: Path, lines: Iterable[tuple[int, bytes]]
) -> Iterator[JsonRecord | Rejection]:
    """Parse a JSON list, or values one after another."""
    parts = []
    last = 0
    for number, line in lines:
        # Blank lines count, too.
        parts += [b"\n" * (number - last - 1), line]
        last = number
    try:
        text = b"".join(parts).decode("utf8")
    except UnicodeDecodeError as err:
        line_number = b"".join(parts).count(b"\n", 0, err.start) + 1
        raise WnutError(
            f"{path}, line {line_number}: isn't UTF-8: the byte "
            f"{err.object[err.start]:#04x}. Save the file in UTF-8"
        ) from None
    del parts
    pos = _skip(text, 0)
    is_list = text[pos] == "["
    pos += is_list
    decoder = json.JSONDecoder()
    number, line_number, counted = 0, 1, 0
    pos = _skip(text, pos)
    while pos < len(text) and not (is_list and number == 0 and text[pos] == "]"):
        number += 1
        line_number += text.count("\n", counted, pos)
        counted = pos
        try:
            value, end = decoder.raw_decode(text, pos)
        except json.JSONDecodeError as err:
            raise _invalid(path, text, err.pos, err.msg) from None
        except (ValueError, RecursionError) as err:
            raise _invalid(path, text, pos, str(err)) from None
        where = f"line {line_number}"
        if is_list:
            where = f"record {number}, {where}"
        if problem := record_problem(value, text[pos:end]):
            yield Rejection(where, problem, text[pos:end])
        else:
            yield JsonRecord(where, value)
        pos = _skip(text, end)
        if is_list:
            if text[pos : pos + 1] != ",":
                break
            pos = _skip(text, pos + 1)
            if pos == len(text):
                raise _invalid(path, text, pos, "Expecting value")
    if is_list:
        if text[pos : pos + 1] != "]":
            raise _invalid(path, text, pos, "Expecting ',' or ']'")
        pos = _skip(text, pos + 1)
        if pos < len(text):
            raise _invalid(path, text, pos, "Extra data")
    if not number:
        raise WnutError(f"{path} is an empty list: expected annotated posts")


def _skip(text: str, pos: int) -> int:
    match = WHITE_SPACE.match(text, pos)
    return match.end() if match else pos


def _invalid(path: Path, text: str, pos: int, reason: str) -> WnutError:
    line = text.count("\n", 0, pos) + 1
    column = pos - text.rfind("\n", 0, pos)
    return WnutError(
        f"{path}, line {line}, column {column}: isn't JSON: {reason}. Correct the file, "
        "or export it again"
    )
