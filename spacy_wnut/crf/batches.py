"""Batches of chains within a budget of memory."""

from collections.abc import Iterator

from ..batching import batch_by_length
from .arrays import Ints

# Budget of a batch of chains, in padded words.
MAX_PADDED_WORDS = 4096
# Budget in cells. One step of a recursion may take an array of shape (B, T, T), and the
# arrays of all steps have shape (B, L, T). Both then have at most 8 MB, however many docs
# and entity types there are. Smaller batches repeat the work per batch for many types.
MAX_CELLS = 2**20


def chain_batches(lengths: Ints, n_tags: int) -> Iterator[Ints]:
    """Group chains of similar length within the budgets.

    lengths (Ints1d): The length of each chain.
    n_tags (int): The number of tags T.
    YIELDS (Ints1d): The indices of the chains of a batch, shape (B,). A chain that
        exceeds a budget is a batch alone.
    """
    max_words = min(MAX_PADDED_WORDS, MAX_CELLS // n_tags)
    max_count = max(MAX_CELLS // n_tags**2, 1)
    return batch_by_length(lengths, max_words, max_count=max_count)
