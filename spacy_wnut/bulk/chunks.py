"""Chunks of an input, numbered and hashed, so that a run can resume."""

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..errors import WnutError
from .records import Chunk
from .sources import DamagedInput, Source

# Chunks that are read ahead to infer the columns of a table.
LOOK_AHEAD = 10
# A chunk, the number of records read up to its end, and their digest.
NumberedChunk = tuple[Chunk, int, str]


class NumberedChunks:
    """Iterates over the chunks of a source.

    The digest identifies the input: it works for standard input, for a copy of a file
    and for a file that has grown.

    source (Source): The open input.
    size (int): Records per chunk.
    """

    def __init__(self, source: Source, size: int) -> None:
        self.read = 0
        self._chunks = source.chunks(size)
        self._waiting: deque[Chunk] = deque()
        self._name = source.name
        self._schema = source.schema
        self._damage: DamagedInput | None = None
        self._digest = hashlib.blake2b(source.identity().encode("utf8"), digest_size=16)

    def __iter__(self) -> Iterator[NumberedChunk]:
        return self

    def __next__(self) -> NumberedChunk:
        chunk = self._waiting.popleft() if self._waiting else self._next()
        if chunk is None:
            raise StopIteration
        self.read += len(chunk.records)
        text = repr(chunk.records).encode("utf8", "surrogatepass")
        self._digest.update(text)
        return chunk, self.read, self._digest.hexdigest()

    def check_end(self) -> None:
        """Check that the iteration ended at the end of the input.

        Raises DamagedInput if the input could not be read to its end.
        """
        if self._damage:
            raise self._damage

    def schema(self) -> Any:
        """RETURNS (pyarrow.Schema): The columns of the source or, if it has none, of the
        first readable records. Chunks that are read for it stay in the iteration.
        """
        if self._schema is not None:
            return self._schema
        from .formats.parquet import infer_schema

        sample: list[dict[str, Any]] = []
        while not sample and len(self._waiting) < LOOK_AHEAD:
            chunk = self._next()
            if chunk is None:
                break
            self._waiting.append(chunk)
            sample = [
                record.fields
                for record in chunk.records
                if record.fields and not record.problem
            ]
        return infer_schema(sample)

    def skip(self, read: int, digest: str) -> None:
        """Skip the records that an earlier run has processed.

        read (int): The number of records to skip.
        digest (str): Their digest.

        Raises WnutError if the records are others, DamagedInput if they cannot be read.
        """
        last = ""
        while self.read < read:
            _, _, last = next(self, (None, 0, ""))
            if not last:
                break
        if self.read < read:
            self.check_end()
        if read and (self.read, last) != (read, digest):
            raise WnutError(
                f"the first {read} records of {self._name} aren't those that were "
                "annotated: go on with the same input, or begin anew with --overwrite"
            )

    def _next(self) -> Chunk | None:
        # The records before the damage are annotated first.
        try:
            return next(self._chunks, None)
        except DamagedInput as err:
            self._damage = err
            return None
