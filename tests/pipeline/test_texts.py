"""Texts of every kind: empty, very long, with very long words, in other scripts."""

import numpy
import pytest
from spacy.tokens import Doc

from spacy_wnut.models.wordpieces import tokenize

OSLO = "Ada Lovelace moved to Oslo"


def emissions(nlp, doc):
    with nlp.select_pipes(disable=["ner"]):
        doc = nlp(doc)
    [rows] = nlp.get_pipe("ner").model.predict([doc])
    return rows


def entities(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


@pytest.mark.parametrize(
    "word",
    [
        "https://example.com/" + "a/" * 1000,
        "a" * 5000,
        "!?" * 1000,
        "😀" * 2500,
        "é" * 5000,
    ],
    ids=["link", "letters", "marks", "emoji", "accents"],
)
def test_word_of_thousands_of_characters(pipeline, word):
    alone = pipeline(Doc(pipeline.vocab, words=[word]))
    assert len(alone) == 1 and alone.has_annotation("ENT_IOB")
    words = ["nothing", "to", "see", "here", *[word] * 2]
    doc = pipeline(Doc(pipeline.vocab, words=words))
    assert len(doc) == 6
    assert all(0 < ent._.confidence <= 1 for ent in doc.ents)


def test_text_of_thousands_of_words(pipeline):
    doc = pipeline(f"{OSLO} . " * 400)
    assert len(doc) == 2400
    # Most occurrences have the same context in some window.
    assert len(doc.ents) > 400
    assert all(0 < ent._.confidence <= 1 for ent in doc.ents)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n \t\n", "\u200b", "\u00a0 \u3000", "\x00", "\ufeff", "\U000e0041"],
)
def test_text_without_words(pipeline, text):
    doc = pipeline(text)
    assert doc.text == text and not doc.ents
    assert doc.spans["wnut"].attrs["scores"].tolist() == []


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_empty_and_long_texts_between_others(pipeline, posts, batch_size):
    texts = ["", OSLO, "", "", *[text for text, _ in posts], " ", f"{'so ' * 300}Oslo"]
    alone = [pipeline(text) for text in texts]
    assert entities(alone[1]) == [("Ada Lovelace", "person"), ("Oslo", "location")]
    docs = list(pipeline.pipe(texts, batch_size=batch_size))
    assert [doc.text for doc in docs] == texts
    for doc, expected in zip(docs, alone, strict=True):
        assert entities(doc) == entities(expected)
        assert [ent._.confidence for ent in doc.ents] == pytest.approx(
            [ent._.confidence for ent in expected.ents], abs=1e-5
        )


def test_batch_of_empty_texts(pipeline):
    docs = list(pipeline.pipe(["", "", ""]))
    assert [len(doc) for doc in docs] == [0, 0, 0]
    assert all("wnut" in doc.spans for doc in docs)


def test_no_texts_at_all(pipeline):
    assert list(pipeline.pipe([])) == []
    assert len(pipeline.get_pipe("ner").predict([]).docs) == 0


def test_every_word_with_word_pieces_has_emissions(nlp):
    texts = [
        "😀😀 Ada Lovelace 👩‍👩‍👧‍👦 moved to Oslo 🇳🇴!!",
        "https://example.com/?q=1#x Ada Lovelace moved to Oslo",
        "مرحبا بالعالم , Ada Lovelace moved to Oslo",
        "שלום Ada Lovelace moved to Oslo",
        "東京 Ada Lovelace moved to Oslo",
        "\u202eAda Lovelace\u202c moved to Oslo",
        "Ada Lovelace \n\n moved to\u00a0Oslo",
        "a\u0301\u0302 Ada Lovelace moved to Oslo ﷽",
    ]
    tokenizer = nlp.get_pipe("transformer").model.shim.tokenizer
    for text in texts:
        doc = nlp(text)
        rows = emissions(nlp, nlp.make_doc(text))
        [pieces] = tokenize(tokenizer, [doc]).by_doc()
        assert (rows.any(axis=1) == (pieces.counts > 0)).all()
        for token, row in zip(doc, rows, strict=True):
            # Tokenizers drop white space and control characters only.
            assert row.any() or token.is_space or token.text in "\u202e\u202c"
        for ent in doc.ents:
            assert not ent[0].is_space and not ent[-1].is_space
            assert 0 < ent._.confidence < 1


def test_white_space_inside_of_entities(nlp):
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
    "letters": f"in {'a' * 600} Ada Lovelace moved to Oslo",
    "marks": f"in {'!?' * 300} Ada Lovelace moved to Oslo",
    "accents": f"in {'é' * 600} Ada Lovelace moved to Oslo",
    "emoji": f"in {'😀' * 600} Ada Lovelace moved to Oslo",
    "link": f"in https://x.io/{'ab1/' * 170} Ada Lovelace moved to Oslo",
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS.keys())
def test_emissions_come_from_the_window_with_most_context(nlp, slow_vectors, text):
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
