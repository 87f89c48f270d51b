from itertools import product

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from spacy_wnut.crf import log_space
from spacy_wnut.crf.chain import (
    Chain,
    expectations,
    negative_log_likelihood,
    soft_negative_log_likelihood,
    span_probabilities,
    viterbi,
)

N_TAGS = 5  # O, B-a, I-a, B-b, I-b
LENGTHS = numpy.asarray([1, 4, 2, 4, 3])


def make_chain(rng, legal_only):
    chain = Chain(
        rng.normal(size=(N_TAGS, N_TAGS)),
        rng.normal(size=N_TAGS),
        rng.normal(size=N_TAGS),
    )
    if legal_only:
        for inside in (2, 4):
            chain.start[inside] = -numpy.inf
            for before in set(range(N_TAGS)) - {inside, inside - 1}:
                chain.transitions[before, inside] = -numpy.inf
    return chain


def make_batch(seed, legal_only, lengths=LENGTHS):
    rng = numpy.random.default_rng(seed)
    emissions = rng.normal(scale=2, size=(len(lengths), max(lengths), N_TAGS))
    return emissions, make_chain(rng, legal_only)


def score_paths(emissions, chain):
    """List all paths over emissions of shape (L, T), and their scores by definition."""
    length = len(emissions)
    paths = numpy.asarray(list(product(range(N_TAGS), repeat=length)))
    scores = chain.start[paths[:, 0]] + chain.end[paths[:, -1]]
    scores = scores + emissions[numpy.arange(length), paths].sum(axis=1)
    for i in range(1, length):
        scores = scores + chain.transitions[paths[:, i - 1], paths[:, i]]
    return paths, scores


def weigh_paths(emissions, chain):
    paths, scores = score_paths(emissions, chain)
    return paths, numpy.exp(scores - numpy.logaddexp.reduce(scores))


def make_allowed(seed, emissions, lengths, legal_only):
    """Draw allowed tags at random, with at least one allowed path per sequence."""
    rng = numpy.random.default_rng(seed)
    allowed = rng.random(emissions.shape) < 0.4
    # O everywhere is always legal. The second sequence has one gold path, the third no
    # annotation.
    allowed[..., 0] = True
    allowed[1] = numpy.eye(N_TAGS, dtype=bool)[[1, 2, 0, 3]]
    allowed[2] = True
    return allowed


@pytest.fixture(params=["without BLAS", "with BLAS"])
def multiplication(request, monkeypatch):
    """The two ways to multiply, for few and for many tags."""
    if request.param == "with BLAS":
        monkeypatch.setattr(log_space, "MAX_ROWS_WITHOUT_BLAS", 0)


@pytest.fixture(
    params=[(0, False), (1, True)], ids=["all transitions", "legal transitions"]
)
def batch(request, multiplication):
    seed, legal_only = request.param
    emissions, chain = make_batch(seed, legal_only)
    return emissions, chain, make_allowed(seed, emissions, LENGTHS, legal_only)


def test_expectations_are_those_over_all_paths(batch):
    emissions, chain, _ = batch
    found = expectations(emissions, LENGTHS, chain)
    expected = Chain.zeros(N_TAGS)
    for row, length in enumerate(LENGTHS):
        paths, scores = score_paths(emissions[row, :length], chain)
        log_z = numpy.logaddexp.reduce(scores)
        weights = numpy.exp(scores - log_z)
        assert_allclose(found.log_z[row], log_z, rtol=1e-12)
        for i, tag in product(range(length), range(N_TAGS)):
            probability = weights[paths[:, i] == tag].sum()
            assert_allclose(found.marginals[row, i, tag], probability, atol=1e-12)
        assert not found.marginals[row, length:].any()
        numpy.add.at(expected.start, paths[:, 0], weights)
        numpy.add.at(expected.end, paths[:, -1], weights)
        for i in range(1, length):
            numpy.add.at(expected.transitions, (paths[:, i - 1], paths[:, i]), weights)
    for mine, theirs in zip(found.chain, expected, strict=True):
        assert_allclose(mine, theirs, atol=1e-12)


def test_viterbi_finds_the_path_with_the_highest_score(batch):
    emissions, chain, _ = batch
    tags = viterbi(emissions, LENGTHS, chain)
    for row, length in enumerate(LENGTHS):
        paths, scores = score_paths(emissions[row, :length], chain)
        assert tags[row, :length].tolist() == paths[scores.argmax()].tolist()
        assert (tags[row, length:] == -1).all()


def test_span_probabilities_are_sums_over_all_paths_with_the_span(batch):
    emissions, chain, _ = batch
    spans, expected = [], []
    for row, length in enumerate(LENGTHS):
        paths, weights = weigh_paths(emissions[row, :length], chain)
        for start, begin in product(range(length), (1, 3)):
            for end in range(start + 1, length + 1):
                has_span = (paths[:, start] == begin) & (
                    paths[:, start + 1 : end] == begin + 1
                ).all(axis=1)
                if end < length:
                    has_span &= paths[:, end] != begin + 1
                spans.append((row, start, end, begin))
                expected.append(weights[has_span].sum())
    found = span_probabilities(emissions, LENGTHS, chain, numpy.asarray(spans))
    assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    assert min(expected) > 0


