"""Eight bits: the arithmetic, to the last one, and what is lost."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.models.onnx_session import start_session
from spacy_wnut.onnx_export.graph import Graph
from spacy_wnut.onnx_export.quantization import (
    MOST,
    MOST_PAIR,
    N_OUTLIERS,
    EightBits,
    Fit,
    Scale,
    dequantize,
    fit_layer,
    greatest_pairs,
    quantize,
)
from spacy_wnut.onnx_export.weights import Dense

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


def make_weights(rng, n_inputs, n_outputs):
    """Random weights that are as large as the limit for pairs lets them be."""
    first = rng.integers(-MOST, MOST + 1, ((n_inputs + 1) // 2, n_outputs))
    rest = MOST_PAIR + 1 - abs(first)
    second = rng.integers(-MOST, numpy.minimum(rest, MOST) + 1)
    second = numpy.where(first < 0, -second, second)
    pairs = numpy.stack([first, second], axis=1)
    return pairs.reshape(-1, n_outputs)[:n_inputs].astype(numpy.int8)


def run(fit, layer, rows):
    graph = Graph()
    EightBits({"it": fit}).dense(graph, "x", layer, "it")
    graph.nodes[-1].output[0] = "y"
    width = layer.W.shape[1]
    model = graph.model(
        {"x": ("float32", ["n", len(layer.W)])}, {"y": ("float32", ["n", width])}
    )
    return start_session(model, 1).run(None, {"x": rows})[0]


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


@pytest.mark.parametrize("n_inputs, n_rows", [(96, 33), (97, 33), (96, 1), (3, 2)])
def test_arithmetic_is_that_of_whole_numbers(n_inputs, n_rows):
    rng = numpy.random.default_rng(0)
    for zero in (0, 117, 255):
        weights = make_weights(rng, n_inputs, 24)
        assert greatest_pairs(weights).max() > MOST_PAIR - 10
        scales = rng.uniform(0.01, 0.1, 24).astype("f")
        b = rng.normal(size=24).astype("f")
        scale = Scale(None, None, 0.05, zero)
        rows = rng.normal(scale=8, size=(n_rows, n_inputs)).astype("f")
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


def test_model_of_the_saturating_instruction(multiply_saturating):
    """Sums that ONNX Runtime 1.32 yields with AVX2 and with AVX-512 without VNNI."""
    weights = numpy.asarray([[127, 127, -127, 100], [127, -127, -127, 60]], "i1")
    bits = numpy.asarray([[255, 255], [200, 255], [128, 128], [10, 255]], "u1")
    assert multiply_saturating(bits, weights).tolist() == [
        [32767, 0, -32768, 32767],
        [32767, -6985, -32768, 32767],
        [32512, 0, -32512, 20480],
        [32767, -31115, -32768, 16300],
    ]
    # Pairs don't overlap, and an odd input has none to be added to.
    weights = numpy.asarray([[1], [127], [127]], "i1")
    bits = numpy.full((1, 3), 255, "u1")
    assert multiply_saturating(bits, weights).tolist() == [[255 * 128 + 255 * 127]]


@pytest.mark.parametrize("pair", [(127, 2), (65, 64), (-64, -65), (127, 127)])
def test_model_saturates_beyond_the_limit(pair, multiply_saturating, make_extreme):
    weights = numpy.tile(numpy.asarray(pair, "i1"), 8)[:, None]
    bits = make_extreme(weights)
    exact = bits.astype("i8") @ weights.astype("i8")
    assert (multiply_saturating(bits, weights) != exact).any()


@given(data=st.data())
def test_fitted_weights_never_saturate(data, multiply_saturating, make_extreme):
    n_inputs, n_outputs = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 12))
    rng = numpy.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # From weights that are all alike to columns with a few large ones.
    power = data.draw(st.sampled_from([0.0, 0.3, 1.0, 4.0]))
    size = data.draw(st.sampled_from([1e-6, 1.0, 1e4]))
    W = rng.normal(size=(n_inputs, n_outputs))
    W = size * numpy.sign(W) * abs(W) ** power
    if data.draw(st.booleans()):
        # All of one sign, where pairs are the largest.
        W = abs(W)
    W[:, : data.draw(st.integers(0, n_outputs))] *= -1
    W[1:][rng.random(n_inputs - 1) < data.draw(st.sampled_from([0, 0.5, 1]))] = 0
    W = W.astype("f")
    layer = Dense(W, numpy.zeros(n_outputs, dtype="f"))
    inputs = rng.normal(size=(12, n_inputs)) * rng.lognormal(sigma=2, size=n_inputs)
    fit = fit_layer(layer, inputs.astype("f"))
    assert numpy.abs(fit.weights.astype("i8")).max() <= MOST
    assert greatest_pairs(fit.weights).max() <= MOST_PAIR + 1
    bits = make_extreme(fit.weights)
    exact = bits.astype("i8") @ fit.weights.astype("i8")
    assert (multiply_saturating(bits, fit.weights) == exact).all()


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
    found = start_session(model, 1).run(None, {"ids": ids})[0]
    # Each row has a scale of its own: the first is all zeros.
    largest = numpy.abs(table).max(axis=1, keepdims=True)
    assert (numpy.abs(found - table[ids]) <= largest[ids] / 250).all()
