from itertools import pairwise

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity
from spacy_wnut.pipeline.confidences import install_extensions
from spacy_wnut.scoring.examples import examples_to_posts

NLP = spacy.blank("en")


def make_doc(words, ents=(), spaces=None, missing=()):
    """Create a doc. Entities are (start, end, label) in tokens."""
    doc = Doc(NLP.vocab, words=words, spaces=spaces)
    doc.set_ents(
        [Span(doc, *ent) for ent in ents], missing=[doc[i : i + 1] for i in missing]
    )
    return doc


def to_post(predicted, reference):
    [post] = examples_to_posts([Example(predicted, reference)])
    return post


def test_same_tokens_are_the_units():
    reference = make_doc(["lives", "in", "New", "York"], [(2, 4, "location")])
    predicted = make_doc(["lives", "in", "New", "York"], [(3, 4, "location")])
    post = to_post(predicted, reference)
    assert post.words == ["lives ", "in ", "New ", "York "]
    assert post.gold_tags == ["O", "O", "B-location", "I-location"]
    assert post.predicted_tags == ["O", "O", "O", "B-location"]
    assert post.surface(post.gold) == {("New York", "location")}


def test_same_tokens_match_even_if_only_one_doc_has_unknown_spaces():
    reference = make_doc(["(", "Paris", ")"], [(1, 2, "location")])
    predicted = make_doc(
        ["(", "Paris", ")"], [(1, 2, "location")], spaces=[False, False, False]
    )
    post = to_post(predicted, reference)
    assert post.gold == post.predicted == {Entity(1, 2, "location")}


# The text "@Ann's iPhone7s rock" in two tokenizations.
FILE_WORDS = ["@Ann's", "iPhone", "7s", "rock"]
FILE_SPACES = [True, False, True, False]
SPACY_WORDS = ["@", "Ann", "'s", "iPhone7s", "rock"]
SPACY_SPACES = [False, False, True, True, False]


def test_entities_with_the_same_characters_match_across_tokenizations():
    reference = make_doc(FILE_WORDS, [(0, 1, "person"), (1, 3, "product")], FILE_SPACES)
    predicted = make_doc(
        SPACY_WORDS, [(0, 3, "person"), (3, 4, "product")], SPACY_SPACES
    )
    post = to_post(predicted, reference)
    assert post.words == ["@", "Ann", "'s ", "iPhone", "7s ", "rock"]
    assert post.gold_tags == post.predicted_tags
    assert post.gold == {Entity(0, 3, "person"), Entity(3, 5, "product")}
    assert post.surface(post.gold) == {("@Ann's", "person"), ("iPhone7s", "product")}


def test_entity_without_its_first_character_is_wrong():
    reference = make_doc(FILE_WORDS, [(0, 1, "person")], FILE_SPACES)
    predicted = make_doc(SPACY_WORDS, [(1, 3, "person")], SPACY_SPACES)
    post = to_post(predicted, reference)
    assert post.gold == {Entity(0, 3, "person")}
    assert post.predicted == {Entity(1, 3, "person")}


def test_entity_with_another_type_is_wrong():
    reference = make_doc(FILE_WORDS, [(1, 3, "product")], FILE_SPACES)
    predicted = make_doc(SPACY_WORDS, [(3, 4, "group")], SPACY_SPACES)
    post = to_post(predicted, reference)
    assert post.gold == {Entity(3, 5, "product")}
    assert post.predicted == {Entity(3, 5, "group")}


def test_predicted_doc_may_be_tokenized_from_the_text():
    reference = make_doc(["don't", "visit", "Paris!"], [(2, 3, "location")])
    predicted = NLP(reference.text)
    predicted.ents = [Span(predicted, 3, 4, "location")]
    post = to_post(predicted, reference)
    assert post.words == ["do", "n't ", "visit ", "Paris", "! "]
    assert post.gold == {Entity(3, 5, "location")}
    assert post.predicted == {Entity(3, 4, "location")}


@st.composite
def cut_texts(draw: st.DrawFn):
    """Draw two docs of one text, tokenized and annotated independently."""
    text = " ".join(draw(st.lists(st.text("ab", min_size=1, max_size=4), max_size=5)))
    docs = []
    for _ in range(2):
        words, spaces = [], []
        for word in text.split():
            cuts = draw(st.sets(st.integers(1, len(word))))
            bounds = sorted({0, *cuts, len(word)})
            words += [word[i:j] for i, j in pairwise(bounds)]
            spaces += [False] * (len(bounds) - 2) + [True]
        if spaces:
            spaces[-1] = False
        ents, start = [], 0
        while start < len(words):
            end = draw(st.integers(start + 1, len(words)))
            if draw(st.booleans()):
                ents.append((start, end, draw(st.sampled_from(["person", "group"]))))
            start = end
        docs.append(make_doc(words, ents, spaces))
    return docs