@pytest.mark.parametrize("seed", range(40))
def test_span_probabilities_are_at_most_one_for_uneven_scores(seed):
    """A sum in log space that rounds up gives slightly more than 1."""
    rng = numpy.random.default_rng(seed)
    length = 6
    emissions = rng.normal(scale=30, size=(10, length, N_TAGS))
    chain = make_chain(rng, legal_only=True)
    spans = [
        (row, start, end, begin)
        for row, start, begin in product(range(10), range(length), (1, 3))
        for end in range(start + 1, length + 1)
    ]
    lengths = numpy.full(10, length)
    found = span_probabilities(emissions, lengths, chain, numpy.asarray(spans))
    assert found.min() >= 0
    assert 0.99 < found.max() <= 1


def test_likelihood_is_the_summed_probability_of_all_allowed_paths(batch):
    emissions, chain, allowed = batch
    losses, _, _ = negative_log_likelihood(emissions, LENGTHS, chain, allowed)
    for row, length in enumerate(LENGTHS):
        paths, weights = weigh_paths(emissions[row, :length], chain)
        fits = allowed[row, numpy.arange(length), paths].all(axis=1)
        assert_allclose(losses[row], -numpy.log(weights[fits].sum()), atol=1e-12)
    # A sequence without annotation has no loss.
    assert_allclose(losses[2], 0, atol=1e-12)
    assert losses[1] > 0.1


def test_gradients_are_those_of_finite_differences(batch):
    emissions, chain, allowed = batch

    def loss():
        return negative_log_likelihood(emissions, LENGTHS, chain, allowed)[0].sum()

    _, d_emissions, d_chain = negative_log_likelihood(
        emissions, LENGTHS, chain, allowed
    )
    step = 1e-5
    # `loss` reads these arrays, which are changed one number at a time.
    for values, gradient in zip(
        (emissions, *chain), (d_emissions, *d_chain), strict=True
    ):
        assert gradient.any()
        for at in numpy.ndindex(values.shape):
            value = values[at]
            values[at] = value + step
            above = loss()
            values[at] = value - step
            below = loss()
            values[at] = value
            # Illegal transitions stay at minus infinity and have no gradient.
            assert_allclose(gradient[at], (above - below) / (2 * step), atol=1e-8)


@pytest.fixture
def targets():
    targets = numpy.random.default_rng(5).dirichlet(numpy.ones(N_TAGS), size=(5, 4))
    # The second position of the fourth sequence has no soft label.
    targets[3, 1] = 0
    return targets


def test_soft_gradients_are_those_of_finite_differences(batch, targets):
    emissions, chain, _ = batch
    _, gradient = soft_negative_log_likelihood(emissions, LENGTHS, chain, targets)
    known = targets[:3]

    def loss():
        return soft_negative_log_likelihood(emissions[:3], LENGTHS[:3], chain, known)[
            0
        ].sum()

    step = 1e-5
    for at in numpy.ndindex(known.shape):
        value = emissions[at]
        emissions[at] = value + step
        above = loss()
        emissions[at] = value - step
        below = loss()
        emissions[at] = value
        inside = at[1] < LENGTHS[at[0]]
        expected = (above - below) / (2 * step)
        assert_allclose(gradient[at], expected if inside else 0, atol=1e-8)
    assert not gradient[3, 1].any() and gradient[3, 0].any()


def test_one_hot_soft_labels_give_the_likelihood_without_the_scores_of_the_chain(batch):
    emissions, chain, _ = batch
    tags = viterbi(emissions, LENGTHS, chain)
    one_hot = numpy.eye(N_TAGS)[tags]
    losses, gradient = soft_negative_log_likelihood(emissions, LENGTHS, chain, one_hot)
    hard, d_hard, _ = negative_log_likelihood(
        emissions, LENGTHS, chain, one_hot.astype(bool)
    )
    for row, length in enumerate(LENGTHS):
        path = tags[row, :length]
        transitions = chain.transitions[path[:-1], path[1:]].sum()
        of_chain = chain.start[path[0]] + transitions + chain.end[path[-1]]
        assert_allclose(losses[row], hard[row] + of_chain)
        assert_allclose(gradient[row, :length], d_hard[row, :length], atol=1e-12)


def test_independent_positions_give_cross_entropy():
    emissions, _ = make_batch(2, False)
    gold = numpy.random.default_rng(3).integers(N_TAGS, size=emissions.shape[:2])
    one_hot = numpy.eye(N_TAGS)[gold]
    losses, d_emissions, _ = negative_log_likelihood(
        emissions, LENGTHS, Chain.zeros(N_TAGS), one_hot.astype(bool)
    )
    softmax = numpy.exp(emissions) / numpy.exp(emissions).sum(axis=-1, keepdims=True)
    for row, length in enumerate(LENGTHS):
        probabilities = softmax[row, numpy.arange(length), gold[row, :length]]
        assert_allclose(losses[row], -numpy.log(probabilities).sum(), rtol=1e-12)
        assert_allclose(
            d_emissions[row, :length], (softmax - one_hot)[row, :length], atol=1e-12
        )


