"""Losses of batches of examples, compared with sums over all paths."""

from itertools import pairwise, product

import numpy
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_wnut.crf import batches
from spacy_wnut.crf.chain import Chain
from spacy_wnut.crf.decoding import legal_chain
from spacy_wnut.crf.loss import batch_loss, incorrect_spans_loss
from spacy_wnut.crf.targets import set_soft_labels
from spacy_wnut.labels import LabelScheme

VOCAB = spacy.blank("en").vocab
SCHEME = LabelScheme(("a", "b"))
TAGS = SCHEME.tags
N_TAGS = len(TAGS)
KEY = "wrong"
# Docs of unequal length: the tag of each word, "" if it is not annotated. An underscore
# marks a word without word pieces.
DOCS = [
    ["B-a"],
    ["O", "B-b", "I-b_", "I-b", "O"],
    [],
    ["", "B-a", "O_"],
    ["O_", "O_"],
    ["B-b", "I-b", "", "B-a"],
]
# Incorrect spans of each doc, in words. Some overlap. One contains a word without
# pieces.
SPANS = [
    [(0, 1, "b")],
    [(0, 2, "a"), (1, 4, "a"), (4, 5, "b")],
    [],
    [],
    [],
    [(0, 4, "a"), (0, 1, "b"), (0, 1, "a")],
]
# The same in positions of the chain, which leave out words without pieces.
POSITIONS = [
    [(0, 1, "b")],
    [(0, 2, "a"), (1, 3, "a"), (3, 4, "b")],
    [],
    [],
    [],
    [(0, 4, "a"), (0, 1, "b"), (0, 1, "a")],
]


def make_examples(spans=SPANS):
    examples = []
    for tags, of_doc in zip(DOCS, spans, strict=True):
        words = ["w"] * len(tags)
        ents = [tag.removesuffix("_") for tag in tags]
        reference = Doc(VOCAB, words=words, ents=ents)
        reference.spans[KEY] = [Span(reference, *span) for span in of_doc]
        examples.append(Example(Doc(VOCAB, words=words), reference))
    return examples


def make_scores(seed=0, legal_only=True):
    """Random emissions, shape (words, N_TAGS), lengths and a chain."""
    rng = numpy.random.default_rng(seed)
    words = [tag for tags in DOCS for tag in tags]
    emissions = rng.normal(scale=2, size=(len(words), N_TAGS))
    emissions[[tag.endswith("_") for tag in words]] = 0
    lengths = numpy.asarray([len(tags) for tags in DOCS])
    shapes = ((N_TAGS, N_TAGS), N_TAGS, N_TAGS)
    chain = Chain(*(rng.normal(size=shape) for shape in shapes))
    return emissions, lengths, legal_chain(SCHEME) + chain if legal_only else chain


def paths_of_docs(emissions, lengths, chain):
    """Per doc all paths over its words with pieces, and their scores."""
    ends = numpy.cumsum(lengths)
    for start, end in zip(ends - lengths, ends, strict=True):
        rows = [row for row in emissions[start:end] if row.any()]
        paths = list(product(range(N_TAGS), repeat=len(rows))) if rows else []
        scores = [
            chain.start[path[0]]
            + chain.end[path[-1]]
            + sum(row[tag] for row, tag in zip(rows, path, strict=True))
            + sum(chain.transitions[a, b] for a, b in pairwise(path))
            for path in paths
        ]
        yield paths, numpy.asarray(scores)


def contains(path, start, end, label):
    begin = TAGS.index(f"B-{label}")
    expected = (begin, *[begin + 1] * (end - start - 1))
    is_continued = end < len(path) and path[end] == begin + 1
    return path[start:end] == expected and not is_continued


N_WORDS_WITH_PIECES = sum(not tag.endswith("_") for tags in DOCS for tag in tags)


