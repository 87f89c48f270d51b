"""Losses of a batch of examples: annotated, softly labelled, and incorrect spans."""

from collections.abc import Sequence

import numpy
from spacy.training import Example

from ..labels import LabelScheme
from .arrays import Bools, Floats64, Ints
from .chain import (
    Chain,
    negative_log_likelihood,
    soft_negative_log_likelihood,
)
from .decoding import ChainLayout
from .incorrect_spans import absence_losses
from .targets import aligned_incorrect_spans, allowed_tags, soft_targets


def batch_loss(
    examples: Sequence[Example],
    scheme: LabelScheme,
    emissions: Floats64,
    lengths: Ints,
    chain: Chain,
) -> tuple[float, Floats64, Chain]:
    """Compute the loss of a batch and its gradient.

    Annotated examples contribute the negative log-likelihood of their annotation.
    Examples with soft labels contribute the distillation loss, which has no gradient
    with respect to the scores of the chain.

    examples (Sequence[Example]): The examples.
    scheme (LabelScheme): The tags.
    emissions (Floats2d): Shape (sum of lengths, T), one row per word of the predicted
        docs; zeros where a word has no word pieces.
    lengths (Ints1d): Shape (docs,), the number of words of each predicted doc.
    chain (Chain): The scores of the chain.
    RETURNS (Tuple[float, Floats2d, Chain]): The loss in nats per word with word pieces,
        and its gradient with respect to the emissions, shape (sum of lengths, T), and
        to the scores of the chain.

    Raises ValueError if soft labels are of other entity types, and KeyError if an
    annotated tag is not in the scheme.
    """
    layout = ChainLayout.of(emissions, lengths)
    allowed, targets, is_soft = _batch_targets(examples, scheme, emissions, lengths)
    total, gradient = 0.0, numpy.zeros_like(emissions)  # gradient: (words, T)
    d_chain = Chain.zeros(emissions.shape[1])
    for docs, doc_lengths, rows in layout.batches():  # (B,), (B,), (B, L)
        soft = is_soft[docs]  # (B,)
        if not soft.all():
            hard_rows = rows[~soft]  # (b, L)
            losses, d_scores, d_scores_chain = negative_log_likelihood(
                emissions[hard_rows], doc_lengths[~soft], chain, allowed[hard_rows]
            )
            total += float(losses.sum())
            # The padding repeats rows, so `gradient[rows] += …` would lose some.
            numpy.add.at(gradient, hard_rows, d_scores)
            d_chain = d_chain + d_scores_chain
        if soft.any():
            soft_rows = rows[soft]  # (b, L)
            losses, d_scores = soft_negative_log_likelihood(
                emissions[soft_rows], doc_lengths[soft], chain, targets[soft_rows]
            )
            total += float(losses.sum())
            numpy.add.at(gradient, soft_rows, d_scores)
    return _mean_per_word(layout, total, gradient, d_chain)


