"""Batches of sequences of similar length, to minimize padding."""

from collections.abc import Iterator, Sequence

import numpy
from numpy.typing import NDArray


def batch_by_length(
    lengths: Sequence[int] | NDArray[numpy.int64],
    budget: int,
    equal: bool = False,
    max_count: int | None = None,
) -> Iterator[NDArray[numpy.int64]]:
    """Group sequences of similar length within a budget of padded items.

    Sequences are sorted by length, shortest first; equal lengths keep their order. A
    batch ends before the sequence with which its number of sequences times its maximum
    length would exceed the budget, or after the maximum number of sequences. A sequence
    longer than the budget is a batch alone. The batches depend on the lengths only.

    lengths (Sequence[int]): The length of each sequence.
    budget (int): Maximum number of items in a padded batch.
    equal (bool): Batch sequences of equal length only, so that there is no padding.
    max_count (Optional[int]): Maximum number of sequences in a batch, at least 1. None
        for no maximum.
    YIELDS (Ints1d): The indices of the sequences of a batch, shape (B,). Each index is
        in exactly one batch.

    Example:
        >>> [batch.tolist() for batch in batch_by_length([9, 1, 8, 2, 20], budget=18)]
        [[1, 3], [2, 0], [4]]
        >>> [batch.tolist() for batch in batch_by_length([2, 3, 2], 9, equal=True)]
        [[0, 2], [1]]
    """
    lengths = numpy.asarray(lengths, dtype=numpy.int64)
    order = numpy.argsort(lengths, kind="stable")
    start = 0
    for end, index in enumerate(order):
        count, length = end - start, lengths[index]
        is_full = (count + 1) * length > budget or count == max_count
        is_longer = equal and length > lengths[order[start]]
        if count > 0 and (is_full or is_longer):
            yield order[start:end]
            start = end
    if start < len(order):
        yield order[start:]
