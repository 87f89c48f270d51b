import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from thinc.api import Ragged

from spacy_wnut.models.reduce_first import reduce_first


def make_ragged(lengths, width=3, seed=0):
    rng = numpy.random.default_rng(seed)
    lengths = numpy.asarray(lengths, dtype="i")
    return Ragged(rng.normal(size=(lengths.sum(), width)).astype("f"), lengths)


LENGTHS = [[2, 1, 3], [0, 2, 0, 0, 1, 0], [0], [0, 0], [], [4]]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_word_has_the_vector_of_its_first_piece_or_zeros(lengths):
    ragged = make_ragged(lengths)
    words = reduce_first().predict(ragged)
    pieces, expected = list(ragged.dataXd), []
    for length in lengths:
        expected.append(pieces[0] if length else numpy.zeros(3))
        del pieces[:length]
    assert words.dtype == numpy.float32
    assert_array_equal(words, numpy.asarray(expected).reshape(len(lengths), 3))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_gradient_is_that_of_finite_differences(lengths):
    model, ragged = reduce_first(), make_ragged(lengths)
    words, backprop = model.begin_update(ragged)
    rng = numpy.random.default_rng(1)
    d_words = rng.normal(size=words.shape).astype("f")
    d_ragged = backprop(d_words)
    assert_array_equal(d_ragged.lengths, ragged.lengths)
    assert d_ragged.dataXd.shape == ragged.dataXd.shape
    step = numpy.float32(0.5)
    for at in numpy.ndindex(ragged.dataXd.shape):
        moved = ragged.dataXd.copy()
        moved[at] += step
        change = model.predict(Ragged(moved, ragged.lengths)) - words
        assert_allclose(d_ragged.dataXd[at], (change * d_words).sum() / step, atol=1e-4)


def test_forward_does_not_change_its_input():
    ragged = make_ragged([0, 2, 1])
    before = ragged.dataXd.copy()
    words = reduce_first().predict(ragged)
    words += 1
    assert_array_equal(ragged.dataXd, before)
