import gzip
import io
import json
import os

import pytest

from spacy_wnut.bulk import local
from spacy_wnut.bulk.formats.label_studio import LabelStudioWriter
from spacy_wnut.bulk.records import Chunk, Found, Record
from spacy_wnut.bulk.settings import Settings

TEXT = "🎉 Ada in Oslo"
ENTITIES = [
    {"start": 2, "end": 5, "label": "person", "text": "Ada", "confidence": 0.75},
    {"start": 9, "end": 13, "label": "place", "text": "Oslo", "confidence": 0.5},
]
FORMAT = {"output_format": "label-studio"}


def make_chunk(ids, entities=()):
    records = [Record(i, TEXT, fields={"id": i, "text": TEXT}) for i in ids]
    found = Found(list(entities), TEXT.split(), [], [])
    return Chunk(records), dict.fromkeys(range(len(records)), found)


def test_tasks_with_predictions():
    writer = LabelStudioWriter(Settings("pipelines/en_wnut_ner"))
    segment = writer.encode(*make_chunk([7], ENTITIES))
    result = {"from_name": "label", "to_name": "text", "type": "labels"}
    [task] = json.loads(b"".join(writer.join(iter([segment]))))
    assert task == {
        "data": {"text": TEXT, "id": 7},
        "predictions": [
            {
                "model_version": "en_wnut_ner",
                "score": 0.5,
                "result": [
                    {
                        "id": f"entity-{i + 1}",
                        **result,
                        "value": {
                            "start": one["start"],
                            "end": one["end"],
                            "text": one["text"],
                            "labels": [one["label"]],
                        },
                        "score": one["confidence"],
                    }
                    for i, one in enumerate(ENTITIES)
                ],
            }
        ],
    }


def test_an_entity_without_confidence_has_no_score():
    writer = LabelStudioWriter(Settings("m"))
    one = {**ENTITIES[0], "confidence": None}
    for entities, score in (([one], None), ([one, ENTITIES[1]], 0.5), ([], None)):
        segment = writer.encode(*make_chunk([1], entities))
        [prediction] = json.loads(segment)["predictions"]
        assert prediction.get("score") == score
        scores = [result.get("score") for result in prediction["result"]]
        assert scores == [entity["confidence"] for entity in entities]


@pytest.mark.parametrize("codec", ["", "gzip"])
@pytest.mark.parametrize("sizes", [(), (0,), (0, 0), (1,), (2, 0, 3), (0, 1, 0)])
def test_any_segments_are_a_json_list(tmp_path, sizes, codec):
    writer = LabelStudioWriter(Settings("m"), codec)
    ids = iter(range(99))
    chunks = [make_chunk([next(ids) for _ in range(size)], ENTITIES) for size in sizes]
    segments = [writer.encode(*chunk) for chunk in chunks]
    path = tmp_path / "tasks.json"
    writer.assemble(iter(segments), path)
    data = gzip.decompress(path.read_bytes()) if codec else path.read_bytes()
    assert [task["data"]["id"] for task in json.loads(data)] == list(range(sum(sizes)))
    assert writer.count(path) == sum(sizes)


def test_line_breaks_in_texts_do_not_split_tasks(tmp_path, annotate, ruler):
    text = "[\n{\r\u2028,\n in Oslo"
    source, out = tmp_path / "in.jsonl", tmp_path / "out.json"
    source.write_text(f"{json.dumps({'text': text})}\n" * 3)
    assert annotate(ruler, source, out, **FORMAT).annotated == 3
    assert [task["data"]["text"] for task in json.loads(out.read_text())] == [text] * 3


@pytest.mark.parametrize("unit", ["codepoints", "utf16"])
def test_offsets(tmp_path, annotate, ruler, unit):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.json"
    source.write_text(json.dumps({"text": "🎉 in Oslo 🎉"}))
    annotate(ruler, source, out, offsets=unit, **FORMAT)
    [task] = json.loads(out.read_text())
    [result] = task["predictions"][0]["result"]
    start, end = result["value"]["start"], result["value"]["end"]
    if unit == "utf16":
        start, end = 2 * start, 2 * end
        text = task["data"]["text"].encode("utf-16-le")[start:end].decode("utf-16-le")
    else:
        text = task["data"]["text"][start:end]
    assert text == result["value"]["text"] == "Oslo"


def test_a_resumed_run_gives_the_same_list(
    tmp_path, annotate, ruler, posts_file, monkeypatch
):
    whole, out = tmp_path / "whole.json", tmp_path / "out.json"
    annotate(ruler, posts_file, whole, chunk_size=7, **FORMAT)
    append = local.Journal.append

    def fail(self, done, read, digest):
        if read > 30:
            raise KeyboardInterrupt
        append(self, done, read, digest)

    with monkeypatch.context() as patch:
        patch.setattr(local.Journal, "append", fail)
        with pytest.raises(KeyboardInterrupt):
            annotate(ruler, posts_file, out, chunk_size=7, **FORMAT)
    summary = annotate(ruler, posts_file, out, chunk_size=7, resume=True, **FORMAT)
    assert summary.resumed == 28
    assert out.read_bytes() == whole.read_bytes()
    assert len(json.loads(out.read_bytes())) == 91


@pytest.mark.parametrize("lines, n", [("", 0), ('{"text": "in Oslo"}\n' * 5, 5)])
def test_a_stream_is_a_list(tmp_path, annotate, ruler, monkeypatch, lines, n):
    (tmp_path / "in.jsonl").write_text(lines)
    buffer = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer))
    annotate(ruler, tmp_path / "in.jsonl", "-", chunk_size=2, **FORMAT)
    assert len(json.loads(buffer.getvalue())) == n


def test_a_stream_of_rejected_posts_is_empty(tmp_path, annotate, ruler, monkeypatch):
    (tmp_path / "in.jsonl").write_text('{"id": 1}\n' * 5)
    buffer = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer))
    with pytest.raises(local.WnutError, match="has no field 'text'"):
        annotate(ruler, tmp_path / "in.jsonl", "-", chunk_size=2, **FORMAT)
    assert buffer.getvalue() == b""


def test_the_name_of_a_pipeline_in_the_current_folder(monkeypatch, tmp_path):
    (tmp_path / "best").mkdir()
    monkeypatch.chdir(tmp_path / "best")
    writer = LabelStudioWriter(Settings(os.curdir))
    [prediction] = json.loads(writer.encode(*make_chunk([1])))["predictions"]
    assert prediction["model_version"] == "best"
