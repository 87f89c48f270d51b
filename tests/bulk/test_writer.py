import bz2
import gzip
import io
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin

from spacy_wnut.bulk.formats import docbin, parquet
from spacy_wnut.bulk.formats.parquet import infer_schema
from spacy_wnut.bulk.formats.registry import FORMATS as KNOWN
from spacy_wnut.bulk.records import Chunk, Found, Record
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.corpus.conll import read_conll

FORMATS = {format_.name: format_ for format_ in KNOWN if format_.writer}


def find(words, spans=()):
    spaces = [True] * len(words)
    entities = [
        {
            "start": sum(len(word) + 1 for word in words[:start]),
            "end": sum(len(word) + 1 for word in words[:end]) - 1,
            "label": "person",
            "text": " ".join(words[start:end]),
            "confidence": 0.5,
        }
        for start, end in spans
    ]
    return Found(entities, list(words), spaces, list(spans))


def make_chunk(posts):
    records = [
        Record(i, " ".join(words), fields={"text": " ".join(words), "id": i})
        for i, words in enumerate(posts, 1)
    ]
    return Chunk(records), {i: find(w, [(0, 1)] * bool(w)) for i, w in enumerate(posts)}


def writer_of(format_, codec=""):
    schema = infer_schema([{"text": "a", "id": 1}])
    return FORMATS[format_].writer(Settings("m"), codec, schema)


def write(writer, chunks, path):
    segments = [writer.encode(*chunk) for chunk in chunks]
    if writer.is_plain:
        path.write_bytes(b"".join(segments))
    else:
        writer.assemble(iter(segments), path)
    return path


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("sizes", [(), (0,), (2, 0, 3), (1,) * 7])
def test_what_is_written_is_counted(tmp_path, format_, sizes):
    writer = writer_of(format_)
    chunks = [make_chunk([["Ada", "ran"]] * size) for size in sizes]
    path = write(writer, chunks, tmp_path / "file")
    assert writer.count(path) == sum(sizes)


UNPACK = {
    "gzip": gzip.decompress,
    "bz2": bz2.decompress,
    "xz": lzma.decompress,
    "zstd": lambda data: pa.CompressedInputStream(io.BytesIO(data), "zstd").read(),
    "lz4": lambda data: pa.CompressedInputStream(io.BytesIO(data), "lz4").read(),
}


@pytest.mark.parametrize("codec", UNPACK)
@pytest.mark.parametrize("format_", ["jsonl", "conll"])
def test_compressed_segments_are_one_file(tmp_path, format_, codec):
    chunks = [make_chunk([["Ada", "ran"]] * 2), make_chunk([]), make_chunk([["Bo"]])]
    packed = write(writer_of(format_, codec), chunks, tmp_path / "packed")
    open_ = write(writer_of(format_), chunks, tmp_path / "open")
    assert UNPACK[codec](packed.read_bytes()) == open_.read_bytes()
    assert writer_of(format_, codec).count(packed) == 3
    again = write(writer_of(format_, codec), chunks, tmp_path / "again")
    assert packed.read_bytes() == again.read_bytes()


def test_json_keeps_the_fields_and_their_order(tmp_path):
    path = write(writer_of("jsonl"), [make_chunk([["Ada", "ran"]])], tmp_path / "a")
    assert list(json.loads(path.read_text()).items()) == [
        ("text", "Ada ran"),
        ("id", 1),
        (
            "entities",
            [
                {
                    "start": 0,
                    "end": 3,
                    "label": "person",
                    "text": "Ada",
                    "confidence": 0.5,
                }
            ],
        ),
    ]


