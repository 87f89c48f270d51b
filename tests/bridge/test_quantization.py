"""Eight bits: the arithmetic, to the last one, and what is lost."""

import numpy
import pytest

from spacy_wnut.bridge.encoder_weights import Dense
from spacy_wnut.bridge.onnx_graph import Graph
from spacy_wnut.bridge.quantization import (
    MOST,
    N_OUTLIERS,
    EightBits,
    Fit,
    Scale,
    dequantize,
    fit_layer,
    greatest_pairs,
    quantize,
)
from spacy_wnut.models.onnx_session import _start

NONE = numpy.zeros(0, dtype=numpy.int64)


def make_layer(n_inputs=64, n_outputs=32, seed=0):
    rng = numpy.random.default_rng(seed)
    W = rng.normal(size=(n_inputs, n_outputs)).astype("f")
    return Dense(W, rng.normal(size=n_outputs).astype("f"))


def make_inputs(layer, n_rows=500, greatest=1.0, seed=1):
    """Rows with a column that is larger than the others, as behind norms."""
    rng = numpy.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, len(layer.W))).astype("f")
    rows[:, 3] *= greatest
    return rows


def run(fit, layer, rows):
    graph = Graph()
    EightBits({"it": fit}).dense(graph, "x", layer, "it")
    graph.nodes[-1].output[0] = "y"
    width = layer.W.shape[1]
    model = graph.model(
        {"x": ("float32", ["n", len(layer.W)])}, {"y": ("float32", ["n", width])}
    )
    return _start(model, 1).run(None, {"x": rows})[0]


@pytest.mark.parametrize("greatest", [1.0, 50.0])
def test_little_is_lost(greatest):
    layer = make_layer()
    rows = make_inputs(layer, greatest=greatest)
    fit = fit_layer(layer, rows)
    expected = rows @ layer.W + layer.b
    error = expected - run(fit, layer, rows)
    lost = numpy.square(error).mean() / expected.var()
    assert lost < 2e-3
    assert lost == pytest.approx(fit.error, rel=0.1)
    assert abs(error.mean()) < 1e-3 * expected.std()


def test_the_largest_columns_of_wide_inputs_stay_in_full_precision():
    layer = make_layer(96, 32)
    rows = make_inputs(layer, greatest=1000.0)
    fit = fit_layer(layer, rows)
    assert len(fit.outliers) == N_OUTLIERS
    assert 3 in fit.outliers
    assert not fit.weights[fit.outliers].any()
    expected = rows @ layer.W + layer.b
    error = numpy.square(run(fit, layer, rows) - expected).mean()
    # As much as without that column, which has nearly all of the variance.
    assert error < 1e-7 * expected.var()
    assert fit.error == pytest.approx(error / expected.var(), rel=0.2)


def test_large_columns_are_evened_out():
    layer = make_layer(32, 64)
    even = fit_layer(layer, make_inputs(layer))
    assert even.scale.factors is None or numpy.ptp(numpy.log(even.scale.factors)) < 1
    uneven = fit_layer(layer, make_inputs(layer, greatest=50.0))
    factors = uneven.scale.factors
    assert factors.argmin() == 3
    assert factors[3] < numpy.median(factors) / 3


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("pair", [(64, 64), (MOST, 1)])
def test_sums_are_exact_where_they_are_greatest(sign, pair):
    """What a processor without instructions for it adds in 16 bits would be cut off
    at greater weights: two products of neighbours at a time.
    """
    weights = numpy.tile(sign * numpy.asarray(pair), 32).astype(numpy.int8)
    weights = numpy.repeat(weights[:, None], 16, axis=1)
    assert greatest_pairs(weights.astype("i8")).tolist() == [sum(pair)] * 16
    assert 255 * sum(pair) < 2**15
    scale = Scale(None, None, 1.0, 0)
    ones = numpy.ones(16, dtype="f")
    fit = Fit(NONE, scale, weights, ones, 0 * ones, 0.0)
    rows = numpy.full((7, 64), 255.0, dtype="f")
    found = run(fit, Dense(weights.astype("f"), 0 * ones), rows)
    assert found.tolist() == (rows.astype("i8") @ weights.astype("i8")).tolist()


def test_arithmetic_is_that_of_whole_numbers():
    rng = numpy.random.default_rng(0)
    for zero in (0, 117, 255):
        weights = rng.integers(-MOST, MOST + 1, (96, 24)).astype(numpy.int8)
        scales = rng.uniform(0.01, 0.1, 24).astype("f")
        b = rng.normal(size=24).astype("f")
        scale = Scale(None, None, 0.05, zero)
        rows = rng.normal(scale=8, size=(33, 96)).astype("f")
        bits = quantize(rows, scale)
        assert bits.min() == 0 or bits.max() == 255
        sums = (bits.astype("i8") - zero) @ weights.astype("i8")
        expected = sums * (0.05 * scales.astype("d")) + b
        found = run(
            Fit(NONE, scale, weights, scales, b, 0.0),
            Dense(weights.astype("f"), b),
            rows,
        )
        numpy.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("n_inputs", [64, 65])
def test_weights_stay_within_what_is_safe(n_inputs):
    for seed in range(3):
        layer = make_layer(n_inputs, seed=seed)
        fit = fit_layer(layer, make_inputs(layer, greatest=20.0))
        weights = fit.weights.astype("i4")
        assert numpy.abs(weights).max() <= MOST
        # And as large as that lets them be.
        assert (abs(greatest_pairs(weights) - 127) <= 1).all()
        assert 0 <= fit.scale.zero <= 255


def test_columns_that_lie_elsewhere_are_moved():
    layer = make_layer(32, 64)
    rows = make_inputs(layer)
    rows[:, 5] += 30
    rows[:, 6] -= 30
    fit = fit_layer(layer, rows)
    assert (numpy.sign(fit.scale.moves[[5, 6]]) == [-1, 1]).all()
    expected = rows @ layer.W + layer.b
    lost = numpy.square(expected - run(fit, layer, rows)).mean() / expected.var()
    assert lost < 2e-4


def test_quantized_values_are_close():
    scale = Scale(None, None, 0.1, 100)
    rows = numpy.linspace(-10, 15.5, 500, dtype="f")
    again = dequantize(quantize(rows, scale), scale)
    assert numpy.abs(again - rows).max() < 0.051
    assert quantize(numpy.asarray([-1e6, 1e6], dtype="f"), scale).tolist() == [0, 255]


def test_rows_of_a_table():
    rng = numpy.random.default_rng(0)
    table = rng.normal(size=(10, 16)).astype("f") * numpy.arange(10)[:, None]
    graph = Graph()
    EightBits({}).rows(graph, table.astype("f"), "ids")
    graph.nodes[-1].output[0] = "y"
    model = graph.model({"ids": ("int64", ["n"])}, {"y": ("float32", ["n", 16])})
    ids = numpy.asarray([3, 0, 9, 3])
    found = _start(model, 1).run(None, {"ids": ids})[0]
    # Each row has a scale of its own: the first is all zeros.
    largest = numpy.abs(table).max(axis=1, keepdims=True)
    assert (numpy.abs(found - table[ids]) <= largest[ids] / 250).all()
