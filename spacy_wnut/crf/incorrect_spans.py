"""Loss of incorrect spans: spans annotated as not entities.

A span s that is no entity has the loss -log(1 - P(s)), where P(s) is the probability
that `chain.span_probabilities` computes. With Z the sum over all paths and Z' the sum
over the paths without the span, the loss is log Z - log Z', and its gradient is

    E[f] - E[f | not s]  =  P(s) / (1 - P(s)) * (E[f | s] - E[f])

where f counts how often a path uses a tag or a transition. The right-hand side is the
usual form. It is numerically unstable where P(s) is nearly 1, which is where the loss
matters most: 1 - P(s) loses all significant digits there. The left-hand side is a
difference of two expectations, each a sum of positive terms. So for one span the
gradient of a tag at a position stays between -1 and 1, however certain the model is,
and needs no clipping.

Each path without the span has exactly one position at which it first deviates from the
span: the first word of the span, with another tag than B-x; a later word, with another
tag than I-x; or the word after the span, with I-x, which continues the entity. So the
paths divide into disjoint cases, one per position. Each case is the chain with only
some of the tags allowed at each position.
"""

from collections.abc import Iterator

import numpy

from .arrays import Bools, Floats64, Ints
from .batches import chain_batches
from .chain import Chain, expectations, forward_scores


def absence_losses(
    emissions: Floats64, lengths: Ints, chain: Chain, spans: Ints
) -> tuple[Floats64, Floats64, Chain]:
    """Compute the loss of incorrect spans and its gradient.

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The scores of the chain.
    spans (Ints2d): Shape (n, 4). Columns: index of the sequence in the batch, start,
        end (exclusive), index of the tag B-x. The tag I-x has the next index.
    RETURNS (Tuple[Floats1d, Floats3d, Chain]): The loss of each span in nats,
        shape (n,), at least 0, and the gradient of the summed loss with respect to the
        emissions, shape (B, L, T), and to the scores of the chain.

    Raises FloatingPointError if no path of a sequence has a finite score, or if all
    paths with a finite score contain a span.

    Example:
        >>> emissions = numpy.zeros((1, 2, 3))  # tags O, B-x, I-x: nine equal paths
        >>> span = numpy.asarray([(0, 0, 2, 1)])  # probability 1 / 9
        >>> lengths = numpy.asarray([2])
        >>> losses, _, _ = absence_losses(emissions, lengths, Chain.zeros(3), span)
        >>> losses.round(3)
        array([0.118])
    """
    row, start, end, _ = spans.T  # (n,) each
    spans_in_row = numpy.bincount(row, minlength=len(lengths)).astype(numpy.float64)
    free = expectations(emissions, lengths, chain, spans_in_row)

    # One case per span and position at which a path can deviate from it: m cases.
    n_cases = end - start + (end < lengths[row])  # (n,)
    span = numpy.repeat(numpy.arange(len(spans)), n_cases)  # (m,)
    first_case = numpy.cumsum(n_cases) - n_cases  # (n,)
    at = start[span] + numpy.arange(len(span)) - first_case[span]  # (m,)

    def batches(cases: Ints) -> Iterator[tuple[Ints, Floats64, Ints]]:
        # Each case is one sequence, and long spans have many cases.
        for batch in chain_batches(lengths[row[span[cases]]], emissions.shape[2]):
            chosen = cases[batch]  # (b,)
            rows = row[span[chosen]]  # (b,)
            allowed = _deviating_tags(emissions.shape, spans[span[chosen]], at[chosen])
            yield (
                chosen,
                numpy.where(allowed, emissions[rows], -numpy.inf),  # (b, L, T)
                lengths[rows],  # (b,)
            )

    log_z = numpy.empty(len(span))  # (m,)
    for cases, scores, case_lengths in batches(numpy.arange(len(span))):
        log_z[cases] = forward_scores(scores, case_lengths, chain)[1]
    log_rest = numpy.full(len(spans), -numpy.inf)  # (n,), log Z'
    numpy.logaddexp.at(log_rest, span, log_z)
    if not numpy.isfinite(log_rest).all():
        raise FloatingPointError("all paths with a finite score contain a span")

    # The probability of each case, given that a path does not contain the span.
    weights = numpy.exp(log_z - log_rest[span])  # (m,)
    d_emissions = spans_in_row[:, None, None] * free.marginals  # (B, L, T)
    d_chain = free.chain
    # Cases of weight 0 contribute nothing, and may have no path with a finite score.
    for cases, scores, case_lengths in batches(numpy.flatnonzero(weights)):
        expected = expectations(scores, case_lengths, chain, weights[cases])
        weighted = weights[cases, None, None] * expected.marginals  # (b, L, T)
        numpy.subtract.at(d_emissions, row[span[cases]], weighted)
        d_chain = Chain(*(d - e for d, e in zip(d_chain, expected.chain, strict=True)))
    # Rounding may give slightly less than 0.
    losses: Floats64 = numpy.maximum(free.log_z[row] - log_rest, 0.0)  # (n,)
    return losses, d_emissions, d_chain


def _deviating_tags(shape: tuple[int, ...], spans: Ints, at: Ints) -> Bools:
    """Select the tags of the paths that agree with a span up to a position, and deviate
    from it there.

    shape (Tuple[int, int, int]): Shape of the batch, (B, L, T).
    spans (Ints2d): Shape (n, 4).
    at (Ints1d): Shape (n,), the position of the deviation. `end` selects the paths that
        continue the entity.
    RETURNS (Bools3d): Shape (n, L, T).
    """
    _, length, n_tags = shape
    _, start, end, begin = spans.T  # (n,) each
    positions = numpy.arange(length)  # (L,)
    is_start = positions == start[:, None]  # (n, L)
    span_tag = numpy.where(is_start, begin[:, None], begin[:, None] + 1)  # (n, L)
    is_span_tag = span_tag[:, :, None] == numpy.arange(n_tags)  # (n, L, T)
    agrees = (positions >= start[:, None]) & (positions < at[:, None])  # (n, L)
    allowed: Bools = ~agrees[:, :, None] | is_span_tag  # (n, L, T)
    cases = numpy.arange(len(spans))
    continued = is_span_tag[cases, at]  # (n, T)
    allowed[cases, at] = numpy.where((at == end)[:, None], continued, ~continued)
    return allowed
