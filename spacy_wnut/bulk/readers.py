"""Readers: files of any of the formats as chunks of records, one after the other."""

import csv
import io
import re
import shlex
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..corpus.conll import SAMPLE, Columns, Gap, find_layout
from ..errors import WnutError
from .compression import CODECS, ERRORS, detect, explain, plain
from .encoding import check_unicode, recode
from .formats import DELIMITERS
from .reasons import MOST_NAMES, shorten
from .records import (
    Chunk,
    RawLine,
    Record,
    has_surrogates,
    parse_json,
    parse_post,
    parse_text,
    text_problem,
)

STDIN = "-"
BOM = b"\xef\xbb\xbf"
# A line that is longer is no post, and may be a file without lines.
LONGEST = 2**26
# Lines of a quoted field after which it is seen whether they are rows of their own.
MOST_LINES = 100
# Delimiters that a file may have in place of the one that was expected.
OTHERS = ",;\t|"


class DamagedInput(WnutError):
    """An input that can't be read to its end.

    reason (str): What is wrong with it, and where.
    rescue (str): How to annotate what can be read, or "".
    """

    def __init__(self, reason: str, rescue: str = "") -> None:
        super().__init__(reason)
        self.rescue = rescue


class Source:
    """An input that is open. Use it as a context manager.

    total (Optional[int]): How many records it has, if that is known.
    schema (Any): The columns of a table of pyarrow, or None.
    """

    total: int | None = None
    schema: Any = None

    def __init__(
        self,
        name: str,
        file: BinaryIO,
        parse: Callable[[BinaryIO], Iterator[Record]],
        encoding: str | None = None,
    ) -> None:
        self.name = name
        self._file = file
        self._parse = parse
        self._encoding = encoding
        self._size: int | None = None
        with suppress(OSError):
            if file is not sys.stdin.buffer and file.seekable():
                self._size = file.seek(0, io.SEEK_END)
                file.seek(0)

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        if self.name != STDIN:
            self._file.close()

    def identity(self) -> str:
        """RETURNS (str): What tells this input from others before it is read."""
        return ""

    def fraction(self) -> float | None:
        """RETURNS (Optional[float]): How much of the file was read, if one can tell."""
        return self._file.tell() / self._size if self._size else None

    def chunks(self, size: int) -> Iterator[Chunk]:
        """The records, `size` at a time. The same file gives the same chunks.

        Raises WnutError if it can't be read to its end.
        """
        records = self._records()
        while chunk := list(islice(records, size)):
            yield Chunk(chunk)

    def _records(self) -> Iterator[Record]:
        last: int | None = 0
        codec = ""
        try:
            codec = detect(self._file, self.name)
            content = plain(self._file, self.name)
            if self._encoding is None:
                check_unicode(self.name, content)
            else:
                content = recode(content, self._encoding)
            for record in self._parse(content):
                last = record.line
                yield self._in_encoding(record)
        except ERRORS as err:
            raise DamagedInput(
                f"{self.name} can't be read to its end: {explain(err)} (after line {last})",
                codec and f"{CODECS[codec].command} {shlex.quote(self.name)}",
            ) from err
        except UnicodeError as err:
            raise WnutError(
                f"{self.name} can't be read as {self._encoding}: {err}. Give another "
                "--encoding (without a byte order mark, utf-16-le or utf-16-be)"
            ) from err

    def _in_encoding(self, record: Record) -> Record:
        """A record whose problem names the encoding of the file, not ours."""
        if self._encoding is None or "UTF-8" not in record.problem:
            return record
        problem = re.sub(": the byte 0x..", "", record.problem)
        return record._replace(problem=problem.replace("UTF-8", self._encoding))


def open_source(
    name: str,
    format_: str,
    text_field: str,
    entities_field: str,
    delimiter: str | None = None,
    encoding: str | None = None,
    columns: Columns | None = None,
) -> Source:
    """Open an input.

    name (str): The file, or "-" for standard input.
    format_ (str): One of jsonl, csv, tsv, txt, conll and parquet. All but parquet may
        be compressed, whatever the file is called.
    text_field (str): The field or column that holds the text.
    entities_field (str): The one that will hold the entities. It has to be free.
    delimiter (Optional[str]): What separates columns of csv or tsv, if not the usual.
    encoding (Optional[str]): The encoding, if not UTF-8, of all formats but parquet.
    columns (Optional[Columns]): The columns of words and tags in CoNLL, None to
        infer them.

    Raises WnutError if the file can't be read or has no such column.
    """
    if format_ == "parquet":
        # Columns are for those who have pyarrow.
        from .parquet import ParquetSource

        return ParquetSource(name, text_field, entities_field)
    if format_ in DELIMITERS:
        separator = delimiter or DELIMITERS[format_]

    def parse(file: BinaryIO) -> Iterator[Record]:
        if format_ == "jsonl":
            return read_json(file, text_field, entities_field)
        if format_ in DELIMITERS:
            return read_csv(file, name, text_field, entities_field, separator)
        if format_ == "txt":
            return read_text(file)
        return read_posts(file, name, columns)

    return Source(name, open_file(name), parse, encoding)


