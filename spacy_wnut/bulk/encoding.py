"""Text in other encodings than UTF-8: conversion to it, and hints from what was found."""

import codecs
import io
import re
from typing import Any, BinaryIO, cast

from ..errors import WnutError

PIECE = 2**16
MARKS = {
    # The mark of UTF-32 begins with that of UTF-16.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Bytes that are enough to tell UTF-16 from text with a stray NUL.
ENOUGH = 8
INVALID = "spacy-wnut.invalid"
HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    """The bytes that can't be decoded, after one that is never part of UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    shown = "".join(f"\\x{byte:02x}" for byte in error.object[error.start : error.end])
    return f"\udcff{shown}", error.end


codecs.register_error(INVALID, _mark_invalid)


def find_encoding(encoding: str | None) -> str | None:
    """Python's name of an encoding; None for UTF-8, which is the default.

    Raises WnutError if it is unknown or isn't one of text.
    """
    if encoding is None:
        return None
    try:
        name = codecs.lookup(encoding).name
        "text".encode(encoding).decode(encoding)
    except (LookupError, UnicodeError, ValueError, TypeError):
        raise WnutError(
            f"--encoding {encoding!r} is unknown: give a name that Python knows, as "
            "utf-16, cp1252, latin-1 or shift_jis"
        ) from None
    return None if name in ("utf-8", "utf-8-sig") else name


def check_unicode(name: str, file: BinaryIO) -> None:
    """Raises WnutError if a file that should be in UTF-8 is in UTF-16 or UTF-32.

    name (str): The name of the file.
    file (BinaryIO): The file, as a buffered reader. Its position doesn't change.
    """
    head = cast(io.BufferedReader, file).peek(PIECE)
    found = next((e for mark, e in MARKS.items() if head.startswith(mark)), "")
    if not found and len(head) >= ENOUGH:
        # Latin letters in UTF-16 are every second byte, with zeros between them.
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > len(head) / 4 and not min(even, odd):
            found = "utf-16-be" if even else "utf-16-le"
    if found:
        raise WnutError(
            f"{name} isn't in UTF-8, but seems to be in {found.upper()}: give "
            f"--encoding {found}"
        )


def recode(file: BinaryIO, encoding: str) -> BinaryIO:
    """The content of a file in UTF-8. Lines that can't be decoded are no valid UTF-8.

    file (BinaryIO): The file.
    encoding (str): Its encoding.
    """
    return io.BufferedReader(_Recoded(file, encoding), PIECE)


class _Recoded(io.RawIOBase):
    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder: Any = codecs.getincrementaldecoder(encoding)(INVALID)
        self._ready = b""
        self._is_at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._is_at_end:
            data = self._file.read(PIECE)
            self._is_at_end = not data
            text = self._decoder.decode(data, self._is_at_end)
            try:
                self._ready = text.encode("utf8", "surrogateescape")
            except UnicodeEncodeError:
                # UTF-7 and the like have halves of characters.
                self._ready = HALF.sub("\udcff", text).encode("utf8", "surrogateescape")
        some = self._ready[: len(buffer)]
        self._ready = self._ready[len(some) :]
        buffer[: len(some)] = some
        return len(some)
