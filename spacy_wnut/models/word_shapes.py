"""What an uncased encoder doesn't see: capitals, digits, @, # and links."""

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import numpy
from spacy.tokens import Doc
from thinc.api import Model, glorot_uniform_init
from thinc.types import Floats2d, Ints2d

SHAPES = (
    "lower",
    "title",
    "caps",
    "mixed",
    "one capital",
    "number",
    "with digits",
    "punctuation",
    "@",
    "#",
    "link",
    "space",
    "beyond the post",
)
INDEX = {name: i for i, name in enumerate(SHAPES)}

# The word itself, and its neighbours on both sides.
OFFSETS = (0, -2, -1, 1, 2)
# How many of a post's words with letters begin with a capital: in how many steps.
CAPITAL_STEPS = 6

N_FEATURES = len(OFFSETS) + 1
N_ROWS = len(OFFSETS) * len(SHAPES) + CAPITAL_STEPS


def word_shapes(width: int) -> Model[list[Doc], list[Floats2d]]:
    """Represent words by their shape, their neighbours' shapes and how much of
    the post is capitalised: the sum of a learned vector for each of these.

    width (int): The length of the vectors.
    """
    return Model(
        "word_shapes",
        forward,
        init=init,
        dims={"nO": width},
        params={"E": None},
    )


def shape_features(doc: Doc) -> Ints2d:
    """The rows of the table of vectors that a doc's words take theirs from.

    RETURNS (Ints2d): Shape (words, N_FEATURES), numbers below N_ROWS.
    """
    shapes = [word_shape(token.text) for token in doc]
    beyond = INDEX["beyond the post"]
    reach = max(OFFSETS)
    padded = numpy.full(len(doc) + 2 * reach, beyond, dtype=numpy.int64)
    padded[reach : reach + len(doc)] = shapes
    columns = [
        padded[reach + offset : reach + offset + len(doc)] + i * len(SHAPES)
        for i, offset in enumerate(OFFSETS)
    ]
    columns.append(
        numpy.full(len(doc), len(OFFSETS) * len(SHAPES) + _capital_step(shapes))
    )
    return cast(Ints2d, numpy.stack(columns, axis=1))


# Most of what people write are a few thousand words; more would only be held.
@lru_cache(maxsize=2**13)
def word_shape(text: str) -> int:
    """The index in SHAPES of a word's shape."""
    if text.isspace():
        return INDEX["space"]
    if text[0] in "@#" and len(text) > 1:
        return INDEX[text[0]]
    lowered = text.lower()
    if lowered.startswith(("http:", "https:", "www.")) or "://" in lowered:
        return INDEX["link"]
    if any(char.isdigit() for char in text):
        has_letters = any(char.isalpha() for char in text)
        return INDEX["with digits" if has_letters else "number"]
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return INDEX["punctuation"]
    n_upper = sum(char.isupper() for char in letters)
    if n_upper == 0:
        return INDEX["lower"]
    if n_upper == len(letters):
        return INDEX["caps" if n_upper > 1 else "one capital"]
    return INDEX["title" if n_upper == 1 and letters[0].isupper() else "mixed"]


def forward(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    lengths = [len(doc) for doc in docs]
    together = numpy.concatenate([shape_features(doc) for doc in docs])
    features = cast(Ints2d, model.ops.asarray(cast(Ints2d, together)))
    table = cast(Floats2d, model.get_param("E"))
    vectors = table[features].sum(axis=1)
    ends = numpy.cumsum(lengths)[:-1].tolist()

    def backprop(d_vectors: list[Floats2d]) -> list[Doc]:
        d_flat = model.ops.xp.concatenate(d_vectors)
        d_table = model.ops.alloc2f(*table.shape)
        for column in range(N_FEATURES):
            model.ops.scatter_add(d_table, features[:, column], d_flat)
        model.inc_grad("E", d_table)
        return docs

    return model.ops.xp.split(vectors, ends), backprop


def init(
    model: Model[list[Doc], list[Floats2d]], X: object = None, Y: object = None
) -> None:
    shape = (N_ROWS, model.get_dim("nO"))
    model.set_param("E", glorot_uniform_init(model.ops, shape))


def _capital_step(shapes: list[int]) -> int:
    with_letters = [
        shape
        for shape in shapes
        if SHAPES[shape] in ("lower", "title", "caps", "mixed")
    ]
    if not with_letters:
        return 0
    n_capital = sum(SHAPES[shape] != "lower" for shape in with_letters)
    return 1 + (CAPITAL_STEPS - 2) * n_capital // len(with_letters)
