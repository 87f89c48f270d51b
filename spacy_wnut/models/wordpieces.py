"""Word pieces of docs: tokenise, align with words, cut long docs into windows.

Shared by everything that runs an encoder. There are arrays of numbers in here
and a `tokenizers.Tokenizer`, but no framework.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc

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


class Specials(NamedTuple):
    """The special tokens that a tokenizer puts around a sequence."""

    before: list[int]
    after: list[int]

    @classmethod
    def of(cls, tokenizer: "Tokenizer") -> "Specials":
        """Truncation and padding settings are switched off: padding would pass
        for special tokens.
        """
        tokenizer.no_truncation()
        tokenizer.no_padding()
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


def tokenize(tokenizer: "Tokenizer", docs: list[Doc]) -> list[Pieces]:
    """Cut docs into word pieces. No piece is dropped, however long the doc or
    one of its words.

    tokenizer (Tokenizer): A fast tokenizer. Its truncation and padding settings
        are switched off.
    docs (List[Doc]): The docs. Their text is tokenised as it stands, and pieces
        are assigned to words by their characters.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = [doc.text for doc in docs]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [
        _align(doc, encoding) for doc, encoding in zip(docs, encodings, strict=True)
    ]


def cut_windows(n_pieces: Ints, window: int, stride: int) -> Windows:
    """Cut docs into overlapping windows.

    Where windows overlap, a piece belongs to the one in which it has the more
    context: the overlap is shared out half and half.

    n_pieces (Ints1d): The number of pieces of each doc. Docs of none get no
        window.
    window (int): The greatest number of pieces in a window.
    stride (int): How far a window starts behind the one before it.
    """
    rows: list[tuple[int, int, int, int, int]] = []
    for doc, total in enumerate(n_pieces):
        start, own_start = 0, 0
        while start < total:
            end = min(start + window, total)
            is_last = end == total
            own_end = end if is_last else (start + stride + end) // 2
            rows.append((doc, start, end, own_start, own_end))
            if is_last:
                break
            start, own_start = start + stride, own_end
    columns = numpy.asarray(rows, dtype=numpy.int64).reshape(-1, 5).T
    return Windows(*columns)


def pad_windows(
    pieces: list[Pieces], windows: Windows, batch: Ints, specials: Specials, pad: int
) -> tuple[Ints, Ints]:
    """The encoder's input for some of the windows.

    batch (Ints1d): The indices of the windows, shape (B,).
    pad (int): The number of the padding piece.
    RETURNS (Tuple[Ints2d, Ints1d]): Piece numbers with special tokens around
        and padding after, shape (B, L), and the unpadded lengths, shape (B,).
    """
    lengths = windows.ends[batch] - windows.starts[batch] + sum(map(len, specials))
    ids = numpy.full((len(batch), lengths.max()), pad, dtype=numpy.int64)
    for row, i in enumerate(batch):
        inner = pieces[windows.docs[i]].ids[windows.starts[i] : windows.ends[i]]
        ids[row, : lengths[row]] = numpy.concatenate(
            [specials.before, inner, specials.after]
        )
    return ids, lengths


def _likely_texts(tokenizer: "Tokenizer") -> Iterator[str]:
    # Not every vocabulary knows an "a", and to list a vocabulary takes time.
    yield "a"
    yield from tokenizer.get_vocab()


def _align(doc: Doc, encoding: Any) -> Pieces:
    offsets = numpy.asarray(encoding.offsets, dtype=numpy.int64).reshape(-1, 2)
    attrs = doc.to_array(["IDX", "LENGTH", "IS_SPACE"]).astype(numpy.int64)
    word_starts, word_lengths, is_space = attrs.reshape(-1, 3).T
    word_ends = word_starts + word_lengths
    # A piece belongs to every word it shares a character with. Offsets never
    # go back, so those of a word stand together.
    firsts = numpy.searchsorted(offsets[:, 1], word_starts, side="right")
    lasts = numpy.searchsorted(offsets[:, 0], word_ends, side="left")
    # Byte-level tokenizers have pieces for line breaks.
    counts = numpy.where(is_space, 0, numpy.maximum(lasts - firsts, 0))
    ids = numpy.asarray(encoding.ids, dtype=numpy.int64)
    return Pieces(ids, encoding.tokens, firsts, counts)
