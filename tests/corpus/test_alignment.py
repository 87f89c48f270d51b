from itertools import pairwise

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_wnut.corpus.alignment import (
    Alignment,
    align_post,
    list_first,
    make_tokens,
)
from spacy_wnut.corpus.posts import LabelledSpan, Post, Rejection, Word, make_post
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity

NLP = spacy.blank("en")
KEY = "incorrect_spans"


def span(text, part, label="x"):
    start = text.index(part)
    return LabelledSpan(start, start + len(part), label)


def align(post, **settings):
    return align_post(post, make_tokens(post, Vocab(), NLP), Alignment(**settings))


def entities(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def missing(doc):
    return [token.text for token in doc if token.ent_iob_ == ""]


def restore(doc):
    """The doc as it is read from a DocBin."""
    docs = DocBin(attrs=["ENT_IOB", "ENT_TYPE"], docs=[doc]).to_bytes()
    return next(DocBin().from_bytes(docs).get_docs(Vocab()))


TEXT = "see New York-based firms"


@pytest.mark.parametrize(
    "misaligned, part, ents, unknown",
    [
        # spaCy's tokens: see New York - based firms
        ("missing", "New York", ["New York"], []),
        ("missing", "ew York", [], ["New", "York"]),
        ("expand", "ew York", ["New York"], []),
        ("contract", "ew York", ["York"], []),
        ("contract", "ew Yor", [], ["New", "York"]),
        ("expand", "e", ["see"], []),
        ("missing", " New ", ["New"], []),
        ("contract", " New ", ["New"], []),
        ("missing", "d f", [], ["based", "firms"]),
    ],
)
def test_spans_inside_tokens(misaligned, part, ents, unknown):
    post = Post(TEXT, (span(TEXT, part),), where="line 7")
    aligned = align(post, misaligned=misaligned)
    assert entities(aligned.doc) == [(text, "x") for text in ents]
    assert missing(aligned.doc) == unknown
    # All other tokens are annotated.
    assert entities(restore(aligned.doc)) == entities(aligned.doc)
    assert missing(restore(aligned.doc)) == unknown
    is_exact = part.strip() in ("New York", "New")
    assert [str(one) for one in aligned.misaligned][: 0 if is_exact else 1] == [
        str(one) for one in aligned.misaligned
    ]
    if not is_exact:
        assert str(aligned.misaligned[0]).startswith(f"line 7: {part!r} (x) in the tok")


def test_missing_parts_do_not_cover_entities():
    text = "Ann saw Oslo and Rome"
    post = Post(text, (span(text, "Oslo"),), missing=(Word(5, 21),))
    doc = align(post).doc
    assert entities(doc) == [("Oslo", "x")]
    assert missing(doc) == ["saw", "and", "Rome"]
    assert doc[0].ent_iob_ == "O"


def test_incorrect_spans_are_stored_under_a_key():
    text = "lol Oslo sounds good"
    wrong = (span(text, "Oslo"), span(text, "Oslo", "y"), span(text, "sou"))
    aligned = align(Post(text, incorrect=(*wrong, wrong[0])))
    doc = restore(aligned.doc)
    assert [(one.text, one.label_) for one in doc.spans[KEY]] == [
        ("Oslo", "x"),
        ("Oslo", "y"),
    ]
    assert [one.text for one in aligned.misaligned] == ["sou"]
    assert not missing(doc)
    assert (
        "other"
        in align(Post(text, incorrect=wrong), incorrect_spans_key="other")[0].spans
    )
    assert KEY not in align(Post(text)).doc.spans


def test_span_that_is_right_and_wrong_is_rejected():
    text = "in Oslo"
    post = Post(text, (span(text, "Oslo"),), incorrect=(span(text, "Oslo"),), where="w")
    rejected = align(post)
    assert isinstance(rejected, Rejection)
    assert str(rejected).startswith("w: 'Oslo' is annotated as x and also as not x")
    # Another type is no contradiction.
    assert not isinstance(
        align(Post(text, post.spans, incorrect=(span(text, "Oslo", "y"),))), Rejection
    )


def test_overlapping_entities():
    text = "in New York City"
    spans = (span(text, "New York"), span(text, "York City", "y"), span(text, "City"))
    with pytest.raises(
        WnutError,
        match=r"^line 2: the entities 'New York' \(3-11, x\) and 'York City' \(7-16, y\)",
    ):
        align(Post(text, spans, where="line 2"))
    aligned = align(Post(text, spans), overlaps="longest")
    # The first of the longest, and all others that do not overlap it.
    assert entities(aligned.doc) == [("New York", "x"), ("City", "x")]
    assert aligned.n_overlapping == 1
    # The first of equal length is kept, and equal spans count once.
    one, other = span(text, "New"), span(text, "New", "y")
    assert entities(align(Post(text, (one, one))).doc) == [("New", "x")]
    assert align(Post(text, (one, one))).n_overlapping == 0
    for spans in ((one, other), (other, one)):
        with pytest.raises(WnutError, match=r"'New' \(3-6, [xy]\) and 'New'"):
            align(Post(text, spans))
        kept = align(Post(text, spans), overlaps="longest").doc
        assert entities(kept) == [("New", spans[0].label)]


def test_spans_that_expand_to_the_same_tokens_are_one_or_overlap():
    text = "see York"
    one, other = span(text, "Yor"), span(text, "ork")
    assert entities(align(Post(text, (one, other)), misaligned="expand").doc) == [
        ("York", "x")
    ]
    with pytest.raises(WnutError, match=r"'Yor' .* and 'ork' .* overlap"):
        align(Post(text, (one, other._replace(label="y"))), misaligned="expand")


@pytest.mark.parametrize(
    "text", ["", " ", " a", "a ", "a  b\n", "\u00a0a\u3000b", "a b"]
)
def test_words_of_a_post_keep_its_text(text):
    words = tuple(Word(i, i + 1) for i, char in enumerate(text) if not char.isspace())
    doc = make_tokens(Post(text, words=words), Vocab(), NLP)
    assert doc.text == text
    assert [token.text for token in doc if not token.text.isspace()] == [
        text[start:end] for start, end in words
    ]
    assert not doc.has_unknown_spaces


def test_long_lists_are_cut_off():
    listed = list_first([Rejection(f"line {i}", "bad", None) for i in range(13)])
    assert listed.startswith("line 0: bad; line 1: bad;")
    assert listed.endswith("line 9: bad; and 3 others")


words = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Zs", "Zl", "Zp", "Cc"))).filter(
        lambda word: word and not any(map(str.isspace, word))
    ),
    max_size=8,
)


