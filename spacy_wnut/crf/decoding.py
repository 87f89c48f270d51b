"""From emissions to entities with confidences, for whole batches of docs."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy

from ..batching import batch_by_length
from ..labels import LabelScheme
from .chain import (
    Bools,
    Chain,
    Floats,
    Ints,
    expectations,
    span_probabilities,
    viterbi,
)

# What a step of the recursions works on, (docs x tags x tags), stays in a processor's
# cache with this many padded words, and what all of them keep is a few megabytes,
# whatever a batch of docs holds.
MAX_PADDED_WORDS = 4096

# What stands on the best path is possible, though the probability of a span of
# hundreds of words may be smaller than any number.
SMALLEST = float(numpy.finfo(numpy.float64).tiny)


class Emitted(NamedTuple):
    """What a model says of a batch of docs: all that decoding needs.

    emissions (Floats2d): A row a word, shape (sum of lengths, T).
    lengths (Ints1d): The number of words of each doc.
    chain (Chain): The chain's scores, illegal moves at minus infinity.
    barred (Optional[Bools1d]): Words that must stay outside, one a row.
    """

    emissions: Floats
    lengths: Ints
    chain: Chain
    barred: Bools | None = None


class Decoded(NamedTuple):
    """The entities of a batch of docs, in order.

    docs (Ints1d): The index of each entity's doc.
    starts, ends (Ints1d): Its first word, and the one after its last.
    types (Ints1d): The index of its type in the label scheme.
    confidences (Floats1d): The probability of exactly this span and type.
    """

    docs: Ints
    starts: Ints
    ends: Ints
    types: Ints
    confidences: Floats


class Layout(NamedTuple):
    """Where the words of a batch of docs stand in the chains decoded for them.

    A word without a piece of its own (white space, say) has an emission of
    zeros. It is no position in the chain, so it can never start or end an
    entity, but does lie inside one that goes on after it.

    rows (Ints1d): The rows of the flat emissions that are positions.
    offsets (Ints1d): For each doc, where its positions begin in `rows`.
    counts (Ints1d): For each doc, how many positions it has.
    words (Ints1d): For each row, its index among the doc's words.
    """

    rows: Ints
    offsets: Ints
    counts: Ints
    words: Ints

    @classmethod
    def of(cls, emissions: Floats, lengths: Ints) -> "Layout":
        """The layout of flat emissions, shape (sum of lengths, T)."""
        doc_of_row = numpy.repeat(numpy.arange(len(lengths)), lengths)
        first_row = numpy.cumsum(lengths) - lengths
        rows = numpy.flatnonzero(emissions.any(axis=1))
        counts = numpy.bincount(doc_of_row[rows], minlength=len(lengths))
        words = numpy.arange(len(emissions)) - first_row[doc_of_row]
        return cls(rows, numpy.cumsum(counts) - counts, counts, words)

    def batches(self) -> Iterator[tuple[Ints, Ints, Ints]]:
        """Docs of similar length together.

        YIELDS (Tuple[Ints1d, Ints1d, Ints2d]): The docs' indices (B,), their
            lengths (B,), and the rows of their positions (B, L). The padding
            repeats some row of the batch.
        """
        docs = numpy.flatnonzero(self.counts)
        for batch in batch_by_length(self.counts[docs], MAX_PADDED_WORDS):
            chosen = docs[batch]
            lengths = self.counts[chosen]
            at = numpy.minimum(numpy.arange(lengths.max()), lengths[:, None] - 1)
            yield chosen, lengths, self.rows[self.offsets[chosen][:, None] + at]


@lru_cache
def legal_chain(scheme: LabelScheme) -> Chain:
    """The chain that gives illegal BIO moves minus infinity, all others zero:
    O -> I-x, B-x -> I-y and a start with I-x are impossible. It can't be written to.
    """
    n_tags = len(scheme.tags)
    moves = [[scheme.is_legal(a, b) for b in range(n_tags)] for a in range(n_tags)]
    starts = [scheme.is_legal_start(tag) for tag in range(n_tags)]
    chain = Chain(
        numpy.where(moves, 0.0, -numpy.inf),
        numpy.where(starts, 0.0, -numpy.inf),
        numpy.zeros(n_tags),
    )
    for scores in chain:
        scores.flags.writeable = False
    return chain


def decode(emitted: Emitted, bias: float = 0.0, temperature: float = 1.0) -> Decoded:
    """Find the most probable entities of a batch of docs.

    emitted (Emitted): The emissions and what belongs to them.
    bias (float): Added to the emissions of all tags but O, in nats. Above zero
        more entities are found, below fewer.
    temperature (float): All scores of the chain, the bias included, are divided
        by it before they become probabilities (Guo et al. 2017). It changes the
        confidences, and never which entities are found.
    RETURNS (Decoded): The entities, sorted by doc and start.
    """
    _, lengths, chain, barred = emitted
    emissions = emitted.emissions.astype(numpy.float64)
    if barred is not None:
        # This makes them positions, even those without a piece, so that no
        # entity goes on over them.
        emissions[barred, 1:] = -numpy.inf
    layout = Layout.of(emissions, lengths)
    # Not before the layout, which tells words without a piece by their zeros.
    emissions[:, 1:] += bias
    cooled = Chain(*(scores / temperature for scores in chain))
    found = []
    for docs, doc_lengths, rows in layout.batches():
        scores = emissions[rows]
        spans = _find_spans(viterbi(scores, doc_lengths, chain))
        if len(spans):
            row, start, end, begin = spans.T
            # Those without an entity need no probabilities.
            needed, within = numpy.unique(row, return_inverse=True)
            places = numpy.column_stack([within, spans[:, 1:]])
            found.append(
                Decoded(
                    docs[row],
                    layout.words[rows[row, start]],
                    layout.words[rows[row, end - 1]] + 1,
                    (begin - 1) // 2,
                    numpy.maximum(
                        span_probabilities(
                            scores[needed] / temperature,
                            doc_lengths[needed],
                            cooled,
                            places,
                        ),
                        SMALLEST,
                    ),
                )
            )
    if not found:
        none = numpy.zeros(0, dtype=numpy.int64)
        return Decoded(none, none, none, none, numpy.zeros(0))
    together = Decoded._make(
        numpy.concatenate(field) for field in zip(*found, strict=True)
    )
    order = numpy.lexsort((together.starts, together.docs))
    return Decoded._make(field[order] for field in together)


def tag_probabilities(
    emitted: Emitted, bias: float = 0.0, temperature: float = 1.0
) -> Floats:
    """The probability of each tag at each word, over all paths of the chain.

    emitted (Emitted): The emissions and what belongs to them. What is barred plays
        no part.
    bias, temperature (float): As for `decode`.
    RETURNS (Floats2d): A row a word, shape (sum of lengths, T); zeros where the word
        has no piece of its own.
    """
    emissions = emitted.emissions.astype(numpy.float64)
    layout = Layout.of(emissions, emitted.lengths)
    emissions[:, 1:] += bias
    cooled = Chain(*(scores / temperature for scores in emitted.chain))
    probabilities = numpy.zeros_like(emissions)
    for _, lengths, rows in layout.batches():
        marginals = expectations(emissions[rows] / temperature, lengths, cooled)[1]
        inside = numpy.arange(rows.shape[1]) < lengths[:, None]
        probabilities[rows[inside]] = marginals[inside]
    return probabilities


def _find_spans(tags: Ints) -> Ints:
    """The entities of legal paths, as `span_probabilities` takes them."""
    in_entity = tags > 0
    is_begin = in_entity & (tags % 2 == 1)
    goes_on = numpy.zeros_like(in_entity)
    goes_on[:, :-1] = (in_entity & ~is_begin)[:, 1:]
    row, start = numpy.nonzero(is_begin)
    _, last = numpy.nonzero(in_entity & ~goes_on)
    return numpy.stack([row, start, last + 1, tags[row, start]], axis=1)
