"""Writers: the records of a chunk with their entities as bytes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..compression import compress, decompress
from .records import Chunk, Found
from .settings import Settings


class Writer:
    """Writes one format. Writers are sent to other processes, so they have no state.

    A chunk becomes a segment of bytes. If a file of the format is the concatenation of
    its segments (`is_plain`), they are written one after the other. Otherwise the file
    is assembled from the segments at the end, with only a few of them in memory. A
    stream gets the pieces of `join`.

    settings (Settings): The settings: the names of the fields, the unit of the offsets
        and the pipeline.
    codec (str): The compression of a text file, or "".
    schema (Any): The columns of a table (pyarrow.Schema), or None.
    """

    is_plain = True
    # The greatest number of words in a file, if there is a limit.
    max_words: int | None = None

    def __init__(self, settings: Settings, codec: str = "", schema: Any = None) -> None:
        self.settings = settings
        self.entities_field = settings.entities_field
        self.codec = codec
        self.schema = schema

    def objection(self, found: Found) -> str:
        """Return the reason why the format cannot hold a record, or ""."""
        return ""

    def encode(self, chunk: Chunk, found: Mapping[int, Found]) -> bytes:
        """Return the segment of a chunk.

        chunk (Chunk): The records.
        found (Mapping[int, Found]): The results for the records to write, by their
            index in the chunk, in order.
        """
        text = self._encode(chunk, found).encode("utf8")
        # A compressed file may be a sequence of streams.
        return compress(text, self.codec)

    def count_nulls(self, chunk: Chunk, found: Mapping[int, Found]) -> int:
        """Count the numbers that the segment has as null, since JSON has no NaN and no
        infinity.
        """
        return 0

    def assemble(self, segments: Iterator[bytes], path: Path) -> None:
        """Write the file of all segments, if it is not their concatenation."""
        raise NotImplementedError

    def join(self, segments: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the bytes of a file or stream of all segments, as soon as they are
        known.
        """
        return segments

    def count(self, path: Path) -> int:
        """Count the records of a file."""
        with path.open("rb") as file:
            whole = decompress(file) if self.codec else file
            return sum(self._ends_record(line) for line in whole)

    def _encode(self, chunk: Chunk, found: Mapping[int, Found]) -> str:
        raise NotImplementedError

    def _ends_record(self, line: bytes) -> bool:
        return True
