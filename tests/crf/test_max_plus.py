from unittest.mock import patch

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.crf import max_plus
from spacy_wnut.crf.decoding import legal_chain
from spacy_wnut.crf.max_plus import MaxPlusMatrix
from spacy_wnut.labels import LabelScheme


def brute_force(vectors, scores):
    return numpy.asarray(
        [
            [
                max(v + s for v, s in zip(vector, column, strict=True))
                for column in scores.T
            ]
            for vector in vectors
        ]
    )


def products(vectors, scores):
    """The products without pruning and with it, which have to be the same bits."""
    matrix = MaxPlusMatrix.of(scores)
    with patch.object(max_plus, "MAX_SUMS_WITHOUT_PRUNING", vectors.size * scores.size):
        direct = matrix.product(vectors)
    with patch.object(max_plus, "MAX_SUMS_WITHOUT_PRUNING", 0):
        pruned = matrix.product(vectors)
    numpy.testing.assert_array_equal(direct, pruned)
    return pruned


@settings(deadline=None, max_examples=40)
@given(
    n_types=st.sampled_from([1, 2, 6, 16]),
    # Of one word: O is far more probable than the other tags, or nothing is.
    peak=st.sampled_from([0.0, 3.0, 20.0]),
    spread=st.sampled_from([0.0, 0.3, 5.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_products_are_the_maxima_over_all_rows(n_types, peak, spread, seed):
    rng = numpy.random.default_rng(seed)
    chain = legal_chain(LabelScheme(tuple(f"{i:02}" for i in range(n_types))))
    n_tags = len(chain.start)
    scores = chain.transitions + rng.normal(scale=spread, size=(n_tags, n_tags))
    vectors = rng.normal(size=(4, n_tags))
    vectors[:3, 0] += peak
    vectors[1, rng.integers(n_tags)] += 2 * peak
    vectors[2, rng.random(n_tags) < 0.5] = -numpy.inf
    found = products(vectors, scores)
    numpy.testing.assert_array_equal(found, brute_force(vectors, scores))


@pytest.mark.parametrize("n_tags", [5, 40])
def test_all_rows_may_be_minus_infinity(n_tags):
    vectors = numpy.full((2, n_tags), -numpy.inf)
    vectors[1, 3] = 1.0
    scores = numpy.zeros((n_tags, n_tags))
    scores[3, 4] = -numpy.inf
    found = products(vectors, scores)
    numpy.testing.assert_array_equal(found, brute_force(vectors, scores))


@pytest.mark.parametrize("is_finite", [[], [7], [7, 30]])
def test_columns_without_many_finite_scores(is_finite):
    scores = numpy.full((40, 2), -numpy.inf)
    scores[is_finite] = numpy.asarray(is_finite)[:, None]
    vectors = numpy.random.default_rng(0).normal(size=(3, 40))
    found = products(vectors, scores)
    numpy.testing.assert_array_equal(found, brute_force(vectors, scores))
