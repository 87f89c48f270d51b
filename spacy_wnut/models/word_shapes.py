"""Word shapes: features that uncased encoders lack (capitals, digits, @, #, links)."""

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import numpy
from spacy.tokens import Doc
from thinc.api import Model, glorot_uniform_init
from thinc.types import Floats2d, Ints2d

from ..crf.arrays import Ints

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

# Shapes of words that count for the fraction of capitalized words, and of those that are
# capitalized. "one capital" is neither, because of "I" and "A".
IS_COUNTED = numpy.isin(SHAPES, ("lower", "title", "caps", "mixed"))  # (shapes,)
IS_CAPITALIZED = numpy.isin(SHAPES, ("title", "caps", "mixed"))  # (shapes,)

# Offsets of the word itself and of its neighbours on both sides.
OFFSETS = (0, -2, -1, 1, 2)
# Number of bins of the fraction of a post's words that are capitalized.
CAPITAL_STEPS = 6

N_FEATURES = len(OFFSETS) + 1
N_ROWS = len(OFFSETS) * len(SHAPES) + CAPITAL_STEPS


def word_shapes(width: int) -> Model[list[Doc], list[Floats2d]]:
    """Create a layer that represents words by their shapes.

    The vector of a word is the sum of learned vectors: of its shape, of the shapes of
    two neighbours on each side, and of the fraction of capitalized words in the post.

    width (int): The width of the vectors.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer. Its output has shape
        (words, width) per doc.
    """
    return Model(
        "word_shapes",
        word_shapes_forward,
        init=word_shapes_init,
        dims={"nO": width},
        params={"E": None},
    )


def shape_features(*docs: Doc) -> Ints2d:
    """Compute the features of the words of docs.

    *docs (Doc): The docs.
    RETURNS (Ints2d): Shape (sum of lengths, N_FEATURES), row indices into the table of
        vectors, each between 0 and N_ROWS - 1.
    """
    shapes = numpy.fromiter(
        (word_shape(token.text) for doc in docs for token in doc), dtype=numpy.int64
    )  # (words,)
    lengths = numpy.asarray([len(doc) for doc in docs], dtype=numpy.int64)
    doc_of_word = numpy.repeat(numpy.arange(len(docs)), lengths)  # (words,)
    # All docs in one sequence, with room for the neighbours of words at their borders.
    reach = max(OFFSETS)
    places = numpy.arange(len(shapes)) + reach * (doc_of_word + 1)  # (words,)
    padded = numpy.full(len(shapes) + reach * (len(docs) + 1), INDEX["beyond the post"])
    padded[places] = shapes
    features = numpy.empty((len(shapes), N_FEATURES), dtype=numpy.int64)
    features[:, :-1] = padded[places[:, None] + OFFSETS]
    features[:, -1] = _capital_steps(shapes, doc_of_word, len(docs))[doc_of_word]
    # Each feature has its own rows of the table.
    features += numpy.arange(N_FEATURES) * len(SHAPES)
    return cast(Ints2d, features)


# A few thousand word types make up most of the words in posts. A larger cache would
# cost memory and save little time.
@lru_cache(maxsize=2**13)
def word_shape(text: str) -> int:
    """Return the index in `SHAPES` of the shape of a word.

    text (str): The word, at least one character.
    RETURNS (int): The index.

    Example:
        >>> [SHAPES[word_shape(word)] for word in ("York", "iPhone", "NYC", "3.5%")]
        ['title', 'mixed', 'caps', 'number']
    """
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


def word_shapes_forward(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    lengths = [len(doc) for doc in docs]
    # (words, features)
    features = cast(Ints2d, model.ops.asarray(shape_features(*docs)))
    table = cast(Floats2d, model.get_param("E"))  # (N_ROWS, width)
    vectors = table[features].sum(axis=1)  # (words, features, width) -> (words, width)
    ends = numpy.cumsum(lengths)[:-1].tolist()

    def backprop(d_vectors: list[Floats2d]) -> list[Doc]:
        d_flat = model.ops.xp.concatenate(d_vectors)  # (words, width)
        d_table = model.ops.alloc2f(*table.shape)  # (N_ROWS, width)
        for column in range(N_FEATURES):
            model.ops.scatter_add(d_table, features[:, column], d_flat)
        model.inc_grad("E", d_table)
        return docs

    return model.ops.xp.split(vectors, ends), backprop


def word_shapes_init(
    model: Model[list[Doc], list[Floats2d]], X: object = None, Y: object = None
) -> None:
    shape = (N_ROWS, model.get_dim("nO"))
    model.set_param("E", glorot_uniform_init(model.ops, shape))


def _capital_steps(shapes: Ints, doc_of_word: Ints, n_docs: int) -> Ints:
    """Bin the fraction of capitalized words of each doc: 0 without words of letters,
    otherwise between 1 and CAPITAL_STEPS - 1.

    RETURNS (Ints1d): Shape (docs,).
    """
    n_counted = numpy.bincount(doc_of_word, IS_COUNTED[shapes], n_docs)  # (docs,)
    n_capital = numpy.bincount(doc_of_word, IS_CAPITALIZED[shapes], n_docs)  # (docs,)
    steps = 1 + (CAPITAL_STEPS - 2) * n_capital // numpy.maximum(n_counted, 1)
    return numpy.where(n_counted > 0, steps, 0).astype(numpy.int64)
