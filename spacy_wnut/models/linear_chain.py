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
    """Put the parameters of a linear chain beside a model of emissions.

    The output is that of the model inside. The chain's scores are parameters
    like any other, so that one optimizer trains them and one file holds them;
    read them with `get_chain`, and give them their gradient with `add_gradient`.

    emissions (Model[List[Doc], List[Floats2d]]): For each doc a row a word and
        a column a tag.
    """
    return Model(
        "linear_chain",
        forward,
        init=init,
        layers=[emissions],
        dims={"nO": None},
        params={name: None for name in PARAMS},
    )


def forward(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    return model.layers[0](docs, is_train)


def init(
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
    """The chain's scores, on the CPU and in double precision."""
    return Chain(
        *(
            model.ops.to_numpy(model.get_param(name)).astype(numpy.float64)
            for name in PARAMS
        )
    )


def add_gradient(model: Model[list[Doc], list[Floats2d]], gradient: Chain) -> None:
    """Add to the gradient of the chain's scores."""
    for name, values in zip(PARAMS, gradient, strict=True):
        given = model.ops.asarray(cast(FloatsXd, values), dtype="f")
        model.inc_grad(name, cast(FloatsXd, given))
