"""Any spans of any text, written in each format by this file, are read unchanged."""

import json
import tempfile
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.formats.registry import find_format
from spacy_wnut.labels import Entity, entities_to_tags

# Emoji of one and of several code points, combining characters, right-to-left script,
# characters without width, white space that is no blank, and line breaks.
CHARACTERS = [
    *("🎉", "👩‍🚀", "🇳🇴", "𝐎𝐬𝐥𝐨", "é", "e\u0301", "שלום", "مرحبا", "ไทย", "東京", "ẞ"),
    *("\u200b", "\u200d", "\u200f", "\ufeff", "\u00ad", "\u00a0", "\u2028", "\x85"),
    *(
        "\n",
        "\r\n",
        "\t",
        "  ",
        " ",
        " ",
        "Oslo",
        "a",
        "#",
        '"',
        "\\n",
        "&amp;",
        "\x1c",
    ),
]
TEXTS = st.lists(
    st.sampled_from(CHARACTERS)
    | st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    min_size=1,
    max_size=12,
).map("".join)
LABELS = st.sampled_from(["location", "geo place", "ÅÄÖ", "地名", "a-b", "B-x", "🎉"])


@st.composite
def annotated_texts(draw):
    """A text, and spans that neither begin nor end with white space."""
    text = draw(TEXTS.filter(str.strip))
    inside = [i for i, char in enumerate(text) if not char.isspace()]
    ends = st.tuples(st.sampled_from(inside), st.sampled_from(inside), LABELS)
    spans = draw(st.lists(ends, max_size=4))
    return text, [(min(a, b), max(a, b) + 1, label) for a, b, label in spans]


WORDS = TEXTS.map(lambda text: "".join(text.split())).filter(bool)


@st.composite
def word_annotations(draw, can_overlap):
    """Words, and spans by the indices of words."""
    words = draw(st.lists(WORDS, min_size=1, max_size=6))
    indices = st.integers(0, len(words) - 1)
    spans = []
    for a, b, label in draw(st.lists(st.tuples(indices, indices, LABELS), max_size=4)):
        start, end = min(a, b), max(a, b) + 1
        if can_overlap or all(end <= s or e <= start for s, e, _ in spans):
            spans.append((start, end, label))
    return words, spans


def in_utf16(text, offset):
    return len(text[:offset].encode("utf-16-le")) // 2


def is_ambiguous(text, spans):
    """Whether offsets in UTF-16 code units fit the text as code points, too."""
    shifted = [(in_utf16(text, a), in_utf16(text, b), a, b) for a, b, _ in spans]
    return any(one[:2] != one[2:] for one in shifted) and all(
        text[s:e].split() == text[a:b].split() for s, e, a, b in shifted
    )


def doccano(text, spans):
    return {"text": text, "label": [list(span) for span in spans]}


def doccano_relations(text, spans):
    entities = [
        {"id": i, "start_offset": a, "end_offset": b, "label": label}
        for i, (a, b, label) in enumerate(spans)
    ]
    return {"id": 1, "text": text, "entities": entities, "relations": []}


def label_studio(text, spans, unit=lambda text, offset: offset):
    results = [
        {
            "type": "labels",
            "from_name": "ner",
            "to_name": "tweet",
            "value": {
                "start": unit(text, a),
                "end": unit(text, b),
                "text": text[a:b],
                "labels": [label],
            },
        }
        for a, b, label in spans
    ]
    return {"data": {"tweet": text}, "annotations": [{"result": results}]}


def label_studio_utf16(text, spans):
    return label_studio(text, spans, in_utf16)


def label_studio_min(text, spans):
    [annotation] = label_studio(text, spans)["annotations"]
    regions = [result["value"] for result in annotation["result"]]
    return {"tweet": text, "ner": regions, "annotation_id": 2}


def prodigy(text, spans):
    return {
        "text": text,
        "spans": [{"start": a, "end": b, "label": label} for a, b, label in spans],
        "answer": "accept",
    }


def spacy_json(text, spans):
    return [text, {"entities": [list(span) for span in spans]}]


def annotated(text, spans, unit=lambda text, offset: offset):
    entities = [
        {
            "start": unit(text, a),
            "end": unit(text, b),
            "label": label,
            "text": text[a:b],
            "confidence": 0.5,
        }
        for a, b, label in spans
    ]
    return {"text": text, "entities": entities}


def annotated_utf16(text, spans):
    return annotated(text, spans, in_utf16)


@cache
def folder():
    return tempfile.TemporaryDirectory()


def read_file(name, write):
    path = Path(folder().name) / name
    write(path)
    return list(find_format(path).read(path, ReadOptions()))


