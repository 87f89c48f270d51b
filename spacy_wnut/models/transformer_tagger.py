from collections.abc import Callable
from typing import cast

import numpy
from spacy.tokens import Doc
from thinc.api import Dropout, Linear, Model, Ops, chain
from thinc.types import Floats2d


def create_transformer_tagger(
    tok2vec: Model[list[Doc], list[Floats2d]], nO: int | None = None
) -> Model[list[Doc], list[Floats2d]]:
    """Build emissions on the vectors of words: dropout, then a linear layer.

    A word without a piece of its own has a vector of zeros, and so are its
    emissions: the decoder's sign that there is nothing to see.

    tok2vec (Model[List[Doc], List[Floats2d]]): For each doc a row a word.
        Usually `spacy-transformers.TransformerListener.v1`.
    nO (Optional[int]): The number of tags, 2 * types + 1. Inferred from the
        data if it is None.
    """
    head = chain(Dropout(), Linear(nO=nO, init_W=_init_normal))
    return Model(
        "transformer_tagger",
        forward,
        init=init,
        layers=[tok2vec, head],
        refs={"tok2vec": tok2vec, "output_layer": head.layers[-1]},
        dims={"nO": nO},
    )


def forward(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    tok2vec, head = model.layers
    vectors, backprop_vectors = tok2vec(docs, is_train)
    lengths = [len(doc) for doc in docs]
    # The rows of empty docs have no width.
    filled = [v for v in vectors if len(v)]
    if not filled:
        return [model.ops.alloc2f(n, model.get_dim("nO")) for n in lengths], (
            lambda _: backprop_vectors(vectors)
        )
    flat = cast(Floats2d, model.ops.xp.concatenate(filled))
    has_pieces = flat.any(axis=1, keepdims=True)
    emissions, backprop_head = head(flat, is_train)
    emissions = emissions * has_pieces
    ends = numpy.cumsum(lengths)[:-1].tolist()

    def backprop(d_emissions: list[Floats2d]) -> list[Doc]:
        d_flat = backprop_head(model.ops.xp.concatenate(d_emissions) * has_pieces)
        d_vectors = model.ops.xp.split(d_flat, ends)
        return cast(list[Doc], backprop_vectors(d_vectors))

    return model.ops.xp.split(emissions, ends), backprop


def init(
    model: Model[list[Doc], list[Floats2d]],
    X: list[Doc] | None = None,
    Y: list[Floats2d] | None = None,
) -> None:
    tok2vec, head = model.layers
    tok2vec.initialize(X=X)
    linear = model.get_ref("output_layer")
    if Y is not None:
        linear.set_dim("nO", Y[0].shape[1])
    linear.set_dim("nI", tok2vec.get_dim("nO"))
    head.initialize()
    model.set_dim("nO", linear.get_dim("nO"))


def _init_normal(ops: Ops, shape: tuple[int, ...]) -> Floats2d:
    # The initialisation of transformers' classification heads.
    return cast(Floats2d, ops.asarray(numpy.random.normal(0, 0.02, shape), dtype="f"))
