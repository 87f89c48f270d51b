"""Decoding of whole batches of docs: from emissions to entities with confidences."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy

from ..labels import LabelScheme
from .arrays import Bools, Floats64, Ints
from .batches import chain_batches
from .chain import (
    Chain,
    expectations,
    span_probabilities,
    viterbi,
)

# Lower bound of the confidences. An entity on the best path is possible, although the
# probability of a span of hundreds of words may underflow to 0.
MIN_CONFIDENCE = float(numpy.finfo(numpy.float64).tiny)


class Emitted(NamedTuple):
    """Output of a model for a batch of docs: the input of decoding.

    emissions (Floats2d): Shape (sum of lengths, T), one row per word. A row of zeros is
        a word without word pieces.
    lengths (Ints1d): Shape (docs,), the number of words of each doc.
    chain (Chain): The scores of the chain; minus infinity for illegal transitions.
    barred (Optional[Bools1d]): Shape (sum of lengths,), words that must stay outside
        of entities.
    """

    emissions: Floats64
    lengths: Ints
    chain: Chain
    barred: Bools | None = None


class Decoded(NamedTuple):
    """Entities of a batch of docs, sorted by doc and start. Each field has shape
    (entities,).

    docs (Ints1d): The index of the doc.
    starts (Ints1d): The first word.
    ends (Ints1d): The word after the last one.
    types (Ints1d): The index of the entity type in the label scheme.
    confidences (Floats1d): The probability of exactly this span and type, above 0 and
        at most 1.
    """

    docs: Ints
    starts: Ints
    ends: Ints
    types: Ints
    confidences: Floats64


class ChainLayout(NamedTuple):
    """Mapping between the words of a batch of docs and the positions of their chains.

    A word without word pieces (white space, for example) has an emission of zeros. It
    is no position of the chain, so no entity starts or ends with it. An entity that
    continues after it contains it.

    rows (Ints1d): Shape (positions,), the row of each position in the flat emissions.
    offsets (Ints1d): Shape (docs,), the index in `rows` of the doc's first position.
    counts (Ints1d): Shape (docs,), the number of positions of each doc.
    words (Ints1d): Shape (sum of lengths,), the index of each row's word in its doc.
    n_tags (int): The number of tags T.
    """

    rows: Ints
    offsets: Ints
    counts: Ints
    words: Ints
    n_tags: int

    @classmethod
    def of(cls, emissions: Floats64, lengths: Ints) -> "ChainLayout":
        """Create the layout of a batch.

        emissions (Floats2d): Shape (sum of lengths, T).
        lengths (Ints1d): Shape (docs,), the number of words of each doc.
        RETURNS (ChainLayout): The layout.

        Example:
            >>> emissions = numpy.asarray([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]])
            >>> layout = ChainLayout.of(emissions, numpy.asarray([2, 1]))
            >>> layout.rows.tolist(), layout.counts.tolist(), layout.words.tolist()
            ([0, 2], [1, 1], [0, 1, 0])
        """
        doc_of_row = numpy.repeat(numpy.arange(len(lengths)), lengths)  # (words,)
        first_row = numpy.cumsum(lengths) - lengths  # (docs,)
        rows = numpy.flatnonzero(emissions.any(axis=1))  # (positions,)
        counts = numpy.bincount(doc_of_row[rows], minlength=len(lengths))  # (docs,)
        words = numpy.arange(len(emissions)) - first_row[doc_of_row]  # (words,)
        offsets = numpy.cumsum(counts) - counts  # (docs,)
        return cls(rows, offsets, counts, words, emissions.shape[1])

    def batches(self) -> Iterator[tuple[Ints, Ints, Ints]]:
        """Group docs of similar length within the budgets of `chain_batches`. Docs
        without positions are in no batch.

        YIELDS (Tuple[Ints1d, Ints1d, Ints2d]): The indices of the docs, shape (B,), the
            number of their positions, shape (B,), and the rows of these positions,
            shape (B, L). The padding repeats the row of a doc's last position.
        """
        docs = numpy.flatnonzero(self.counts)
        for batch in chain_batches(self.counts[docs], self.n_tags):
            chosen = docs[batch]  # (B,)
            lengths = self.counts[chosen]  # (B,)
            # (B, L)
            at = numpy.minimum(numpy.arange(lengths.max()), lengths[:, None] - 1)
            yield chosen, lengths, self.rows[self.offsets[chosen][:, None] + at]


@lru_cache
def legal_chain(scheme: LabelScheme) -> Chain:
    """Create the chain that excludes illegal BIO tags: minus infinity for O -> I-x,
    B-x -> I-y, I-x -> I-y and I-x as first tag, 0 for everything else.

    scheme (LabelScheme): The tags.
    RETURNS (Chain): Cached per scheme, so its arrays are read-only.

    Example:
        >>> chain = legal_chain(LabelScheme(("x",)))  # tags O, B-x, I-x
        >>> chain.transitions
        array([[  0.,   0., -inf],
               [  0.,   0.,   0.],
               [  0.,   0.,   0.]])
        >>> chain.start
        array([  0.,   0., -inf])
    """
    n_tags = len(scheme.tags)
    legal = [[scheme.is_legal(a, b) for b in range(n_tags)] for a in range(n_tags)]
    starts = [scheme.is_legal_start(tag) for tag in range(n_tags)]
    chain = Chain(
        numpy.where(legal, 0.0, -numpy.inf),  # (T, T)
        numpy.where(starts, 0.0, -numpy.inf),  # (T,)
        numpy.zeros(n_tags),  # (T,)
    )
    for scores in chain:
        scores.flags.writeable = False
    return chain


def decode(emitted: Emitted, bias: float = 0.0, temperature: float = 1.0) -> Decoded:
    """Find the entities on the most probable path of each doc, and their confidences.

    emitted (Emitted): The output of a model for a batch of docs. It is not changed.
    bias (float): Added to the emissions of all tags but O, in nats. Values above 0 find
        more entities, values below 0 fewer.
    temperature (float): Divides all scores of the chain, after the bias is added
        (temperature scaling, Guo et al. 2017). It changes the confidences, never the
        entities. Above 0.
    RETURNS (Decoded): The entities, sorted by doc and start.

    Example:
        >>> emissions = numpy.asarray([[0, 4.0, 0], [0, 0, 4.0], [4.0, 0, 0]])
        >>> chain = legal_chain(LabelScheme(("x",)))  # tags O, B-x, I-x
        >>> found = decode(Emitted(emissions, numpy.asarray([3]), chain))
        >>> found.starts.tolist(), found.ends.tolist(), found.types.tolist()
        ([0], [2], [0])
        >>> found.confidences.round(2)
        array([0.95])
    """
    _, lengths, chain, barred = emitted
    emissions = emitted.emissions.astype(numpy.float64)  # (words, T), a copy
    if barred is not None:
        # Barred words become positions, even those without word pieces, so that no
        # entity contains one.
        emissions[barred, 1:] = -numpy.inf
    layout = ChainLayout.of(emissions, lengths)
    # Added after the layout, which recognizes words without pieces by their zeros.
    emissions[:, 1:] += bias
    cooled = Chain(*(scores / temperature for scores in chain))
    found = []
    for docs, doc_lengths, rows in layout.batches():  # (B,), (B,), (B, L)
        scores = emissions[rows]  # (B, L, T)
        spans = _find_spans(viterbi(scores, doc_lengths, chain))  # (n, 4)
        if len(spans):
            row, start, end, begin = spans.T  # (n,) each
            # Docs without entities need no forward-backward pass.
            needed, within = numpy.unique(row, return_inverse=True)  # (b,), (n,)
            places = numpy.column_stack([within, spans[:, 1:]])  # (n, 4)
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
                        MIN_CONFIDENCE,
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
) -> Floats64:
    """Compute the probability of each tag at each word, over all paths of the chain.

    emitted (Emitted): The output of a model for a batch of docs. It is not changed.
        `barred` is ignored.
    bias (float): As for `decode`, in nats.
    temperature (float): As for `decode`.
    RETURNS (Floats2d): Shape (sum of lengths, T). Zeros for words without word pieces.

    Example:
        >>> emissions = numpy.asarray([[0.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
        >>> chain = legal_chain(LabelScheme(("x",)))  # tags O, B-x, I-x
        >>> tag_probabilities(Emitted(emissions, numpy.asarray([2]), chain)).round(3)
        array([[0.018, 0.982, 0.   ],
               [0.   , 0.   , 0.   ]])
    """
    emissions = emitted.emissions.astype(numpy.float64)  # (words, T), a copy
    layout = ChainLayout.of(emissions, emitted.lengths)
    emissions[:, 1:] += bias
    cooled = Chain(*(scores / temperature for scores in emitted.chain))
    probabilities = numpy.zeros_like(emissions)  # (words, T)
    for _, lengths, rows in layout.batches():  # (B,), (B, L)
        marginals = expectations(emissions[rows] / temperature, lengths, cooled)[1]
        inside = numpy.arange(rows.shape[1]) < lengths[:, None]  # (B, L)
        probabilities[rows[inside]] = marginals[inside]  # (positions, T)
    return probabilities


def _find_spans(tags: Ints) -> Ints:
    """Find the entities on legal paths.

    tags (Ints2d): Shape (B, L), with -1 in the padding.
    RETURNS (Ints2d): Shape (n, 4), with the columns of `span_probabilities`.
    """
    in_entity = tags > 0  # (B, L)
    is_begin = in_entity & (tags % 2 == 1)  # (B, L)
    continues = numpy.zeros_like(in_entity)  # (B, L), the next word is inside, too
    continues[:, :-1] = (in_entity & ~is_begin)[:, 1:]
    row, start = numpy.nonzero(is_begin)  # (n,), (n,)
    _, last = numpy.nonzero(in_entity & ~continues)  # (n,)
    return numpy.stack([row, start, last + 1, tags[row, start]], axis=1)
