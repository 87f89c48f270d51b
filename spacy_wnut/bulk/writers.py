"""Writers: what was found, in any of the formats.

A chunk becomes a segment of bytes. Where a file of the format is nothing but its
segments (JSONL, CoNLL), they are written one after the other. Otherwise (parquet,
DocBin) the file is assembled from the segments at the end, without ever holding more
than a few of them.
"""

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from ..corpus.conll import DOCSTART
from ..labels import Entity, entities_to_tags, type_problem
from .compression import compress, plain
from .records import Chunk, count_nulls, to_json
from .work import Found

ROWS = 50_000


class Writer:
    """Writes one format. Writers are sent to other processes, so they hold no state.

    entities_field (str): The field of the entities.
    codec (str): The compression of the file, or "".
    """

    is_plain = True
    # How many words a file can hold, if there is a limit.
    most_words: int | None = None

    def __init__(self, entities_field: str, codec: str = "") -> None:
        self.entities_field = entities_field
        self.codec = codec

    def objection(self, found: Found) -> str:
        """Why the format can't hold what was found in a record, or ""."""
        return ""

    def encode(self, chunk: Chunk, found: Mapping[int, Found]) -> bytes:
        """The segment of a chunk.

        chunk (Chunk): The records.
        found (Mapping[int, Found]): What was found in those that are written, by
            their index, in order.
        """
        text = self._encode(chunk, found).encode("utf8")
        # A compressed file may consist of several streams.
        return compress(text, self.codec)

    def count_nulls(self, chunk: Chunk, found: Mapping[int, Found]) -> int:
        """How many numbers the segment of a chunk has as null. JSON has no NaN and no
        infinity.
        """
        return 0

    def assemble(self, segments: Iterator[bytes], path: Path) -> None:
        """Write the file that the segments are of, if it isn't plain."""
        raise NotImplementedError

    def count(self, path: Path) -> int:
        """How many records a file holds."""
        with path.open("rb") as file:
            whole = plain(file) if self.codec else file
            return sum(self._ends_record(line) for line in whole)

    def _encode(self, chunk: Chunk, found: Mapping[int, Found]) -> str:
        raise NotImplementedError

    def _ends_record(self, line: bytes) -> bool:
        return True


class JsonWriter(Writer):
    """An object of JSON a line: the record's fields and its entities."""

    def count_nulls(self, chunk: Chunk, found: Mapping[int, Found]) -> int:
        """How many numbers the segment of a chunk has as null."""
        fields = chunk.fields() if found else []
        return sum(count_nulls(fields[i]) for i in found)

    def _encode(self, chunk: Chunk, found: Mapping[int, Found]) -> str:
        lines = []
        fields = chunk.fields() if found else []
        for i, one in found.items():
            lines.append(to_json({**fields[i], self.entities_field: one.entities}))
            lines.append("\n")
        return "".join(lines)


class ConllWriter(Writer):
    """A word and its BIO tag a line, and a blank line after every post."""

    def objection(self, found: Found) -> str:
        """Why the format can't hold what was found in a record, or ""."""
        words = [part for word in found.words for part in word.split()]
        if not words:
            return "the text has no words, and CoNLL can't hold an empty post"
        if DOCSTART in words:
            return f"CoNLL can't hold the word {DOCSTART}, which separates documents"
        problems = (type_problem(entity["label"]) for entity in found.entities)
        return next(filter(None, problems), "")

    def _encode(self, chunk: Chunk, found: Mapping[int, Found]) -> str:
        lines = []
        for one in found.values():
            for word, tag in _tagged(one):
                lines.append(f"{word}\t{tag}\n")
            lines.append("\n")
        return "".join(lines)

    def _ends_record(self, line: bytes) -> bool:
        return line == b"\n"


class ParquetWriter(Writer):
    """The record's columns and one of its entities.

    schema (pyarrow.Schema): The record's columns.
    """

    is_plain = False

    def __init__(self, entities_field: str, schema: Any) -> None:
        super().__init__(entities_field)
        self.schema = schema

    def table(self, chunk: Chunk, found: Mapping[int, Found]) -> Any:
        """The table of a chunk."""
        import pyarrow as pa  # type: ignore[import-untyped]

        from .parquet import to_table, with_entities

        if chunk.rows is None:
            fields = chunk.fields()
            table = to_table([fields[i] for i in found], self.schema)
        else:
            rows = chunk.rows
            if isinstance(rows, pa.RecordBatch):
                rows = pa.Table.from_batches([rows])
            table = rows.take(pa.array(list(found), type=pa.int64()))
        entities = [one.entities for one in found.values()]
        return with_entities(table, entities, self.entities_field)

    def encode(self, chunk: Chunk, found: Mapping[int, Found]) -> bytes:
        """The segment of a chunk: a stream of Arrow."""
        import pyarrow as pa

        table = self.table(chunk, found)
        sink = BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue()

    def assemble(self, segments: Iterator[bytes], path: Path) -> None:
        """Write the file that the segments are of."""
        import pyarrow as pa
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        from .parquet import with_entities

        nothing = with_entities(self.schema.empty_table(), [], self.entities_field)
        tables = []
        with pq.ParquetWriter(path, nothing.schema) as file:
            for segment in segments:
                tables.append(pa.ipc.open_stream(segment).read_all())
                # In larger groups of rows than a segment's: they are read faster.
                if sum(map(len, tables)) >= ROWS:
                    file.write_table(pa.concat_tables(tables))
                    tables = []
            file.write_table(pa.concat_tables([nothing, *tables]))

    def count(self, path: Path) -> int:
        """How many records a file holds."""
        from .parquet import count_rows

        return count_rows(path)


def make_writer(format_: str, codec: str, entities_field: str, schema: Any) -> Writer:
    """The writer of a format.

    format_ (str): One of jsonl, conll, parquet and docbin.
    codec (str): The compression of jsonl or conll, or "".
    entities_field (str): The field for the entities.
    schema (Any): The columns of parquet.
    """
    if format_ == "parquet":
        return ParquetWriter(entities_field, schema)
    if format_ == "docbin":
        from .docbins import DocBinWriter

        return DocBinWriter(entities_field)
    writer = JsonWriter if format_ == "jsonl" else ConllWriter
    return writer(entities_field, codec)


def _tagged(found: Found) -> Iterator[tuple[str, str]]:
    """The words that CoNLL can hold, and their tags."""
    words: list[str] = []
    starts = []
    for word in found.words:
        starts.append(len(words))
        # White space is no word there. A word that holds some (a pipe may have merged
        # words) becomes several of the same entity.
        words.extend(word.split())
    starts.append(len(words))
    entities = [
        Entity(starts[start], starts[end], entity["label"])
        for (start, end), entity in zip(found.spans, found.entities, strict=True)
        if starts[start] < starts[end]
    ]
    return zip(words, entities_to_tags(entities, len(words)), strict=True)
