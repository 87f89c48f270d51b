from decimal import Decimal, localcontext

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from spacy_wnut.crf import log_space
from spacy_wnut.crf.log_space import LogMatrix, log_sum_exp, sum_outer_products

# With 5 rows and with 40, a matrix is multiplied without BLAS and with it.
ROWS = st.sampled_from([5, 40])
# Scores as in a chain, and so far apart that exponentials underflow or overflow.
SPREADS = st.sampled_from([1.0, 30.0, 1000.0, 1e5])


def exact_log_sum(logs):
    """Log of a sum of exponentials, in 40 digits and with any exponent."""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 40, 10**9, -(10**9)
        terms = [Decimal(float(log)).exp() for log in logs if log > -numpy.inf]
        return float(sum(terms).ln()) if terms else -numpy.inf


def draw(rng, shape, spread):
    """Draw scores, a quarter of them minus infinity."""
    scores = rng.normal(scale=spread, size=shape)
    return numpy.where(rng.random(shape) < 0.25, -numpy.inf, scores)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@settings(deadline=None, max_examples=30)
@given(ROWS, SPREADS, SPREADS, st.integers(0, 1000))
def test_products_are_exact(n_rows, spread, vector_spread, seed):
    rng = numpy.random.default_rng(seed)
    matrix = draw(rng, (n_rows, 4), spread)
    matrix[:, 3] = -numpy.inf
    vectors = draw(rng, (3, n_rows), vector_spread)
    vectors[2] = -numpy.inf
    found = LogMatrix.of(matrix).log_product(vectors)
    expected = [
        [exact_log_sum(vector + matrix[:, t]) for t in range(4)] for vector in vectors
    ]
    assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("n_rows", [5, 40])
def test_a_sum_whose_terms_underflow_is_computed_from_logarithms(n_rows):
    """The only finite path leads through the number that is exp(-2000) times the
    largest one.
    """
    matrix = numpy.full((n_rows, 2), -numpy.inf)
    matrix[:, 0] = 0.0
    matrix[1, 1] = -3.0
    vectors = numpy.full((1, n_rows), -numpy.inf)
    vectors[0, :2] = 0.0, -2000.0
    found = LogMatrix.of(matrix).log_product(vectors)
    assert found.tolist() == [[0.0, -2003.0]]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("shift", [-1e5, 1e5])
@pytest.mark.parametrize("n_rows", [5, 40])
def test_large_logarithms_neither_overflow_nor_warn(n_rows, shift):
    rng = numpy.random.default_rng(0)
    matrix, vectors = rng.normal(size=(n_rows, 6)), rng.normal(size=(3, n_rows))
    plain = LogMatrix.of(matrix).log_product(vectors)
    shifted = LogMatrix.of(matrix + shift).log_product(vectors + shift)
    assert_allclose(shifted, plain + 2 * shift, rtol=1e-14)


@settings(deadline=None, max_examples=30)
@given(st.integers(3, 32), st.integers(1, 70), st.integers(0, 1000))
def test_products_of_small_matrices_are_the_same_bits_in_every_batch(n, size, seed):
    rng = numpy.random.default_rng(seed)
    matrix = LogMatrix.of(draw(rng, (n, n), 2.0))
    vectors = draw(rng, (size, n), 10.0)
    together = matrix.log_product(vectors)
    for i in range(size):
        alone = matrix.log_product(vectors[i : i + 1])
        numpy.testing.assert_array_equal(alone[0], together[i])


@settings(deadline=None, max_examples=30)
@given(SPREADS, st.integers(0, 1000))
def test_sums_of_outer_products_are_sums_over_all_terms(spread, seed):
    rng = numpy.random.default_rng(seed)
    left, right = draw(rng, (6, 3), spread), draw(rng, (6, 4), spread)
    left[0] = -numpy.inf
    logs, weights = draw(rng, (3, 4), spread), rng.random(6)
    terms = left[:, :, None] + logs + right[:, None, :]  # (6, 3, 4)
    # As expected counts, the terms are at most 1.
    terms_max = numpy.maximum(terms.max(axis=(1, 2)), log_space.LOWEST)
    left = left - terms_max[:, None]
    terms = terms - terms_max[:, None, None]
    expected = (weights[:, None, None] * numpy.exp(terms)).sum(axis=0)
    found = sum_outer_products(left, logs, right, weights)
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert found.max() > 0.0


def test_outer_products_whose_scales_overflow_are_added():
    """Each vector is largest where the other one forbids it."""
    left = numpy.asarray([[0.0, 900.0]])
    right = numpy.asarray([[0.0, 900.0]])
    logs = numpy.asarray([[-1800.0, -900.0], [-901.0, -1801.0]])
    found = sum_outer_products(left, logs, right, numpy.ones(1))
    expected = numpy.exp([[-1800.0, 0.0], [-1.0, -1.0]])
    assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@given(st.lists(st.floats(-1e6, 1e6) | st.just(-numpy.inf), min_size=1, max_size=8))
def test_log_sum_exp_is_exact(logs):
    found = log_sum_exp(numpy.asarray([logs]), axis=1)
    assert found.shape == (1,)
    assert_allclose(found[0], exact_log_sum(logs), rtol=1e-13, atol=1e-13)