@pytest.mark.parametrize("legal_only", [True, False])
def test_batch_loss_is_the_mean_negative_log_likelihood_over_all_paths(legal_only):
    emissions, lengths, chain = make_scores(0, legal_only)
    expected = 0.0
    for tags, (paths, scores) in zip(
        DOCS, paths_of_docs(emissions, lengths, chain), strict=True
    ):
        gold = [tag for tag in tags if not tag.endswith("_")]
        fits = [
            all(tag in ("", TAGS[i]) for tag, i in zip(gold, path, strict=True))
            for path in paths
        ]
        if paths:
            expected += numpy.logaddexp.reduce(scores)
            expected -= numpy.logaddexp.reduce(scores[fits])
    loss, _, _ = batch_loss(make_examples(), SCHEME, emissions, lengths, chain)
    assert loss == pytest.approx(expected / N_WORDS_WITH_PIECES, rel=1e-12)


def test_loss_of_soft_labels_is_their_cross_entropy():
    emissions, lengths, _ = make_scores(1)
    examples = make_examples()
    rng = numpy.random.default_rng(2)
    expected, row = 0.0, 0
    for example, length in zip(examples, lengths, strict=True):
        # Multiples of 1/64 are exact in half precision.
        counts = rng.multinomial(64, numpy.ones(N_TAGS) / N_TAGS, size=length)
        set_soft_labels(example.reference, SCHEME, counts / 64)
        for labels in counts / 64:
            if emissions[row].any():
                softmax = numpy.exp(emissions[row]) / numpy.exp(emissions[row]).sum()
                expected -= labels @ numpy.log(softmax)
            row += 1
    loss, _, d_chain = batch_loss(
        examples, SCHEME, emissions, lengths, Chain.zeros(N_TAGS)
    )
    assert loss == pytest.approx(expected / N_WORDS_WITH_PIECES, rel=1e-12)
    assert not any(part.any() for part in d_chain)


@pytest.mark.parametrize("legal_only", [True, False])
def test_incorrect_spans_loss_is_the_sum_over_all_paths(legal_only):
    emissions, lengths, chain = make_scores(3, legal_only)
    expected = 0.0
    for spans, (paths, scores) in zip(
        POSITIONS, paths_of_docs(emissions, lengths, chain), strict=True
    ):
        for span in spans:
            without = [not contains(path, *span) for path in paths]
            expected += numpy.logaddexp.reduce(scores)
            expected -= numpy.logaddexp.reduce(scores[without])
    loss, _, _ = incorrect_spans_loss(
        make_examples(), SCHEME, emissions, lengths, chain, KEY
    )
    assert expected > 0.1
    assert loss == pytest.approx(expected / N_WORDS_WITH_PIECES, rel=1e-9)