def test_conll_has_words_alone(tmp_path):
    chunk, _ = make_chunk([["x"]] * 3)
    found = {
        0: find(["Ada", " ", "Lovelace", "ran"], [(0, 3)]),
        1: find(["\n", "New York", "is"], [(0, 1), (1, 2)]),
        2: find(["Ada", "Bo"], [(0, 1), (1, 2)]),
    }
    path = write(writer_of("conll"), [(chunk, found)], tmp_path / "a")
    assert path.read_text() == (
        "Ada\tB-person\nLovelace\tI-person\nran\tO\n\n"
        "New\tB-person\nYork\tI-person\nis\tO\n\n"
        "Ada\tB-person\nBo\tB-person\n\n"
    )
    assert writer_of("conll").objection(find([" ", "\n"])).startswith("the text has no")
    assert writer_of("conll").objection(find([" ", "a"])) == ""
    assert writer_of("jsonl").objection(find([])) == ""


@pytest.mark.parametrize(
    "word, label, objection",
    [
        ("Oslo", "geo place", ""),
        ("-DOCSTART-", "person", "can't hold the word -DOCSTART-, which separates"),
        ("in -DOCSTART-", "person", "can't hold the word -DOCSTART-"),
        ("-docstart-", "person", ""),
        ("Oslo", "geo\tplace", "'geo\\tplace' can't be an entity type"),
        ("Oslo", "geo\nplace", "'geo\\nplace' can't be an entity type"),
        ("Oslo", " place", "' place' can't be an entity type"),
        ("Oslo", "a,b", "'a,b' can't be an entity type"),
    ],
)
def test_conll_objects_to_what_its_reader_would_not_read_back(
    tmp_path, word, label, objection
):
    found = find([word], [(0, 1)])
    found.entities[0]["label"] = label
    assert objection in writer_of("conll").objection(found)
    assert writer_of("jsonl").objection(found) == ""
    if not objection:
        assert writer_of("conll").objection(found) == ""
        chunk, _ = make_chunk([["x"]])
        path = write(writer_of("conll"), [(chunk, {0: found})], tmp_path / "a")
        [post] = read_conll(path, None)
        assert (post.tokens, post.tags) == ([word], [f"B-{label}"])


def test_parquet_has_few_groups_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROW_GROUP", 10)
    chunks = [make_chunk([["Ada"]] * 3) for _ in range(9)]
    path = write(writer_of("parquet"), chunks, tmp_path / "a.parquet")
    file = pq.ParquetFile(path)
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sizes == [12, 12, 3]
    assert file.read().column("id").to_pylist() == [1, 2, 3] * 9


WORDS = st.lists(st.text("aé🎉x", min_size=1, max_size=3), max_size=4)


@settings(deadline=None, max_examples=30)
@given(posts=st.lists(st.lists(WORDS, max_size=3), max_size=4), limit=st.integers(0, 9))
def test_an_assembled_docbin_is_what_spacy_reads(tmp_path_factory, posts, limit):
    path = tmp_path_factory.mktemp("docbin") / "a.spacy"
    chunks = [make_chunk(some) for some in posts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docbin, "MAX_STRINGS", limit)
        write(writer_of("docbin"), chunks, path)
    expected = [words for some in posts for words in some]
    docs = DocBin(store_user_data=True).from_disk(path)
    assert writer_of("docbin").count(path) == len(docs) == len(expected)
    for doc, words in zip(
        docs.get_docs(spacy.blank("en").vocab), expected, strict=True
    ):
        assert [token.text for token in doc] == words
        assert doc.user_data["record"]["text"] == " ".join(words)
        assert [(e.text, e.label_, e._.confidence) for e in doc.ents] == [
            (word, "person", 0.5) for word in words[:1]
        ]
        # Words beside entities are known to be none.
        assert all(token.ent_iob_ in "BO" for token in doc)
    # As spaCy itself would have merged them.
    merged = DocBin(attrs=docbin.ATTRS, store_user_data=True)
    for chunk, found in chunks:
        segment = writer_of("docbin").encode(chunk, found)
        merged.merge(DocBin(store_user_data=True).from_bytes(segment))
    assert docs.strings == merged.strings
    assert docs.attrs == merged.attrs
