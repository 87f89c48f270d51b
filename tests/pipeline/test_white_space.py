"""White space: no entity starts or ends with it, and training ignores it."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_wnut.crf.targets import set_soft_labels

SPACES = [
    "\n",
    "\n\n ",
    " ",
    "\t",
    "\r\n",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\x85",
    "\x1c",
]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("bias", [0.0, 1000.0])
def test_entities_do_not_start_or_end_with_white_space(make_table_nlp, space, bias):
    # The emissions of white space are large, and equal for all tags.
    nlp = make_table_nlp(space=50.0, bias=bias)
    words = [space, "New", space, "York", space, space, "Oslo", space]
    doc = nlp(Doc(nlp.vocab, words=words))
    assert all(token.is_space == (token.text == space) for token in doc)
    spans = [(1, 4), (6, 7)]
    assert [(ent.start, ent.end) for ent in doc.ents] == spans
    assert [ent.label_ for ent in doc.ents] == ["location"] * 2
    bare = nlp(Doc(nlp.vocab, words=["New", "York", "Oslo"]))
    assert [ent._.confidence for ent in doc.ents] == pytest.approx(
        [ent._.confidence for ent in bare.ents], abs=1e-12
    )
    assert not nlp(Doc(nlp.vocab, words=[space, space])).ents


def test_vectors_of_white_space_are_ignored(cnn):
    cnn.get_pipe("ner").bias = 1000.0
    [doc] = cnn.pipe([Doc(cnn.vocab, words=["\n\n ", "Ada", " ", "Oslo", "\n"])])
    assert sum(map(len, doc.ents)) == 2 + any(len(ent) == 3 for ent in doc.ents)
    assert all(not ent[0].is_space and not ent[-1].is_space for ent in doc.ents)
    assert not cnn("\n\n ").ents


TOKENS = st.lists(
    st.sampled_from(["Ada", "New", "York", "so", "\u200b", *SPACES]),
    min_size=1,
    max_size=15,
)


@settings(deadline=None, max_examples=40)
@given(words=TOKENS, bias=st.floats(-1000, 1000), space=st.floats(-1e3, 1e3))
def test_white_space_is_at_no_border_whatever_the_settings(
    make_table_nlp, words, bias, space
):
    nlp = make_table_nlp(bias=bias, space=space)
    for ent in nlp(Doc(nlp.vocab, words=words)).ents:
        assert not ent[0].is_space and not ent[-1].is_space


# Words of which some are in entities, and the kinds of annotation that they have.
WORDS = ["New", "York", "so", "Oslo"]
ENTS = [(0, 2, "location"), (3, 4, "location")]
KINDS = ["entities", "missing", "incorrect", "soft"]


def annotate(doc, starts, kind, scheme):
    """Annotate the words of a doc, which may have white space between them.

    starts (List[int]): The token index of each of WORDS.
    """
    spans = [
        Span(doc, starts[start], starts[end - 1] + 1, label)
        for start, end, label in ENTS
    ]
    if kind == "missing":
        doc.set_ents(spans[:1], outside=[doc[starts[2] : starts[2] + 1]])
    elif kind == "incorrect":
        doc.set_ents(spans[1:])
        doc.spans["wrong"] = [spans[0], Span(doc, starts[2], starts[2] + 1, "person")]
    else:
        doc.set_ents(spans)
    if kind == "soft":
        # Teachers have opinions of white space too.
        soft = numpy.full((len(doc), len(scheme.tags)), 1 / len(scheme.tags))
        soft[starts] = numpy.random.RandomState(0).dirichlet([1] * 5, size=len(starts))
        set_soft_labels(doc, scheme, soft)


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from(KINDS),
    spaces=st.lists(
        st.lists(st.sampled_from(SPACES), max_size=2), min_size=5, max_size=5
    ),
    seed=st.integers(0, 2**16),
)
def test_white_space_changes_neither_loss_nor_gradient(
    make_table_nlp, transitions, kind, spaces, seed
):
    nlp = make_table_nlp(transitions=transitions, incorrect_spans_key="wrong")
    ner = nlp.get_pipe("ner")
    random = numpy.random.RandomState(seed)
    chain = ner.model
    for name, shape in (("transitions", (5, 5)), ("start", 5), ("end", 5)):
        chain.set_param(name, random.normal(size=shape).astype("f"))

    def loss_of(words, starts, emissions):
        example = Example(Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words))
        annotate(example.reference, starts, kind, ner.scheme)
        loss, ([gradient], d_chain) = ner.get_loss([example], [emissions])
        return loss, gradient, d_chain

    emissions = random.normal(size=(len(WORDS), 5)).astype("f")
    words = [*spaces[0]]
    starts = []
    for word, after in zip(WORDS, spaces[1:], strict=True):
        starts.append(len(words))
        words += [word, *after]
    # White space favours one tag strongly: an effect on the loss would be large.
    spaced = random.normal(scale=10, size=(len(words), 5)).astype("f")
    spaced[starts] = emissions

    bare, d_bare, d_chain = loss_of(WORDS, range(len(WORDS)), emissions)
    loss, gradient, d_spaced = loss_of(words, starts, spaced)
    assert bare > 0
    assert loss == pytest.approx(bare)
    numpy.testing.assert_allclose(gradient[starts], d_bare, atol=1e-6)
    assert not numpy.delete(gradient, starts, axis=0).any()
    for ours, expected in zip(d_spaced, d_chain, strict=True):
        numpy.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
@pytest.mark.parametrize("ent", [(1, 4), (0, 4), (1, 5)])
def test_white_space_at_the_border_of_an_annotated_entity(
    make_table_nlp, transitions, ent
):
    """The loss is that of the words within."""
    nlp = make_table_nlp(space=7.0, transitions=transitions)
    ner = nlp.get_pipe("ner")

    def loss(words, ent):
        reference = Doc(nlp.vocab, words=words)
        reference.set_ents([Span(reference, *ent, "location")])
        example = Example(Doc(nlp.vocab, words=words), reference)
        return ner.get_loss([example], ner.model.predict([example.predicted]))[0]

    spaced = loss(["\n", "New", " ", "York", "\n\n ", "so"], ent)
    assert spaced == pytest.approx(loss(["New", "York", "so"], (0, 2)))
