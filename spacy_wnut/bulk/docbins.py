"""DocBins of any size, assembled from small ones without holding them in memory."""

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

from ..pipeline.entity_tagger import CONFIDENCE
from .records import Chunk, count_nulls, to_json
from .work import Found
from .writers import Writer

RECORD = "record"
ATTRS = ("ENT_IOB", "ENT_TYPE")
# What a DocBin holds of all docs together, by the type of msgpack. The lengths come
# first, so that it is soon known how many docs there are.
ARRAYS = ("lengths", "tokens", "spaces")
LISTS = ("strings", "cats", "flags", "span_groups", "user_data")
# A word costs a number of 8 bytes for itself and for every attribute, and msgpack
# has no array of more than 4 GiB.
MOST_WORDS = (2**32 - 1) // (8 * (1 + len(ATTRS)))
# Strings may be in the file twice, so only so many are remembered.
REMEMBERED = 1_000_000


class DocBinWriter(Writer):
    """spaCy's own format: docs with `doc.ents`, `span._.confidence` and the record in
    `doc.user_data["record"]`. What else the pipeline sets is left out.
    """

    is_plain = False
    most_words = MOST_WORDS

    def encode(self, chunk: Chunk, found: Mapping[int, Found]) -> bytes:
        """The segment of a chunk: a DocBin."""
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
            # By way of JSON: msgpack knows no dates and the like either.
            doc.user_data[RECORD] = json.loads(to_json(fields[i]))
            docs.add(doc)
        return docs.to_bytes()

    def count_nulls(self, chunk: Chunk, found: Mapping[int, Found]) -> int:
        """How many numbers the segment of a chunk has as null."""
        fields = chunk.fields() if found else []
        return sum(count_nulls(fields[i]) for i in found)

    def assemble(self, segments: Iterator[bytes], path: Path) -> None:
        """Write the DocBin that has the docs of all segments."""
        with ExitStack() as stack:
            columns = {
                name: stack.enter_context(TemporaryFile(dir=path.parent))
                for name in (*ARRAYS, *LISTS)
            }
            counts = dict.fromkeys(LISTS, 0)
            packer = Packer(use_bin_type=True)
            remembered: set[str] = set()
            head = {"version": DocBin().version, "attrs": DocBin(attrs=ATTRS).attrs}
            for segment in segments:
                docs = srsly.msgpack_loads(zlib.decompress(segment))
                fresh = [s for s in docs["strings"] if s not in remembered]
                if len(remembered) < REMEMBERED:
                    remembered.update(fresh)
                docs["strings"] = fresh
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
                    # An array of bytes with a length of 32 bits.
                    file.write(b"\xc6" + struct.pack(">I", column.tell()))
                else:
                    file.write(packer.pack_array_header(counts[name]))
                column.seek(0)
                shutil.copyfileobj(column, file)

    def count(self, path: Path) -> int:
        """How many records a file holds."""
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
    """A file that is compressed while it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._deflate = zlib.compressobj()

    def write(self, data: bytes) -> int:
        self._file.write(self._deflate.compress(data))
        return len(data)

    def close(self) -> None:
        self._file.write(self._deflate.flush())
        self._file.close()
