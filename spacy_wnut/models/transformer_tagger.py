"""Head of a tagger: emissions from the vectors of words."""

from collections.abc import Callable
from typing import Any, cast

import numpy
from spacy.tokens import Doc
from thinc.api import Dropout, Gelu, Linear, Model, Ops, chain
from thinc.types import Floats2d

from .sum_labels import sum_labels
from .word_shapes import word_shapes


def create_transformer_tagger(
    tok2vec: Model[list[Doc], list[Floats2d]],
    shape_width: int = 0,
    hidden_width: int = 0,
    nO: int | None = None,
    labels_of_tags: list[list[int]] | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """Create a layer that computes emissions from the vectors of words: dropout and a
    linear layer, optionally with word shapes as additional input and a hidden layer.

    A word without pieces has a vector of zeros. Its emissions are zeros, too, so that
    the decoder recognizes it.

    tok2vec (Model[List[Doc], List[Floats2d]]): The layer of vectors, of shape
        (words, width) per doc. Usually `spacy-transformers.TransformerListener.v1`.
    shape_width (int): Width of the vectors of word shapes, which are concatenated with
        those of tok2vec. Useful for uncased encoders. 0 omits them.
    hidden_width (int): Width of a hidden layer. 0 omits it.
    nO (Optional[int]): Number of tags, 2 * types + 1. Inferred from the data if None.
    labels_of_tags (Optional[List[List[int]]]): For a linear layer with other labels than
        our tags, as IOBES: the indices of the labels of each tag. The probability of a
        tag is the sum of theirs. Set by `from-hf`. None if the labels are the tags.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer. Its output has shape
        (words, nO) per doc.
    """
    output_layer = Linear(nO=nO, init_W=_init_normal)
    head: Model[Floats2d, Floats2d] = chain(_dropout(), output_layer)
    if labels_of_tags is not None:
        summed = sum_labels(labels_of_tags)
        nO = summed.get_dim("nO")
        output_layer.set_dim("nO", summed.get_dim("nI"), force=True)
        head = chain(_dropout(), output_layer, summed)
    if hidden_width:
        head = chain(_dropout(), Gelu(nO=hidden_width), head)
    layers: list[Model[Any, Any]] = [tok2vec, head]
    if shape_width:
        layers.append(word_shapes(shape_width))
    return Model(
        "transformer_tagger",
        transformer_tagger_forward,
        init=transformer_tagger_init,
        layers=layers,
        refs={"tok2vec": tok2vec, "output_layer": output_layer},
        dims={"nO": nO},
    )


def transformer_tagger_forward(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    tok2vec, head, *shapes = model.layers
    xp = model.ops.xp
    vectors, backprop_vectors = tok2vec(docs, is_train)
    lengths = [len(doc) for doc in docs]
    # A listener returns shape (0, 0) for empty docs, which cannot be concatenated.
    filled = [v for v in vectors if len(v)]
    if not filled:
        return [model.ops.alloc2f(n, model.get_dim("nO")) for n in lengths], (
            lambda _: backprop_vectors(vectors)
        )
    flat = cast(Floats2d, xp.concatenate(filled))  # (words, width)
    width = flat.shape[1]
    has_pieces: Any = flat.any(axis=1, keepdims=True)  # (words, 1)
    if shapes:
        of_shapes, backprop_shapes = shapes[0](docs, is_train)
        # (words, width + shape_width)
        flat = xp.concatenate([flat, xp.concatenate(of_shapes)], axis=1)
    expected = _width(head)
    if expected not in (None, flat.shape[1]):
        raise ValueError(
            f"the vectors of words have width {flat.shape[1]}, but the layer above "
            f"them was trained with width {expected}: ner/model and transformer/model "
            "are of different pipelines. Install the pipeline again"
        )
    emissions, backprop_head = head(flat, is_train)  # (words, nO)
    # Also removes the bias of words without pieces.
    emissions = emissions * has_pieces
    ends = numpy.cumsum(lengths)[:-1].tolist()

    def backprop(d_emissions: list[Floats2d]) -> list[Doc]:
        # (words, width + shape_width)
        d_flat = backprop_head(xp.concatenate(d_emissions) * has_pieces)
        if shapes:
            backprop_shapes(xp.split(d_flat[:, width:], ends))
        return cast(list[Doc], backprop_vectors(xp.split(d_flat[:, :width], ends)))

    return xp.split(emissions, ends), backprop


def transformer_tagger_init(
    model: Model[list[Doc], list[Floats2d]],
    X: list[Doc] | None = None,
    Y: list[Floats2d] | None = None,
) -> None:
    tok2vec, head, *shapes = model.layers
    tok2vec.initialize(X=X)
    width = tok2vec.get_dim("nO")
    for layer in shapes:
        layer.initialize()
        width += layer.get_dim("nO")
    output_layer = model.get_ref("output_layer")
    n_tags = None if Y is None else Y[0].shape[1]
    has_labels = any(layer.name == "sum_labels" for layer in head.walk())
    if not has_labels and n_tags is not None:
        output_layer.set_dim("nO", n_tags)
    elif has_labels and n_tags not in (None, model.get_dim("nO")):
        raise ValueError(
            f"the head with labels_of_tags is for {model.get_dim('nO')} tags, and the "
            f"data has {n_tags}: leave labels_of_tags out to train a new head"
        )
    head.initialize(X=model.ops.alloc2f(1, width))
    if not has_labels:
        model.set_dim("nO", output_layer.get_dim("nO"))


def _width(head: Model[Floats2d, Floats2d]) -> int | None:
    """Return the width of the input of a head, or None if it is not set yet."""
    widths = (node.get_dim("nI") for node in head.walk() if node.has_dim("nI"))
    return next(widths, None)


def _dropout() -> Model[Floats2d, Floats2d]:
    return Dropout()


def _init_normal(ops: Ops, shape: tuple[int, ...]) -> Floats2d:
    # As transformers initializes classification heads: initializer_range = 0.02.
    drawn = cast(Floats2d, numpy.random.normal(0, 0.02, shape))
    return cast(Floats2d, ops.asarray(drawn, dtype="f"))
