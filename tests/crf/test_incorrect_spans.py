"""The loss of spans that don't stand there, against all paths one by one."""

from itertools import pairwise, product

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from spacy_wnut.crf import incorrect_spans
from spacy_wnut.crf.chain import (
    Chain,
    expectations,
    negative_log_likelihood,
    span_probabilities,
)
from spacy_wnut.crf.decoding import legal_chain
from spacy_wnut.crf.incorrect_spans import absence_losses
from spacy_wnut.labels import LabelScheme

SCHEME = LabelScheme(("a", "b"))
N_TAGS = len(SCHEME.tags)


def make_batch(lengths, seed, legal_only, scale=2.0):
    """Scores at random, garbage in the padding."""
    rng = numpy.random.default_rng(seed)
    emissions = rng.normal(scale=scale, size=(len(lengths), max(lengths), N_TAGS))
    emissions[numpy.arange(max(lengths)) >= lengths[:, None]] = 50.0
    shapes = ((N_TAGS, N_TAGS), N_TAGS, N_TAGS)
    chain = Chain(*(rng.normal(size=shape) for shape in shapes))
    return emissions, legal_chain(SCHEME) + chain if legal_only else chain


def all_spans(lengths):
    return numpy.asarray(
        [
            (row, start, end, begin)
            for row, length in enumerate(lengths)
            for start in range(length)
            for end in range(start + 1, length + 1)
            for begin in (1, 3)
        ]
    )


def stands(path, start, end, begin):
    """By the definition of an entity: B-x, I-x up to the end and no further."""
    inside = [begin, *[begin + 1] * (end - start - 1)]
    goes_on = end < len(path) and path[end] == begin + 1
    return list(path[start:end]) == inside and not goes_on


def brute_force(emissions, length, chain, start, end, begin):
    """The loss of a span in one sequence."""
    every, without = [], []
    for path in product(range(N_TAGS), repeat=length):
        score = chain.start[path[0]] + chain.end[path[-1]]
        score += sum(emissions[i, tag] for i, tag in enumerate(path))
        score += sum(chain.transitions[a, b] for a, b in pairwise(path))
        every.append(score)
        if not stands(path, start, end, begin):
            without.append(score)
    return numpy.logaddexp.reduce(every) - numpy.logaddexp.reduce(without)


sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(numpy.asarray)
seeds = st.integers(0, 10_000)


@settings(deadline=None, max_examples=15)
@given(sizes, seeds, st.booleans())
def test_losses_are_those_over_all_paths(lengths, seed, legal_only):
    emissions, chain = make_batch(lengths, seed, legal_only)
    spans = all_spans(lengths)[seed % 2 :: 2]
    losses, _, _ = absence_losses(emissions, lengths, chain, spans)
    for loss, (row, *span) in zip(losses, spans, strict=True):
        expected = brute_force(emissions[row], lengths[row], chain, *span)
        assert_allclose(loss, expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(sizes, seeds, st.booleans())
def test_gradients_are_finite_differences(lengths, seed, legal_only):
    emissions, chain = make_batch(lengths, seed, legal_only)
    rng = numpy.random.default_rng(seed)
    # Some of them more than once: each counts.
    spans = rng.choice(all_spans(lengths), size=5)
    _, d_emissions, d_chain = absence_losses(emissions, lengths, chain, spans)
    step = 1e-5
    # The arrays that are read are moved one number at a time.
    for values, gradient in zip(
        (emissions, *chain), (d_emissions, *d_chain), strict=True
    ):
        for at in numpy.ndindex(values.shape):
            value = values[at]
            values[at] = value + step
            above = absence_losses(emissions, lengths, chain, spans)[0].sum()
            values[at] = value - step
            below = absence_losses(emissions, lengths, chain, spans)[0].sum()
            values[at] = value
            # A move at minus infinity stays there: no gradient.
            assert_allclose(gradient[at], (above - below) / (2 * step), atol=1e-7)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5).map(numpy.asarray),
    seeds,
    st.booleans(),
)
def test_it_is_the_probability_that_confidences_are(lengths, seed, legal_only):
    emissions, chain = make_batch(lengths, seed, legal_only)
    spans = all_spans(lengths)
    losses, _, _ = absence_losses(emissions, lengths, chain, spans)
    probabilities = span_probabilities(emissions, lengths, chain, spans)
    assert_allclose(losses, -numpy.log1p(-probabilities), rtol=1e-6, atol=1e-11)


