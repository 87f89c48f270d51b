"""Quantized layers: their arithmetic in ONNX Runtime, their error, their limits."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.models.onnx_session import start_session
from spacy_wnut.onnx_export import quantization
from spacy_wnut.onnx_export.graph import Graph
from spacy_wnut.onnx_export.quantization import (
    MAX_ERROR_RATIO,
    MAX_PAIR_SUM,
    MAX_WEIGHT,
    N_OUTLIERS,
    InputQuantizer,
    Int8Writer,
    QuantizedDense,
    max_pair_sums,
    quantize_layer,
)
from spacy_wnut.onnx_export.weights import Dense

NO_OUTLIERS = numpy.zeros(0, dtype=numpy.int64)


def make_layer(n_inputs=64, n_outputs=32, seed=0):
    rng = numpy.random.default_rng(seed)
    W = rng.normal(size=(n_inputs, n_outputs)).astype("f")
    return Dense(W, rng.normal(size=n_outputs).astype("f"))


def make_inputs(layer, n_rows=500, greatest=1.0, seed=1):
    """Random rows, of which column 3 is `greatest` times as large as the others. The
    outputs of norms have such columns.
    """
    rng = numpy.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, len(layer.W))).astype("f")
    rows[:, 3] *= greatest
    return rows


def make_weights(rng, n_inputs, n_outputs):
    """Random int8 weights whose pairs are as large as the limit allows."""
    first = rng.integers(-MAX_WEIGHT, MAX_WEIGHT + 1, ((n_inputs + 1) // 2, n_outputs))
    rest = MAX_PAIR_SUM + 1 - abs(first)
    second = rng.integers(-MAX_WEIGHT, numpy.minimum(rest, MAX_WEIGHT) + 1)
    second = numpy.where(first < 0, -second, second)
    pairs = numpy.stack([first, second], axis=1)
    return pairs.reshape(-1, n_outputs)[:n_inputs].astype(numpy.int8)


def run(quantized, layer, rows):
    """The outputs of a quantized layer in ONNX Runtime."""
    graph = Graph()
    Int8Writer({"layer": quantized}).dense(graph, "x", layer, "layer")
    graph.nodes[-1].output[0] = "y"
    width = layer.W.shape[1]
    model = graph.model(
        {"x": ("float32", ["n", len(layer.W)])}, {"y": ("float32", ["n", width])}
    )
    return start_session(model, 1).run(None, {"x": rows})[0]


def error_of(quantized, layer, rows):
    """The errors in ONNX Runtime, one per row and output, and their share of the
    variance of the output, as `QuantizedDense.error` defines it.
    """
    expected = rows @ layer.W + layer.b
    error = expected - run(quantized, layer, rows)
    lost = numpy.square(error - error.mean(axis=0)).mean() / (rows @ layer.W).var()
    return error, lost


@pytest.mark.parametrize("greatest", [1.0, 50.0])
def test_error_is_small_and_as_measured(greatest):
    layer = make_layer()
    rows = make_inputs(layer, greatest=greatest)
    quantized = quantize_layer(layer, rows)
    _, lost = error_of(quantized, layer, rows)
    assert 0 < lost < 2e-3
    assert lost == pytest.approx(quantized.error, rel=0.01)


@pytest.mark.parametrize("n_outputs", [48, 96], ids=["narrowing", "widening"])
def test_bias_corrects_the_mean_error_of_each_column(n_outputs):
    layer = make_layer(64, n_outputs)
    rng = numpy.random.default_rng(1)
    # Nearly constant columns are rounded in the same direction in nearly all rows, so
    # outputs have mean errors, and each column another one.
    constants = rng.uniform(-1, 1, size=64)
    rows = (constants + rng.normal(scale=1e-4, size=(300, 64))).astype("f")
    # These rows centre the range of each column at zero, so it is not shifted.
    rows[:2] = [[1], [-1]]
    quantized = quantize_layer(layer, rows)
    assert quantized.quantizer.shifts is None
    correction = quantized.b - layer.b
    error, _ = error_of(quantized, layer, rows)
    assert numpy.abs(error.mean(axis=0)).max() < 1e-5
    # The test would not notice a missing correction, or one for all columns, if mean
    # errors were small or equal.
    assert numpy.abs(correction).max() > 1e-3
    assert numpy.std(correction) > 3e-4


def test_largest_columns_of_narrowing_layers_stay_in_full_precision():
    layer = make_layer(96, 32)
    rows = make_inputs(layer, greatest=1000.0)
    quantized = quantize_layer(layer, rows)
    effects = numpy.abs(rows).max(axis=0) * numpy.linalg.norm(layer.W, axis=1)
    largest = sorted(range(96), key=lambda column: -effects[column])[:N_OUTLIERS]
    assert quantized.outliers.tolist() == sorted(largest)
    assert 3 in largest
    assert not quantized.weights[quantized.outliers].any()
    # Column 3 has nearly all of the variance, and no error.
    _, lost = error_of(quantized, layer, rows)
    assert 0 < lost < 1e-7
    assert quantized.error == pytest.approx(lost, rel=0.2)


@pytest.mark.parametrize("n_outputs", [32, 64], ids=["square", "widening"])
def test_large_columns_are_smoothed(n_outputs):
    layer = make_layer(32, n_outputs)
    rows = make_inputs(layer, greatest=50.0)
    quantized = quantize_layer(layer, rows)
    factors = quantized.quantizer.factors
    assert factors.argmin() == 3
    assert factors[3] < numpy.median(factors) / 3
    _, lost = error_of(quantized, layer, rows)
    assert lost < 2e-3


def test_shifted_columns_are_centred():
    layer = make_layer(32, 64)
    rows = make_inputs(layer)
    rows[:, 5] += 30
    rows[:, 6] -= 30
    quantized = quantize_layer(layer, rows)
    assert (numpy.sign(quantized.quantizer.shifts[[5, 6]]) == [-1, 1]).all()
    _, lost = error_of(quantized, layer, rows)
    assert lost < 2e-4


def test_smoothing_without_enough_gain_is_left_out(monkeypatch):
    """Columns that are alike gain a little from factors and shifts, but less than the
    time of their operators is worth.
    """
    rng = numpy.random.default_rng(1)
    W = rng.uniform(-1, 1, size=(32, 64)).astype("f")
    layer = Dense(W, numpy.zeros(64, dtype="f"))
    sizes = rng.uniform(0.9, 1.1, size=32)
    rows = (rng.uniform(-1, 1, size=(500, 32)) * sizes).astype("f")
    quantized = quantize_layer(layer, rows)
    assert quantized.quantizer.factors is None
    assert quantized.quantizer.shifts is None
    monkeypatch.setattr(quantization, "MAX_ERROR_RATIO", 1.0)
    smoothed = quantize_layer(layer, rows)
    assert smoothed.quantizer.factors is not None
    assert MAX_ERROR_RATIO < smoothed.error / quantized.error < 1


def test_shifts_without_enough_gain_are_left_out(monkeypatch):
    """A large column gains from factors; it is centred, so shifts add little."""
    layer = make_layer(32, 64)
    rows = make_inputs(layer, greatest=50.0)
    quantized = quantize_layer(layer, rows)
    assert quantized.quantizer.factors is not None
    assert quantized.quantizer.shifts is None
    monkeypatch.setattr(quantization, "MAX_ERROR_RATIO", 1.0)
    shifted = quantize_layer(layer, rows)
    assert shifted.quantizer.shifts is not None
    assert MAX_ERROR_RATIO < shifted.error / quantized.error < 1


@pytest.mark.parametrize("n_outputs", [48, 96], ids=["narrowing", "widening"])
def test_best_strength_and_range_are_chosen(n_outputs, monkeypatch):
    layer = make_layer(64, n_outputs)
    # Heavy tails: a smaller range clips a few inputs, and represents the others better.
    rows = numpy.random.default_rng(1).laplace(size=(1000, 64)).astype("f")
    rows[:, 3] *= 20
    chosen = quantize_layer(layer, rows)
    candidates = []
    for strength in quantization.SMOOTHING_STRENGTHS:
        for share in quantization.RANGE_SHARES:
            with monkeypatch.context() as patch:
                patch.setattr(quantization, "SMOOTHING_STRENGTHS", (strength,))
                patch.setattr(quantization, "RANGE_SHARES", (share,))
                candidates.append(quantize_layer(layer, rows))
    n_operators = {one.quantizer.n_operators for one in [chosen, *candidates]}
    assert n_operators == {0} if n_outputs < 64 else {1}
    errors = [one.error for one in candidates]
    assert chosen.error == min(errors)
    # The test would not notice a choice of the first one if that were the best.
    assert min(errors) < errors[0]


@pytest.mark.parametrize("strengths", [(0.53, 0.55), (0.55, 0.53)])
def test_small_gain_is_enough_if_it_takes_no_time(strengths, monkeypatch):
    layer = make_layer(32, 64)
    rows = make_inputs(layer, greatest=50.0)
    monkeypatch.setattr(quantization, "RANGE_SHARES", (1.0,))

    def error_with(*strengths):
        monkeypatch.setattr(quantization, "SMOOTHING_STRENGTHS", strengths)
        quantized = quantize_layer(layer, rows)
        assert quantized.quantizer.n_operators == 1
        return quantized.error

    lower, higher = sorted([error_with(strengths[0]), error_with(strengths[1])])
    assert MAX_ERROR_RATIO < lower / higher < 1
    assert error_with(*strengths) == lower


@pytest.mark.parametrize("n_outputs", [48, 96], ids=["narrowing", "widening"])
@pytest.mark.parametrize("centre", [6.0, -6.0], ids=["positive", "negative"])
def test_inputs_of_one_sign(centre, n_outputs):
    """The range of the quantizer includes 0, so the zero point fits into uint8."""
    layer = make_layer(64, n_outputs)
    rng = numpy.random.default_rng(1)
    rows = (centre + rng.uniform(-1, 1, size=(300, 64))).astype("f")
    assert (rows * centre > 0).all()
    quantized = quantize_layer(layer, rows)
    assert 0 <= quantized.quantizer.zero_point <= 255
    _, lost = error_of(quantized, layer, rows)
    assert lost == pytest.approx(quantized.error, rel=0.05)
    assert lost < 2e-3


@pytest.mark.parametrize(
    "lowest, highest, scale, zero_point",
    [
        (2.0, 5.1, 0.02, 0),
        (-5.1, -2.0, 0.02, 255),
        (-1.0, 4.1, 0.02, 50),
        (0.0, 0.0, 1e-8, 0),
    ],
)
def test_range_includes_zero(lowest, highest, scale, zero_point):
    smoothing = InputQuantizer(None, None, 1.0, 0)
    found = quantization._set_range(smoothing, lowest, highest)
    assert found.scale == pytest.approx(scale)
    assert found.zero_point == zero_point


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("pair", [(64, 64), (MAX_WEIGHT, 1)])
def test_largest_sums_are_exact(sign, pair):
    """Processors without VNNI add pairs of products in 16 bits. The largest allowed
    pairs of weights fit, for the largest inputs.
    """
    weights = numpy.tile(sign * numpy.asarray(pair), 32).astype(numpy.int8)
    weights = numpy.repeat(weights[:, None], 16, axis=1)
    assert max_pair_sums(weights.astype("i8")).tolist() == [sum(pair)] * 16
    quantizer = InputQuantizer(None, None, 1.0, 0)
    ones = numpy.ones(16, dtype="f")
    quantized = QuantizedDense(NO_OUTLIERS, quantizer, weights, ones, 0 * ones, 0.0)
    rows = numpy.full((7, 64), 255.0, dtype="f")
    found = run(quantized, Dense(weights.astype("f"), 0 * ones), rows)
    assert found.tolist() == (rows.astype("i8") @ weights.astype("i8")).tolist()


@pytest.mark.parametrize("n_inputs, n_rows", [(96, 33), (97, 33), (96, 1), (3, 2)])
def test_arithmetic_is_that_of_integers(n_inputs, n_rows):
    rng = numpy.random.default_rng(0)
    for zero_point in (0, 117, 255):
        weights = make_weights(rng, n_inputs, 24)
        assert max_pair_sums(weights).max() > MAX_PAIR_SUM - 10
        scales = rng.uniform(0.01, 0.1, 24).astype("f")
        b = rng.normal(size=24).astype("f")
        quantizer = InputQuantizer(None, None, 0.05, zero_point)
        rows = rng.normal(scale=8, size=(n_rows, n_inputs)).astype("f")
        x = quantizer.quantize(rows)
        # Some inputs are clipped.
        assert x.min() == 0 or x.max() == 255
        sums = (x.astype("i8") - zero_point) @ weights.astype("i8")
        expected = sums * (0.05 * scales.astype("d")) + b
        quantized = QuantizedDense(NO_OUTLIERS, quantizer, weights, scales, b, 0.0)
        found = run(quantized, Dense(weights.astype("f"), b), rows)
        numpy.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_saturating_multiplication_is_that_of_onnx_runtime(multiply_saturating):
    """Compare the fixture with recorded results of ONNX Runtime 1.32 on processors with
    AVX2, and with AVX-512 without VNNI.
    """
    weights = numpy.asarray([[127, 127, -127, 100], [127, -127, -127, 60]], "i1")
    inputs = numpy.asarray([[255, 255], [200, 255], [128, 128], [10, 255]], "u1")
    assert multiply_saturating(inputs, weights).tolist() == [
        [32767, 0, -32768, 32767],
        [32767, -6985, -32768, 32767],
        [32512, 0, -32512, 20480],
        [32767, -31115, -32768, 16300],
    ]
    # Pairs do not overlap, and an odd last input is alone.
    weights = numpy.asarray([[1], [127], [127]], "i1")
    inputs = numpy.full((1, 3), 255, "u1")
    assert multiply_saturating(inputs, weights).tolist() == [[255 * 128 + 255 * 127]]


@pytest.mark.parametrize("pair", [(127, 2), (65, 64), (-64, -65), (127, 127)])
def test_pairs_beyond_the_limit_saturate(pair, multiply_saturating, make_extreme):
    weights = numpy.tile(numpy.asarray(pair, "i1"), 8)[:, None]
    inputs = make_extreme(weights)
    exact = inputs.astype("i8") @ weights.astype("i8")
    assert (multiply_saturating(inputs, weights) != exact).any()


@given(data=st.data())
def test_quantized_weights_never_saturate(data, multiply_saturating, make_extreme):
    n_inputs, n_outputs = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 12))
    rng = numpy.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # From weights of equal size to columns with a few large ones.
    power = data.draw(st.sampled_from([0.0, 0.3, 1.0, 4.0]))
    size = data.draw(st.sampled_from([1e-6, 1.0, 1e4]))
    W = rng.normal(size=(n_inputs, n_outputs))
    W = size * numpy.sign(W) * abs(W) ** power
    if data.draw(st.booleans()):
        # Pairs of weights with one sign have the largest sums.
        W = abs(W)
    W[:, : data.draw(st.integers(0, n_outputs))] *= -1
    W[1:][rng.random(n_inputs - 1) < data.draw(st.sampled_from([0, 0.5, 1]))] = 0
    W = W.astype("f")
    layer = Dense(W, numpy.zeros(n_outputs, dtype="f"))
    inputs = rng.normal(size=(12, n_inputs)) * rng.lognormal(sigma=2, size=n_inputs)
    quantized = quantize_layer(layer, inputs.astype("f"))
    assert numpy.abs(quantized.weights.astype("i8")).max() <= MAX_WEIGHT
    assert max_pair_sums(quantized.weights).max() <= MAX_PAIR_SUM + 1
    x = make_extreme(quantized.weights)
    exact = x.astype("i8") @ quantized.weights.astype("i8")
    assert (multiply_saturating(x, quantized.weights) == exact).all()


@pytest.mark.parametrize("n_inputs", [64, 65])
def test_weights_use_the_range_that_the_limits_allow(n_inputs):
    for seed in range(3):
        layer = make_layer(n_inputs, seed=seed)
        quantized = quantize_layer(layer, make_inputs(layer, greatest=20.0))
        weights = quantized.weights.astype("i4")
        assert numpy.abs(weights).max() <= MAX_WEIGHT
        assert (abs(max_pair_sums(weights) - 127) <= 1).all()


@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=30),
    scale=st.sampled_from([0.01, 0.1, 3.0]),
    zero_point=st.integers(0, 255),
)
def test_quantization_of_inputs(values, scale, zero_point):
    """As ONNX defines QuantizeLinear and DequantizeLinear: half to even, then clipped."""
    quantizer = InputQuantizer(None, None, scale, zero_point)
    rows = numpy.asarray([values], dtype="f")
    quantized = quantizer.quantize(rows)
    expected = [
        min(max(round(float(x / numpy.float32(scale))) + zero_point, 0), 255)
        for x in rows[0]
    ]
    assert quantized.dtype == numpy.uint8
    assert quantized[0].tolist() == expected
    restored = quantizer.dequantize(quantized)
    is_inside = (quantized > 0) & (quantized < 255)
    error = numpy.abs(restored - rows)[is_inside]
    assert (error <= scale * 0.501).all()


def test_embeddings_have_one_scale_per_row():
    rng = numpy.random.default_rng(0)
    table = rng.normal(size=(10, 16)).astype("f") * numpy.arange(10)[:, None]
    graph = Graph()
    with numpy.errstate(all="raise"):
        Int8Writer({}).embed(graph, table.astype("f"), "ids")
    graph.nodes[-1].output[0] = "y"
    model = graph.model({"ids": ("int64", ["n"])}, {"y": ("float32", ["n", 16])})
    # Row 0 is zero.
    ids = numpy.asarray([3, 0, 9, 3])
    found = start_session(model, 1).run(None, {"ids": ids})[0]
    largest = numpy.abs(table).max(axis=1, keepdims=True)
    assert (numpy.abs(found - table[ids]) <= largest[ids] / 250).all()
