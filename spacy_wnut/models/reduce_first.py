"""Pooling of word pieces: the vector of a word is that of its first piece."""

from collections.abc import Callable
from typing import cast

from thinc.api import Model
from thinc.types import Floats2d, Ragged


def reduce_first() -> Model[Ragged, Floats2d]:
    """Create a layer that represents a word by its first piece, as the
    token-classification tutorial of transformers does.

    Unlike thinc's `reduce_first.v1` it accepts words without pieces. They get zeros, as
    in thinc's `reduce_mean.v1`.

    RETURNS (Model[Ragged, Floats2d]): The layer. Input: data of shape (pieces, width),
        lengths of shape (words,). Output: shape (words, width).

    Example:
        >>> import numpy
        >>> pieces = numpy.asarray([[1.0], [2.0], [3.0]], dtype="f")
        >>> lengths = numpy.asarray([2, 0, 1], dtype="i")
        >>> reduce_first().predict(Ragged(pieces, lengths)).tolist()
        [[1.0], [0.0], [3.0]]
    """
    return Model("reduce_first", reduce_first_forward)


def reduce_first_forward(
    model: Model[Ragged, Floats2d], ragged: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    lengths = ragged.lengths  # (words,)
    pieces = cast(Floats2d, ragged.dataXd)  # (pieces, width)
    has_piece = lengths > 0  # (words,)
    firsts = (lengths.cumsum() - lengths)[has_piece]  # (words with pieces,)
    words = model.ops.alloc2f(len(lengths), pieces.shape[1])  # (words, width)
    words[has_piece] = pieces[firsts]

    def backprop(d_words: Floats2d) -> Ragged:
        d_pieces = model.ops.alloc2f(*pieces.shape)
        d_pieces[firsts] = d_words[has_piece]
        return Ragged(d_pieces, lengths)

    return words, backprop
