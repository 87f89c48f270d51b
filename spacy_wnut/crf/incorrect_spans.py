"""The loss of spans that are known to stand nowhere: how probable they still are.

A span s that is no entity has the loss -log(1 - P(s)), with the probability P(s) that
`chain.span_probabilities` gives. With Z the sum over all paths and Z' that over the
paths without the span, it is log Z - log Z', and its gradient

    E[f] - E[f | not s]  =  P(s) / (1 - P(s)) * (E[f | s] - E[f])

for f, how often a path takes a tag or a move. The right side is the usual form. It
can't be computed where P(s) is nearly 1, which is where the loss matters most: 1 - P(s)
has no digits left there. The left side is a difference of two expectations, each
computed from positive terms alone. So for a tag at a position the gradient stays
between -1 and 1 for each span, however sure the model is of it, and nothing has to be
cut off.

The paths without the span leave it at exactly one position: at its first with another
tag than B-x, at a later one with another than I-x, or after its last with I-x, by going
on too far. These cases have no path in common, and each is the chain with some of the
tags at each position.
"""

from collections.abc import Iterator

import numpy

from ..batching import batch_by_length
from .chain import Bools, Chain, Floats, Ints, expectations, forward_scores
from .decoding import MAX_PADDED_WORDS


def absence_losses(
    emissions: Floats, lengths: Ints, chain: Chain, spans: Ints
) -> tuple[Floats, Floats, Chain]:
    """The loss of spans that don't stand there, and its gradient.

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The chain's scores.
    spans (Ints2d): Shape (n, 4): the sequence's index in the batch, start, end
        (exclusive) and the index of the tag B-x; that of I-x is the one after.
    RETURNS (Tuple[Floats1d, Floats3d, Chain]): The loss of each span in nats,
        shape (n,), and the gradient of its sum by the emissions, (B, L, T), and by
        the chain's scores.

    Raises FloatingPointError if no path of a sequence has a finite score, or a span
    stands on all that have.
    """
    row, start, end, _ = spans.T
    spans_in_row = numpy.bincount(row, minlength=len(lengths)).astype(numpy.float64)
    free = expectations(emissions, lengths, chain, spans_in_row)

    # A case is a span and the position at which its paths leave it.
    n_cases = end - start + (end < lengths[row])
    span = numpy.repeat(numpy.arange(len(spans)), n_cases)
    first_case = numpy.cumsum(n_cases) - n_cases
    at = start[span] + numpy.arange(len(span)) - first_case[span]

    def batches(cases: Ints) -> Iterator[tuple[Ints, Floats, Ints]]:
        # Each case is a sequence of its own, and long spans have many.
        for batch in batch_by_length(lengths[row[span[cases]]], MAX_PADDED_WORDS):
            chosen = cases[batch]
            rows = row[span[chosen]]
            allowed = _leaving(emissions.shape, spans[span[chosen]], at[chosen])
            yield (
                chosen,
                numpy.where(allowed, emissions[rows], -numpy.inf),
                lengths[rows],
            )

    log_z = numpy.empty(len(span))
    for cases, scores, case_lengths in batches(numpy.arange(len(span))):
        log_z[cases] = forward_scores(scores, case_lengths, chain)[1]
    log_rest = numpy.full(len(spans), -numpy.inf)
    numpy.logaddexp.at(log_rest, span, log_z)
    if not numpy.isfinite(log_rest).all():
        raise FloatingPointError("a span stands on every path with a finite score")

    # How probable each case is where the span doesn't stand.
    weights = numpy.exp(log_z - log_rest[span])
    d_emissions = spans_in_row[:, None, None] * free.marginals
    d_chain = free.chain
    # The others have no expectations, or none that count.
    for cases, scores, case_lengths in batches(numpy.flatnonzero(weights)):
        found = expectations(scores, case_lengths, chain, weights[cases])
        weighted = weights[cases, None, None] * found.marginals
        numpy.subtract.at(d_emissions, row[span[cases]], weighted)
        d_chain = Chain(*(d - f for d, f in zip(d_chain, found.chain, strict=True)))
    # Rounding may end a hair below 0.
    losses: Floats = numpy.maximum(free.log_z[row] - log_rest, 0.0)
    return losses, d_emissions, d_chain


def _leaving(shape: tuple[int, ...], spans: Ints, at: Ints) -> Bools:
    """The tags of the paths that follow a span and leave it at a position, `end` for
    those that go on too far: shape (n, L, T).
    """
    _, length, n_tags = shape
    _, start, end, begin = spans.T
    positions = numpy.arange(length)
    is_start = positions == start[:, None]
    wanted = numpy.where(is_start, begin[:, None], begin[:, None] + 1)
    is_wanted = wanted[:, :, None] == numpy.arange(n_tags)
    followed = (positions >= start[:, None]) & (positions < at[:, None])
    allowed: Bools = ~followed[:, :, None] | is_wanted
    cases = numpy.arange(len(spans))
    goes_on = is_wanted[cases, at]
    allowed[cases, at] = numpy.where((at == end)[:, None], goes_on, ~goes_on)
    return allowed
