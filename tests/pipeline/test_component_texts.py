"""Texts of every kind: empty, long, with words without end, in other scripts."""

import numpy
import pytest
from spacy.tokens import Doc

from spacy_wnut.models.wordpieces import tokenize


def emissions(nlp, doc):
    with nlp.select_pipes(disable=["ner"]):
        doc = nlp(doc)
    [rows] = nlp.get_pipe("ner").model.predict([doc])
    return rows


def entities(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n \t\n", "\u200b", "\u00a0 \u3000", "\x00", "\ufeff", "\U000e0041"],
)
def test_texts_with_nothing_to_see(nlp, text):
    doc = nlp(text)
    assert doc.text == text
    assert entities(doc) == []
    assert doc.spans["wnut"].attrs["scores"].tolist() == []


def test_batch_of_nothing_but_empty_docs(nlp):
    docs = list(nlp.pipe(["", "", ""]))
    assert [len(doc) for doc in docs] == [0, 0, 0]
    assert all("wnut" in doc.spans for doc in docs)
    assert len(nlp.get_pipe("ner").predict([]).docs) == 0


@pytest.mark.parametrize(
    "text",
    [
        "😀😀 Ada Lovelace 👩‍👩‍👧‍👦 moved to Oslo 🇳🇴!!",
        "https://example.com/?q=1#x Ada Lovelace moved to Oslo",
        "مرحبا بالعالم , Ada Lovelace moved to Oslo",
        "שלום Ada Lovelace moved to Oslo",
        "東京 Ada Lovelace moved to Oslo",
        "\u202eAda Lovelace\u202c moved to Oslo",
        "Ada Lovelace \n\n moved to\u00a0Oslo",
        "a\u0301\u0302 Ada Lovelace moved to Oslo ﷽",
    ],
)
def test_entities_are_made_of_words_that_have_pieces(nlp, text):
    doc = nlp(text)
    rows = emissions(nlp, nlp.make_doc(text))
    tokenizer = nlp.get_pipe("transformer").model.shim.tokenizer
    [pieces] = tokenize(tokenizer, [doc]).by_doc()
    assert (rows.any(axis=1) == (pieces.counts > 0)).all()
    for token, row in zip(doc, rows, strict=True):
        # Only white space and what a tokenizer drops is seen by none.
        assert row.any() or token.is_space or token.text in "\u202e\u202c"
    for ent in doc.ents:
        assert not ent[0].is_space and not ent[-1].is_space
        assert 0 < ent._.confidence < 1


def test_white_space_lies_inside_but_neither_starts_nor_ends(nlp):
    [ent] = nlp("Pretty bad storm in New  York last evening.").ents
    assert [token.text for token in ent] == ["New", " ", "York"]
    words = "lol Grace Hopper and Alan Turing are in London".split()
    spaced = Doc(nlp.vocab, words=[w for word in words for w in (" ", word, " ")])
    assert [[t.text for t in ent if not t.is_space] for ent in nlp(spaced).ents] == [
        ["Grace", "Hopper"],
        ["Alan", "Turing"],
        ["London"],
    ]


LONG_TEXTS = {
    "3,000 words": "Ada Lovelace moved to Oslo . " * 500,
    "one of 600 letters": f"in {'a' * 600} Ada Lovelace moved to Oslo",
    "one of 600 marks": f"in {'!?' * 300} Ada Lovelace moved to Oslo",
    "one of 600 that look alike": f"in {'é' * 600} Ada Lovelace moved to Oslo",
    "one of 600 emoji": f"in {'😀' * 600} Ada Lovelace moved to Oslo",
    "a link of 700": f"in https://x.io/{'ab1/' * 170} Ada Lovelace moved to Oslo",
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS.keys())
def test_every_word_is_seen_in_a_window_with_both_its_sides(nlp, slow_vectors, text):
    doc = Doc(nlp.vocab, words=text.split(), spaces=[True] * len(text.split()))
    rows = emissions(nlp, doc)
    assert rows.any(axis=1).all()

    model = nlp.get_pipe("transformer").model
    vectors, characters = slow_vectors(
        model.transformer,
        model.tokenizer,
        doc.text,
        model.attrs["window"],
        model.attrs["stride"],
    )
    linear = nlp.get_pipe("ner").model.layers[0].get_ref("output_layer")
    starts = [start for start, _ in characters]
    first_pieces = [starts.index(token.idx) for token in doc]
    expected = vectors[first_pieces] @ linear.get_param("W").T + linear.get_param("b")
    numpy.testing.assert_allclose(rows, expected, atol=1e-4)
