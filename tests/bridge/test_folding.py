"""Fewer operators, and the same function."""

from collections import Counter

import numpy
import onnx
import pytest
from transformers import AutoModel, DistilBertConfig, ElectraConfig

from spacy_wnut.bridge.encoder_weights import Dense, read_encoder
from spacy_wnut.bridge.folding import fold_scales
from spacy_wnut.bridge.onnx_model import Head, build_model
from spacy_wnut.bridge.quantization import EightBits, Observer, fit_layer
from spacy_wnut.models.onnx_session import _start

TAGS = ("O", "B-x", "I-x")
CONFIGS = {
    "distilbert": DistilBertConfig(
        dim=32, hidden_dim=48, n_layers=2, n_heads=4, vocab_size=50
    ),
    # What goes into its first layer is no norm's output.
    "electra": ElectraConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        embedding_size=24,
        vocab_size=50,
    ),
}


@pytest.fixture(params=CONFIGS)
def weights(request):
    rng = numpy.random.default_rng(0)
    encoder = AutoModel.from_config(CONFIGS[request.param]).eval()
    for values in encoder.parameters():
        noise = rng.normal(scale=0.2, size=tuple(values.shape))
        values.data += values.data.new_tensor(noise)
    return read_encoder(encoder)


def make_fits(weights, head):
    """Each layer as if some columns of its input were large, and others lay elsewhere."""
    observer = Observer()
    build_model(weights, head, TAGS, observer)
    rng = numpy.random.default_rng(1)
    fits = {}
    for name, layer in observer.layers.items():
        inputs = rng.normal(size=(400, len(layer.W))).astype("f")
        inputs[:, 3] *= 9
        inputs[:, 5] += 30
        inputs[:, 6] -= 30
        fits[name] = fit_layer(layer, inputs)
    return fits


def test_the_same_function_with_fewer_operators(weights):
    rng = numpy.random.default_rng(2)
    W = rng.normal(size=(32, len(TAGS))).astype("f")
    head = Head(None, None, Dense(W, numpy.zeros(len(TAGS), dtype="f")), False)
    fits = make_fits(weights, head)
    # Those that widen, and attention's, are evened out and moved; the others have
    # outliers that stand anywhere.
    for name, fit in fits.items():
        assert (fit.scale.moves is None) == name.endswith("down"), name
        assert 3 in fit.outliers or not name.endswith("down")
    plain = build_model(weights, head, TAGS, EightBits(fits))
    folded, folded_fits = fold_scales(weights, fits)
    fewer = build_model(folded, head, TAGS, EightBits(folded_fits))
    # What was given is as it was.
    assert build_model(weights, head, TAGS, EightBits(fits)) == plain

    ids = rng.integers(0, 50, (3, 9))
    inputs = {"input_ids": ids, "rows": numpy.arange(ids.size)}
    expected, found = (_start(m, 1).run(None, inputs)[0] for m in (plain, fewer))
    difference = numpy.abs(found - expected) / expected.std()
    # Here and there a number is rounded to the other side.
    assert numpy.median(difference) < 1e-4
    assert difference.max() < 0.1

    before, after = (
        Counter(node.op_type for node in onnx.load_from_string(model).graph.node)
        for model in (plain, fewer)
    )
    n_norms = 3 if weights.projection is not None else 4
    # No input that a norm or attention makes is moved any more. A norm's factors are
    # taken off again on the way around, attention's aren't.
    assert before["Add"] - after["Add"] == n_norms + 2
    assert before["Mul"] - after["Mul"] == 2
    assert before["Gather"] - after["Gather"] == 2
    assert {fit.scale.factors is None for fit in folded_fits.values()} == (
        {True} if weights.projection is None else {True, False}
    )