@given(cut_texts())
def test_right_entities_have_the_same_characters_and_type(docs):
    predicted, reference = docs
    post = to_post(predicted, reference)

    def characters(doc):
        return {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}

    assert "".join(post.words) == reference.text
    assert len(post.gold) == len(reference.ents)
    assert len(post.predicted) == len(predicted.ents)
    right = characters(predicted) & characters(reference)
    assert len(post.gold & post.predicted) == len(right)
    assert post.surface(post.gold) == {(ent.text, ent.label_) for ent in reference.ents}


def test_white_space_tokens_are_units():
    predicted = NLP("  in  Paris \n now")
    assert [token.text for token in predicted] == [
        "  ",
        "in",
        " ",
        "Paris",
        "\n ",
        "now",
    ]
    predicted.ents = [Span(predicted, 3, 4, "location")]
    # The reference splits the white space differently.
    reference = make_doc(
        ["  in", " ", "Paris", "\n", " ", "now"],
        [(2, 3, "location")],
        [True, False, True, False, False, False],
    )
    assert reference.text == predicted.text
    post = to_post(predicted, reference)
    assert post.words == ["  ", "in ", " ", "Paris ", "\n", " ", "now"]
    assert post.gold == post.predicted == {Entity(3, 4, "location")}


def test_space_token_may_be_split_differently():
    reference = make_doc(["a", " ", "b"], [(2, 3, "x")], [False, True, False])
    predicted = make_doc(["a", " ", "b"], [(2, 3, "x")], [True, False, False])
    assert reference.text == predicted.text
    post = to_post(predicted, reference)
    assert post.gold == post.predicted == {Entity(2, 3, "x")}


def test_adjacent_entities_stay_separate():
    ents = [(0, 1, "person"), (1, 2, "person")]
    post = to_post(make_doc(["Ann", "Bob"], ents), make_doc(["Ann", "Bob"], ents))
    assert post.predicted == {Entity(0, 1, "person"), Entity(1, 2, "person")}


def test_unannotated_tokens_are_omitted():
    words = ["Ann", "and", "Bob", "in", "Paris"]
    reference = make_doc(words, [(0, 1, "person")], missing=[2, 3])
    predicted = make_doc(
        words, [(0, 1, "person"), (1, 3, "person"), (4, 5, "location")]
    )
    post = to_post(predicted, reference)
    assert post.words == ["Ann ", "and ", "Paris "]
    assert post.gold_tags == ["B-person", "O", "O"]
    assert post.predicted_tags == ["B-person", "O", "B-location"]


def test_unannotated_references_are_skipped():
    reference = Doc(NLP.vocab, words=["Ann"])
    predicted = make_doc(["Ann"], [(0, 1, "person")])
    assert list(examples_to_posts([Example(predicted, reference)])) == []


def test_empty_docs_give_an_empty_post():
    post = to_post(make_doc([]), make_doc([]))
    assert (post.words, post.gold, post.predicted) == ([], set(), set())


def test_different_texts_are_rejected():
    example = Example(make_doc(["Ann", "Lee"]), make_doc(["Ann", "Leigh"]))
    with pytest.raises(WnutError, match=r"texts differ: 'Ann Lee ' and 'Ann Leigh '"):
        list(examples_to_posts([example]))


@pytest.fixture
def confident():
    """Create docs whose entities have confidences, or None for no confidence."""
    install_extensions()

    def set_ents(words, ents):
        doc = Doc(NLP.vocab, words=words)
        spans = [Span(doc, *ent) for *ent, _ in ents]
        for span, (*_, confidence) in zip(spans, ents, strict=True):
            if confidence is not None:
                span._.confidence = confidence
        doc.set_ents(spans)
        return doc

    return set_ents


def test_confidences_belong_to_the_scored_entities(confident):
    words = ["Ann", "and", "Bob", "in", "Paris", "or", "Rome"]
    reference = make_doc(words, [(0, 1, "person")], missing=[2])
    ents = [(0, 1, "person", 0.5), (2, 3, "person", 0.25), (4, 5, "place", 0.75)]
    post = to_post(confident(words, [*ents, (6, 7, "place", None)]), reference)
    assert post.confidences == [0.5, 0.75, None]
    assert [start for start, _, _ in sorted(post.predicted)] == [0, 3, 5]


@pytest.mark.parametrize("value", [None, "high", 1.5, float("nan"), 1])
def test_confidence_that_is_not_a_probability_is_ignored(confident, value):
    post = to_post(
        confident(["Ann"], [(0, 1, "person", value)]),
        make_doc(["Ann"], [(0, 1, "person")]),
    )
    assert post.confidences == ()
