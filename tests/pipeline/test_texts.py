"""Texts as spacy-transformers' own tests have them, for both runtimes: words and
texts without end, and none at all.
"""

import pytest
from spacy.tokens import Doc

from spacy_wnut.errors import WnutError

OSLO = "Ada Lovelace moved to Oslo"


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
def test_a_word_of_thousands_of_letters(pipeline, word):
    alone = pipeline(Doc(pipeline.vocab, words=[word]))
    assert len(alone) == 1 and alone.has_annotation("ENT_IOB")
    words = ["nothing", "to", "see", "here", *[word] * 2]
    doc = pipeline(Doc(pipeline.vocab, words=words))
    assert len(doc) == 6
    assert all(0 < ent._.confidence <= 1 for ent in doc.ents)


def test_a_text_of_thousands_of_words(pipeline):
    doc = pipeline(f"{OSLO} . " * 400)
    assert len(doc) == 2400
    # Every one of them stands in a window, and the most in the same company.
    assert len(doc.ents) > 400
    assert all(0 < ent._.confidence <= 1 for ent in doc.ents)


@pytest.mark.parametrize("text", ["", " ", "\n\n \t\n", "\u200b", "\x00", "\ufeff"])
def test_a_text_without_words(pipeline, text):
    doc = pipeline(text)
    assert doc.text == text and not doc.ents
    assert doc.spans["wnut"].attrs["scores"].tolist() == []


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_empty_texts_between_others(pipeline, batch_size):
    texts = ["", OSLO, "", "", "nothing to see here", OSLO, " ", ""]
    docs = list(pipeline.pipe(texts, batch_size=batch_size))
    assert [doc.text for doc in docs] == texts
    expected = [("Ada Lovelace", "person"), ("Oslo", "location")]
    assert [entities(doc) for doc in docs] == [
        expected if text == OSLO else [] for text in texts
    ]


def test_no_texts_at_all(pipeline):
    assert list(pipeline.pipe([])) == []
    assert len(pipeline.get_pipe("ner").predict([]).docs) == 0


def test_without_the_encoder_it_says_so(nlp):
    with nlp.select_pipes(enable=["ner"]):
        for batch_size in (1, 4):
            with pytest.raises(WnutError, match="'transformer', which hasn't run"):
                list(nlp.pipe([OSLO, "", "so"], batch_size=batch_size))
            # Where there are no words there is nothing to be missed.
            docs = list(nlp.pipe(["", " \n"], batch_size=batch_size))
            assert [entities(doc) for doc in docs] == [[], []]
