"""Linear chain: log-partition, marginals, losses, Viterbi, span probabilities.

A path y of length n over T tags scores

    start[y_0] + sum_i emissions[i, y_i] + sum_i transitions[y_i-1, y_i] + end[y_n-1]

Its probability is the exponential of its score, divided by the sum over all paths
(Lafferty et al. 2001; for named entities Lample et al. 2016). A score of minus
infinity excludes a path. The recursions are the forward-backward algorithm and the
Viterbi algorithm (Rabiner 1989; Sutton & McCallum 2012, section 4.1).

All functions map arrays to arrays. A batch has padded emissions of shape (B, L, T)
and lengths of shape (B,), each at least 1. Values in the padding have no influence.
All sums are in double precision, so that the probability of a span in a text of
thousands of words is exact to many digits.
"""

from typing import NamedTuple

import numpy

from .arrays import Bools, Floats64, Ints
from .log_space import LogMatrix, log_sum_exp, sum_outer_products
from .max_plus import MaxPlusMatrix


class Chain(NamedTuple):
    """Scores of a chain that do not depend on the input, in nats.

    transitions (Floats2d): Shape (T, T), from the tag of the row to that of the column.
    start (Floats1d): Shape (T,), scores of the first tag of a path.
    end (Floats1d): Shape (T,), scores of the last tag of a path.

    Example:
        >>> zeros = Chain.zeros(3)
        >>> zeros.transitions.shape, zeros.start.shape, zeros.end.shape
        ((3, 3), (3,), (3,))
    """

    transitions: Floats64
    start: Floats64
    end: Floats64

    @classmethod
    def zeros(cls, n_tags: int) -> "Chain":
        """Create a chain of zeros: all positions are independent of each other.

        n_tags (int): The number of tags T.
        RETURNS (Chain): New arrays.
        """
        return cls(
            numpy.zeros((n_tags, n_tags)), numpy.zeros(n_tags), numpy.zeros(n_tags)
        )

    def __add__(self, other: "Chain") -> "Chain":  # type: ignore[override]
        return Chain(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Expectations(NamedTuple):
    """Expected values under the distribution over paths.

    log_z (Floats1d): Shape (B,), the log-partition: the log of the sum over all paths.
    marginals (Floats3d): Shape (B, L, T), the probability of each tag at each
        position; zeros in the padding.
    chain (Chain): The expected number of times that a path uses each transition,
        start and end: the weighted sum over the batch.
    """

    log_z: Floats64
    marginals: Floats64
    chain: Chain


def forward_scores(
    emissions: Floats64, lengths: Ints, chain: Chain
) -> tuple[Floats64, Floats64]:
    """Run the forward recursion (alpha in Rabiner 1989).

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The scores of the chain.
    RETURNS (Tuple[Floats3d, Floats1d]): The log of the sum over all path prefixes that
        end at a position with a tag, shape (B, L, T), and the log-partition,
        shape (B,).
    """
    transitions = LogMatrix.of(chain.transitions)  # (T from, T to)
    alphas = numpy.empty(emissions.shape)  # (B, L, T)
    alphas[:, 0] = chain.start + emissions[:, 0]  # (B, T)
    for i in range(1, emissions.shape[1]):
        prefixes = transitions.log_product(alphas[:, i - 1])  # (B, T to)
        alphas[:, i] = prefixes + emissions[:, i]  # (B, T to)
    last = alphas[numpy.arange(len(lengths)), lengths - 1]  # (B, T)
    return alphas, log_sum_exp(last + chain.end, axis=1)  # (B, L, T), (B,)


def backward_scores(emissions: Floats64, lengths: Ints, chain: Chain) -> Floats64:
    """Run the backward recursion (beta in Rabiner 1989).

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The scores of the chain.
    RETURNS (Floats3d): The log of the sum over all path suffixes that follow a position
        with a tag, without the emission of that position. Shape (B, L, T).
    """
    transitions = LogMatrix.of(chain.transitions.T)  # (T to, T from)
    betas = numpy.empty(emissions.shape)  # (B, L, T)
    betas[:, -1] = chain.end  # (T,) for every sequence
    for i in range(emissions.shape[1] - 2, -1, -1):
        following = emissions[:, i + 1] + betas[:, i + 1]  # (B, T to)
        suffixes = transitions.log_product(following)  # (B, T from)
        is_last = (lengths - 1 == i)[:, None]  # (B, 1)
        betas[:, i] = numpy.where(is_last, chain.end, suffixes)  # (B, T from)
    return betas


def expectations(
    emissions: Floats64, lengths: Ints, chain: Chain, weights: Floats64 | None = None
) -> Expectations:
    """Compute the log-partition, the marginals and the expected transitions by
    forward-backward (Sutton & McCallum 2012, section 4.1).

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The scores of the chain.
    weights (Optional[Floats1d]): Shape (B,), the weight of each sequence in the
        expected transitions, starts and ends. Ones by default.
    RETURNS (Expectations): Not weighted, except for `chain`.

    Raises FloatingPointError if no path of a sequence has a finite score.
    """
    if weights is None:
        weights = numpy.ones(len(lengths))
    alphas, log_z = forward_scores(emissions, lengths, chain)  # (B, L, T), (B,)
    if not numpy.isfinite(log_z).all():
        raise FloatingPointError("a sequence has no path with a finite score")
    betas = backward_scores(emissions, lengths, chain)  # (B, L, T)
    inside = _is_inside(emissions, lengths)  # (B, L)
    scores = alphas + betas - log_z[:, None, None]  # (B, L, T)
    # The exponential of a score in the padding may overflow.
    marginals = numpy.exp(numpy.where(inside[:, :, None], scores, -numpy.inf))
    # The pairs of neighbouring positions in all sequences: n of them.
    row, i = numpy.nonzero(inside[:, 1:])  # (n,), (n,)
    before = alphas[row, i]  # (n, T from)
    after = emissions[row, i + 1] + betas[row, i + 1] - log_z[row, None]  # (n, T to)
    transitions = sum_outer_products(before, chain.transitions, after, weights[row])
    start = weights[:, None] * marginals[:, 0]  # (B, T)
    end = weights[:, None] * marginals[numpy.arange(len(lengths)), lengths - 1]
    expected = Chain(transitions, start.sum(axis=0), end.sum(axis=0))
    return Expectations(log_z, marginals, expected)


def negative_log_likelihood(
    emissions: Floats64, lengths: Ints, chain: Chain, allowed: Bools
) -> tuple[Floats64, Floats64, Chain]:
    """Compute the loss of a batch and its gradient.

    The likelihood is the summed probability of all paths through allowed tags (partial
    annotation: Tsuboi et al. 2008). With one allowed tag per position it is the usual
    likelihood of one path. Positions without annotation allow all tags and contribute
    no loss. With `Chain.zeros` the loss is the cross-entropy summed over positions.

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The scores of the chain.
    allowed (Bools3d): Shape (B, L, T), whether the annotation allows a tag.
    RETURNS (Tuple[Floats1d, Floats3d, Chain]): The loss of each sequence in nats,
        shape (B,), and the gradient of the summed loss with respect to the emissions,
        shape (B, L, T), and to the scores of the chain.

    Raises FloatingPointError if no path of a sequence is allowed.
    """
    free = expectations(emissions, lengths, chain)
    clamped = expectations(numpy.where(allowed, emissions, -numpy.inf), lengths, chain)
    return (
        free.log_z - clamped.log_z,  # (B,)
        free.marginals - clamped.marginals,  # (B, L, T)
        Chain(*(f - c for f, c in zip(free.chain, clamped.chain, strict=True))),
    )


def soft_negative_log_likelihood(
    emissions: Floats64, lengths: Ints, chain: Chain, targets: Floats64
) -> tuple[Floats64, Floats64]:
    """Compute the distillation loss of a batch and its gradient.

    The loss is the cross-entropy between the distribution of another model over paths,
    q, and this one (Hinton et al. 2015, with paths in place of classes), without one
    term: the expected scores of this chain under q. The marginals of q do not determine
    that term, and it does not depend on the emissions. The gradient with respect to the
    emissions is therefore exact: marginals minus targets.

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The scores of the chain.
    targets (Floats3d): Shape (B, L, T), the marginals of q. A position of zeros
        contributes no loss.
    RETURNS (Tuple[Floats1d, Floats3d]): The loss of each sequence in nats, shape (B,),
        and the gradient of the summed loss with respect to the emissions,
        shape (B, L, T).

    Raises FloatingPointError if no path of a sequence has a finite score.
    """
    free = expectations(emissions, lengths, chain)
    is_known = targets.any(axis=2, keepdims=True)  # (B, L, 1)
    inside = _is_inside(emissions, lengths)[:, :, None]  # (B, L, 1)
    expected = numpy.where(is_known & inside, targets, free.marginals)  # (B, L, T)
    return (
        free.log_z - (expected * emissions).sum(axis=(1, 2)),  # (B,)
        free.marginals - expected,  # (B, L, T)
    )


def viterbi(emissions: Floats64, lengths: Ints, chain: Chain) -> Ints:
    """Find the path with the highest score of each sequence (Viterbi 1967).

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The scores of the chain.
    RETURNS (Ints2d): The tags, shape (B, L), with -1 in the padding.

    Example:
        >>> emissions = numpy.asarray([[[0, 1.0], [2.0, 0]], [[3.0, 0], [9.0, 9.0]]])
        >>> viterbi(emissions, numpy.asarray([2, 1]), Chain.zeros(2)).tolist()
        [[1, 0], [0, -1]]
    """
    n, length, n_tags = emissions.shape
    transitions = MaxPlusMatrix.of(chain.transitions)  # (T from, T to)
    best = numpy.empty((length, n, n_tags))  # (L, B, T)
    best[0] = chain.start + emissions[:, 0]  # (B, T)
    for i in range(1, length):
        best[i] = transitions.product(best[i - 1])  # (B, T to)
        best[i] += emissions[:, i]
    is_padding = ~_is_inside(emissions, lengths).T  # (L, B)
    tags = numpy.empty((length, n), dtype=numpy.int64)  # (L, B)
    tags[-1] = (best[lengths - 1, numpy.arange(n)] + chain.end).argmax(axis=1)  # (B,)
    # Backpointers are computed for the best path only, not for every tag. Through the
    # padding the last tag is copied unchanged.
    incoming = numpy.ascontiguousarray(chain.transitions.T)  # (T to, T from)
    for i in range(length - 1, 0, -1):
        before = (best[i - 1] + incoming[tags[i]]).argmax(axis=1)  # (B, T from) -> (B,)
        tags[i - 1] = numpy.where(is_padding[i], tags[i], before)
    tags[is_padding] = -1
    return tags.T  # (B, L)


def span_probabilities(
    emissions: Floats64, lengths: Ints, chain: Chain, spans: Ints
) -> Floats64:
    """Compute the probability of spans: of an entity with exactly these boundaries and
    this type.

    For a span [start, end) of type x it is the summed probability of all paths with B-x
    at start, I-x at every further position before end, and any tag but I-x at end.

    emissions (Floats3d): Shape (B, L, T).
    lengths (Ints1d): Shape (B,), each at least 1.
    chain (Chain): The scores of the chain.
    spans (Ints2d): Shape (n, 4). Columns: index of the sequence in the batch, start,
        end (exclusive), index of the tag B-x. The tag I-x has the next index.
    RETURNS (Floats1d): Shape (n,), between 0 and 1.

    Example:
        >>> emissions = numpy.zeros((1, 2, 3))  # tags O, B-x, I-x: nine equal paths
        >>> spans = numpy.asarray([(0, 0, 2, 1), (0, 0, 1, 1)])
        >>> lengths = numpy.asarray([2])
        >>> span_probabilities(emissions, lengths, Chain.zeros(3), spans).round(3)
        array([0.111, 0.222])
    """
    alphas, log_z = forward_scores(emissions, lengths, chain)  # (B, L, T), (B,)
    betas = backward_scores(emissions, lengths, chain)  # (B, L, T)
    row, start, end, begin = spans.T  # (n,) each
    inner = begin + 1  # (n,), the tag I-x
    scores = alphas[row, start, begin]  # (n,), prefixes that end with B-x at start
    for step in range(1, int((end - start).max(initial=1))):
        at = numpy.minimum(start + step, end - 1)  # (n,)
        before = begin if step == 1 else inner  # (n,)
        extended = scores + chain.transitions[before, inner] + emissions[row, at, inner]
        scores = numpy.where(start + step < end, extended, scores)  # (n,)
    last_tag = numpy.where(end - start == 1, begin, inner)  # (n,)
    after = numpy.minimum(end, emissions.shape[1] - 1)  # (n,)
    suffixes = chain.transitions[last_tag] + emissions[row, after] + betas[row, after]
    suffixes[numpy.arange(len(spans)), inner] = -numpy.inf  # (n, T), not continued
    is_last = end == lengths[row]  # (n,)
    rest = numpy.where(is_last, chain.end[last_tag], log_sum_exp(suffixes, axis=1))
    # Rounding may give slightly more than 1.
    probabilities: Floats64 = numpy.minimum(numpy.exp(scores + rest - log_z[row]), 1.0)
    return probabilities


def _is_inside(emissions: Floats64, lengths: Ints) -> Bools:
    """Shape (B, L): True at positions of a sequence, False in the padding."""
    return numpy.arange(emissions.shape[1]) < lengths[:, None]
