"""Sums and matrix products of numbers that are given by their logarithms.

With numbers x = exp(a) and weights W = exp(S), a step of the forward-backward algorithm
is log(x @ W). The numbers are scaled to at most 1 (Rabiner 1989, section V.A), so that
they are multiplied as usual: a step takes T exponentials and logarithms, not T². The
result has all digits of double precision: a sum so small that one of its terms may have
underflowed is computed again from the logarithms.
"""

from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from .arrays import Floats64

# Lowest finite number.
LOWEST = float(numpy.finfo(numpy.float64).min)

# Largest number of rows of a matrix that is multiplied without BLAS, whose order of
# additions depends on the number of vectors. Up to 15 entity types (31 tags), the result
# for a sequence is the same bits in every batch.
MAX_ROWS_WITHOUT_BLAS = 32

# Terms below 2.2e-308 underflow. Beside a sum of at least this size, thousands of them
# are below the resolution of double precision.
MIN_SCALED_SUM = 1e-280

# Largest logarithm of the scale of a term. A term that underflows is then at most
# 2.2e-308 * exp(300) = 4e-178.
MAX_LOG_SCALE = 300.0


class LogMatrix(NamedTuple):
    """A matrix of numbers that are at least 0, given by their logarithms.

    logs (Floats2d): Shape (S, T), minus infinity for 0.
    scaled (Floats2d): Shape (S, T), the numbers, divided by exp(scales).
    scales (Floats1d): Shape (T,), the logarithm of the maximum of each column; 0 for a
        column of zeros.
    is_positive (Floats2d): Shape (S, T), 1.0 for numbers above 0, otherwise 0.0.
    """

    logs: Floats64
    scaled: Floats64
    scales: Floats64
    is_positive: NDArray[numpy.float32]

    @classmethod
    def of(cls, logs: Floats64) -> "LogMatrix":
        """Create a matrix from its logarithms.

        logs (Floats2d): Shape (S, T).
        RETURNS (LogMatrix): The matrix.
        """
        logs = numpy.ascontiguousarray(logs)
        highest = logs.max(axis=0)  # (T,)
        scales = numpy.where(highest > -numpy.inf, highest, 0.0)  # (T,)
        is_positive = (logs > -numpy.inf).astype(numpy.float32)
        return cls(logs, numpy.exp(logs - scales), scales, is_positive)

    @numpy.errstate(divide="ignore")
    def log_product(self, vectors: Floats64) -> Floats64:
        """Compute log(exp(vectors) @ matrix).

        vectors (Floats2d): Shape (B, S), logarithms.
        RETURNS (Floats2d): Shape (B, T).

        Example:
            >>> matrix = LogMatrix.of(numpy.log([[1.0, 2.0], [3.0, 4.0]]))
            >>> numpy.exp(matrix.log_product(numpy.log([[1.0, 10.0]]))).round(9)
            array([[31., 42.]])
        """
        highest = _finite_max(vectors, axis=1)  # (B, 1)
        numbers = numpy.exp(vectors - highest)  # (B, S)
        if len(self.logs) <= MAX_ROWS_WITHOUT_BLAS:
            terms = numbers[:, :, None] * self.scaled  # (B, S, T)
            sums = numpy.add.reduce(terms, axis=1)  # (B, T)
        else:
            sums = numbers @ self.scaled  # (B, T)
        products: Floats64 = numpy.log(sums) + (highest + self.scales)  # (B, T)
        is_small = sums < MIN_SCALED_SUM  # (B, T)
        if is_small.any():
            # Sums without a term above 0 are exactly 0.
            is_finite = (vectors > -numpy.inf).astype(numpy.float32)  # (B, S)
            is_small &= is_finite @ self.is_positive > 0
            row, column = numpy.nonzero(is_small)  # (n,), (n,)
            pairs = vectors[row] + self.logs.T[column]  # (n, S)
            products[row, column] = log_sum_exp(pairs, axis=1)
        return products


def sum_outer_products(
    left: Floats64, logs: Floats64, right: Floats64, weights: Floats64
) -> Floats64:
    """Compute the sum over n of weights[n] * exp(left[n, s] + logs[s, t] + right[n, t]).

    left (Floats2d): Shape (N, S).
    logs (Floats2d): Shape (S, T).
    right (Floats2d): Shape (N, T).
    weights (Floats1d): Shape (N,).
    RETURNS (Floats2d): Shape (S, T). Terms below 4e-178 may be missing.
    """
    highest_left, highest_right = _finite_max(left, axis=1), _finite_max(right, axis=1)
    highest = max(float(logs.max(initial=LOWEST)), LOWEST)
    scales = (highest_left + highest_right)[:, 0] + highest  # (N,)
    is_large = scales > MAX_LOG_SCALE  # (N,)
    scaled_weights = weights * numpy.exp(numpy.where(is_large, -numpy.inf, scales))
    scaled_left = numpy.exp(left - highest_left) * scaled_weights[:, None]  # (N, S)
    scaled_right = numpy.exp(right - highest_right)  # (N, T)
    total: Floats64 = numpy.exp(logs - highest) * (scaled_left.T @ scaled_right)
    for n in numpy.flatnonzero(is_large):
        total += weights[n] * numpy.exp(left[n, :, None] + logs + right[n])
    return total


@numpy.errstate(divide="ignore")
def log_sum_exp(logs: Floats64, axis: int) -> Floats64:
    """Compute the logarithm of a sum of exponentials along an axis.

    logs (FloatsXd): The logarithms.
    axis (int): The axis, which the result does not have.
    RETURNS (FloatsXd): Minus infinity where all logarithms are.
    """
    # Direct ufunc calls: for the chain of one post, the wrappers of numpy.max and
    # numpy.sum take longer than the computation.
    highest = _finite_max(logs, axis)
    total = numpy.add.reduce(numpy.exp(logs - highest), axis=axis, keepdims=True)
    sums: Floats64 = (numpy.log(total) + highest).squeeze(axis)
    return sums


def _finite_max(logs: Floats64, axis: int) -> Floats64:
    """Compute the maximum along an axis, which is kept; the lowest finite number where
    all logarithms are minus infinity, so that no infinities are subtracted.
    """
    highest = numpy.maximum.reduce(logs, axis=axis, keepdims=True)
    return numpy.maximum(highest, LOWEST)
