import json

import pytest
import spacy

from spacy_wnut.bulk.formats.prodigy import ProdigyWriter
from spacy_wnut.bulk.records import Chunk, Found, Record
from spacy_wnut.bulk.settings import Settings

FORMAT = {"output_format": "prodigy"}


def test_a_task():
    text = "🎉 Ada, hi"
    one = {"start": 2, "end": 5, "label": "person", "text": "Ada", "confidence": 0.5}
    words, spaces = ["🎉", "Ada", ",", "hi"], [True, False, True, False]
    fields = {"id": 7, "meta": {"by": "x"}, "text": text}
    chunk = Chunk([Record(1, text, fields=fields)])
    found = {0: Found([one], words, spaces, [(1, 2)])}
    assert json.loads(ProdigyWriter(Settings("m")).encode(chunk, found)) == {
        "text": text,
        "spans": [
            {
                "start": 2,
                "end": 5,
                "label": "person",
                "text": "Ada",
                "token_start": 1,
                "token_end": 1,
                "score": 0.5,
            }
        ],
        "tokens": [
            {"text": "🎉", "start": 0, "end": 1, "id": 0, "ws": True},
            {"text": "Ada", "start": 2, "end": 5, "id": 1, "ws": False},
            {"text": ",", "start": 5, "end": 6, "id": 2, "ws": True},
            {"text": "hi", "start": 7, "end": 9, "id": 3, "ws": False},
        ],
        "id": 7,
        "meta": {"by": "x"},
    }


@pytest.mark.parametrize("unescape", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "Ada Lovelace isn't in Oslo's  centre &amp; co.\n🎉",
        " &lt;Oslo&gt;&#32;&amp;&#1;Ada Lovelace&nbsp;x ",
        "",
    ],
)
def test_tokens_and_spans_are_slices_of_the_text(
    tmp_path, annotate, ruler, read_jsonl, text, unescape
):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps({"text": text}))
    annotate(ruler, source, out, unescape=unescape, **FORMAT)
    [task] = read_jsonl(out)
    assert task["text"] == text
    tokens = task["tokens"]
    assert [token["id"] for token in tokens] == list(range(len(tokens)))
    for token in tokens:
        assert text[token["start"] : token["end"]] == token["text"]
    for span in task["spans"]:
        first, last = tokens[span["token_start"]], tokens[span["token_end"]]
        assert (span["start"], span["end"]) == (first["start"], last["end"])
        assert text[span["start"] : span["end"]] == span["text"]
        assert "score" not in span
    if not unescape:
        doc = spacy.load(ruler)(text)
        parts = [token["text"] + " " * token["ws"] for token in tokens]
        assert parts == [token.text_with_ws for token in doc]
        assert len(task["spans"]) == len(doc.ents)


def test_the_words_of_a_conll_file_are_the_tokens(
    tmp_path, annotate, ruler, read_jsonl
):
    (tmp_path / "in.conll").write_text("can't\tO\nOslo\tB-place\n")
    annotate(ruler, tmp_path / "in.conll", tmp_path / "out.jsonl", **FORMAT)
    [task] = read_jsonl(tmp_path / "out.jsonl")
    assert [token["text"] for token in task["tokens"]] == ["can't", "Oslo"]
    assert (task["text"], task["tags"]) == ("can't Oslo", ["O", "B-place"])
    assert [(span["start"], span["end"]) for span in task["spans"]] == [(6, 10)]


def test_tokens_that_share_an_escape_can_not_be_shown():
    writer = ProdigyWriter(Settings("m"))
    found = Found([], ["f", "j"], [False] * 2, [], [(0, 7), (0, 7)])
    assert writer.objection(found) == (
        "two tokens share one escape, which Prodigy can't show"
    )
    assert writer.objection(found._replace(tokens=[(0, 1), (1, 2)])) == ""
    assert writer.objection(found._replace(tokens=None)) == ""
