"""Word pieces of docs: tokenise, align with words, cut long docs into windows.

Shared by everything that runs an encoder. There are arrays of numbers in here
and a `tokenizers.Tokenizer`, but no framework.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import (  # type: ignore[import-not-found]
    IDX,
    IS_SPACE,
    LENGTH,
)
from spacy.tokens import Doc
from thinc.model import deserialize_attr

if TYPE_CHECKING:
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

Ints = NDArray[numpy.int64]


class Pieces(NamedTuple):
    """The word pieces of one doc, without special tokens.

    ids (Ints1d): Their numbers in the vocabulary, shape (n_pieces,).
    strings (List[str]): Their texts.
    firsts (Ints1d): For each word the index of its first piece, (n_words,).
    counts (Ints1d): For each word how many pieces it has, (n_words,). White
        space has none; a piece that two words share is counted for both.
    """

    ids: Ints
    strings: list[str]
    firsts: Ints
    counts: Ints


class Tokenized(NamedTuple):
    """The word pieces of a batch of docs, one after the other in flat arrays.

    ids (Ints1d): The pieces' numbers in the vocabulary.
    n_pieces, n_words (Ints1d): How many pieces and words each doc has.
    firsts (Ints1d): For each word the index of its first piece in `ids`.
    counts (Ints1d): For each word how many pieces it has, as in `Pieces`.
    encodings (List[Encoding]): What the tokenizer gave for each doc.
    """

    ids: Ints
    n_pieces: Ints
    n_words: Ints
    firsts: Ints
    counts: Ints
    encodings: list[Any]

    @property
    def offsets(self) -> Ints:
        """RETURNS (Ints1d): For each doc the index of its first piece in `ids`."""
        return numpy.cumsum(self.n_pieces) - self.n_pieces

    def by_doc(self) -> list[Pieces]:
        """The same, doc by doc."""
        if not self.encodings:
            return []
        ends = numpy.cumsum(self.n_words)[:-1]
        firsts = self.firsts - numpy.repeat(self.offsets, self.n_words)
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
    """The special tokens that a tokenizer puts around a sequence."""

    before: list[int]
    after: list[int]

    @classmethod
    def of(cls, tokenizer: "Tokenizer") -> "Specials":
        """Find them by encoding a text.

        tokenizer (Tokenizer): A tokenizer from `unbounded_tokenizer`: padding would
            count as special tokens.

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
    """Windows of pieces, each one row of an encoder's input.

    docs (Ints1d): The index of each window's doc.
    starts, ends (Ints1d): The pieces it covers.
    own_starts, own_ends (Ints1d): The pieces whose vectors are taken from it.
        Over the windows of a doc these cover every piece exactly once.
    """

    docs: Ints
    starts: Ints
    ends: Ints
    own_starts: Ints
    own_ends: Ints


class Setting(int):
    """A setting of a layer that comes from the config.

    thinc stores the attributes of a layer with its weights, and loading those would
    undo `spacy.load(..., config=...)`. A setting stays as the config has it.
    """


@deserialize_attr.register(Setting)
def _keep_setting(default: Setting, value: bytes, name: str, node: Any) -> Setting:
    return default


