"""Reasons for rejection, counted by kind."""

import json
import re
from collections import Counter
from collections.abc import Iterable

# Records after which a run stops if all of them were rejected for one reason.
MOST_REJECTED = 10_000
# Names of fields that a message lists.
MOST_NAMES = 20
# Reasons that are shown.
SHOWN = 5
LONGEST = 200
HINTS = {
    "has no field": "name the field of the text with --text-field",
    "the field .* (is|are) ": "name another field with --text-field",
    "UTF-8": "give the encoding of the file, as with --encoding cp1252",
    "NUL character": "give --encoding utf-16 if the file is in UTF-16",
    "isn't JSON": "name the format with --input-format if the file has another one",
    "columns, and the first row": "give --delimiter if columns are separated otherwise",
}


class Reasons:
    """Counts why records were rejected. What changes from record to record (numbers,
    details) is left out in telling reasons apart.

    lines (Iterable[str]): Rejected records, as lines of JSON.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._names: dict[str, None] = {}
        self.add(lines)

    def add(self, lines: Iterable[str]) -> None:
        """Count the reasons of more rejected records."""
        for line in lines:
            rejected = json.loads(line)
            reason = rejected["reason"]
            kind = re.sub(r"0x[0-9a-f]+|\d+", "0", re.split(r": | \(", reason)[0])
            self._counts[kind] += 1
            self._first.setdefault(kind, reason)
            if isinstance(rejected["record"], dict) and len(self._names) < MOST_NAMES:
                self._names.update(dict.fromkeys(rejected["record"]))

    def most_common(self, n: int) -> list[tuple[str, int]]:
        """The most frequent reasons, each as it was first given, and their counts.

        n (int): How many.
        """
        return [
            (shorten(self._first[kind]), count)
            for kind, count in self._counts.most_common(n)
        ]

    def hint(self) -> str:
        """What may help against the most frequent reason, or ""."""
        for reason, _ in self.most_common(1):
            for found, hint in HINTS.items():
                if re.search(found, reason):
                    return hint
        return ""

    def summary(self) -> tuple[list[tuple[str, int]], str]:
        """The most frequent reasons, and a hint against the first."""
        return self.most_common(SHOWN), self.hint()

    def verdict(self, annotated: int, name: str) -> str:
        """Why nothing can be made of an input: all of its records were rejected for one
        reason. "" if that isn't so.

        annotated (int): How many of its records were annotated.
        name (str): Its name.
        """
        if annotated or len(self._counts) != 1:
            return ""
        [(reason, count)] = self.most_common(1)
        read = f"{count:,} records were" if count > 1 else "1 record was"
        names = ", ".join(shorten(repr(n)) for n in list(self._names)[:MOST_NAMES])
        parts = [
            f"nothing of {name} can be annotated: {read} read, and rejected for the same "
            f"reason: {reason.partition(' (its fields')[0]}",
            f"The fields of these records: {names}" if names else "",
            self.hint(),
            "If other records are good, remove these from the input",
            "Nothing was written",
        ]
        return ". ".join(part[:1].upper() + part[1:] for part in parts if part)


def shorten(text: str) -> str:
    """A text for a terminal: of a bounded length and without control characters."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