def open_file(name: str) -> BinaryIO:
    """Open a file to read bytes, or standard input for "-"."""
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


def read_json(file: BinaryIO, text_field: str, entities_field: str) -> Iterator[Record]:
    """The records of a file with an object of JSON a line."""
    for raw in read_lines(file):
        record = (
            raw
            if isinstance(raw, Record)
            else parse_json(raw, text_field, entities_field)
        )
        if record is not None:
            yield record


def read_text(file: BinaryIO) -> Iterator[Record]:
    """The records of a file with a text a line. An empty line is an empty text."""
    for raw in read_lines(file):
        yield raw if isinstance(raw, Record) else parse_text(raw)


def read_posts(
    file: BinaryIO, name: str = STDIN, columns: Columns | None = None
) -> Iterator[Record]:
    """The records of a CoNLL file, whose lines are as for `corpus.conll.read_conll`,
    but need no tags.

    Raises WnutError if the column of the words is ambiguous.
    """
    lines = read_lines(file)
    sample = list(islice(lines, SAMPLE))
    texts = ((raw.number, _text(raw)) for raw in sample if isinstance(raw, RawLine))
    layout = find_layout(texts, name, columns or Columns(), needs_tags=False)
    post: list[RawLine] = []
    for raw in chain(sample, lines):
        if isinstance(raw, Record):
            yield raw
            continue
        found = layout.split(_text(raw), not post)
        if found is Gap.separator and post:
            yield parse_post(post, layout)
            post = []
        elif not isinstance(found, Gap):
            post.append(raw)
    if post:
        yield parse_post(post, layout)


