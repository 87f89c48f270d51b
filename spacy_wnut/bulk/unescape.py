"""Texts without HTML escapes (`&amp;`, `&#39;`), aligned with the escaped texts."""

import html
import re
from html.entities import html5
from typing import NamedTuple

# A character reference, as in the HTML standard and `html.unescape`.
REFERENCE = re.compile(
    r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)", re.ASCII
)
# The shortest names of references that may lack the semicolon, such as "lt".
MIN_NAME = 2


class Unescaped(NamedTuple):
    """A text without escapes, aligned with the original.

    text (str): The text, as `html.unescape` returns it.
    starts (List[int]): For each character the start of its escape, or of itself, in the
        original.
    ends (List[int]): For each character the end of the same.
    """

    text: str
    starts: list[int]
    ends: list[int]

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Return the part of the original that became a part of the text. It never
        splits an escape.

        start, end (int): The characters of the part, at least one.

        >>> unescape_html("AT&amp;T").to_original(1, 4)
        (1, 8)
        """
        return self.starts[start], self.ends[end - 1]


def unescape_html(text: str) -> Unescaped:
    """Replace the HTML escapes of a text, once.

    >>> unescape_html("&lt;3 &amp;amp;").text
    '<3 &amp;'
    """
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def add(part: str, start: int, end: int, is_escape: bool) -> None:
        parts.append(part)
        if is_escape:
            starts.extend([start] * len(part))
            ends.extend([end] * len(part))
        else:
            starts.extend(range(start, end))
            ends.extend(range(start + 1, end + 1))

    place = 0
    for found in REFERENCE.finditer(text):
        start, end = found.start(), found.start() + _escape_length(found[1])
        if start == end:
            continue
        add(text[place:start], place, start, is_escape=False)
        add(html.unescape(text[start:end]), start, end, is_escape=True)
        place = end
    add(text[place:], place, len(text), is_escape=False)
    return Unescaped("".join(parts), starts, ends)


def _escape_length(name: str) -> int:
    """Return the number of characters that are an escape, of those from "&" on.

    name (str): The characters after "&" that may be its name.
    """
    if name.startswith("#") or name in html5:
        return 1 + len(name)
    # A name without semicolon may be followed by letters: "&notit" is "¬it".
    for length in range(len(name) - 1, MIN_NAME - 1, -1):
        if name[:length] in html5:
            return 1 + length
    return 0