def test_the_gradient_is_the_usual_one_where_that_can_be_computed():
    lengths = numpy.asarray([6])
    emissions, chain = make_batch(lengths, 0, legal_only=True)
    spans = numpy.asarray([(0, 2, 4, 3)])
    _, d_emissions, d_chain = absence_losses(emissions, lengths, chain, spans)
    [probability] = span_probabilities(emissions, lengths, chain, spans)
    having = numpy.ones(emissions.shape, dtype=bool)
    having[0, 2:4] = numpy.eye(N_TAGS, dtype=bool)[[3, 4]]
    having[0, 4, 4] = False
    # The gradient of -log P(s) is E[f] - E[f | s].
    _, d_likelihood, d_moves = negative_log_likelihood(
        emissions, lengths, chain, having
    )
    odds = probability / (1 - probability)
    assert_allclose(d_emissions, -odds * d_likelihood, atol=1e-12)
    for found, expected in zip(d_chain, d_moves, strict=True):
        assert_allclose(found, -odds * expected, atol=1e-12)


# Not even where the model is sure of the span does anything overflow.
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("margin", [30.0, 1e3, 1e6])
def test_loss_and_gradient_of_spans_that_the_model_is_sure_of(margin):
    lengths = numpy.asarray([5])
    emissions = numpy.zeros((1, 5, N_TAGS))
    emissions[0, numpy.arange(5), [0, 1, 2, 0, 0]] = margin
    spans = numpy.asarray([(0, 1, 3, 1)])
    chain = legal_chain(SCHEME)
    [loss], gradient, d_chain = absence_losses(emissions, lengths, chain, spans)
    # The nearest path that hasn't the span differs in one word.
    assert margin - 3 < loss <= margin
    assert numpy.abs(gradient).max() <= 1
    # It pushes the span down, all the way.
    assert gradient[0, 1, 1] + gradient[0, 2, 2] + gradient[0, 3, 0] > 0.5
    assert_allclose(gradient.sum(axis=2), 0, atol=1e-9)
    assert all(numpy.isfinite(part).all() for part in d_chain)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_loss_and_gradient_of_spans_that_are_all_but_impossible():
    lengths = numpy.asarray([3])
    emissions = numpy.zeros((1, 3, N_TAGS))
    emissions[0, :, 0] = 2000.0
    spans = numpy.asarray([(0, 0, 3, 1), (0, 1, 2, 3)])
    losses, gradient, d_chain = absence_losses(
        emissions, lengths, legal_chain(SCHEME), spans
    )
    assert not losses.any() and not gradient.any()
    assert not any(part.any() for part in d_chain)


def test_any_budget_gives_the_same(monkeypatch):
    lengths = numpy.asarray([7, 3, 5])
    emissions, chain = make_batch(lengths, 1, legal_only=True)
    spans = all_spans(lengths)
    at_once = absence_losses(emissions, lengths, chain, spans)
    monkeypatch.setattr(incorrect_spans, "MAX_PADDED_WORDS", 20)
    bit_by_bit = absence_losses(emissions, lengths, chain, spans)
    assert_allclose(bit_by_bit[0], at_once[0], atol=1e-12)
    assert_allclose(bit_by_bit[1], at_once[1], atol=1e-9)
    for one, other in zip(bit_by_bit[2], at_once[2], strict=True):
        assert_allclose(one, other, atol=1e-9)


def test_a_span_that_stands_on_every_path_is_an_error():
    emissions = numpy.full((1, 2, N_TAGS), -numpy.inf)
    emissions[0, [0, 1], [1, 2]] = 0.0
    with pytest.raises(
        FloatingPointError, match="paths with a finite score contain a span"
    ):
        absence_losses(
            emissions,
            numpy.asarray([2]),
            legal_chain(SCHEME),
            numpy.asarray([(0, 0, 2, 1)]),
        )


def test_weights_count_moves_as_often_as_they_say():
    lengths = numpy.asarray([4, 2, 3])
    emissions, chain = make_batch(lengths, 2, legal_only=False)
    weights = numpy.asarray([2.0, 0.0, 0.5])
    found = expectations(emissions, lengths, chain, weights).chain
    for name in Chain._fields:
        expected = sum(
            weight
            * getattr(
                expectations(emissions[i : i + 1], lengths[i : i + 1], chain).chain,
                name,
            )
            for i, weight in enumerate(weights)
        )
        assert_allclose(getattr(found, name), expected, atol=1e-12)