def incorrect_spans_loss(
    examples: Sequence[Example],
    scheme: LabelScheme,
    emissions: Floats64,
    lengths: Ints,
    chain: Chain,
    key: str,
) -> tuple[float, Floats64, Chain]:
    """Compute the loss of incorrect spans in a batch and its gradient.

    The loss is summed over the spans of all docs. Docs without spans contribute nothing
    but their number of words.

    examples (Sequence[Example]): The examples.
    scheme (LabelScheme): The tags. It contains the labels of all spans.
    emissions (Floats2d): As for `batch_loss`.
    lengths (Ints1d): Shape (docs,), the number of words of each predicted doc.
    chain (Chain): The scores of the chain used in decoding, so that the loss lowers the
        confidence of a span.
    key (str): The key of the spans in `doc.spans` of the references.
    RETURNS (Tuple[float, Floats2d, Chain]): As for `batch_loss`.

    Raises ValueError if a span is also an entity of its reference.
    """
    layout = ChainLayout.of(emissions, lengths)
    spans = _spans_of_docs(examples, scheme, layout, lengths, key)  # (n, 4)
    total, gradient = 0.0, numpy.zeros_like(emissions)  # gradient: (words, T)
    d_chain = Chain.zeros(emissions.shape[1])
    row_of_doc = numpy.zeros(len(lengths), dtype=numpy.int64)  # (docs,)
    for docs, doc_lengths, rows in layout.batches():  # (B,), (B,), (B, L)
        has_spans = numpy.isin(docs, spans[:, 0])  # (B,)
        if not has_spans.any():
            continue
        docs, doc_lengths, rows = (
            docs[has_spans],
            doc_lengths[has_spans],
            rows[has_spans],
        )
        row_of_doc[docs] = numpy.arange(len(docs))
        in_batch = spans[numpy.isin(spans[:, 0], docs)]  # (b, 4), a copy
        in_batch[:, 0] = row_of_doc[in_batch[:, 0]]
        losses, d_scores, d_scores_chain = absence_losses(
            emissions[rows], doc_lengths, chain, in_batch
        )
        total += float(losses.sum())
        numpy.add.at(gradient, rows, d_scores)
        d_chain = d_chain + d_scores_chain
    return _mean_per_word(layout, total, gradient, d_chain)


def _mean_per_word(
    layout: ChainLayout, total: float, gradient: Floats64, d_chain: Chain
) -> tuple[float, Floats64, Chain]:
    """Divide a summed loss and its gradient by the number of words with pieces."""
    n_words = max(len(layout.rows), 1)
    return total / n_words, gradient / n_words, Chain(*(d / n_words for d in d_chain))


def _spans_of_docs(
    examples: Sequence[Example],
    scheme: LabelScheme,
    layout: ChainLayout,
    lengths: Ints,
    key: str,
) -> Ints:
    """Collect the incorrect spans of all docs, in positions of their chains.

    RETURNS (Ints2d): Shape (n, 4), with the columns of `absence_losses`; the first is
        the index of the doc.
    """
    first_rows = numpy.cumsum(lengths) - lengths  # (docs,)
    positions = numpy.full(int(lengths.sum()), -1)  # (words,), -1: no position
    offsets = numpy.repeat(layout.offsets, layout.counts)  # (positions,)
    positions[layout.rows] = numpy.arange(len(layout.rows)) - offsets
    spans = []
    for doc, (example, first_row) in enumerate(zip(examples, first_rows, strict=True)):
        for start, end, label in aligned_incorrect_spans(example, key):
            first, last = positions[[first_row + start, first_row + end - 1]]
            # No entity ever starts or ends with a word without pieces.
            if first >= 0 and last >= 0:
                begin = 1 + 2 * scheme.types.index(label)
                spans.append((doc, first, last + 1, begin))
    return numpy.asarray(spans, dtype=numpy.int64).reshape(-1, 4)


def _batch_targets(
    examples: Sequence[Example], scheme: LabelScheme, emissions: Floats64, lengths: Ints
) -> tuple[Bools, Floats64, Bools]:
    """Collect the targets of all words.

    RETURNS (Tuple[Bools2d, Floats2d, Bools1d]): The allowed tags, shape (words, T); the
        soft labels, shape (words, T); whether an example has soft labels,
        shape (docs,).
    """
    allowed = numpy.ones(emissions.shape, dtype=bool)  # (words, T)
    targets = numpy.zeros_like(emissions)  # (words, T)
    is_soft = numpy.zeros(len(examples), dtype=bool)  # (docs,)
    has_pieces: Bools = numpy.asarray(emissions.any(axis=1))  # (words,)
    ends = numpy.cumsum(lengths)
    for i, (example, end) in enumerate(zip(examples, ends, strict=True)):
        rows = numpy.arange(end - lengths[i], end)
        soft_labels = soft_targets(example, scheme)
        if soft_labels is not None:
            targets[rows] = soft_labels
            is_soft[i] = True
        else:
            seen = has_pieces[rows]
            allowed[rows[seen]] = allowed_tags(example, scheme, seen)
    return allowed, targets, is_soft
