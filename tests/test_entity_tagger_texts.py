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
    tokenizer = nlp.get_pipe("transformer").model.tokenizer.backend_tokenizer
    [pieces] = tokenize(tokenizer, [doc])
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


def test_long_doc_has_emissions_for_every_word(nlp):
    doc = nlp.make_doc("Ada Lovelace moved to Oslo . " * 500)
    assert len(doc) == 3000
    rows = emissions(nlp, doc)
    assert rows.any(axis=1).all()


def test_long_doc_is_the_same_to_both_ends(nlp):
    """Whatever comes after the first window, what only the first window sees
    stays as it is, and so does what only the last one sees, wherever it lies.
    """
    model = nlp.get_pipe("transformer").model
    window, stride = model.attrs["window"], model.attrs["stride"]
    words = ["lol", "Ada", "moved", "to", "Oslo", "!"]
    tokenizer = model.tokenizer.backend_tokenizer
    per_round = len(tokenizer.encode(" ".join(words), add_special_tokens=False).ids)
    # Every stride is a number of rounds, so all windows but the last are alike.
    model.attrs["window"] = window = per_round * (window // per_round)
    model.attrs["stride"] = stride = per_round * (stride // per_round)
    rounds = stride // per_round
    # One round less than a window would be, so that the last window is whole.
    first = window // per_round
    count = first + 20 * rounds
    doc = Doc(nlp.vocab, words=words * count)
    assert len(doc) > 3000
    rows = emissions(nlp, doc).reshape(count, len(words), -1)
    [alone] = [emissions(nlp, Doc(nlp.vocab, words=words * first))]
    alone = alone.reshape(first, len(words), -1)
    overlap = first - rounds
    own = first - overlap // 2 - 1
    numpy.testing.assert_allclose(rows[:own], alone[:own], atol=1e-4)
    numpy.testing.assert_allclose(rows[-own:], alone[-own:], atol=1e-4)
    # And between them, each window repeats the one before.
    middle = rows[own + 1 : -own - 1]
    numpy.testing.assert_allclose(middle[rounds:], middle[:-rounds], atol=1e-4)


LONG_WORDS = [
    "a" * 600,
    "!" * 600,
    "!?" * 300,
    "@" + "ab1." * 150,
    "é" * 600,
    "😀" * 600,
]


@pytest.mark.parametrize("word", LONG_WORDS, ids=lambda word: word[:5])
def test_entities_after_a_very_long_word(nlp, word):
    """The long word has up to 600 pieces, the window 254: what lies a window
    behind it can't know that it was there.
    """
    sentence = "Ada Lovelace moved to Oslo".split()
    filler = ["so"] * 300
    words = [word, *filler, *sentence]
    with_long = nlp(Doc(nlp.vocab, words=words))
    long_rows = emissions(nlp, Doc(nlp.vocab, words=words))
    assert long_rows.any(axis=1).all()
    without = nlp(Doc(nlp.vocab, words=words[1:]))
    late = [ent for ent in with_long.ents if ent.start > 1]
    assert [(e.text, e.label_) for e in late] == entities(without)
