"""Products with a matrix where sums are maxima and products are sums."""

from typing import NamedTuple

import numpy

from .arrays import Floats64, Ints

# Number of sums, of all vectors together, up to which pruning takes longer than the sums.
MAX_SUMS_WITHOUT_PRUNING = 2**14


class MaxPlusMatrix(NamedTuple):
    """A matrix for the steps of the Viterbi algorithm.

    A chain of BIO tags lets two tags precede I-x and any tag precede O and B-x. So half
    of the columns are sparse: two rows of them are finite at most.

    scores (Floats2d): Shape (S, T), the matrix.
    sparse (Ints1d): Shape (P,), the columns with at most two finite scores.
    sparse_rows (Ints2d): Shape (2, P), the rows of these scores.
    sparse_scores (Floats2d): Shape (2, P), these scores.
    dense (Ints1d): Shape (D,), the other columns.
    dense_scores (Floats2d): Shape (S, D), the scores of these columns.
    highest, lowest (Floats1d): Shape (S,), the maximum and the minimum of each row of
        the dense scores.
    """

    scores: Floats64
    sparse: Ints
    sparse_rows: Ints
    sparse_scores: Floats64
    dense: Ints
    dense_scores: Floats64
    highest: Floats64
    lowest: Floats64

    @classmethod
    def of(cls, scores: Floats64) -> "MaxPlusMatrix":
        """Create a matrix from its scores.

        scores (Floats2d): Shape (S, T), S at least 2.
        RETURNS (MaxPlusMatrix): The matrix.
        """
        is_finite = scores > -numpy.inf  # (S, T)
        is_sparse = is_finite.sum(axis=0) <= 2  # (T,)
        sparse, dense = numpy.flatnonzero(is_sparse), numpy.flatnonzero(~is_sparse)
        # The rows of finite scores come first.
        rows = numpy.argsort(~is_finite[:, sparse], axis=0, kind="stable")[:2]
        dense_scores = numpy.ascontiguousarray(scores[:, dense])
        highest = dense_scores.max(axis=1, initial=-numpy.inf)  # (S,)
        lowest = dense_scores.min(axis=1, initial=numpy.inf)  # (S,)
        sparse_scores = scores[rows, sparse]
        return cls(
            scores, sparse, rows, sparse_scores, dense, dense_scores, highest, lowest
        )

    def product(self, vectors: Floats64) -> Floats64:
        """Compute the maximum over s of vectors[b, s] + scores[s, t].

        In large products, rows that cannot hold the maximum of a column are pruned.

        vectors (Floats2d): Shape (B, S).
        RETURNS (Floats2d): Shape (B, T), the same bits as without pruning.

        Example:
            >>> matrix = MaxPlusMatrix.of(numpy.asarray([[0.0, 5.0], [1.0, 2.0]]))
            >>> matrix.product(numpy.asarray([[3.0, 4.0]]))
            array([[5., 8.]])
        """
        if len(vectors) * self.scores.size <= MAX_SUMS_WITHOUT_PRUNING:
            return _max_plus(vectors[:, :, None], self.scores)
        products = numpy.empty((len(vectors), self.scores.shape[1]))
        pairs = vectors[:, self.sparse_rows] + self.sparse_scores  # (B, 2, P)
        products[:, self.sparse] = numpy.maximum(pairs[:, 0], pairs[:, 1])
        if len(self.dense):
            products[:, self.dense] = self._dense_product(vectors)
        return products

    def _dense_product(self, vectors: Floats64) -> Floats64:
        """Shape (B, D): the products of the dense columns."""
        # The least sum of the best row bounds the maximum of each column from below. A
        # row whose greatest sum is less holds none. Rounding keeps the order of sums.
        bound = (vectors + self.lowest).max(axis=1, keepdims=True)  # (B, 1)
        is_pruned = vectors + self.highest < bound  # (B, S)
        n_kept = int((~is_pruned).sum(axis=1).max())
        # Copies of the kept rows take as long as three passes over all rows.
        if n_kept > len(self.scores) // 3:
            return _max_plus(vectors[:, :, None], self.dense_scores)
        kept = numpy.argsort(is_pruned, axis=1, kind="stable")[:, :n_kept]  # (B, K)
        values = numpy.take_along_axis(vectors, kept, axis=1)  # (B, K)
        return _max_plus(values[:, :, None], self.dense_scores[kept])


def _max_plus(vectors: Floats64, scores: Floats64) -> Floats64:
    """Maximum of the sums over axis 1."""
    maxima: Floats64 = numpy.maximum.reduce(vectors + scores, axis=1)
    return maxima
