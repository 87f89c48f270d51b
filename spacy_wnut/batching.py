"""Grouping sequences of unequal length so that little is spent on padding."""

from collections.abc import Iterator, Sequence

import numpy
from numpy.typing import NDArray


def batch_by_length(
    lengths: Sequence[int] | NDArray[numpy.int64], budget: int, equal: bool = False
) -> Iterator[NDArray[numpy.int64]]:
    """Group sequences of similar length under a budget of padded items.

    Sequences are taken from the shortest to the longest. A batch is full when
    one more would make its number of sequences times its greatest length exceed
    the budget; a sequence longer than the budget gets a batch of its own.
    The grouping depends on nothing but the lengths.

    lengths (Sequence[int]): The length of each sequence.
    budget (int): The greatest number of items in a padded batch.
    equal (bool): Whether a batch is full as well when the next sequence is longer,
        so that nothing is padded.
    YIELDS (Ints1d): The indices of a batch's sequences; each index comes once.
    """
    lengths = numpy.asarray(lengths, dtype=numpy.int64)
    order = numpy.argsort(lengths, kind="stable")
    start = 0
    for end, index in enumerate(order):
        is_full = (end + 1 - start) * lengths[index] > budget
        is_longer = equal and lengths[index] > lengths[order[start]]
        if end > start and (is_full or is_longer):
            yield order[start:end]
            start = end
    if start < len(order):
        yield order[start:]
