"""Checks of the inputs of the component, before it decodes or trains."""

from collections.abc import Sequence
from typing import Any, cast

import numpy
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Model

from ..crf.chain import Chain
from ..errors import WnutError

# The key of `doc._.trf_data` of spacy-transformers, which may not be installed.
_TRF_DATA: Any = ("._.", "trf_data", None, None)


def check_upstream(model: Model[Any, Any], name: str, docs: Sequence[Doc]) -> None:
    """Check that the components to which a component listens have run. Listeners return
    zeros otherwise.

    model (Model): The model of the component.
    name (str): The name of the component.
    docs (Sequence[Doc]): The docs.

    Raises WnutError if one has not run on a doc.
    """
    for node in model.walk():
        if node.name == "transformer-listener":
            upstream = "transformer"
            missing = [doc for doc in docs if doc.user_data.get(_TRF_DATA) is None]
        elif isinstance(node, Tok2VecListener):
            upstream = "tok2vec"
            missing = [doc for doc in docs if not doc.tensor.size]
        else:
            continue
        if any(not token.is_space for doc in missing for token in doc):
            given: str = cast(Any, node).upstream_name
            raise _no_upstream(name, upstream if given == "*" else given)


def check_finite(
    model: Model[Any, Any], name: str, emissions: Any, chain: Chain
) -> None:
    """Check that all scores of paths are finite. Decoding is undefined otherwise.

    model (Model): The model of the component.
    name (str): The name of the component.
    emissions (ArrayXd): The emissions, of any shape.
    chain (Chain): The scores of the chain.

    Raises WnutError, with the names of the parameters, if the emissions or the scores of
    the chain have NaN or infinity.
    """
    arrays = [emissions, *chain]
    if all(numpy.isfinite(array).all() for array in arrays):
        return
    names = [
        f"{node.name}.{parameter}"
        for node in model.walk()
        for parameter in node.param_names
        if node.has_param(parameter)
        and not node.ops.xp.isfinite(node.get_param(parameter)).all()
    ]
    where = f"the weights of the component {name!r} ({', '.join(names)})"
    if not names:
        where = (
            f"the emissions of the component {name!r} hold NaN or infinity and "
            "its own weights don't, so the weights of its encoder"
        )
    raise WnutError(
        f"{where} hold NaN or infinity: the training has diverged, or the file was "
        "changed. Take an earlier checkpoint, or train again with a lower learning "
        "rate"
    )


def _no_upstream(name: str, upstream: str) -> WnutError:
    return WnutError(
        f"the component {name!r} listens to the component {upstream!r}, which hasn't run "
        "on these docs, so there are no vectors to find entities by. Add "
        f"{upstream!r} to the pipeline before {name!r} and keep it enabled. Or put a "
        f"copy of it into {name!r}: call source_nlp.replace_listeners({upstream!r}, "
        f'{name!r}, ["model.tok2vec"]) before '
        f"nlp.add_pipe({name!r}, source=source_nlp); in a config it is "
        f'replace_listeners = ["model.tok2vec"] beside source'
    )
