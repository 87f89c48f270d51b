"""Layer that holds the scores of a linear chain as parameters."""

from collections.abc import Callable
from typing import cast

import numpy
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d, FloatsXd

from ..crf.chain import Chain

PARAMS = Chain._fields


def with_linear_chain(
    emissions: Model[list[Doc], list[Floats2d]],
) -> Model[list[Doc], list[Floats2d]]:
    """Wrap a layer of emissions, and add the scores of a linear chain as parameters.

    The output is that of the wrapped layer. The scores are trained by the same
    optimizer and stored in the same file as all other parameters. Read them with
    `get_chain`, and pass their gradient to `add_gradient`.

    emissions (Model[List[Doc], List[Floats2d]]): The layer. Its output has shape
        (words, tags) per doc.
    RETURNS (Model[List[Doc], List[Floats2d]]): The wrapped layer, with the same output.
    """
    return Model(
        "linear_chain",
        linear_chain_forward,
        init=linear_chain_init,
        layers=[emissions],
        dims={"nO": None},
        params={name: None for name in PARAMS},
    )


def linear_chain_forward(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    return model.layers[0](docs, is_train)  # (words, T) per doc


def linear_chain_init(
    model: Model[list[Doc], list[Floats2d]],
    X: list[Doc] | None = None,
    Y: list[Floats2d] | None = None,
) -> None:
    model.layers[0].initialize(X=X, Y=Y)
    n_tags = model.layers[0].get_dim("nO")
    model.set_dim("nO", n_tags)
    model.set_param("transitions", model.ops.alloc2f(n_tags, n_tags))
    model.set_param("start", model.ops.alloc1f(n_tags))
    model.set_param("end", model.ops.alloc1f(n_tags))


def get_chain(model: Model[list[Doc], list[Floats2d]]) -> Chain:
    """Read the scores of the chain.

    model (Model): A layer from `with_linear_chain`.
    RETURNS (Chain): A copy on the CPU, in double precision.
    """
    return Chain(
        *(
            model.ops.to_numpy(model.get_param(name)).astype(numpy.float64)
            for name in PARAMS
        )
    )


def add_gradient(model: Model[list[Doc], list[Floats2d]], gradient: Chain) -> None:
    """Add to the gradient of the scores of the chain.

    model (Model): A layer from `with_linear_chain`.
    gradient (Chain): The gradient with respect to each score.
    """
    for name, values in zip(PARAMS, gradient, strict=True):
        given = model.ops.asarray(cast(FloatsXd, values), dtype="f")
        model.inc_grad(name, cast(FloatsXd, given))
