"""Readers: files of any of the formats as chunks of records, one after the other."""

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..corpus.conll import SAMPLE, Columns, Gap, find_layout
from ..errors import WnutError
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
GZIP = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
# A line that is longer is no post, and may be a file without lines.
LONGEST = 2**26


class Source:
    """An input that is open. Use it as a context manager.

    total (Optional[int]): How many records it has, if that is known.
    schema (Any): The columns of a table of pyarrow, or None.
    """

    total: int | None = None
    schema: Any = None

    def __init__(
        self, name: str, file: BinaryIO, parse: Callable[[BinaryIO], Iterator[Record]]
    ) -> None:
        self.name = name
        self._file = file
        self._parse = parse
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
        try:
            for record in self._parse(plain(self._file)):
                last = record.line
                yield record
        except (EOFError, OSError, zlib.error) as err:
            raise WnutError(
                f"{self.name} can't be read to its end: {err} (after line {last}). What "
                "was annotated is kept: bring the whole file, and go on with --resume"
            ) from err


def open_source(
    name: str,
    format_: str,
    text_field: str,
    entities_field: str,
    columns: Columns | None = None,
) -> Source:
    """Open an input.

    name (str): The file, or "-" for standard input.
    format_ (str): One of jsonl, csv, txt, conll and parquet. All but parquet may be
        gzipped, whatever the file is called.
    text_field (str): The field or column that holds the text.
    entities_field (str): The one that will hold the entities. It has to be free.
    columns (Optional[Columns]): The columns of words and tags in CoNLL, None to
        infer them.

    Raises WnutError if the file can't be read or has no such column.
    """
    if format_ == "parquet":
        # Columns are for those who have pyarrow.
        from .tables import ParquetSource

        return ParquetSource(name, text_field, entities_field)
    parse = {
        "jsonl": lambda file: read_json(file, text_field, entities_field),
        "csv": lambda file: read_csv(file, name, text_field, entities_field),
        "txt": read_text,
        "conll": lambda file: read_posts(file, name, columns),
    }[format_]
    return Source(name, open_file(name), parse)


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


def plain(file: BinaryIO) -> BinaryIO:
    """A file's content, unpacked if it is gzipped."""
    peek = cast(io.BufferedReader, file).peek(2)[:2]
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if peek == GZIP else file


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
    file: BinaryIO, name: str, text_field: str, entities_field: str
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
        rows = _csv_rows(text)
        columns = next((row for _, row, _ in rows if row), None)
        if not isinstance(columns, list):
            raise WnutError(f"{name} has no row that names the columns")
        check_columns(name, columns, text_field, entities_field)
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
                yield Record(first, problem=problem, raw=raw)
    finally:
        # Its end would close the file, which belongs to whoever opened it.
        if not file.closed:
            text.detach()


def check_columns(
    name: str, columns: Iterable[str], text_field: str, entities_field: str
) -> None:
    """Raises WnutError if columns lack that of the text, have that of the entities,
    or have one twice.
    """
    columns = list(columns)
    if text_field not in columns:
        raise WnutError(
            f"{name} has no column {text_field!r} (it has {', '.join(columns)}): "
            "name the column of the text with --text-field"
        )
    if entities_field in columns:
        raise WnutError(
            f"{name} has a column {entities_field!r} already: name another one for the "
            "entities with --entities-field"
        )
    if len(set(columns)) < len(columns):
        raise WnutError(f"{name} has two columns of one name: {', '.join(columns)}")


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


def _csv_rows(
    text: Iterable[str],
) -> Iterator[tuple[int, list[str] | csv.Error, str]]:
    """The rows of a CSV file: the line on which each begins, its columns or what is
    wrong with it, and its lines.
    """
    lines: list[str] = []

    def remember() -> Iterator[str]:
        for line in text:
            lines.append(line)
            yield line

    rows = csv.reader(remember(), strict=True)
    line = 1
    while True:
        row: list[str] | csv.Error
        # After an error the reader goes on with the next line.
        try:
            row = next(rows)
        except csv.Error as err:
            row = err
        except StopIteration:
            return
        yield line, row, "".join(lines)
        line = rows.line_num + 1
        lines.clear()
