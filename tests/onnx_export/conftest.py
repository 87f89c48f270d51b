"""A model of the integer instructions that multiply int8 weights."""

from collections.abc import Callable

import numpy
import pytest


@pytest.fixture(scope="session")
def multiply_saturating() -> Callable[..., numpy.ndarray]:
    """The product of uint8 rows and int8 weights on a processor with AVX2 or AVX-512
    but without VNNI. vpmaddubsw adds the two products of each pair of neighbouring
    inputs, and what is beyond 16 bits becomes the nearest number within. An odd last
    input is paired with zero.
    """

    def multiply(bits: numpy.ndarray, weights: numpy.ndarray) -> numpy.ndarray:
        assert bits.dtype == numpy.uint8 and weights.dtype == numpy.int8
        n_odd = len(weights) % 2
        a = numpy.pad(bits.astype("i8"), [(0, 0), (0, n_odd)])
        b = numpy.pad(weights.astype("i8"), [(0, n_odd), (0, 0)])
        found = numpy.zeros((len(a), b.shape[1]), dtype="i8")
        for k in range(0, len(b), 2):
            pair = a[:, [k]] * b[k] + a[:, [k + 1]] * b[k + 1]
            found += numpy.clip(pair, -(2**15), 2**15 - 1)
        return found

    return multiply


@pytest.fixture(scope="session")
def make_extreme() -> Callable[[numpy.ndarray], numpy.ndarray]:
    """The inputs with the largest sums: for each column of weights, 255 wherever a
    weight is positive and 0 elsewhere, the reverse of that, and 255 everywhere.
    """

    def make(weights: numpy.ndarray) -> numpy.ndarray:
        positive, negative = (weights > 0).T, (weights < 0).T
        all_on = numpy.ones((1, len(weights)), dtype=bool)
        rows = numpy.concatenate([positive, negative, all_on])
        return (rows * 255).astype(numpy.uint8)

    return make
