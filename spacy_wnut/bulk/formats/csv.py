"""CSV and TSV: one record per row, with the names of the columns in the first row."""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

from ...corpus.json_values import has_surrogates, text_problem
from ...errors import WnutError
from ..records import Record
from ..sources import LONGEST, Input, check_columns

# Lines of a quoted field after which the reader tests whether they are rows.
MAX_FIELD_LINES = 100
# Delimiters that are tried where the expected one does not fit.
DELIMITERS = ",;\t|"


def read_csv(file: BinaryIO, source: Input) -> Iterator[Record]:
    """Read the records of a file.

    Raises WnutError if the row with the names of the columns is missing, or lacks the
    column of the text.
    """
    name, delimiter = source.name, source.delimiter
    # Invalid UTF-8 becomes surrogates, which the checks below find.
    text = io.TextIOWrapper(
        file, encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    csv.field_size_limit(LONGEST)
    try:
        rows = _Rows(text, delimiter)
        _, columns, head = next((row for row in rows if row[1]), (0, None, ""))
        if columns is None:
            raise WnutError(f"{name} has no row that names the columns")
        _check_delimiter(name, head, columns, source.text_field, delimiter)
        if isinstance(columns, csv.Error):
            raise WnutError(f"the row of {name} that names the columns: {columns}")
        check_columns(name, columns, source)
        rows.n_columns = len(columns)
        for first, row, raw in rows:
            if isinstance(row, csv.Error):
                yield Record(first, problem=f"isn't CSV: {row}", raw=raw)
            elif len(row) == len(columns):
                fields = dict(zip(columns, row, strict=True))
                value = fields[source.text_field]
                problem = text_problem(value, source.text_field)
                if not problem and has_surrogates("".join(row)):
                    problem = "isn't UTF-8"
                yield Record(first, value, fields=fields, problem=problem)
            elif row:
                problem = f"has {len(row)} columns, and the first row {len(columns)}"
                if rows.last > first:
                    problem += f" (lines {first} to {rows.last})"
                yield Record(first, problem=problem, raw=raw)
    finally:
        # The wrapper would close the file, which belongs to the caller.
        if not file.closed:
            text.detach()


def _check_delimiter(
    name: str,
    head: str,
    columns: list[str] | csv.Error,
    text_field: str,
    delimiter: str,
) -> None:
    """Check the delimiter against the row with the names of the columns.

    Raises WnutError if another delimiter separates them better.
    """
    n_columns = 0
    if isinstance(columns, list):
        if text_field in columns:
            return
        n_columns = len(columns)
    found = []
    for other in DELIMITERS:
        with suppress(csv.Error):
            others = next(csv.reader([head], delimiter=other), [])
            found.append((text_field in others, len(others), other))
    has_text, n_others, best = max(found, default=(False, 0, delimiter))
    if best != delimiter and (has_text or (n_columns < 2 and n_others > 1)):
        raise WnutError(
            f"{name} has no column {text_field!r}, and its columns seem to be separated "
            f"by {best!r}: give --delimiter {best!r}"
        )


class _Rows:
    """Iterates over the rows of a CSV file: the number of the first line of each, its
    columns or the error in it, and its lines.

    A stray quote at the start of a field takes the lines after it into that field. If
    the field has no end, or ends within another field, only its first line is rejected,
    and reading resumes on the line after it.

    text (TextIO): The file.
    delimiter (str): The delimiter of the columns.
    """

    def __init__(self, text: io.TextIOWrapper, delimiter: str) -> None:
        self.n_columns: int | None = None
        self._text = text
        # Lines to read again, and the lines of the current row.
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
        # After an error, csv.reader continues with the next line.
        try:
            row = next(self._rows)
        except csv.Error as err:
            row = err
        lines = self._lines
        why = ""
        if isinstance(row, csv.Error):
            why = str(row)
        elif self.n_columns not in (None, len(row)) and self._are_rows(lines[1:-1]):
            # The field has an end, but contains rows.
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
        if self._n_chars > LONGEST or len(line) == LONGEST:
            raise csv.Error(f"it has over {LONGEST} characters")
        if len(self._lines) == MAX_FIELD_LINES and self._are_rows(self._lines[1:]):
            raise csv.Error("the lines after it are rows")
        return line

    def _are_rows(self, lines: list[str]) -> bool:
        """Return whether more than nine of ten lines are rows."""
        rows = csv.reader(lines, delimiter=self._delimiter)
        return sum(len(row) == self.n_columns for row in rows) > 0.9 * len(lines)


class _Lines:
    """An iterator over lines that can continue after StopIteration, when lines are
    read again.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return self._read()
