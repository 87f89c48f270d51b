import datetime
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spacy_wnut.corpus.formats.annotated import read_annotated
from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.formats.registry import find_format
from spacy_wnut.corpus.posts import LabelledSpan, Post
from spacy_wnut.errors import WnutError

OSLO = {"start": 10, "end": 14, "label": "location", "text": "Oslo", "confidence": 0.93}
RECORD = {"id": 7, "text": "Ada is in Oslo", "entities": [OSLO]}


def test_with_and_without_confidences(read):
    plain = {name: OSLO[name] for name in ("start", "end", "label")}
    entities = [OSLO, {**OSLO, "confidence": None}, plain]
    posts = read([{**RECORD, "entities": [one]} for one in entities])
    assert posts == [
        Post(
            RECORD["text"],
            (LabelledSpan(10, 14, "location"),),
            id="7",
            where=f"line {i}",
        )
        for i in (1, 2, 3)
    ]


def test_no_entities(read):
    assert read([{"text": "lol", "entities": []}]) == [Post("lol", where="line 1")]


def test_nested_text_field(read):
    record = {"data": {"text": "Ada is in Oslo"}, "entities": [OSLO]}
    [post] = read([record], text_field="data.text")
    assert post.spans == ((10, 14, "location"),)
    [rejected] = read([record])
    assert rejected.reason == "has no field 'text' (its fields: 'data', 'entities')"


def test_an_edited_text_is_rejected(read):
    [rejected] = read([{**RECORD, "text": "Ada was in Oslo"}])
    assert rejected.reason == (
        "the span 10 to 14 (location) has the text 'Oslo', but at its offsets the text "
        "is ' Osl': correct the offsets"
    )


def test_offsets_in_utf16(read):
    text = "🎉 Ada is in Oslo"
    for start in (12, 13):
        entity = {**OSLO, "start": start, "end": start + 4}
        [post] = read([{"text": text, "entities": [entity]}])
        assert post.spans == ((12, 16, "location"),)


@pytest.mark.parametrize(
    "change, reason",
    [
        (
            {"entities": [{**OSLO, "end": 15}]},
            "the span 10 to 15 (location) is outside",
        ),
        ({"entities": [{**OSLO, "end": 10}]}, "the span 10 to 10 (location) is empty"),
        (
            {"entities": [{"start": 3, "end": 4, "label": "x"}]},
            "the span 3 to 4 (x) is only",
        ),
        ({"entities": [{"start": 3}]}, "the end of a span is null, not an integer"),
        ({"entities": ["Oslo"]}, "the field 'entities' holds text, not objects"),
        ({"entities": None}, "the field 'entities' is null, not a list"),
        ({"text": None}, "the field 'text' is missing (null)"),
        ({"text": ""}, "the field 'text' is empty"),
    ],
)
def test_faulty_records_are_rejected_with_their_line(read, change, reason):
    first, rejected, last = read([RECORD, {**RECORD, **change}, RECORD])
    assert isinstance(first, Post) and isinstance(last, Post)
    assert rejected.where == "line 2"
    assert rejected.reason.startswith(reason)
    assert rejected.record == {**RECORD, **change}


def write_table(path, records):
    pq.write_table(pa.Table.from_pylist(records), path, row_group_size=2)


@pytest.mark.parametrize("name", ["posts.parquet", "posts.pq", "posts"])
def test_parquet(tmp_path, name):
    path = tmp_path / name
    day = datetime.date(2017, 9, 7)
    wrong = {**RECORD, "entities": [{**OSLO, "start": 11}]}
    write_table(path, [{**one, "day": day} for one in (RECORD, wrong, RECORD)])
    found = find_format(path)
    assert found.name == "annotated"
    first, rejected, last = found.read(path, ReadOptions())
    assert first == Post(
        RECORD["text"], (LabelledSpan(10, 14, "location"),), id="7", where="row 1"
    )
    assert rejected.where == "row 2"
    assert rejected.record == {**wrong, "day": "2017-09-07"}
    assert last.where == "row 3"


def test_texts_of_parquet_that_are_bytes(tmp_path):
    path = tmp_path / "posts.parquet"
    texts = [b"Ada is in Oslo", b"Ada is in Oslo\xff"]
    write_table(path, [{"text": text, "entities": [OSLO]} for text in texts])
    first, rejected = read_annotated(path, ReadOptions())
    assert first.spans == ((10, 14, "location"),)
    assert rejected.reason == "the text isn't UTF-8"


def test_parquet_that_cannot_be_read(tmp_path):
    path = tmp_path / "posts.parquet"
    write_table(path, [RECORD])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(WnutError, match=r"posts.parquet can't be read as parquet"):
        list(read_annotated(path, ReadOptions()))
    write_table(path, [{"text": "lol"}])
    [rejected] = read_annotated(path, ReadOptions())
    assert rejected.reason == "has no field 'entities' (its fields: 'text')"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(WnutError, match=r"posts\.parquet has no rows"):
        list(read_annotated(path, ReadOptions()))


def test_compressed_jsonl(tmp_path):
    path = tmp_path / "posts.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(RECORD).encode()))
    [post] = find_format(path).read(path, ReadOptions())
    assert post.spans == ((10, 14, "location"),)
