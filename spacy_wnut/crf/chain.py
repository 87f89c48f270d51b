"""The linear chain: log-partition, marginals, gradient, Viterbi, spans.

A path y of length n over T tags scores

    start[y_0] + sum_i emissions[i, y_i] + sum_i transitions[y_i-1, y_i] + end[y_n-1]

and its probability is the exponential of that, over the sum of all paths'
(Lafferty et al. 2001; for named entities Lample et al. 2016). A score of minus
infinity takes a path out altogether. The recursions are those of Rabiner 1989,
in log space.

Arrays in, arrays out: a batch is padded to emissions of shape (B, L, T) with
lengths of shape (B,), each of at least 1; what stands in the padding has no
influence. All sums are taken in double precision, so that the probability of a
span in a text of thousands of words is still exact to many digits.
"""

from typing import NamedTuple

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]
Ints = NDArray[numpy.int64]
Bools = NDArray[numpy.bool_]

# The lowest finite number.
LOWEST = float(numpy.finfo(numpy.float64).min)


class Chain(NamedTuple):
    """The scores of a chain that don't depend on the input.

    transitions (Floats2d): Shape (T, T), from row to column.
    start (Floats1d): Shape (T,), of a path's first tag.
    end (Floats1d): Shape (T,), of a path's last tag.
    """

    transitions: Floats
    start: Floats
    end: Floats

    @classmethod
    def zeros(cls, n_tags: int) -> "Chain":
        """The chain in which every position is independent of the others."""
        return cls(
            numpy.zeros((n_tags, n_tags)), numpy.zeros(n_tags), numpy.zeros(n_tags)
        )

    def __add__(self, other: "Chain") -> "Chain":  # type: ignore[override]
        return Chain(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Expectations(NamedTuple):
    """What the distribution over paths expects.

    log_z (Floats1d): Shape (B,), the log of the sum over all paths.
    marginals (Floats3d): Shape (B, L, T), the probability of each tag at each
        position; zeros in the padding.
    chain (Chain): The expected number of times that each transition, start and
        end is taken, summed over the batch by its weights.
    """

    log_z: Floats
    marginals: Floats
    chain: Chain


@numpy.errstate(divide="ignore")
def forward_scores(
    emissions: Floats, lengths: Ints, chain: Chain
) -> tuple[Floats, Floats]:
    """The forward recursion.

    RETURNS (Tuple[Floats3d, Floats1d]): The log of the sum over all beginnings
        of a path that end at a position with a tag, shape (B, L, T), and the
        log-partition, shape (B,).
    """
    alphas = numpy.empty(emissions.shape)
    alphas[:, 0] = chain.start + emissions[:, 0]
    for i in range(1, emissions.shape[1]):
        moves = alphas[:, i - 1, :, None] + chain.transitions
        alphas[:, i] = _log_sum_exp(moves, axis=1) + emissions[:, i]
    last = alphas[numpy.arange(len(lengths)), lengths - 1]
    return alphas, _log_sum_exp(last + chain.end, axis=1)


@numpy.errstate(divide="ignore")
def backward_scores(emissions: Floats, lengths: Ints, chain: Chain) -> Floats:
    """The backward recursion.

    RETURNS (Floats3d): The log of the sum over all continuations of a path from
        a position with a tag, that position's emission left out, (B, L, T).
    """
    betas = numpy.empty(emissions.shape)
    betas[:, -1] = chain.end
    for i in range(emissions.shape[1] - 2, -1, -1):
        after = emissions[:, i + 1] + betas[:, i + 1]
        moves = chain.transitions + after[:, None, :]
        is_last = (lengths - 1 == i)[:, None]
        betas[:, i] = numpy.where(is_last, chain.end, _log_sum_exp(moves, axis=2))
    return betas


def expectations(
    emissions: Floats, lengths: Ints, chain: Chain, weights: Floats | None = None
) -> Expectations:
    """The log-partition, the marginals and the expected moves of a batch.

    weights (Optional[Floats1d]): Shape (B,), how much each sequence counts in the
        expected moves. By default each counts once.

    Raises FloatingPointError if no path of a sequence has a finite score.
    """
    if weights is None:
        weights = numpy.ones(len(lengths))
    alphas, log_z = forward_scores(emissions, lengths, chain)
    if not numpy.isfinite(log_z).all():
        raise FloatingPointError("a sequence has no path with a finite score")
    betas = backward_scores(emissions, lengths, chain)
    inside = _is_inside(emissions, lengths)
    scores = alphas + betas - log_z[:, None, None]
    # What the padding sums up to may be too large for an exponential.
    marginals = numpy.exp(numpy.where(inside[:, :, None], scores, -numpy.inf))
    transitions = numpy.zeros_like(chain.transitions)
    for i in range(1, emissions.shape[1]):
        live = inside[:, i]
        after = emissions[live, i] + betas[live, i] - log_z[live, None]
        moves = alphas[live, i - 1, :, None] + chain.transitions + after[:, None, :]
        transitions += (weights[live, None, None] * numpy.exp(moves)).sum(axis=0)
    start = weights[:, None] * marginals[:, 0]
    end = weights[:, None] * marginals[numpy.arange(len(lengths)), lengths - 1]
    expected = Chain(transitions, start.sum(axis=0), end.sum(axis=0))
    return Expectations(log_z, marginals, expected)


def negative_log_likelihood(
    emissions: Floats, lengths: Ints, chain: Chain, allowed: Bools
) -> tuple[Floats, Floats, Chain]:
    """The loss of a batch, and its gradient.

    The likelihood is that of all paths through allowed tags together, so that
    positions of which nothing is known (all tags allowed) carry no loss; with
    one tag allowed at each position it is the usual one (partial annotation:
    Tsuboi et al. 2008). With `Chain.zeros` it is the cross-entropy a position.

    allowed (Bools3d): Shape (B, L, T), the tags that the annotation admits.
    RETURNS (Tuple[Floats1d, Floats3d, Chain]): The loss of each sequence in
        nats, shape (B,), and the gradient of its sum by the emissions,
        (B, L, T), and by the chain's scores.

    Raises FloatingPointError if no path of a sequence is allowed.
    """
    free = expectations(emissions, lengths, chain)
    clamped = expectations(numpy.where(allowed, emissions, -numpy.inf), lengths, chain)
    return (
        free.log_z - clamped.log_z,
        free.marginals - clamped.marginals,
        Chain(*(f - c for f, c in zip(free.chain, clamped.chain, strict=True))),
    )


def soft_negative_log_likelihood(
    emissions: Floats, lengths: Ints, chain: Chain, targets: Floats
) -> tuple[Floats, Floats]:
    """The loss of a batch by what another model expects, and its gradient.

    It is the cross-entropy of the other's distribution over paths q and this one
    (Hinton et al. 2015, with paths in the place of classes) but for the chain's own
    scores under q, which q's marginals don't tell and which the emissions have no
    part in: by the emissions the gradient is exact, marginals less targets.

    targets (Floats3d): Shape (B, L, T), q's probability of each tag at each
        position. A position of zeros carries no loss.
    RETURNS (Tuple[Floats1d, Floats3d]): The loss of each sequence in nats, shape
        (B,), and the gradient of its sum by the emissions, (B, L, T).

    Raises FloatingPointError if no path of a sequence has a finite score.
    """
    free = expectations(emissions, lengths, chain)
    is_known = targets.any(axis=2, keepdims=True)
    inside = _is_inside(emissions, lengths)[:, :, None]
    expected = numpy.where(is_known & inside, targets, free.marginals)
    return (
        free.log_z - (expected * emissions).sum(axis=(1, 2)),
        free.marginals - expected,
    )


def viterbi(emissions: Floats, lengths: Ints, chain: Chain) -> Ints:
    """The path with the highest score (Viterbi 1967).

    RETURNS (Ints2d): The tags, shape (B, L), with -1 in the padding.
    """
    n, length, n_tags = emissions.shape
    best = numpy.empty((length, n, n_tags))
    best[0] = chain.start + emissions[:, 0]
    for i in range(1, length):
        moves = best[i - 1][:, :, None] + chain.transitions
        best[i] = numpy.maximum.reduce(moves, axis=1)
        best[i] += emissions[:, i]
    is_padding = ~_is_inside(emissions, lengths).T
    tags = numpy.empty((length, n), dtype=numpy.int64)
    tags[-1] = (best[lengths - 1, numpy.arange(n)] + chain.end).argmax(axis=1)
    # Where a path came from is looked up on the path alone. The padding comes from the
    # last tag, unchanged.
    incoming = numpy.ascontiguousarray(chain.transitions.T)
    for i in range(length - 1, 0, -1):
        before = (best[i - 1] + incoming[tags[i]]).argmax(axis=1)
        tags[i - 1] = numpy.where(is_padding[i], tags[i], before)
    tags[is_padding] = -1
    return tags.T


@numpy.errstate(divide="ignore")
def span_probabilities(
    emissions: Floats, lengths: Ints, chain: Chain, spans: Ints
) -> Floats:
    """The probability that exactly these spans with these types stand there.

    For a span [start, end) of type x it is the sum over all paths with B-x at
    start, I-x at every further position before end, and anything but I-x after.

    spans (Ints2d): Shape (n, 4): the sequence's index in the batch, start, end
        (exclusive) and the index of the tag B-x; that of I-x is the one after.
    RETURNS (Floats1d): Shape (n,), between 0 and 1.
    """
    alphas, log_z = forward_scores(emissions, lengths, chain)
    betas = backward_scores(emissions, lengths, chain)
    row, start, end, begin = spans.T
    inner = begin + 1
    scores = alphas[row, start, begin]
    for step in range(1, int((end - start).max(initial=1))):
        at = numpy.minimum(start + step, end - 1)
        before = begin if step == 1 else inner
        moved = scores + chain.transitions[before, inner] + emissions[row, at, inner]
        scores = numpy.where(start + step < end, moved, scores)
    last_tag = numpy.where(end - start == 1, begin, inner)
    after = numpy.minimum(end, emissions.shape[1] - 1)
    moves = chain.transitions[last_tag] + emissions[row, after] + betas[row, after]
    moves[numpy.arange(len(spans)), inner] = -numpy.inf
    ends_here = end == lengths[row]
    rest = numpy.where(ends_here, chain.end[last_tag], _log_sum_exp(moves, axis=1))
    # Rounding may end a hair above 1.
    probabilities: Floats = numpy.minimum(numpy.exp(scores + rest - log_z[row]), 1.0)
    return probabilities


def _is_inside(emissions: Floats, lengths: Ints) -> Bools:
    return numpy.arange(emissions.shape[1]) < lengths[:, None]


def _log_sum_exp(scores: Floats, axis: int) -> Floats:
    # The ufuncs themselves: in the chain of one post what surrounds them takes longer
    # than they do.
    highest = numpy.maximum.reduce(scores, axis=axis, keepdims=True)
    # Where all are minus infinity, so is the sum.
    highest = numpy.maximum(highest, LOWEST)
    total = numpy.add.reduce(numpy.exp(scores - highest), axis=axis, keepdims=True)
    sums: Floats = (numpy.log(total) + highest).squeeze(axis)
    return sums