def assert_gradient(loss, arrays, gradients):
    """Compare gradients with central differences of `loss`, which reads `arrays`."""
    step = 1e-5
    for values, gradient in zip(arrays, gradients, strict=True):
        assert gradient.any()
        for at in numpy.ndindex(values.shape):
            value = values[at]
            # A word without pieces must keep its zeros.
            if len(at) == 2 and values is arrays[0] and not values[at[0]].any():
                assert gradient[at] == 0
                continue
            values[at] = value + step
            above = loss()
            values[at] = value - step
            below = loss()
            values[at] = value
            assert_allclose(gradient[at], (above - below) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("legal_only", [True, False])
def test_gradient_of_batch_loss_is_that_of_finite_differences(legal_only):
    emissions, lengths, chain = make_scores(4, legal_only)
    examples = make_examples()

    def loss():
        return batch_loss(examples, SCHEME, emissions, lengths, chain)[0]

    _, d_emissions, d_chain = batch_loss(examples, SCHEME, emissions, lengths, chain)
    assert_gradient(loss, (emissions, *chain), (d_emissions, *d_chain))


def test_gradient_of_annotated_and_softly_labelled_docs_in_one_batch():
    emissions, lengths, chain = make_scores(5)
    examples = make_examples()
    rng = numpy.random.default_rng(6)
    for i in (1, 3):
        labels = rng.dirichlet(numpy.ones(N_TAGS), size=lengths[i])
        set_soft_labels(examples[i].reference, SCHEME, labels)

    def loss():
        return batch_loss(examples, SCHEME, emissions, lengths, chain)[0]

    _, d_emissions, _ = batch_loss(examples, SCHEME, emissions, lengths, chain)
    assert_gradient(loss, (emissions,), (d_emissions,))


@pytest.mark.parametrize("legal_only", [True, False])
def test_gradient_of_incorrect_spans_in_docs_of_unequal_length(legal_only):
    emissions, lengths, chain = make_scores(7, legal_only)
    examples = make_examples()

    def result():
        return incorrect_spans_loss(examples, SCHEME, emissions, lengths, chain, KEY)

    _, d_emissions, d_chain = result()
    assert_gradient(lambda: result()[0], (emissions, *chain), (d_emissions, *d_chain))


def test_padded_batches_of_any_size_give_the_same(monkeypatch):
    emissions, lengths, chain = make_scores(8)
    examples = make_examples()
    labels = numpy.random.default_rng(9).dirichlet(numpy.ones(N_TAGS), size=lengths[3])
    set_soft_labels(examples[3].reference, SCHEME, labels)

    def results():
        loss, gradient, d_chain = batch_loss(
            examples, SCHEME, emissions, lengths, chain
        )
        yield from (loss, gradient, *d_chain)
        loss, gradient, d_chain = incorrect_spans_loss(
            examples, SCHEME, emissions, lengths, chain, KEY
        )
        yield from (loss, gradient, *d_chain)

    in_one_batch = list(results())
    for budget in (1, 4, 8):
        monkeypatch.setattr(batches, "MAX_PADDED_WORDS", budget)
        for one, other in zip(results(), in_one_batch, strict=True):
            assert_allclose(one, other, rtol=0, atol=1e-12)


def test_incorrect_spans_that_start_or_end_without_pieces_are_ignored():
    emissions, lengths, chain = make_scores(10)
    spans = [[], [(1, 3, "a"), (2, 4, "a"), (2, 3, "b")], [], [(2, 3, "a")], [], []]
    spans[4] = [(0, 1, "a"), (0, 2, "b")]
    loss, gradient, d_chain = incorrect_spans_loss(
        make_examples(spans), SCHEME, emissions, lengths, chain, KEY
    )
    assert loss == 0
    assert not gradient.any() and not any(part.any() for part in d_chain)


@pytest.mark.parametrize("n_docs", [0, 2])
def test_docs_without_words_have_no_loss(n_docs):
    examples = [Example(Doc(VOCAB), Doc(VOCAB)) for _ in range(n_docs)]
    scores = (numpy.zeros((0, N_TAGS)), numpy.zeros(n_docs, dtype="i8"))
    chain = legal_chain(SCHEME)
    for loss, gradient, d_chain in (
        batch_loss(examples, SCHEME, *scores, chain),
        incorrect_spans_loss(examples, SCHEME, *scores, chain, KEY),
    ):
        assert loss == 0
        assert gradient.shape == (0, N_TAGS)
        assert not any(part.any() for part in d_chain)


@pytest.mark.parametrize("n_words", [0, 1])
def test_loss_of_a_word_or_of_none(n_words):
    words, tags = ["w"] * n_words, ["B-a"] * n_words
    example = Example(Doc(VOCAB, words=words), Doc(VOCAB, words=words, ents=tags))
    emissions = numpy.asarray([[0.5, 1.0, 0.0, -1.0, 0.0]])[:n_words]
    lengths = numpy.asarray([n_words])
    loss, gradient, _ = batch_loss(
        [example], SCHEME, emissions, lengths, Chain.zeros(N_TAGS)
    )
    softmax = numpy.exp(emissions) / numpy.exp(emissions).sum()
    expected = softmax - [[0, 1, 0, 0, 0]]
    assert loss == pytest.approx(-numpy.log(softmax[0, 1]) if n_words else 0.0)
    assert_allclose(gradient, expected[:n_words])