def results(emissions, lengths, chain, allowed):
    """Run all functions on a batch. Returns a list of arrays per sequence."""
    found = expectations(emissions, lengths, chain)
    losses, d_emissions, _ = negative_log_likelihood(emissions, lengths, chain, allowed)
    tags = viterbi(emissions, lengths, chain)
    spans = numpy.asarray([(row, 0, n, 1) for row, n in enumerate(lengths)])
    wholes = span_probabilities(emissions, lengths, chain, spans)
    return [
        [
            found.log_z[row],
            found.marginals[row, :n],
            losses[row],
            d_emissions[row, :n],
            tags[row, :n],
            wholes[row],
        ]
        for row, n in enumerate(lengths)
    ]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("garbage", [1e300, -numpy.inf, numpy.inf, numpy.nan])
def test_padding_has_no_influence(batch, garbage):
    emissions, chain, allowed = batch
    clean = results(emissions, LENGTHS, chain, allowed)
    clean_chain = expectations(emissions, LENGTHS, chain).chain
    padding = numpy.arange(emissions.shape[1]) >= LENGTHS[:, None]
    dirty_emissions = numpy.where(padding[..., None], garbage, emissions)
    dirty_allowed = allowed & ~padding[..., None]
    dirty = results(dirty_emissions, LENGTHS, chain, dirty_allowed)
    for mine, theirs in zip(clean, dirty, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            numpy.testing.assert_array_equal(one, other)
    dirty_chain = expectations(dirty_emissions, LENGTHS, chain).chain
    for one, other in zip(clean_chain, dirty_chain, strict=True):
        numpy.testing.assert_array_equal(one, other)
    _, d_emissions, _ = negative_log_likelihood(
        dirty_emissions, LENGTHS, chain, dirty_allowed
    )
    assert not d_emissions[padding].any()


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    legal_only=st.booleans(),
)
def test_a_sequence_has_the_same_results_alone_and_in_a_batch(
    lengths, seed, legal_only
):
    lengths = numpy.asarray(lengths)
    emissions, chain = make_batch(seed, legal_only, lengths)
    allowed = numpy.random.default_rng(seed).random(emissions.shape) < 0.5
    allowed[..., 0] = True
    together = results(emissions, lengths, chain, allowed)
    for row, n in enumerate(lengths):
        at = slice(row, row + 1)
        [alone] = results(emissions[at, :n], lengths[at], chain, allowed[at, :n])
        for one, other in zip(alone, together[row], strict=True):
            assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_probabilities_of_thousands_of_positions_still_sum_to_one():
    length = 3000
    rng = numpy.random.default_rng(4)
    emissions = rng.normal(scale=3, size=(1, length, N_TAGS))
    chain, lengths = make_chain(rng, legal_only=True), numpy.asarray([length])
    found = expectations(emissions, lengths, chain)
    assert_allclose(found.marginals[0].sum(axis=1), 1, rtol=0, atol=1e-9)
    assert_allclose(found.chain.transitions.sum(), length - 1, rtol=0, atol=1e-6)
    # All ends of an entity with a given start are disjoint.
    for start, begin in product((0, 1500, length - 60), (1, 3)):
        spans = [(0, start, start + n, begin) for n in range(1, 61)]
        total = span_probabilities(
            emissions, lengths, chain, numpy.asarray(spans)
        ).sum()
        assert_allclose(total, found.marginals[0, start, begin], rtol=0, atol=1e-9)


# No warning, although sums in the padding are larger than those of the sequence.
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_scores_whose_exponentials_overflow_are_handled():
    emissions, chain = make_batch(5, True)
    shifted = expectations(emissions + 1e4, LENGTHS, chain)
    plain = expectations(emissions, LENGTHS, chain)
    assert_allclose(shifted.log_z, plain.log_z + 1e4 * LENGTHS, rtol=1e-12)
    assert_allclose(shifted.marginals, plain.marginals, atol=1e-9)


def test_no_allowed_path_is_an_error(batch):
    emissions, _, _ = batch
    chain = make_chain(numpy.random.default_rng(6), legal_only=True)
    allowed = numpy.ones(emissions.shape, dtype=bool)
    # O, then I-a: illegal.
    allowed[1, :2] = numpy.eye(N_TAGS, dtype=bool)[[0, 2]]
    with pytest.raises(
        FloatingPointError, match=r"^a sequence has no path with a finite score$"
    ):
        negative_log_likelihood(emissions, LENGTHS, chain, allowed)


def test_nan_is_an_error(batch):
    emissions, chain, _ = batch
    emissions[1, 2, 3] = numpy.nan
    with pytest.raises(
        FloatingPointError, match=r"^a sequence has no path with a finite score$"
    ):
        expectations(emissions, LENGTHS, chain)


def test_chains_are_added_elementwise():
    rng = numpy.random.default_rng(7)
    one, other = make_chain(rng, False), make_chain(rng, True)
    total = one + other
    assert isinstance(total, Chain)
    for field in Chain._fields:
        assert_allclose(
            getattr(total, field), getattr(one, field) + getattr(other, field)
        )
