import json

from spacy_wnut.bulk.formats.doccano import DoccanoWriter
from spacy_wnut.bulk.records import Chunk, Found, Record
from spacy_wnut.bulk.settings import Settings


def entity(text, part, label, confidence):
    start = text.index(part)
    place = {"start": start, "end": start + len(part)}
    return {**place, "label": label, "text": part, "confidence": confidence}


def write(fields, text, entities, **settings):
    chunk = Chunk([Record(1, text, fields=fields)])
    found = {0: Found(entities, text.split(), [], [])}
    writer = DoccanoWriter(Settings("m", **settings))
    return json.loads(writer.encode(chunk, found))


def test_labels_are_code_points_and_fields_are_kept():
    text = "🎉 Ada in Oslo"
    fields = {"id": 7, "text": text, "tags": ["a"], "meta": {"by": "x"}}
    entities = [entity(text, "Ada", "person", 0.5), entity(text, "Oslo", "place", None)]
    written = write(fields, text, entities)
    assert written == {
        "text": text,
        "label": [[2, 5, "person"], [9, 13, "place"]],
        "confidences": [0.5, None],
        "id": 7,
        "tags": ["a"],
        "meta": {"by": "x"},
    }


def test_the_field_of_the_text_is_renamed_and_a_nested_one_copied():
    written = write({"label": "in Oslo", "id": 1}, "in Oslo", [], text_field="label")
    assert written == {"text": "in Oslo", "label": [], "confidences": [], "id": 1}
    fields = {"data": {"text": "in Oslo"}}
    written = write(fields, "in Oslo", [], text_field="data.text")
    assert (written["text"], written["data"]) == ("in Oslo", fields["data"])


def test_a_file_of_posts(tmp_path, annotate, ruler, read_jsonl, posts_file):
    out = tmp_path / "out.jsonl"
    summary = annotate(ruler, posts_file, out, output_format="doccano", chunk_size=7)
    assert (summary.annotated, summary.rejected) == (91, 9)
    posts = read_jsonl(out)
    assert [post["id"] for post in posts][:8] == [0, 1, 2, 3, 4, 5, 6, 8]
    for post in posts:
        parts = {
            (post["text"][start:end], type_) for start, end, type_ in post["label"]
        }
        expected = {("Ada Lovelace", "person"), ("Oslo", "location")}
        assert parts == (expected if post["id"] % 3 else set())
        assert post["confidences"] == [None] * len(parts)


def test_fields_that_would_be_lost_are_rejected(tmp_path, annotate, ruler, read_jsonl):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(
        '{"text": "a", "label": []}\n{"text": "b", "entities": 1}\n'
        '{"text": "c", "confidences": 1}\n'
    )
    annotate(ruler, source, out, output_format="doccano")
    assert [post["entities"] for post in read_jsonl(out)] == [1]
    rejected = read_jsonl(tmp_path / "out.jsonl.rejected.jsonl")
    assert [one["reason"].partition(":")[0] for one in rejected] == [
        "has a field 'label' already, which the output format sets",
        "has a field 'confidences' already, which the output format sets",
    ]
