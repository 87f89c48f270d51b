"""Reasons for rejection, and their counts."""

import json
import re
from collections import Counter
from collections.abc import Iterable

# Records after which a run stops if all were rejected for one reason.
MAX_REJECTED = 10_000
# Field names in a message.
MAX_NAMES = 20
# Reasons in a summary.
N_SHOWN = 5
# Characters of a reason or name in a message.
MAX_LENGTH = 200
HINTS = {
    "has no field": "name the field of the text with --text-field",
    "the field .* (is|are) ": "name another field with --text-field",
    "UTF-8": "give the encoding of the file, as with --encoding cp1252",
    "NUL character": "give --encoding utf-16 if the file is in UTF-16",
    "isn't JSON": "name the format with --input-format if the file has another one",
    "columns, and the first row": "give --delimiter if columns are separated otherwise",
}


class Reasons:
    """Counts the reasons for rejection. Reasons that differ only in numbers or details
    are counted as one.

    lines (Iterable[str]): Rejected records, as lines of JSON.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._names: dict[str, None] = {}
        self.add(lines)

    def add(self, lines: Iterable[str]) -> None:
        """Count the reasons of further rejected records."""
        for line in lines:
            rejected = json.loads(line)
            reason = rejected["reason"]
            kind = re.sub(r"0x[0-9a-f]+|\d+", "0", re.split(r": | \(", reason)[0])
            self._counts[kind] += 1
            self._first.setdefault(kind, reason)
            if isinstance(rejected["record"], dict) and len(self._names) < MAX_NAMES:
                self._names.update(dict.fromkeys(rejected["record"]))

    def most_common(self, n: int) -> list[tuple[str, int]]:
        """Return the most frequent reasons, in their first wording, with their counts.

        n (int): The number of reasons.
        """
        return [
            (shorten(self._first[kind]), count)
            for kind, count in self._counts.most_common(n)
        ]

    def hint(self) -> str:
        """Return advice on the most frequent reason, or ""."""
        for reason, _ in self.most_common(1):
            for found, hint in HINTS.items():
                if re.search(found, reason):
                    return hint
        return ""

    def summary(self) -> tuple[list[tuple[str, int]], str]:
        """Return the most frequent reasons with their counts, and advice on the first."""
        return self.most_common(N_SHOWN), self.hint()

    def verdict(self, annotated: int, name: str) -> str:
        """Return the error message for an input of which all records were rejected for
        one reason, or "" for other inputs.

        annotated (int): The number of annotated records.
        name (str): The name of the input.
        """
        if annotated or len(self._counts) != 1:
            return ""
        [(reason, count)] = self.most_common(1)
        read = f"{count:,} records were" if count > 1 else "1 record was"
        names = ", ".join(shorten(repr(n)) for n in list(self._names)[:MAX_NAMES])
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
    """Return a text for the terminal: at most 200 characters, control characters escaped."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= MAX_LENGTH else f"{shown[:MAX_LENGTH]}…"