def read_csv(
    file: BinaryIO,
    name: str,
    text_field: str,
    entities_field: str,
    delimiter: str = ",",
) -> Iterator[Record]:
    """The records of a CSV file. Its first row names the columns.

    Raises WnutError if that row is missing, or lacks the column of the text.
    """
    # Bytes that aren't UTF-8 come through as surrogates, and are seen in the text.
    text = io.TextIOWrapper(
        file, encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    csv.field_size_limit(LONGEST)
    try:
        rows = _Rows(text, delimiter)
        _, columns, head = next((row for row in rows if row[1]), (0, None, ""))
        if columns is None:
            raise WnutError(f"{name} has no row that names the columns")
        _check_delimiter(name, head, columns, text_field, delimiter)
        if isinstance(columns, csv.Error):
            raise WnutError(f"the row of {name} that names the columns: {columns}")
        check_columns(name, columns, text_field, entities_field)
        rows.n_columns = len(columns)
        for first, row, raw in rows:
            if isinstance(row, csv.Error):
                yield Record(first, problem=f"isn't CSV: {row}", raw=raw)
            elif len(row) == len(columns):
                fields = dict(zip(columns, row, strict=True))
                value = fields[text_field]
                problem = text_problem(value, text_field)
                if not problem and has_surrogates("".join(row)):
                    problem = "isn't UTF-8"
                yield Record(first, value, fields=fields, problem=problem)
            elif row:
                problem = f"has {len(row)} columns, and the first row {len(columns)}"
                if rows.last > first:
                    problem += f" (lines {first} to {rows.last})"
                yield Record(first, problem=problem, raw=raw)
    finally:
        # Its end would close the file, which belongs to whoever opened it.
        if not file.closed:
            text.detach()


def _check_delimiter(
    name: str,
    head: str,
    columns: list[str] | csv.Error,
    text_field: str,
    delimiter: str,
) -> None:
    """Raises WnutError if another delimiter separates the columns better."""
    n_columns = 0
    if isinstance(columns, list):
        if text_field in columns:
            return
        n_columns = len(columns)
    found = []
    for other in OTHERS:
        with suppress(csv.Error):
            others = next(csv.reader([head], delimiter=other), [])
            found.append((text_field in others, len(others), other))
    has_text, n_others, best = max(found, default=(False, 0, delimiter))
    if best != delimiter and (has_text or (n_columns < 2 and n_others > 1)):
        raise WnutError(
            f"{name} has no column {text_field!r}, and its columns seem to be separated "
            f"by {best!r}: give --delimiter {best!r}"
        )


def check_columns(
    name: str, columns: Iterable[str], text_field: str, entities_field: str
) -> None:
    """Raises WnutError if columns lack that of the text, have that of the entities,
    or have one twice.
    """
    columns = list(columns)
    names = ", ".join(shorten(repr(column)) for column in columns[:MOST_NAMES])
    if text_field not in columns:
        raise WnutError(
            f"{name} has no column {text_field!r} (it has {names or 'none'}): "
            "name the column of the text with --text-field"
        )
    if entities_field in columns:
        raise WnutError(
            f"{name} has a column {entities_field!r} already: name another one for the "
            "entities with --entities-field"
        )
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise WnutError(
            f"{name} has two columns of one name, {shorten(repr(twice))}: rename one "
            "of them"
        )


def read_lines(file: BinaryIO) -> Iterator[RawLine | Record]:
    """The lines of a file; in place of one that is too long, the record that says so."""
    number = 0
    # In bytes, since these split on "\n" alone: what Python takes for a line's end
    # in text (U+0085, U+2028) may stand within a post.
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


def _text(raw: RawLine) -> str:
    return raw.line.decode("utf8", "surrogateescape")


class _Rows:
    """The rows of a CSV file: the line on which each begins, its columns or what is
    wrong with it, and its lines.

    A quote that begins a field but isn't meant as one takes the lines after it into
    that field. If the field has no end, or one within another field, only its first line
    is given up, and the next row begins on the line after it.

    text (TextIO): The file.
    delimiter (str): What separates columns.
    """

    def __init__(self, text: io.TextIOWrapper, delimiter: str) -> None:
        self.n_columns: int | None = None
        self._text = text
        # Lines that are read again, and those of the row.
        self._again: deque[str] = deque()
        self._lines: list[str] = []
        self._n_chars = 0
        self._delimiter = delimiter
        self._rows = csv.reader(_Lines(self._line), strict=True, delimiter=delimiter)
        # The number of the last line of the row.
        self.last = 0

    def __iter__(self) -> Iterator[tuple[int, list[str] | csv.Error, str]]:
        return self

    def __next__(self) -> tuple[int, list[str] | csv.Error, str]:
        first = self.last + 1
        self._lines, self._n_chars = [], 0
        row: list[str] | csv.Error
        # After an error the reader goes on with the next line.
        try:
            row = next(self._rows)
        except csv.Error as err:
            row = err
        lines = self._lines
        why = ""
        if isinstance(row, csv.Error):
            why = str(row)
        elif self.n_columns not in (None, len(row)) and self._are_rows(lines[1:-1]):
            # The field ends somewhere, but rows are in it.
            why = f"{len(row)} columns"
        if why and len(lines) > 1:
            row = csv.Error(
                "the quote that begins a field here has no fitting end (up to line "
                f"{first + len(lines) - 1}: {why})"
            )
            self._again.extendleft(reversed(lines[1:]))
            del lines[1:]
        self.last = first + len(lines) - 1
        return first, row, "".join(lines)

    def _line(self) -> str:
        line = self._again.popleft() if self._again else self._text.readline(LONGEST)
        if not line:
            raise StopIteration
        is_cut = len(line) == LONGEST and not line.endswith(("\n", "\r"))
        self._lines.append(line[:1000] if is_cut else line)
        self._n_chars += len(line)
        while is_cut and (rest := self._text.readline(LONGEST)):
            is_cut = not rest.endswith(("\n", "\r"))
            self._n_chars += len(rest)
        if self._n_chars > LONGEST or len(line) == LONGEST:
            raise csv.Error(f"it has over {LONGEST} characters")
        if len(self._lines) == MOST_LINES and self._are_rows(self._lines[1:]):
            raise csv.Error("the lines after it are rows")
        return line

    def _are_rows(self, lines: list[str]) -> bool:
        """Whether nine of ten lines are rows of their own."""
        rows = csv.reader(lines, delimiter=self._delimiter)
        return sum(len(row) == self.n_columns for row in rows) > 0.9 * len(lines)


class _Lines:
    """An iterator that goes on after its end, as lines may be read again."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return self._read()
