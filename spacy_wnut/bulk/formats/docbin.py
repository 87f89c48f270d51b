"""DocBin: spaCy's own format, assembled from small DocBins without holding all docs in
memory.
"""

import json
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

import numpy
import srsly  # type: ignore[import-untyped]
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab
from srsly.msgpack import Packer, Unpacker  # type: ignore[import-untyped]

from ...pipeline.confidences import CONFIDENCE
from ..records import Chunk, Found, count_nulls, to_json
from ..writer import Writer

RECORD = "record"
ATTRS = ("ENT_IOB", "ENT_TYPE")
# The parts of a DocBin, by their msgpack type. The lengths come first, so that docs can
# be counted without reading the whole file.
ARRAYS = ("lengths", "tokens", "spaces")
LISTS = ("strings", "cats", "flags", "span_groups", "user_data")
# A word takes 8 bytes for itself and for each attribute, and a msgpack array has less
# than 4 GiB.
MAX_WORDS = (2**32 - 1) // (8 * (1 + len(ATTRS)))
# Strings known to avoid duplicates in the file. Duplicates are allowed.
MAX_STRINGS = 1_000_000


class DocBinWriter(Writer):
    """Writes docs with `doc.ents`, `span._.confidence` and the record in
    `doc.user_data["record"]`. Other annotations of the pipeline are not stored.
    """

    is_plain = False
    max_words = MAX_WORDS

    def encode(self, chunk: Chunk, found: Mapping[int, Found]) -> bytes:
        """Return the segment of a chunk: a DocBin."""
        vocab = Vocab()
        docs = DocBin(attrs=ATTRS, store_user_data=True)
        fields = chunk.fields() if found else []
        for i, one in found.items():
            doc = Doc(vocab, words=one.words, spaces=one.spaces)
            ents = []
            for (start, end), entity in zip(one.spans, one.entities, strict=True):
                ent = Span(doc, start, end, label=entity["label"])
                if entity["confidence"] is not None:
                    ent._.set(CONFIDENCE, entity["confidence"])
                ents.append(ent)
            doc.set_ents(ents, default="outside")
            # JSON converts dates and other types that msgpack does not have.
            doc.user_data[RECORD] = json.loads(to_json(fields[i]))
            docs.add(doc)
        return docs.to_bytes()

    def count_nulls(self, chunk: Chunk, found: Mapping[int, Found]) -> int:
        """Count the numbers that are written as null."""
        fields = chunk.fields() if found else []
        return sum(count_nulls(fields[i]) for i in found)

    def assemble(self, segments: Iterator[bytes], path: Path) -> None:
        """Write the DocBin of the docs of all segments."""
        with ExitStack() as stack:
            columns = {
                name: stack.enter_context(TemporaryFile(dir=path.parent))
                for name in (*ARRAYS, *LISTS)
            }
            counts = dict.fromkeys(LISTS, 0)
            packer = Packer(use_bin_type=True)
            known: set[str] = set()
            head = {"version": DocBin().version, "attrs": DocBin(attrs=ATTRS).attrs}
            for segment in segments:
                docs = srsly.msgpack_loads(zlib.decompress(segment))
                new = [s for s in docs["strings"] if s not in known]
                if len(known) < MAX_STRINGS:
                    known.update(new)
                docs["strings"] = new
                for name in ARRAYS:
                    columns[name].write(docs[name])
                for name in LISTS:
                    counts[name] += len(docs[name])
                    columns[name].writelines(packer.pack(one) for one in docs[name])
            file = _Compressed(path)
            stack.callback(file.close)
            file.write(packer.pack_map_header(len(head) + len(columns)))
            for name, value in head.items():
                file.write(packer.pack(name) + packer.pack(value))
            for name, column in columns.items():
                file.write(packer.pack(name))
                if name in ARRAYS:
                    # The msgpack header of a byte array with a 32-bit length.
                    file.write(b"\xc6" + struct.pack(">I", column.tell()))
                else:
                    file.write(packer.pack_array_header(counts[name]))
                column.seek(0)
                shutil.copyfileobj(column, file)

    def count(self, path: Path) -> int:
        """Count the records of a file."""
        with path.open("rb") as file:
            start = zlib.decompressobj().decompress(file.read(4096))
        unpacker = Unpacker(raw=False)
        unpacker.feed(start)
        unpacker.read_map_header()
        while unpacker.unpack() != ARRAYS[0]:
            unpacker.skip()
        place = unpacker.tell() + 1
        [length] = struct.unpack(">I", start[place : place + 4])
        return int(length) // numpy.dtype("int32").itemsize


class _Compressed:
    """A file that is compressed with zlib while it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._deflate = zlib.compressobj()

    def write(self, data: bytes) -> int:
        self._file.write(self._deflate.compress(data))
        return len(data)

    def close(self) -> None:
        self._file.write(self._deflate.flush())
        self._file.close()
