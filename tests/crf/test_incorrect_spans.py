"""Loss of incorrect spans, compared with sums over all paths."""

from itertools import pairwise, product

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from spacy_wnut.crf import batches
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
    """Draw random scores, with large values in the padding."""
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


def contains(path, start, end, begin):
    """Check whether a path has an entity: B-x, I-x up to the end, no I-x after it."""
    inside = [begin, *[begin + 1] * (end - start - 1)]
    is_continued = end < len(path) and path[end] == begin + 1
    return list(path[start:end]) == inside and not is_continued


def brute_force(emissions, length, chain, start, end, begin):
    """Compute the loss of one span in one sequence by enumerating all paths."""
    every, without = [], []
    for path in product(range(N_TAGS), repeat=length):
        score = chain.start[path[0]] + chain.end[path[-1]]
        score += sum(emissions[i, tag] for i, tag in enumerate(path))
        score += sum(chain.transitions[a, b] for a, b in pairwise(path))
        every.append(score)
        if not contains(path, start, end, begin):
            without.append(score)
    return numpy.logaddexp.reduce(every) - numpy.logaddexp.reduce(without)


sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(numpy.asarray)
seeds = st.integers(0, 10_000)


@settings(deadline=None, max_examples=15)
@given(sizes, seeds, st.booleans())
def test_losses_are_those_of_all_paths(lengths, seed, legal_only):
    emissions, chain = make_batch(lengths, seed, legal_only)
    spans = all_spans(lengths)[seed % 2 :: 2]
    losses, _, _ = absence_losses(emissions, lengths, chain, spans)
    for loss, (row, *span) in zip(losses, spans, strict=True):
        expected = brute_force(emissions[row], lengths[row], chain, *span)
        assert_allclose(loss, expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(sizes, seeds, st.booleans())
def test_gradients_are_those_of_finite_differences(lengths, seed, legal_only):
    emissions, chain = make_batch(lengths, seed, legal_only)
    rng = numpy.random.default_rng(seed)
    # Duplicates are possible, and each counts.
    spans = rng.choice(all_spans(lengths), size=5)
    _, d_emissions, d_chain = absence_losses(emissions, lengths, chain, spans)
    step = 1e-5
    # The arrays are changed one number at a time.
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
            # Illegal transitions stay at minus infinity and have no gradient.
            assert_allclose(gradient[at], (above - below) / (2 * step), atol=1e-7)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5).map(numpy.asarray),
    seeds,
    st.booleans(),
)
def test_losses_agree_with_the_span_probabilities(lengths, seed, legal_only):
    emissions, chain = make_batch(lengths, seed, legal_only)
    spans = all_spans(lengths)
    losses, _, _ = absence_losses(emissions, lengths, chain, spans)
    probabilities = span_probabilities(emissions, lengths, chain, spans)
    assert_allclose(losses, -numpy.log1p(-probabilities), rtol=1e-6, atol=1e-11)


def test_gradient_agrees_with_the_usual_form_where_that_is_stable():
    lengths = numpy.asarray([6])
    emissions, chain = make_batch(lengths, 0, legal_only=True)
    spans = numpy.asarray([(0, 2, 4, 3)])
    _, d_emissions, d_chain = absence_losses(emissions, lengths, chain, spans)
    [probability] = span_probabilities(emissions, lengths, chain, spans)
    with_span = numpy.ones(emissions.shape, dtype=bool)
    with_span[0, 2:4] = numpy.eye(N_TAGS, dtype=bool)[[3, 4]]
    with_span[0, 4, 4] = False
    # The gradient of -log P(s) is E[f] - E[f | s].
    _, d_likelihood, d_likelihood_chain = negative_log_likelihood(
        emissions, lengths, chain, with_span
    )
    odds = probability / (1 - probability)
    assert_allclose(d_emissions, -odds * d_likelihood, atol=1e-12)
    for found, expected in zip(d_chain, d_likelihood_chain, strict=True):
        assert_allclose(found, -odds * expected, atol=1e-12)


