"""Folded smoothing: the same function with fewer operators, within the limits."""

from collections import Counter

import numpy
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, DistilBertConfig, ElectraConfig

from spacy_wnut.models.onnx_session import start_session
from spacy_wnut.onnx_export.folding import fold_smoothing
from spacy_wnut.onnx_export.model import build_model
from spacy_wnut.onnx_export.quantization import (
    MAX_PAIR_SUM,
    N_OUTLIERS,
    Int8Writer,
    ObservingWriter,
    max_pair_sums,
    quantize_layer,
)
from spacy_wnut.onnx_export.weights import (
    Dense,
    EncoderLayer,
    EncoderWeights,
    HeadWeights,
    Norm,
    read_encoder_weights,
)

TAGS = ("O", "B-x", "I-x")
CONFIGS = {
    "distilbert": DistilBertConfig(
        dim=32, hidden_dim=48, n_layers=2, n_heads=4, vocab_size=50
    ),
    # The input of its first layer is the output of a projection, not of a norm.
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
    """The weights of a random encoder."""
    rng = numpy.random.default_rng(0)
    encoder = AutoModel.from_config(CONFIGS[request.param]).eval()
    for values in encoder.parameters():
        noise = rng.normal(scale=0.2, size=tuple(values.shape))
        values.data += values.data.new_tensor(noise)
    return read_encoder_weights(encoder)


def quantize_all(weights, head):
    """Quantize all layers, on inputs with a large column and two that are off-centre."""
    writer = ObservingWriter()
    build_model(weights, head, TAGS, writer)
    rng = numpy.random.default_rng(1)
    quantized = {}
    for name, layer in writer.layers.items():
        inputs = rng.normal(size=(400, len(layer.W))).astype("f")
        inputs[:, 3] *= 9
        inputs[:, 5] += 30
        inputs[:, 6] -= 30
        quantized[name] = quantize_layer(layer, inputs)
    return quantized


def test_folding_keeps_the_function_with_fewer_operators(weights):
    rng = numpy.random.default_rng(2)
    W = rng.normal(size=(32, len(TAGS))).astype("f")
    head = HeadWeights(None, None, Dense(W, numpy.zeros(len(TAGS), dtype="f")), False)
    quantized = quantize_all(weights, head)
    # Narrowing layers have outliers, and the others are smoothed.
    for name, layer in quantized.items():
        assert (layer.quantizer.shifts is None) == name.endswith("down"), name
        assert (3 in layer.outliers) == name.endswith("down"), name
    plain = build_model(weights, head, TAGS, Int8Writer(quantized))
    folded_weights, folded = fold_smoothing(weights, quantized)
    fewer = build_model(folded_weights, head, TAGS, Int8Writer(folded))
    # The arguments are not modified.
    assert build_model(weights, head, TAGS, Int8Writer(quantized)) == plain

    ids = rng.integers(0, 50, (3, 9))
    inputs = {"input_ids": ids, "rows": numpy.arange(ids.size)}
    expected, found = (start_session(m, 1).run(None, inputs)[0] for m in (plain, fewer))
    difference = numpy.abs(found - expected) / expected.std()
    # Some inputs lie between two uint8 values, and are rounded to the other one.
    assert numpy.median(difference) < 1e-4
    assert difference.max() < 0.1

    before, after = (
        Counter(node.op_type for node in onnx.load_from_string(model).graph.node)
        for model in (plain, fewer)
    )
    n_norms = 3 if weights.projection is not None else 4
    # The shifts of qkv, up and out are folded. The factors of norms reappear on the
    # residual branch, so only those of `out` save a Mul.
    assert before["Add"] - after["Add"] == n_norms + 2
    assert before["Mul"] - after["Mul"] == 2
    assert before["Gather"] - after["Gather"] == 2
    assert {layer.quantizer.factors is None for layer in folded.values()} == (
        {True} if weights.projection is None else {True, False}
    )


def make_encoder(rng, width, n_units):
    """Random weights of an encoder with one layer."""

    def dense(n_inputs, n_outputs):
        W = rng.normal(size=(n_inputs, n_outputs)).astype("f")
        return Dense(W, rng.normal(size=n_outputs).astype("f"))

    norm = Norm(numpy.ones(width, dtype="f"), numpy.zeros(width, dtype="f"))
    layer = EncoderLayer(
        dense(width, 3 * width),
        dense(width, width),
        norm,
        dense(width, n_units),
        dense(n_units, width),
        norm,
    )
    table = numpy.zeros((3, width), dtype="f")
    return EncoderWeights(table, table, norm, None, [layer], 1, 1e-12)


def multiply_exactly(inputs, weights):
    return inputs.astype("i8") @ weights.astype("i8")


@given(data=st.data())
def test_no_layer_saturates_after_folding(data, multiply_saturating, make_extreme):
    """For any positions of the outliers."""
    width = data.draw(st.integers(2, 12))
    n_units = width + data.draw(st.integers(1, 60))
    # Outliers anywhere, or all in a row.
    units = data.draw(st.permutations(range(n_units)))[:N_OUTLIERS]
    if data.draw(st.booleans()):
        start = data.draw(st.integers(0, max(n_units - N_OUTLIERS, 0)))
        units = range(start, min(start + N_OUTLIERS, n_units))
    units = sorted(units)
    rng = numpy.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    weights = make_encoder(rng, width, n_units)
    [layer] = weights.layers
    quantized = {}
    for part in ("qkv", "out", "up", "down"):
        dense = getattr(layer, part)
        inputs = rng.normal(size=(10, len(dense.W))).astype("f")
        if part == "down":
            inputs[:, units] *= 1000
        quantized[f"0.{part}"] = quantize_layer(dense, inputs)
    assert quantized["0.down"].outliers.tolist() == units
    folded, after = fold_smoothing(weights, quantized)
    for name, layer_after in after.items():
        assert max_pair_sums(layer_after.weights).max() <= MAX_PAIR_SUM + 1, name
        x = make_extreme(layer_after.weights)
        sums = multiply_saturating(x, layer_after.weights)
        assert (sums == multiply_exactly(x, layer_after.weights)).all(), name

    # The units are in another order, the same in all arrays.
    up, down = quantized["0.up"], quantized["0.down"]
    new_up, new_down = after["0.up"], after["0.down"]
    order = [up.b.tolist().index(b) for b in new_up.b.tolist()]
    assert sorted(order) == list(range(n_units))
    assert (new_up.weights == up.weights[:, order]).all()
    assert (new_up.weight_scales == up.weight_scales[order]).all()
    assert (new_down.weights == down.weights[order]).all()
    assert (folded.layers[0].down.W == layer.down.W[order]).all()
    assert [order[i] for i in new_down.outliers] == units
    # One slice selects the outliers if there are enough other units to pair them with.
    if n_units % 2 == 0 and n_units >= 2 * N_OUTLIERS:
        expected = range(n_units - 2 * N_OUTLIERS + 1, n_units, 2)
        assert new_down.outliers.tolist() == list(expected)


def test_other_pairs_of_rows_would_saturate(weights, multiply_saturating, make_extreme):
    """The limit holds for the pairs of rows that were quantized. Without the rows of
    outliers, other rows form pairs, and some of them saturate.
    """
    head = HeadWeights(
        None, None, Dense(*(numpy.zeros(s, "f") for s in ((32, 3), 3))), False
    )
    down = quantize_all(weights, head)["0.down"]
    others = numpy.delete(down.weights, down.outliers, axis=0)
    assert max_pair_sums(down.weights).max() <= MAX_PAIR_SUM + 1
    assert max_pair_sums(others).max() > MAX_PAIR_SUM + 1
    x = make_extreme(others)
    assert (multiply_saturating(x, others) != multiply_exactly(x, others)).any()
