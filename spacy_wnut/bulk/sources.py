"""Inputs: open files, and their records in chunks."""

import io
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..compression import CODECS, ERRORS, decompress, detect, explain
from ..corpus.layout import Columns
from ..errors import WnutError
from .encoding import check_unicode, recode
from .reasons import MAX_NAMES, shorten
from .records import Chunk, RawLine, Record

STDIN = "-"
BOM = b"\xef\xbb\xbf"
# Bytes (or characters) of a line. A longer one is no post; the file may have no lines.
LONGEST = 2**26


class DamagedInput(WnutError):
    """Raised for an input that cannot be read to its end.

    reason (str): The problem and its place.
    rescue (str): The command that writes the readable part to standard output, or "".
    """

    def __init__(self, reason: str, rescue: str = "") -> None:
        super().__init__(reason)
        self.rescue = rescue


@dataclass(frozen=True)
class Input:
    """An input file, and the options for reading it.

    name (str): The file, or "-" for standard input.
    text_field (str): The field or column of the text. In JSONL and parquet also the path
        to a nested field, as "data.text", if no field has this name.
    entities_field (Optional[str]): The field or column that will hold the entities.
        Records must not have it. None if `added` has it.
    delimiter (str): The delimiter of the columns of CSV and TSV.
    encoding (Optional[str]): The encoding of a text file if it is not UTF-8.
    columns (Columns): The columns of words and tags in CoNLL. By default they are
        inferred.
    added (Tuple[str, ...]): Fields that the format of the output adds to records, under
        names that cannot be changed. Records must not have them.
    """

    name: str
    text_field: str = "text"
    entities_field: str | None = "entities"
    delimiter: str = ","
    encoding: str | None = None
    columns: Columns = field(default_factory=Columns)
    added: tuple[str, ...] = ()

    def clash(self, names: Collection[str], kind: str) -> str:
        """Return the reason why fields cannot be kept beside those that the output adds,
        or "".

        names (Collection[str]): The names of the fields.
        kind (str): The word for them: "field" or "column".
        """
        if self.entities_field is not None and self.entities_field in names:
            return (
                f"has a {kind} {self.entities_field!r} already: name another one for the "
                "entities with --entities-field"
            )
        for name in self.added:
            # The text itself may have the name of the output's field for it.
            if name in names and name != self.text_field:
                return (
                    f"has a {kind} {name!r} already, which the output format sets: "
                    "rename or remove it in the input"
                )
        return ""


