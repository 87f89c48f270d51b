import json
from itertools import pairwise

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from spacy_wnut.corpus.examples import (
    _make_example,
    read_corpus,
    read_surface_forms,
    rename_entities,
)
from spacy_wnut.corpus.posts import LabelledSpan, Post
from spacy_wnut.corpus.type_map import TypeMap
from spacy_wnut.errors import WnutError

NLP = spacy.blank("de")


@pytest.fixture
def save(tmp_path):
    def save_docs(*docs):
        path = tmp_path / "train.spacy"
        DocBin(docs=docs).to_disk(path)
        return path

    return save_docs


def make_doc(text, ents):
    return Doc(NLP.vocab, words=text.split(), ents=ents.split())


def test_surface_forms_are_casefolded_names_of_any_type(save):
    path = save(
        make_doc("die Straße in New York", "O B-x O B-y I-y"),
        make_doc("STRASSE oder straße", "B-x O B-z"),
    )
    # "straße".lower() would be another form than "strasse".
    assert read_surface_forms(path) == {"strasse", "new york"}


def test_surface_forms_of_a_corpus_without_entities_are_none(save):
    assert read_surface_forms(save(make_doc("so what", "O O"))) == frozenset()


def test_examples_have_references_and_no_predictions(save):
    [example] = read_corpus(save(make_doc("in Oslo", "O B-x")), NLP)
    assert [ent.text for ent in example.reference.ents] == ["Oslo"]
    assert not example.predicted.has_annotation("ENT_IOB")
    # The spaces are unknown, so the tokens of the corpus are kept.
    assert [token.text for token in example.predicted] == ["in", "Oslo"]


def test_corpus_without_annotation_is_rejected(save):
    path = save(Doc(NLP.vocab, words=["in", "Oslo"]))
    with pytest.raises(WnutError, match=r"no docs with entity annotation \(1 docs\)"):
        read_surface_forms(path)


@pytest.fixture
def write(tmp_path):
    def write_lines(*records, name="dev.jsonl"):
        path = tmp_path / name
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        return path

    return write_lines


def test_file_of_an_annotation_tool_is_read(write, capsys):
    path = write(
        {"text": "in New York-based  firms", "label": [[3, 11, "place"]]},
        {"text": "lol", "label": []},
    )
    first, second = read_corpus(path, NLP)
    assert [(ent.text, ent.label_) for ent in first.reference.ents] == [
        ("New York", "place")
    ]
    assert first.reference.text == first.predicted.text == "in New York-based  firms"
    tokens = [token.text for token in NLP.make_doc(first.reference.text)]
    assert [token.text for token in first.predicted] == tokens
    assert all(token.ent_iob_ == "O" for token in second.reference)
    assert read_surface_forms(path) == {"new york"}
    assert "format doccano" in " ".join(capsys.readouterr().err.split())


def test_words_with_unknown_spaces_are_kept(write):
    path = write({"tokens": ["in", "Rock'n'Roll,Oslo"], "ner_tags": ["O", "B-x"]})
    [example] = read_corpus(path, NLP)
    assert [token.text for token in example.predicted] == ["in", "Rock'n'Roll,Oslo"]
    assert example.reference.has_unknown_spaces
    assert [(ent.start, ent.end) for ent in example.reference.ents] == [(1, 2)]


@pytest.mark.parametrize(
    "record, message",
    [
        ({"text": "in Oslo", "label": [[3, 9, "x"]]}, "line 2: the span 3 to 9"),
        (
            {"text": "in Oslo", "label": [[0, 7, "x"], [3, 7, "y"]]},
            r"line 2: the entities 'in Oslo' \(0-7, x\) and 'Oslo' \(3-7, y\) overlap",
        ),
    ],
)
def test_records_that_cannot_be_scored_are_errors(write, record, message):
    path = write({"text": "lol", "label": []}, record)
    with pytest.raises(WnutError, match=rf"dev\.jsonl, {message}"):
        read_corpus(path, NLP)


def test_renamed_types_keep_missing_annotation():
    doc = make_doc("in New York by Ann ?", "O B-LOC I-LOC O B-PER O")
    doc.set_ents(list(doc.ents), missing=[doc[5:6]], default="outside")
    example = Example(NLP.make_doc(doc.text), doc)
    rename_entities([example], TypeMap({"LOC": "place", "PER": ""}))
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("New York", "place")]
    assert [token.ent_iob_ for token in doc] == ["O", "B", "I", "O", "O", ""]


@given(
    text=st.text(max_size=30),
    cuts=st.lists(st.tuples(st.integers(0, 30), st.sampled_from("xyz")), max_size=6),
)
def test_references_have_exactly_the_given_spans(text, cuts):
    """Any spans that do not overlap and are not white space at their ends."""
    ends = sorted({min(cut, len(text)) for cut, _ in cuts})
    spans = tuple(
        LabelledSpan(start, end, label)
        for (start, end), (_, label) in zip(pairwise(ends), cuts, strict=False)
        if text[start:end] == text[start:end].strip()
    )
    example = _make_example(Post(text, spans), NLP)
    assert [
        (ent.start_char, ent.end_char, ent.label_) for ent in example.reference.ents
    ] == list(spans)
    assert example.reference.text == example.predicted.text == text