@pytest.mark.parametrize(
    "make",
    [
        doccano,
        doccano_relations,
        label_studio,
        label_studio_utf16,
        label_studio_min,
        prodigy,
        spacy_json,
        annotated,
        annotated_utf16,
    ],
)
@settings(deadline=None, max_examples=40)
@example(("🎉 in Oslo", [(5, 9, "location"), (0, 9, "x"), (0, 1, "y")]), False)
@given(annotated_texts(), st.booleans())
def test_spans_of_texts(make, post, as_list):
    text, spans = post
    assume(not make.__name__.endswith("utf16") or not is_ambiguous(text, spans))
    # The second record tells the format if the first one has no spans.
    records = [make(text, spans), make("Oslo", [(0, 4, "location")])]
    content = "\n".join(json.dumps(one, ensure_ascii=as_list) for one in records)
    if as_list:
        content = json.dumps(records, indent=1)
    found, second = read_file(
        "posts.json", lambda path: path.write_bytes(content.encode("utf8"))
    )
    assert found.text == text
    assert set(found.spans) == set(spans)
    assert len(found.spans) == len(set(spans))
    assert found.missing == found.incorrect == ()
    assert second.spans == ((0, 4, "location"),)


@settings(deadline=None, max_examples=25)
@given(annotated_texts())
def test_spans_in_parquet(post):
    text, spans = post
    records = [annotated(text, spans), annotated("Oslo", [(0, 4, "location")])]
    table = pa.Table.from_pylist(records)
    [found, _] = read_file("posts.parquet", lambda path: pq.write_table(table, path))
    assert found.text == text
    assert set(found.spans) == set(spans)


@settings(deadline=None, max_examples=25)
@given(word_annotations(can_overlap=True))
def test_spans_of_words_in_gliner(post):
    words, spans = post
    ner = [[start, end - 1, label] for start, end, label in spans]
    content = json.dumps({"tokenized_text": words, "ner": ner})
    [found] = read_file("posts.jsonl", lambda path: path.write_text(content))
    assert [found.text[a:b] for a, b in found.words] == words
    starts = [word.start for word in found.words]
    ends = [word.end for word in found.words]
    assert {(starts.index(a), ends.index(b) + 1, x) for a, b, x in found.spans} == set(
        spans
    )


@settings(deadline=None, max_examples=25)
@given(word_annotations(can_overlap=False), st.booleans())
def test_spans_of_words_in_datasets(post, has_numbers):
    words, spans = post
    tags = entities_to_tags([Entity(*span) for span in spans], len(words))
    names = sorted({"O", *tags})
    if has_numbers:
        tags = [names.index(tag) for tag in tags]
    path = Path(folder().name) / "posts.jsonl"
    path.write_text(json.dumps({"tokens": words, "ner_tags": tags}))
    options = ReadOptions(label_names=tuple(names))
    [found] = find_format(path).read(path, options)
    assert [found.text[a:b] for a, b in found.words] == words
    starts = [word.start for word in found.words]
    ends = [word.end for word in found.words]
    assert sorted(
        (starts.index(a), ends.index(b) + 1, x) for a, b, x in found.spans
    ) == (sorted(spans))


@settings(deadline=None, max_examples=25)
@given(word_annotations(can_overlap=False), st.randoms(use_true_random=False))
def test_docs_of_spacy(post, random):
    words, spans = post
    doc = Doc(Vocab(), words=words, spaces=[random.random() < 0.5 for _ in words])
    ents = [Span(doc, start, end, label) for start, end, label in spans]
    free = [i for i in range(len(words)) if not any(a <= i < b for a, b, _ in spans)]
    missing = [i for i in free if random.random() < 0.5]
    doc.set_ents(ents, missing=[doc[i : i + 1] for i in missing], default="outside")
    doc.spans["incorrect_spans"] = [Span(doc, i, len(doc), "x") for i in free]
    docs = DocBin(docs=[doc], attrs=["ENT_IOB", "ENT_TYPE"])
    assume(doc.has_annotation("ENT_IOB") or free)
    [found] = read_file("train.spacy", docs.to_disk)
    assert found.text == doc.text
    assert [(word.start, word.end) for word in found.words] == [
        (token.idx, token.idx + len(token)) for token in doc
    ]
    assert set(found.spans) == {(e.start_char, e.end_char, e.label_) for e in doc.ents}
    assert [word.start for word in found.missing] == [doc[i].idx for i in missing]
    assert set(found.incorrect) == {
        (span.start_char, span.end_char, "x") for span in doc.spans["incorrect_spans"]
    }