class Source:
    """An open input. Use it as a context manager.

    name (str): The file, or "-" for standard input.
    total (Optional[int]): The number of its records, if it is known.
    schema (Any): The columns of a table (pyarrow.Schema), or None.
    """

    name: str
    total: int | None = None
    schema: Any = None

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        raise NotImplementedError

    def identity(self) -> str:
        """RETURNS (str): A text that tells this input from others before it is read."""
        return ""

    def fraction(self) -> float | None:
        """RETURNS (Optional[float]): The fraction of the file that was read, if it is
        known.
        """
        raise NotImplementedError

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Read the records in chunks. The same file gives the same chunks.

        size (int): Records per chunk.

        Raises DamagedInput if the file cannot be read to its end.
        """
        raise NotImplementedError


class TextSource(Source):
    """An open text file. It may be compressed, whatever its name is.

    source (Input): The file, and the options for reading it.
    parse (Callable[[BinaryIO, Input], Iterator[Record]]): Reads the records of the file,
        which is decompressed and in UTF-8.

    Raises WnutError if the file cannot be opened.
    """

    def __init__(
        self, source: Input, parse: Callable[[BinaryIO, Input], Iterator[Record]]
    ) -> None:
        self.name = source.name
        self._file = file = open_file(source.name)
        self._input = source
        self._parse = parse
        self._size: int | None = None
        with suppress(OSError):
            if file is not sys.stdin.buffer and file.seekable():
                self._size = file.seek(0, io.SEEK_END)
                file.seek(0)

    def __exit__(self, *_: object) -> None:
        if self.name != STDIN:
            self._file.close()

    def fraction(self) -> float | None:
        """RETURNS (Optional[float]): The fraction of the bytes that was read."""
        return self._file.tell() / self._size if self._size else None

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Read the records in chunks.

        Raises DamagedInput if the file cannot be read to its end, WnutError if it is
        not in its encoding.
        """
        records = self._records()
        while chunk := list(islice(records, size)):
            yield Chunk(chunk)

    def _records(self) -> Iterator[Record]:
        last: int | None = 0
        codec = ""
        encoding = self._input.encoding
        try:
            codec = detect(self._file, self.name)
            content = decompress(self._file, self.name)
            if encoding is None:
                check_unicode(self.name, content)
            else:
                content = recode(content, encoding)
            for record in self._parse(content, self._input):
                last = record.line
                yield self._in_encoding(record)
        except ERRORS as err:
            raise DamagedInput(
                f"{self.name} can't be read to its end: {explain(err)} (after line {last})",
                codec and f"{CODECS[codec].command} {shlex.quote(self.name)}",
            ) from err
        except UnicodeError as err:
            raise WnutError(
                f"{self.name} can't be read as {encoding}: {err}. Give another "
                "--encoding (without a byte order mark, utf-16-le or utf-16-be)"
            ) from err

    def _in_encoding(self, record: Record) -> Record:
        """Name the encoding of the file in the problem of a record, instead of UTF-8."""
        encoding = self._input.encoding
        if encoding is None or "UTF-8" not in record.problem:
            return record
        problem = re.sub(": the byte 0x..", "", record.problem)
        return record._replace(problem=problem.replace("UTF-8", encoding))


def open_file(name: str) -> BinaryIO:
    """Open a file for reading bytes, or standard input for "-".

    Raises WnutError if it is a folder, does not exist or cannot be read.
    """
    if name == STDIN:
        return cast(BinaryIO, sys.stdin.buffer)
    if Path(name).is_dir():
        raise WnutError(f"{name} is a folder: give a file in it, or use --engine ray")
    try:
        return Path(name).open("rb")
    except FileNotFoundError:
        raise WnutError(f"{name} isn't there: give a file of posts") from None
    except OSError as err:
        raise WnutError(f"{name} can't be read: {err.strerror}") from None


def check_columns(name: str, columns: Iterable[str], source: Input) -> None:
    """Check the names of the columns of a file.

    name (str): The file.
    columns (Iterable[str]): The names.
    source (Input): The names of the fields.

    Raises WnutError if the column of the text is missing, a column that the output adds
    exists already, or two columns have one name.
    """
    text_field = source.text_field
    columns = list(columns)
    names = ", ".join(shorten(repr(column)) for column in columns[:MAX_NAMES])
    if text_field not in columns:
        raise WnutError(
            f"{name} has no column {text_field!r} (it has {names or 'none'}): "
            "name the column of the text with --text-field"
        )
    if problem := source.clash(columns, "column"):
        raise WnutError(f"{name} {problem}")
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise WnutError(
            f"{name} has two columns of one name, {shorten(repr(twice))}: rename one "
            "of them"
        )


def read_lines(file: BinaryIO) -> Iterator[RawLine | Record]:
    """Read the lines of a file. A line that is too long becomes a record with a problem.

    file (BinaryIO): The file, in UTF-8 with or without a byte order mark.
    """
    number = 0
    # Bytes are split at "\n" only. Text would also be split at U+0085 and U+2028, which
    # may be part of a post.
    while line := file.readline(LONGEST):
        number += 1
        if number == 1:
            line = line.removeprefix(BOM)
        if len(line) == LONGEST and not line.endswith(b"\n"):
            shown = line[:1000].decode("utf8", "backslashreplace")
            while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
            yield Record(number, problem=f"is over {LONGEST} bytes long", raw=shown)
        else:
            yield RawLine(number, line.removesuffix(b"\n").removesuffix(b"\r"))
