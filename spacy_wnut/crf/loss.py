"""The loss of a batch of examples, whatever is known of them."""

from collections.abc import Sequence

import numpy
from spacy.training import Example

from ..labels import LabelScheme
from .chain import (
    Bools,
    Chain,
    Floats,
    Ints,
    negative_log_likelihood,
    soft_negative_log_likelihood,
)
from .decoding import Layout
from .incorrect_spans import absence_losses
from .targets import allowed_tags, incorrect_spans, soft_targets


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
    return _a_word(layout, total, gradient, d_chain)


def incorrect_spans_loss(
    examples: Sequence[Example],
    scheme: LabelScheme,
    emissions: Floats,
    lengths: Ints,
    chain: Chain,
    key: str,
) -> tuple[float, Floats, Chain]:
    """The loss of spans that are known to be no entities, in nats a word with pieces,
    and its gradient. It is summed over the spans; words and examples without any have
    none.

    examples (Sequence[Example]): The examples.
    scheme (LabelScheme): The tags. It has the labels of all the spans.
    emissions (Floats2d): As for `batch_loss`.
    lengths (Ints1d): The number of words of each doc.
    chain (Chain): The chain's scores in decoding, so that it is the confidence of a
        span that the loss brings down.
    key (str): Where the references' `doc.spans` has the spans.
    RETURNS (Tuple[float, Floats2d, Chain]): As of `batch_loss`.

    Raises ValueError if a span is an entity of its reference, too.
    """
    layout = Layout.of(emissions, lengths)
    spans = _spans_in_chains(examples, scheme, layout, lengths, key)
    total, gradient = 0.0, numpy.zeros_like(emissions)
    d_chain = Chain.zeros(emissions.shape[1])
    row_of_doc = numpy.zeros(len(lengths), dtype=numpy.int64)
    for docs, doc_lengths, rows in layout.batches():
        has_spans = numpy.isin(docs, spans[:, 0])
        if not has_spans.any():
            continue
        docs, doc_lengths, rows = (
            docs[has_spans],
            doc_lengths[has_spans],
            rows[has_spans],
        )
        row_of_doc[docs] = numpy.arange(len(docs))
        found = spans[numpy.isin(spans[:, 0], docs)]
        found[:, 0] = row_of_doc[found[:, 0]]
        losses, d_scores, d_moves = absence_losses(
            emissions[rows], doc_lengths, chain, found
        )
        total += float(losses.sum())
        numpy.add.at(gradient, rows, d_scores)
        d_chain = d_chain + d_moves
    return _a_word(layout, total, gradient, d_chain)


def _a_word(
    layout: Layout, total: float, gradient: Floats, d_chain: Chain
) -> tuple[float, Floats, Chain]:
    """A summed loss and its gradient over the number of words with pieces."""
    n_words = max(len(layout.rows), 1)
    return total / n_words, gradient / n_words, Chain(*(d / n_words for d in d_chain))


def _spans_in_chains(
    examples: Sequence[Example],
    scheme: LabelScheme,
    layout: Layout,
    lengths: Ints,
    key: str,
) -> Ints:
    """Incorrect spans as `absence_losses` takes them, by the index of their doc:
    shape (n, 4).
    """
    first_rows = numpy.cumsum(lengths) - lengths
    positions = numpy.full(int(lengths.sum()), -1)
    of_doc = numpy.repeat(layout.offsets, layout.counts)
    positions[layout.rows] = numpy.arange(len(layout.rows)) - of_doc
    spans = []
    for doc, (example, first_row) in enumerate(zip(examples, first_rows, strict=True)):
        for start, end, label in incorrect_spans(example, key):
            first, last = positions[[first_row + start, first_row + end - 1]]
            # Where a word without a piece is at the border no entity is ever found.
            if first >= 0 and last >= 0:
                begin = 1 + 2 * scheme.types.index(label)
                spans.append((doc, first, last + 1, begin))
    return numpy.asarray(spans, dtype=numpy.int64).reshape(-1, 4)


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
