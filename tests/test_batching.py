from itertools import pairwise

import numpy
from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.batching import batch_by_length

sizes = st.lists(st.integers(0, 40), max_size=30)
budgets = st.integers(1, 100)


def batches(lengths, budget):
    return [batch.tolist() for batch in batch_by_length(lengths, budget)]


@given(sizes, budgets)
def test_every_index_is_in_one_batch_sorted_by_length(lengths, budget):
    order = [i for batch in batches(lengths, budget) for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths)


@given(sizes, budgets)
def test_only_a_batch_of_one_sequence_exceeds_the_budget(lengths, budget):
    for batch in batches(lengths, budget):
        padded = len(batch) * max(lengths[i] for i in batch)
        assert batch and (padded <= budget or len(batch) == 1)


@given(sizes, budgets)
def test_a_batch_ends_only_where_one_more_would_exceed_the_budget(lengths, budget):
    found = batches(lengths, budget)
    for batch, following in pairwise(found):
        assert (len(batch) + 1) * lengths[following[0]] > budget


def test_sequences_of_similar_length_are_grouped():
    assert batches([9, 1, 8, 2, 20, 1], 18) == [[1, 5, 3], [2, 0], [4]]


def test_equal_lengths_keep_their_order():
    lengths = [7, 3] * 100
    evens, odds = list(range(0, 200, 2)), list(range(1, 200, 2))
    assert batches(lengths, 10_000) == [odds + evens]


@given(sizes, budgets)
def test_batches_of_equal_lengths_have_no_padding(lengths, budget):
    found = [b.tolist() for b in batch_by_length(lengths, budget, equal=True)]
    assert [i for batch in found for i in batch] == [
        i for batch in batches(lengths, budget) for i in batch
    ]
    for batch in found:
        assert len({lengths[i] for i in batch}) == 1
        assert len(batch) * lengths[batch[0]] <= budget or len(batch) == 1
    for batch, following in pairwise(found):
        is_longer = lengths[following[0]] > lengths[batch[0]]
        assert is_longer or (len(batch) + 1) * lengths[batch[0]] > budget


def test_lengths_may_be_an_array():
    assert batches(numpy.asarray([2, 1]), 10) == [[1, 0]]
