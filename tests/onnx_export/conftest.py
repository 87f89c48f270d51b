"""A NumPy model of the instruction that multiplies int8 weights, and its extreme inputs."""

from collections.abc import Callable

import numpy
import pytest


@pytest.fixture(scope="session")
def multiply_saturating() -> Callable[..., numpy.ndarray]:
    """Multiplies uint8 inputs, shape (n, n_inputs), and int8 weights, shape (n_inputs,
    n_outputs), as processors with AVX2 or AVX-512 but without VNNI do.

    The instruction vpmaddubsw adds the two products of each pair of neighbouring
    inputs, and saturates the sum to 16 bits. An odd last input is paired with zero.
    """

    def multiply(inputs: numpy.ndarray, weights: numpy.ndarray) -> numpy.ndarray:
        assert inputs.dtype == numpy.uint8 and weights.dtype == numpy.int8
        n_odd = len(weights) % 2
        a = numpy.pad(inputs.astype("i8"), [(0, 0), (0, n_odd)])
        b = numpy.pad(weights.astype("i8"), [(0, n_odd), (0, 0)])
        found = numpy.zeros((len(a), b.shape[1]), dtype="i8")
        for k in range(0, len(b), 2):
            pair = a[:, [k]] * b[k] + a[:, [k + 1]] * b[k + 1]
            found += numpy.clip(pair, -(2**15), 2**15 - 1)
        return found

    return multiply


@pytest.fixture(scope="session")
def make_extreme() -> Callable[[numpy.ndarray], numpy.ndarray]:
    """Makes the uint8 inputs with the largest sums for int8 weights. For each column of
    weights: 255 for each positive weight and 0 elsewhere, and 255 for each negative
    weight and 0 elsewhere. The last row is 255 everywhere.
    """

    def make(weights: numpy.ndarray) -> numpy.ndarray:
        positive, negative = (weights > 0).T, (weights < 0).T
        all_on = numpy.ones((1, len(weights)), dtype=bool)
        rows = numpy.concatenate([positive, negative, all_on])
        return (rows * 255).astype(numpy.uint8)

    return make
