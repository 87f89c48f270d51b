"""Encodings other than UTF-8: detection, and conversion to UTF-8."""

import codecs
import io
import re
from typing import Any, BinaryIO, cast

from ..errors import WnutError

BUFFER_SIZE = 2**16
MARKS = {
    # The mark of UTF-32 begins with the mark of UTF-16.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Bytes needed to tell UTF-16 from text with a stray NUL.
MIN_BYTES = 8
INVALID = "spacy-wnut.invalid"
LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    """Replace undecodable bytes by their escapes, after a byte that is never valid in
    UTF-8. The line is then rejected as invalid.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    shown = "".join(f"\\x{byte:02x}" for byte in error.object[error.start : error.end])
    return f"\udcff{shown}", error.end


codecs.register_error(INVALID, _mark_invalid)


def find_encoding(encoding: str | None) -> str | None:
    """Return Python's name of an encoding, or None for UTF-8, the default.

    Raises WnutError if it is unknown or is not a text encoding.

    >>> find_encoding("Latin-1")
    'iso8859-1'
    >>> find_encoding("UTF8")
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
    """Check that a file is not in UTF-16 or UTF-32.

    name (str): The name of the file, for the message.
    file (BinaryIO): The file, as a buffered reader. Its position does not change.

    Raises WnutError with the encoding if it is.
    """
    head = cast(io.BufferedReader, file).peek(BUFFER_SIZE)
    found = next((e for mark, e in MARKS.items() if head.startswith(mark)), "")
    if not found and len(head) >= MIN_BYTES:
        # In UTF-16 every second byte of Latin text is zero.
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > len(head) / 4 and not min(even, odd):
            found = "utf-16-be" if even else "utf-16-le"
    if found:
        raise WnutError(
            f"{name} isn't in UTF-8, but seems to be in {found.upper()}: give "
            f"--encoding {found}"
        )


def recode(file: BinaryIO, encoding: str) -> BinaryIO:
    """Return the content of a file in UTF-8. Lines that cannot be decoded become invalid
    UTF-8, so that their records are rejected.

    file (BinaryIO): The file.
    encoding (str): Its encoding.
    """
    return io.BufferedReader(_Recoded(file, encoding), BUFFER_SIZE)


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
            data = self._file.read(BUFFER_SIZE)
            self._is_at_end = not data
            text = self._decoder.decode(data, self._is_at_end)
            try:
                self._ready = text.encode("utf8", "surrogateescape")
            except UnicodeEncodeError:
                # Some encodings, as UTF-7, can hold lone surrogates.
                self._ready = LONE_SURROGATE.sub("\udcff", text).encode(
                    "utf8", "surrogateescape"
                )
        some = self._ready[: len(buffer)]
        self._ready = self._ready[len(some) :]
        buffer[: len(some)] = some
        return len(some)