@given(words=words, data=st.data())
def test_any_annotation_by_words_survives(words, data):
    cuts = st.lists(st.integers(0, len(words)), unique=True, max_size=6).map(sorted)
    labels = st.sampled_from("xyz")
    ents = [Entity(*pair, data.draw(labels)) for pair in pairwise(data.draw(cuts))]
    ents = [ent for ent in ents if data.draw(st.booleans())]
    spaces = data.draw(
        st.none() | st.lists(st.booleans(), min_size=len(words), max_size=len(words))
    )
    outside = set(range(len(words)))
    outside -= {i for ent in ents for i in range(ent.start, ent.end)}
    unknown = sorted(i for i in outside if data.draw(st.booleans()))
    post = make_post(words, data.draw(st.permutations(ents)), unknown, spaces=spaces)
    doc = restore(align(post).doc)
    assert [token.text for token in doc] == words
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == ents
    assert [token.i for token in doc if not token.ent_iob] == unknown


@given(text=st.text(max_size=30), data=st.data())
def test_any_spans_of_tokens_survive(text, data):
    """Posts without words, whose spans match the tokens that spaCy makes."""
    tokens = list(NLP.make_doc(text))
    cuts = st.lists(st.integers(0, len(tokens)), unique=True, max_size=6).map(sorted)
    spans = tuple(
        LabelledSpan(
            tokens[start].idx,
            tokens[end - 1].idx + len(tokens[end - 1]),
            data.draw(st.sampled_from("xyz")),
        )
        for start, end in pairwise(data.draw(cuts))
        if not tokens[start].is_space and not tokens[end - 1].is_space
    )
    aligned = align(Post(text, data.draw(st.permutations(spans))))
    assert not aligned.misaligned
    doc = restore(aligned.doc)
    assert doc.text == text
    assert not missing(doc)
    assert [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents] == list(
        spans
    )


def test_labels_do_not_reach_the_terminal_as_control_characters():
    text = "in Oslo"
    post = Post(text, (span(text, "Osl", "\x1b[31m"), span(text, "n O", "\x1b[31m")))
    for one in align(post).misaligned:
        assert str(one).isprintable()
    with pytest.raises(WnutError) as caught:
        align(post, misaligned="expand")
    assert str(caught.value).isprintable()
