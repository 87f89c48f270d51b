"""Word pieces of docs: tokenization, alignment with words, windows of long docs.

Shared by all layers that run an encoder. Depends on NumPy and `tokenizers`, not on a
deep learning framework.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy
from spacy.attrs import (  # type: ignore[import-not-found]
    IDX,
    IS_SPACE,
    LENGTH,
)
from spacy.tokens import Doc
from thinc.model import deserialize_attr

from ..crf.arrays import Ints

if TYPE_CHECKING:
    from tokenizers import Tokenizer  # type: ignore[import-untyped]


class Pieces(NamedTuple):
    """Word pieces of one doc, without special tokens.

    ids (Ints1d): Shape (pieces,), their ids in the vocabulary.
    strings (List[str]): Their texts.
    firsts (Ints1d): Shape (words,), the index of the first piece of each word.
    counts (Ints1d): Shape (words,), the number of pieces of each word. White space has
        none. A piece that overlaps two words counts for both.
    """

    ids: Ints
    strings: list[str]
    firsts: Ints
    counts: Ints


class Tokenized(NamedTuple):
    """Word pieces of a batch of docs, concatenated, without special tokens.

    ids (Ints1d): Shape (pieces,), their ids in the vocabulary.
    n_pieces (Ints1d): Shape (docs,), the number of pieces of each doc.
    n_words (Ints1d): Shape (docs,), the number of words of each doc.
    firsts (Ints1d): Shape (words,), the index in `ids` of the first piece of each word.
    counts (Ints1d): Shape (words,), the number of pieces of each word, as in `Pieces`.
    encodings (List[Encoding]): The output of the tokenizer for each doc.
    """

    ids: Ints
    n_pieces: Ints
    n_words: Ints
    firsts: Ints
    counts: Ints
    encodings: list[Any]

    @property
    def offsets(self) -> Ints:
        """RETURNS (Ints1d): Shape (docs,), the index in `ids` of the first piece of
        each doc.
        """
        return numpy.cumsum(self.n_pieces) - self.n_pieces

    def by_doc(self) -> list[Pieces]:
        """Split the batch into docs.

        RETURNS (List[Pieces]): The pieces of each doc.
        """
        if not self.encodings:
            return []
        ends = numpy.cumsum(self.n_words)[:-1]  # (docs - 1,)
        firsts = self.firsts - numpy.repeat(self.offsets, self.n_words)  # (words,)
        return [
            Pieces(*parts)
            for parts in zip(
                numpy.split(self.ids, numpy.cumsum(self.n_pieces)[:-1]),
                [encoding.tokens for encoding in self.encodings],
                numpy.split(firsts, ends),
                numpy.split(self.counts, ends),
                strict=True,
            )
        ]


class Specials(NamedTuple):
    """Ids of the special tokens that a tokenizer adds to a sequence.

    before (List[int]): Before the pieces, [CLS] for example.
    after (List[int]): After the pieces, [SEP] for example.
    """

    before: list[int]
    after: list[int]

    @property
    def total(self) -> int:
        """RETURNS (int): The number of special tokens."""
        return len(self.before) + len(self.after)

    @classmethod
    def of(cls, tokenizer: "Tokenizer") -> "Specials":
        """Find the special tokens of a tokenizer by encoding a text.

        tokenizer (Tokenizer): A tokenizer from `unbounded_tokenizer`. With padding
            enabled, padding would count as special tokens.
        RETURNS (Specials): The special tokens.

        Raises ValueError if the tokenizer has no piece for any text.
        """
        for text in _likely_texts(tokenizer):
            encoding = tokenizer.encode(text, add_special_tokens=True)
            is_special = numpy.asarray(encoding.special_tokens_mask, dtype=bool)
            if not is_special.all():
                inner = numpy.flatnonzero(~is_special)
                return cls(encoding.ids[: inner[0]], encoding.ids[inner[-1] + 1 :])
        raise ValueError("the tokenizer has no piece for any text")


class Windows(NamedTuple):
    """Windows of word pieces, without special tokens. Each is one sequence in the input
    of an encoder. See `cut_windows` for a drawing.

    All fields have shape (windows,). Indices of pieces count from the start of the doc.

    docs (Ints1d): The index of the doc.
    starts (Ints1d): The first piece.
    ends (Ints1d): The piece after the last one.
    own_starts (Ints1d): The first piece whose vector is taken from this window.
    own_ends (Ints1d): The piece after the last one whose vector is taken from it. The
        own pieces of the windows of a doc cover each piece exactly once.
    """

    docs: Ints
    starts: Ints
    ends: Ints
    own_starts: Ints
    own_ends: Ints

    @property
    def lengths(self) -> Ints:
        """RETURNS (Ints1d): Shape (windows,), the number of pieces of each window."""
        return self.ends - self.starts


class Setting(int):
    """Integer attribute of a layer that is set by the config only.

    thinc stores the attributes of a layer with its weights and restores them on
    loading. That would undo `spacy.load(..., config=...)`. A `Setting` keeps the value
    of the config.
    """


@deserialize_attr.register(Setting)
def _keep_setting(default: Setting, value: bytes, name: str, node: Any) -> Setting:
    return default


def window_settings(window: int, stride: int, batch_pieces: int) -> dict[str, Setting]:
    """Check the settings of a layer that runs windows in batches.

    window (int): Maximum number of word pieces in a window.
    stride (int): Number of pieces between the starts of two windows.
    batch_pieces (int): Maximum number of pieces in a batch.
    RETURNS (Dict[str, Setting]): The attributes of the layer.

    Raises ValueError if stride is not between 1 and window, or batch_pieces is less
    than 1.

    Example:
        >>> window_settings(window=8, stride=6, batch_pieces=512)
        {'window': 8, 'stride': 6, 'batch_pieces': 512}
    """
    if not 0 < stride <= window:
        raise ValueError(
            f"stride has to be between 1 and window ({window}), got {stride}"
        )
    if batch_pieces < 1:
        raise ValueError(f"batch_pieces has to be at least 1, got {batch_pieces}")
    settings = {"window": window, "stride": stride, "batch_pieces": batch_pieces}
    return {name: Setting(value) for name, value in settings.items()}


def unbounded_tokenizer(tokenizer: "Tokenizer") -> "Tokenizer":
    """Copy a fast tokenizer and disable truncation and padding in the copy.

    Threads may encode with the copy concurrently, because its settings never change.
    Those of the original do: transformers sets truncation and padding in every call,
    and doing so while another thread encodes raises "Already borrowed".

    tokenizer (Tokenizer): A fast tokenizer. It is not changed.
    RETURNS (Tokenizer): The copy, for `tokenize` and `Specials.of`.
    """
    copied = type(tokenizer).from_str(tokenizer.to_str())
    copied.no_truncation()
    copied.no_padding()
    return copied


def tokenize(tokenizer: "Tokenizer", docs: list[Doc]) -> Tokenized:
    """Split docs into word pieces and align these with the words by characters.

    Nothing is truncated, however long a doc or one of its words is.

    tokenizer (Tokenizer): A fast tokenizer from `unbounded_tokenizer`.
    docs (List[Doc]): The docs. The tokenizer gets the unchanged text.
    RETURNS (Tokenized): The pieces of all docs.
    """
    texts = [doc.text for doc in docs]
    # Not encode_batch: it starts threads, which a forked process does not have.
    encodings = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    n_pieces = numpy.asarray([len(e) for e in encodings], dtype=numpy.int64)  # (docs,)
    n_words = numpy.asarray([len(doc) for doc in docs], dtype=numpy.int64)  # (docs,)
    ids = _flat(encoding.ids for encoding in encodings)  # (pieces,)
    # Character offsets in the concatenation of all texts, one character apart, so that
    # one binary search aligns the whole batch.
    sizes = numpy.asarray([len(text) + 1 for text in texts], dtype=numpy.int64)
    bases = numpy.cumsum(sizes) - sizes  # (docs,)
    offsets = _flat(chain.from_iterable(e.offsets) for e in encodings).reshape(-1, 2)
    offsets += numpy.repeat(bases, n_pieces)[:, None]  # (pieces, 2): start, end
    attrs = [doc.to_array([IDX, LENGTH, IS_SPACE]).reshape(-1, 3) for doc in docs]
    words = numpy.concatenate(attrs) if attrs else numpy.zeros((0, 3))  # (words, 3)
    starts, lengths, is_space = words.astype(numpy.int64).T  # (words,) each
    starts = starts + numpy.repeat(bases, n_words)
    # A piece belongs to every word with which it shares a character. Offsets never
    # decrease, so the pieces of a word are contiguous.
    firsts = numpy.searchsorted(offsets[:, 1], starts, side="right")  # (words,)
    lasts = numpy.searchsorted(offsets[:, 0], starts + lengths, side="left")  # (words,)
    # Byte-level tokenizers have pieces for line breaks.
    counts = numpy.where(is_space, 0, numpy.maximum(lasts - firsts, 0))  # (words,)
    return Tokenized(ids, n_pieces, n_words, firsts, counts, encodings)


def cut_windows(n_pieces: Ints, window: int, stride: int) -> Windows:
    """Cut docs into overlapping windows.

    The vector of a piece is taken from the window in which the piece has most context:
    each overlap is divided in half between its two windows. A doc of 14 pieces with
    window 8 and stride 5 (`=` own pieces, `-` other pieces):

        pieces     0 1 2 3 4 5 6 7 8 9 . . . 13
        window 0   = = = = = = - -
        window 1             - = = = = = - -
        window 2                       - = = =

    n_pieces (Ints1d): Shape (docs,), the number of pieces of each doc. Docs without
        pieces get no window.
    window (int): Maximum number of pieces in a window.
    stride (int): Number of pieces between the starts of two windows, between 1 and
        window.
    RETURNS (Windows): The windows, in order of docs and starts.

    Example:
        >>> windows = cut_windows(numpy.asarray([14]), window=8, stride=5)
        >>> list(zip(windows.starts.tolist(), windows.ends.tolist()))
        [(0, 8), (5, 13), (10, 14)]
        >>> list(zip(windows.own_starts.tolist(), windows.own_ends.tolist()))
        [(0, 6), (6, 11), (11, 14)]
    """
    n_pieces = numpy.asarray(n_pieces, dtype=numpy.int64)  # (docs,)
    further = -(-numpy.maximum(n_pieces - window, 0) // stride)  # (docs,), rounded up
    n_windows = numpy.where(n_pieces > 0, 1 + further, 0)  # (docs,)
    docs = numpy.repeat(numpy.arange(len(n_pieces)), n_windows)  # (windows,)
    index = numpy.arange(len(docs)) - numpy.repeat(
        numpy.cumsum(n_windows) - n_windows, n_windows
    )  # (windows,), index of the window in its doc
    starts, totals = index * stride, n_pieces[docs]  # (windows,) each
    ends = numpy.minimum(starts + window, totals)  # (windows,)
    # The next window starts at starts + stride: the middle of the overlap.
    own_ends = numpy.where(ends == totals, totals, (starts + stride + ends) // 2)
    own_starts = numpy.zeros_like(own_ends)  # (windows,)
    own_starts[1:] = numpy.where(index[1:] > 0, own_ends[:-1], 0)
    return Windows(docs, starts, ends, own_starts, own_ends)


def pad_windows(
    pieces: Tokenized, windows: Windows, batch: Ints, specials: Specials, pad: int
) -> tuple[Ints, Ints]:
    """Build the input of an encoder from some of the windows.

    pieces (Tokenized): The pieces of all docs.
    windows (Windows): The windows of all docs.
    batch (Ints1d): Shape (B,), the indices of the windows in the batch.
    specials (Specials): The special tokens of the tokenizer.
    pad (int): The id of the padding token.
    RETURNS (Tuple[Ints2d, Ints1d]): The ids of special tokens and pieces, padded on the
        right, shape (B, L), and the lengths without padding, shape (B,).
    """
    n_before = len(specials.before)
    inner = windows.lengths[batch]  # (B,)
    lengths = inner + specials.total  # (B,)
    ids = numpy.full((len(batch), lengths.max()), pad, dtype=numpy.int64)  # (B, L)
    ids[:, :n_before] = specials.before
    positions = numpy.arange(inner.max())  # (L - specials,)
    # Index in pieces.ids of the first piece of each window.
    sources = (pieces.offsets[windows.docs[batch]] + windows.starts[batch])[:, None]
    is_inner = positions < inner[:, None]  # (B, L - specials)
    ids[:, n_before : n_before + inner.max()][is_inner] = pieces.ids[
        (sources + positions)[is_inner]
    ]
    for i, special in enumerate(specials.after):
        ids[numpy.arange(len(batch)), n_before + inner + i] = special
    return ids, lengths


def _likely_texts(tokenizer: "Tokenizer") -> Iterator[str]:
    # Some vocabularies have no "a". Listing a vocabulary takes time.
    yield "a"
    yield from tokenizer.get_vocab()


def _flat(parts: Iterable[Iterable[int]]) -> Ints:
    return numpy.fromiter(chain.from_iterable(parts), dtype=numpy.int64)
