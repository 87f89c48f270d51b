"""Fewer operators, and the same function."""

from collections import Counter

import numpy
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, DistilBertConfig, ElectraConfig

from spacy_wnut.models.onnx_session import _start
from spacy_wnut.onnx_export.folding import fold_scales
from spacy_wnut.onnx_export.model import build_model
from spacy_wnut.onnx_export.quantization import (
    MOST_PAIR,
    N_OUTLIERS,
    EightBits,
    Observer,
    fit_layer,
    greatest_pairs,
)
from spacy_wnut.onnx_export.weights import (
    Dense,
    EncoderWeights,
    HeadWeights,
    Layer,
    Norm,
    read_encoder_weights,
)

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
    return read_encoder_weights(encoder)


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
    head = HeadWeights(None, None, Dense(W, numpy.zeros(len(TAGS), dtype="f")), False)
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


def make_encoder(rng, width, n_units):
    """The weights of an encoder with one layer."""

    def dense(n_inputs, n_outputs):
        W = rng.normal(size=(n_inputs, n_outputs)).astype("f")
        return Dense(W, rng.normal(size=n_outputs).astype("f"))

    norm = Norm(numpy.ones(width, dtype="f"), numpy.zeros(width, dtype="f"))
    layer = Layer(
        dense(width, 3 * width),
        dense(width, width),
        norm,
        dense(width, n_units),
        dense(n_units, width),
        norm,
    )
    table = numpy.zeros((3, width), dtype="f")
    return EncoderWeights(table, table, norm, None, [layer], 1, 1e-12)


def exact(bits, weights):
    return bits.astype("i8") @ weights.astype("i8")


@given(data=st.data())
def test_no_layer_saturates_after_folding(data, multiply_saturating, make_extreme):
    """Wherever the outliers were, and however many are neighbours."""
    width = data.draw(st.integers(2, 12))
    n_units = width + data.draw(st.integers(1, 60))
    # Strings of outliers, single ones, and everything between.
    units = data.draw(st.permutations(range(n_units)))[:N_OUTLIERS]
    if data.draw(st.booleans()):
        start = data.draw(st.integers(0, max(n_units - N_OUTLIERS, 0)))
        units = range(start, min(start + N_OUTLIERS, n_units))
    units = sorted(units)
    rng = numpy.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    weights = make_encoder(rng, width, n_units)
    [layer] = weights.layers
    fits = {}
    for part in ("qkv", "out", "up", "down"):
        dense = getattr(layer, part)
        inputs = rng.normal(size=(10, len(dense.W))).astype("f")
        if part == "down":
            inputs[:, units] *= 1000
        fits[f"0.{part}"] = fit_layer(dense, inputs)
    assert fits["0.down"].outliers.tolist() == units
    folded, after = fold_scales(weights, fits)
    for name, fit in after.items():
        assert greatest_pairs(fit.weights).max() <= MOST_PAIR + 1, name
        bits = make_extreme(fit.weights)
        saturating = multiply_saturating(bits, fit.weights)
        assert (saturating == exact(bits, fit.weights)).all(), name

    # The units have changed places, and nothing else has.
    up, down = fits["0.up"], fits["0.down"]
    new_up, new_down = after["0.up"], after["0.down"]
    order = [up.b.tolist().index(b) for b in new_up.b.tolist()]
    assert sorted(order) == list(range(n_units))
    assert (new_up.weights == up.weights[:, order]).all()
    assert (new_up.weight_scales == up.weight_scales[order]).all()
    assert (new_down.weights == down.weights[order]).all()
    assert (folded.layers[0].down.W == layer.down.W[order]).all()
    assert [order[i] for i in new_down.outliers] == units
    # In one slice, where there are enough other units to stand between them.
    if n_units % 2 == 0 and n_units >= 2 * N_OUTLIERS:
        expected = range(n_units - 2 * N_OUTLIERS + 1, n_units, 2)
        assert new_down.outliers.tolist() == list(expected)


def test_outliers_side_by_side_would_saturate(
    weights, multiply_saturating, make_extreme
):
    """The limit holds for pairs in the order of the rows, so another order breaks it."""
    head = HeadWeights(
        None, None, Dense(*(numpy.zeros(s, "f") for s in ((32, 3), 3))), False
    )
    fit = make_fits(weights, head)["0.down"]
    others = numpy.delete(fit.weights, fit.outliers, axis=0)
    assert greatest_pairs(fit.weights).max() <= MOST_PAIR + 1
    assert greatest_pairs(others).max() > MOST_PAIR + 1
    bits = make_extreme(others)
    assert (multiply_saturating(bits, others) != exact(bits, others)).any()
