"""Compressed files: detection by content, decompression, and compression."""

import bz2
import gzip
import io
import lzma
import re
import zlib
from typing import Any, BinaryIO, NamedTuple, cast

from .errors import WnutError


class Codec(NamedTuple):
    """A compression format.

    suffix (str): The suffix of its files.
    start (Pattern[bytes]): Matches the first bytes of a compressed file.
    magic (bytes): The first bytes of a file with the suffix that is cut off early.
    command (str): The shell command that writes the content to standard output.
    """

    suffix: str
    start: re.Pattern[bytes]
    magic: bytes
    command: str


CODECS = {
    "gzip": Codec(".gz", re.compile(rb"\x1f\x8b"), b"\x1f\x8b", "gzip -cd"),
    # The first three bytes are letters, and a post may begin with them.
    "bz2": Codec(
        ".bz2",
        re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
        b"BZh",
        "bzip2 -cd",
    ),
    "xz": Codec(".xz", re.compile(rb"\xfd7zXZ\0"), b"\xfd7zXZ\0", "xz -cd"),
    # pzstd writes a skippable frame before the first frame of data.
    "zstd": Codec(
        ".zst",
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        b"\x28\xb5\x2f\xfd",
        "zstd -cd",
    ),
    "lz4": Codec(
        ".lz4", re.compile(rb"\x04\x22\x4d\x18"), b"\x04\x22\x4d\x18", "lz4 -cd"
    ),
}
# Exceptions for damaged files. pyarrow raises OSError.
ERRORS = (EOFError, OSError, zlib.error, lzma.LZMAError)
BUFFER_SIZE = 2**16


def codec_of(name: str) -> str:
    """Return the compression by the suffix of a file name, or "".

    >>> codec_of("posts.jsonl.GZ")
    'gzip'
    """
    for codec, facts in CODECS.items():
        if name.lower().endswith(facts.suffix):
            return codec
    return ""


def detect(file: BinaryIO, name: str = "") -> str:
    """Return the compression of an open file by its first bytes, or "".

    file (BinaryIO): The file, as a buffered reader. Its position does not change.
    name (str): Its name. A file that is cut off within the first bytes is recognized by
        its suffix.
    """
    head = cast(io.BufferedReader, file).peek(10)[:10]
    for codec, facts in CODECS.items():
        is_named = codec == codec_of(name)
        if facts.start.match(head) or (
            is_named and facts.magic.startswith(head[: len(facts.magic)])
        ):
            return codec
    return ""


def decompress(file: BinaryIO, name: str = "") -> BinaryIO:
    """Return the content of a file, decompressed if it is compressed.

    file (BinaryIO): The file, as a buffered reader.
    name (str): Its name.
    RETURNS (BinaryIO): The content. Reading it raises one of `ERRORS` if the file is
        truncated or damaged, or has other bytes after its compressed content.
    """
    codec = detect(file, name)
    if not codec:
        return file
    if not cast(io.BufferedReader, file).peek(1):
        raise EOFError("the file is empty")
    if codec == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if codec in ("bz2", "xz"):
        return io.BufferedReader(_Strict(file, codec), BUFFER_SIZE)
    stream = _pyarrow(codec).CompressedInputStream(_Unowned(file), codec)
    return io.BufferedReader(stream, BUFFER_SIZE)


def compress(data: bytes, codec: str) -> bytes:
    """Compress bytes. The concatenated results of several calls are one valid file.

    data (bytes): The bytes.
    codec (str): One of `CODECS`, or "" for none.
    """
    if codec == "gzip":
        # Without the time, so that the same posts give the same bytes.
        return gzip.compress(data, mtime=0)
    if codec == "bz2":
        return bz2.compress(data)
    if codec == "xz":
        return lzma.compress(data)
    if codec:
        return bytes(_pyarrow(codec).compress(data, codec=codec, asbytes=True))
    return data


def check_codec(codec: str) -> None:
    """Check that a compression is available.

    Raises WnutError if it needs a package that is not installed.
    """
    if codec in ("zstd", "lz4"):
        _pyarrow(codec)


def _pyarrow(codec: str) -> Any:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
    except ImportError as err:
        raise WnutError(
            f"{CODECS[codec].suffix} needs pyarrow, which isn't installed: "
            'pip install "spacy-wnut[annotate]"'
        ) from err
    return pa


def explain(err: BaseException) -> str:
    """Return the message for one of `ERRORS`, raised while reading a compressed file."""
    if isinstance(err, gzip.BadGzipFile) and "Not a gzipped file" in str(err):
        return f"other bytes follow the compressed content ({str(err)[20:-1]})"
    return str(err)


class _Unowned(io.BufferedReader):
    """A file that stays open when the stream around it is closed."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(cast(io.RawIOBase, file))

    def close(self) -> None:
        if not self.closed:
            self.detach()


class _Strict(io.RawIOBase):
    """A decompressor that accepts nothing but compressed content. `BZ2File` and `LZMAFile`
    silently end at other bytes, even within a damaged stream.
    """

    def __init__(self, file: BinaryIO, codec: str) -> None:
        self._file = file
        self._codec = codec
        self._stream: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            data = b""
            if self._stream is None or self._stream.eof:
                if self._stream is not None:
                    data = self._stream.unused_data.lstrip(b"\0")
                # xz files, and files on tapes, may be padded with zeros.
                while not data and (data := self._file.read(BUFFER_SIZE)):
                    data = data.lstrip(b"\0") if self._stream else data
                if not data:
                    return 0
                self._stream = (
                    bz2.BZ2Decompressor()
                    if self._codec == "bz2"
                    else lzma.LZMADecompressor()
                )
            elif self._stream.needs_input and not (
                data := self._file.read(BUFFER_SIZE)
            ):
                raise EOFError("the compressed content is cut off")
            try:
                out = self._stream.decompress(data, len(buffer))
            except (OSError, lzma.LZMAError) as err:
                raise OSError(f"damaged, or followed by other bytes ({err})") from err
            if out:
                buffer[: len(out)] = out
                return len(out)