def window_settings(window: int, stride: int, batch_pieces: int) -> dict[str, Setting]:
    """The attributes of a layer that cuts docs into windows and runs these in batches.

    window (int): The greatest number of word pieces in a window.
    stride (int): How many pieces a window starts behind the one before it.
    batch_pieces (int): The greatest number of pieces in a batch.

    Raises ValueError if they don't fit together.
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
    """A copy of a fast tokenizer without truncation and padding.

    Threads may encode with the copy at the same time, since nobody changes its
    settings. Those of the original do change: transformers sets truncation and
    padding in every call, and doing so while another thread encodes is an error
    ("Already borrowed").

    tokenizer (Tokenizer): A fast tokenizer. It is left as it is.
    RETURNS (Tokenizer): The copy, for `tokenize` and `Specials.of`.
    """
    copied = type(tokenizer).from_str(tokenizer.to_str())
    copied.no_truncation()
    copied.no_padding()
    return copied


def tokenize(tokenizer: "Tokenizer", docs: list[Doc]) -> Tokenized:
    """Cut docs into word pieces. No piece is dropped, however long the doc or
    one of its words.

    tokenizer (Tokenizer): A fast tokenizer from `unbounded_tokenizer`.
    docs (List[Doc]): The docs. Their text is tokenised as it stands, and pieces
        are assigned to words by their characters.
    """
    texts = [doc.text for doc in docs]
    # One by one: encode_batch starts threads, which a forked process doesn't have.
    encodings = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    n_pieces = numpy.asarray([len(e) for e in encodings], dtype=numpy.int64)
    n_words = numpy.asarray([len(doc) for doc in docs], dtype=numpy.int64)
    ids = _flat(encoding.ids for encoding in encodings)
    # All docs stand behind one another, a character apart, so that one search
    # serves them all.
    sizes = numpy.asarray([len(text) + 1 for text in texts], dtype=numpy.int64)
    bases = numpy.cumsum(sizes) - sizes
    offsets = _flat(chain.from_iterable(e.offsets) for e in encodings).reshape(-1, 2)
    offsets += numpy.repeat(bases, n_pieces)[:, None]
    attrs = [doc.to_array([IDX, LENGTH, IS_SPACE]).reshape(-1, 3) for doc in docs]
    words = numpy.concatenate(attrs) if attrs else numpy.zeros((0, 3))
    starts, lengths, is_space = words.astype(numpy.int64).T
    starts = starts + numpy.repeat(bases, n_words)
    # A piece belongs to every word it shares a character with. Offsets never
    # go back, so those of a word stand together.
    firsts = numpy.searchsorted(offsets[:, 1], starts, side="right")
    lasts = numpy.searchsorted(offsets[:, 0], starts + lengths, side="left")
    # Byte-level tokenizers have pieces for line breaks.
    counts = numpy.where(is_space, 0, numpy.maximum(lasts - firsts, 0))
    return Tokenized(ids, n_pieces, n_words, firsts, counts, encodings)


def cut_windows(n_pieces: Ints, window: int, stride: int) -> Windows:
    """Cut docs into overlapping windows.

    Where windows overlap, a piece belongs to the one in which it has the more
    context: the overlap is shared out half and half.

    n_pieces (Ints1d): The number of pieces of each doc. Docs of none get no
        window.
    window (int): The greatest number of pieces in a window.
    stride (int): How far a window starts behind the one before it.
    """
    n_pieces = numpy.asarray(n_pieces, dtype=numpy.int64)
    further = -(-numpy.maximum(n_pieces - window, 0) // stride)
    n_windows = numpy.where(n_pieces > 0, 1 + further, 0)
    docs = numpy.repeat(numpy.arange(len(n_pieces)), n_windows)
    index = numpy.arange(len(docs)) - numpy.repeat(
        numpy.cumsum(n_windows) - n_windows, n_windows
    )
    starts, totals = index * stride, n_pieces[docs]
    ends = numpy.minimum(starts + window, totals)
    own_ends = numpy.where(ends == totals, totals, (starts + stride + ends) // 2)
    own_starts = numpy.zeros_like(own_ends)
    own_starts[1:] = numpy.where(index[1:] > 0, own_ends[:-1], 0)
    return Windows(docs, starts, ends, own_starts, own_ends)


def pad_windows(
    pieces: Tokenized, windows: Windows, batch: Ints, specials: Specials, pad: int
) -> tuple[Ints, Ints]:
    """The encoder's input for some of the windows.

    batch (Ints1d): The indices of the windows, shape (B,).
    pad (int): The number of the padding piece.
    RETURNS (Tuple[Ints2d, Ints1d]): Piece numbers with special tokens around
        and padding after, shape (B, L), and the unpadded lengths, shape (B,).
    """
    n_before, n_after = len(specials.before), len(specials.after)
    inner = windows.ends[batch] - windows.starts[batch]
    lengths = inner + n_before + n_after
    ids = numpy.full((len(batch), lengths.max()), pad, dtype=numpy.int64)
    ids[:, :n_before] = specials.before
    positions = numpy.arange(inner.max())
    sources = (pieces.offsets[windows.docs[batch]] + windows.starts[batch])[:, None]
    is_inner = positions < inner[:, None]
    ids[:, n_before : n_before + inner.max()][is_inner] = pieces.ids[
        (sources + positions)[is_inner]
    ]
    for i, special in enumerate(specials.after):
        ids[numpy.arange(len(batch)), n_before + inner + i] = special
    return ids, lengths


def _likely_texts(tokenizer: "Tokenizer") -> Iterator[str]:
    # Not every vocabulary knows an "a", and to list a vocabulary takes time.
    yield "a"
    yield from tokenizer.get_vocab()


def _flat(parts: Iterable[Iterable[int]]) -> Ints:
    return numpy.fromiter(chain.from_iterable(parts), dtype=numpy.int64)
