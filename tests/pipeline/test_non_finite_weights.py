"""Weights with NaN or infinity, as a diverged training leaves them."""

import numpy
import pytest
from spacy.training import Example

from spacy_wnut.errors import WnutError

TEXT = "Ada Lovelace moved to Oslo"


def weights(nlp):
    model = nlp.get_pipe("ner").model
    return [
        (node, name)
        for node in model.walk()
        for name in node.param_names
        if node.has_param(name)
    ]


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
@pytest.mark.parametrize("everywhere", [False, True])
def test_non_finite_weights_are_named(make_table_nlp, value, everywhere):
    for i in range(4):
        nlp = make_table_nlp()
        node, name = weights(nlp)[i]
        array = node.get_param(name).copy()
        array[...] = value if everywhere else array
        array.reshape(-1)[-1] = value
        node.set_param(name, array)
        message = rf"weights of the component 'ner' \({node.name}\.{name}\) hold NaN"
        with pytest.raises(WnutError, match=message):
            nlp(TEXT)
        with pytest.raises(WnutError, match=message):
            example = Example.from_dict(nlp.make_doc(TEXT), {"entities": ["O"] * 5})
            nlp.update([example], sgd=False)


def test_non_finite_weights_of_the_encoder_are_named(nlp):
    encoder = nlp.get_pipe("transformer").model.transformer
    encoder.transformer.layer[0].ffn.lin1.bias.data[0] = float("nan")
    message = r"'ner' hold NaN or infinity.*weights of its encoder"
    with pytest.raises(WnutError, match=message):
        nlp(TEXT)
    nlp.replace_listeners("transformer", "ner", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    with pytest.raises(WnutError, match=message):
        nlp(TEXT)


def test_large_weights_are_allowed(make_table_nlp):
    nlp = make_table_nlp()
    chain = nlp.get_pipe("ner").model
    chain.set_param("start", numpy.full(5, 1e30, dtype="f"))
    nlp(TEXT)