# Nothing overflows where the model is certain of the span.
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("margin", [30.0, 1e3, 1e6])
def test_loss_and_gradient_of_spans_with_a_probability_of_nearly_one(margin):
    lengths = numpy.asarray([5])
    emissions = numpy.zeros((1, 5, N_TAGS))
    emissions[0, numpy.arange(5), [0, 1, 2, 0, 0]] = margin
    spans = numpy.asarray([(0, 1, 3, 1)])
    chain = legal_chain(SCHEME)
    [loss], gradient, d_chain = absence_losses(emissions, lengths, chain, spans)
    # The best path without the span differs in one word.
    assert margin - 3 < loss <= margin
    assert numpy.abs(gradient).max() <= 1
    # The gradient lowers the scores of the span.
    assert gradient[0, 1, 1] + gradient[0, 2, 2] + gradient[0, 3, 0] > 0.5
    assert_allclose(gradient.sum(axis=2), 0, atol=1e-9)
    assert all(numpy.isfinite(part).all() for part in d_chain)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_loss_and_gradient_of_spans_with_a_probability_of_nearly_zero():
    lengths = numpy.asarray([3])
    emissions = numpy.zeros((1, 3, N_TAGS))
    emissions[0, :, 0] = 2000.0
    spans = numpy.asarray([(0, 0, 3, 1), (0, 1, 2, 3)])
    losses, gradient, d_chain = absence_losses(
        emissions, lengths, legal_chain(SCHEME), spans
    )
    assert not losses.any() and not gradient.any()
    assert not any(part.any() for part in d_chain)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("excluded", [[], [1, 2, 3, 4], [0, 2, 4]], ids=str)
def test_losses_are_at_least_zero(seed, excluded):
    """Rounding of the difference must not give less, also where emissions of minus
    infinity make some spans impossible.
    """
    lengths = numpy.asarray([6, 3])
    emissions, chain = make_batch(lengths, seed, legal_only=True, scale=10.0)
    at = 1 + seed % 5
    emissions[0, at, excluded] = -numpy.inf
    spans = all_spans(lengths)
    losses, gradient, _ = absence_losses(emissions, lengths, chain, spans)
    assert losses.min() >= 0
    assert numpy.isfinite(losses).all() and numpy.isfinite(gradient).all()
    row, start, end, begin = spans.T
    contains_position = (row == 0) & (start <= at) & (at < end)
    tag = numpy.where(start == at, begin, begin + 1)
    impossible = contains_position & numpy.isin(tag, excluded)
    assert impossible.any() == bool(excluded)
    assert_allclose(losses[impossible], 0, rtol=0, atol=1e-12)


def test_batches_of_any_size_give_the_same_losses(monkeypatch):
    lengths = numpy.asarray([7, 3, 5])
    emissions, chain = make_batch(lengths, 1, legal_only=True)
    spans = all_spans(lengths)
    at_once = absence_losses(emissions, lengths, chain, spans)
    monkeypatch.setattr(batches, "MAX_PADDED_WORDS", 20)
    in_batches = absence_losses(emissions, lengths, chain, spans)
    assert_allclose(in_batches[0], at_once[0], atol=1e-12)
    assert_allclose(in_batches[1], at_once[1], atol=1e-9)
    for one, other in zip(in_batches[2], at_once[2], strict=True):
        assert_allclose(one, other, atol=1e-9)


def test_a_span_on_all_paths_is_an_error():
    emissions = numpy.full((1, 2, N_TAGS), -numpy.inf)
    emissions[0, [0, 1], [1, 2]] = 0.0
    with pytest.raises(
        FloatingPointError, match=r"^all paths with a finite score contain a span$"
    ):
        absence_losses(
            emissions,
            numpy.asarray([2]),
            legal_chain(SCHEME),
            numpy.asarray([(0, 0, 2, 1)]),
        )


def test_weights_multiply_the_expected_transitions():
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


def test_sequences_without_spans_have_no_gradient():
    lengths = numpy.asarray([2, 2, 2])
    emissions, chain = make_batch(lengths, 0, True)
    spans = numpy.asarray([(1, 0, 2, 1)])
    losses, d_emissions, d_chain = absence_losses(emissions, lengths, chain, spans)
    alone = absence_losses(
        emissions[1:2], lengths[1:2], chain, numpy.asarray([(0, 0, 2, 1)])
    )
    assert_allclose(losses, alone[0])
    assert_allclose(d_emissions[1], alone[1][0])
    assert not d_emissions[[0, 2]].any()
    for one, other in zip(d_chain, alone[2], strict=True):
        assert_allclose(one, other, atol=1e-12)
