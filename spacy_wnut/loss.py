"""The loss of a batch of examples, whatever is known of them."""

from collections.abc import Sequence

import numpy
from spacy.training import Example

from .chain import (
    Bools,
    Chain,
    Floats,
    Ints,
    negative_log_likelihood,
    soft_negative_log_likelihood,
)
from .decoding import Layout
from .gold import allowed_tags, soft_targets
from .labels import LabelScheme


def batch_loss(
    examples: Sequence[Example],
    scheme: LabelScheme,
    emissions: Floats,
    lengths: Ints,
    chain: Chain,
) -> tuple[float, Floats, Chain]:
    """The loss in nats a word with pieces, and its gradient.

    examples (Sequence[Example]): The examples. Those with soft labels give it by
        what their teachers expect, and leave the chain's scores to the others.
    scheme (LabelScheme): The tags.
    emissions (Floats2d): A row a word of the predicted docs, shape (sum of lengths,
        T), zeros where a word has no piece.
    lengths (Ints1d): The number of words of each doc.
    chain (Chain): The chain's scores.
    RETURNS (Tuple[float, Floats2d, Chain]): The loss, and its gradient by the
        emissions and by the chain's scores.
    """
    layout = Layout.of(emissions, lengths)
    allowed, targets, is_soft = _targets(examples, scheme, emissions, lengths)
    total, gradient = 0.0, numpy.zeros_like(emissions)
    d_chain = Chain.zeros(emissions.shape[1])
    for docs, doc_lengths, rows in layout.batches():
        soft = is_soft[docs]
        if not soft.all():
            hard_rows = rows[~soft]
            losses, d_scores, d_moves = negative_log_likelihood(
                emissions[hard_rows], doc_lengths[~soft], chain, allowed[hard_rows]
            )
            total += float(losses.sum())
            numpy.add.at(gradient, hard_rows, d_scores)
            d_chain = d_chain + d_moves
        if soft.any():
            soft_rows = rows[soft]
            losses, d_scores = soft_negative_log_likelihood(
                emissions[soft_rows], doc_lengths[soft], chain, targets[soft_rows]
            )
            total += float(losses.sum())
            numpy.add.at(gradient, soft_rows, d_scores)
    n_words = max(len(layout.rows), 1)
    return total / n_words, gradient / n_words, Chain(*(d / n_words for d in d_chain))


def _targets(
    examples: Sequence[Example], scheme: LabelScheme, emissions: Floats, lengths: Ints
) -> tuple[Bools, Floats, Bools]:
    """What the annotation admits and what teachers expect, a row a word each, and
    which examples have soft labels.
    """
    allowed = numpy.ones(emissions.shape, dtype=bool)
    targets = numpy.zeros_like(emissions)
    is_soft = numpy.zeros(len(examples), dtype=bool)
    has_pieces: Bools = numpy.asarray(emissions.any(axis=1))
    ends = numpy.cumsum(lengths)
    for i, (example, end) in enumerate(zip(examples, ends, strict=True)):
        rows = numpy.arange(end - lengths[i], end)
        found = soft_targets(example, scheme)
        if found is not None:
            targets[rows] = found
            is_soft[i] = True
        else:
            seen = has_pieces[rows]
            allowed[rows[seen]] = allowed_tags(example, scheme, seen)
    return allowed, targets, is_soft
