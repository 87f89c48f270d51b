from collections.abc import Callable
from typing import cast

from thinc.api import Model
from thinc.types import Floats2d, Ragged


def reduce_first() -> Model[Ragged, Floats2d]:
    """Represent a word by its first piece, as the token-classification tutorial
    does. Unlike thinc's `reduce_first.v1` it takes words without a piece: they
    get zeros, as they do from `reduce_mean.v1`.
    """
    return Model("reduce_first", forward)


def forward(
    model: Model[Ragged, Floats2d], ragged: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    lengths = ragged.lengths
    pieces = cast(Floats2d, ragged.dataXd)
    has_piece = lengths > 0
    firsts = (lengths.cumsum() - lengths)[has_piece]
    words = model.ops.alloc2f(len(lengths), pieces.shape[1])
    words[has_piece] = pieces[firsts]

    def backprop(d_words: Floats2d) -> Ragged:
        d_pieces = model.ops.alloc2f(*pieces.shape)
        d_pieces[firsts] = d_words[has_piece]
        return Ragged(d_pieces, lengths)

    return words, backprop
