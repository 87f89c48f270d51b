"""Static int8 quantization of linear layers and embeddings.

Dynamic quantization takes the scale of a layer's input from the batch, so the emissions
of a text depend on the other texts in the batch. Here the scale of each input is fixed,
calibrated on posts. A fixed scale loses precision where a few input columns are much
larger than the others or are not centred at zero. Two remedies:

- A layer that does not narrow (n_outputs >= n_inputs) multiplies its input columns by
  factors and shifts them, and its weights and bias compensate (SmoothQuant: Xiao et al.
  2023; Outlier Suppression+: Wei et al. 2023).
- A layer that narrows multiplies its largest input columns in fp32 (LLM.int8: Dettmers
  et al. 2022).

Each layer gets the remedy that is faster at its shape.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from tqdm import tqdm  # type: ignore[import-untyped]

from ..errors import WnutError
from ..models.onnx_session import OnnxShim
from ..models.onnx_tagger import create_onnx_tagger
from .graph import Graph
from .model import Float32Writer, LayerWriter
from .weights import Dense, Float32Array

Int8Array = NDArray[numpy.int8]
Int64Array = NDArray[numpy.int64]

# The maximum absolute value of an int8 weight, and the maximum sum of two weights of
# the same sign in rows 2k and 2k + 1 of a column. On x86 processors with AVX2 or AVX-512
# but without VNNI, ONNX Runtime multiplies such a pair by two inputs of up to 255 and
# adds the products in 16 bits (the instruction vpmaddubsw). Larger sums silently
# saturate, and 255 * 128 is the largest that fits. The limit is 127, since rounding may
# add one.
MAX_WEIGHT, MAX_PAIR_SUM = 127, 127
# onnx.TensorProto.FLOAT.
FLOAT32 = 1
# Candidates of which the one with the least error is chosen: the migration strength of
# SmoothQuant (alpha), and the share of the calibrated input range that is represented.
# Inputs beyond that range are clipped.
SMOOTHING_STRENGTHS = (0.4, 0.55, 0.7)
RANGE_SHARES = (1.0, 0.9, 0.8, 0.65, 0.5)
# The number of posts to calibrate on, and approximate numbers of input rows per layer:
# of those that are kept, and of those among them that candidates are compared on.
MAX_POSTS = 600
N_CALIBRATION_ROWS = 5000
N_COMPARED_ROWS = 1024
# Smoothing factors and shifts take time, so each has to reduce the error to less than
# this share.
MAX_ERROR_RATIO = 0.92
# The number of input columns that a narrowing layer multiplies in fp32.
N_OUTLIERS = 16


class InputQuantizer(NamedTuple):
    """The map from a layer's input to uint8:

        uint8 = clip(round((x * factors + shifts) / scale) + zero_point, 0, 255)

    factors (Optional[Floats1d]): Per-column smoothing factors. Shape (n_inputs,). None
        means 1.
    shifts (Optional[Floats1d]): Per-column shifts. Shape (n_inputs,). None means 0.
    scale (float): The step between two neighbouring uint8 values.
    zero_point (int): The uint8 value of 0.
    """

    factors: Float32Array | None
    shifts: Float32Array | None
    scale: float
    zero_point: int

    @property
    def n_operators(self) -> int:
        """RETURNS (int): The number of operators that smoothing takes: 0, 1 or 2."""
        return (self.factors is not None) + (self.shifts is not None)

    def smooth(self, x: Float32Array) -> Float32Array:
        """Apply the factors and the shifts.

        x (Floats2d): Input rows. Shape (n, n_inputs).
        RETURNS (Floats2d): Smoothed rows. Shape (n, n_inputs).
        """
        if self.factors is not None:
            x = x * self.factors
        return x if self.shifts is None else x + self.shifts

    def quantize(self, smoothed: Float32Array) -> NDArray[numpy.uint8]:
        """Quantize smoothed rows, as ONNX's QuantizeLinear does.

        smoothed (Floats2d): The output of `smooth`.
        RETURNS (UInt8s2d): Quantized rows. Shape (n, n_inputs).
        """
        rounded = numpy.rint(smoothed / numpy.float32(self.scale)) + self.zero_point
        clipped: NDArray[numpy.uint8] = numpy.clip(rounded, 0, 255).astype(numpy.uint8)
        return clipped

    def dequantize(self, quantized: NDArray[numpy.uint8]) -> Float32Array:
        """Invert `quantize`, up to rounding and clipping.

        quantized (UInt8s2d): Quantized rows. Shape (n, n_inputs).
        RETURNS (Floats2d): Smoothed rows. Shape (n, n_inputs).
        """
        return (quantized.astype("f") - self.zero_point) * numpy.float32(self.scale)


class QuantizedDense(NamedTuple):
    """A linear layer in int8.

    outliers (Ints1d): The indices of input columns that are multiplied in fp32, sorted.
    quantizer (InputQuantizer): Quantizes the input.
    weights (Int8s2d): The weights, with zeros in the rows of outliers. Shape
        (n_inputs, n_outputs).
    weight_scales (Floats1d): Per-column scales of the weights. Shape (n_outputs,).
    b (Floats1d): The bias. Shape (n_outputs,).
    error (float): The variance of the quantization error as a fraction of the variance
        of the output.
    """

    outliers: Int64Array
    quantizer: InputQuantizer
    weights: Int8Array
    weight_scales: Float32Array
    b: Float32Array
    error: float


class ObservingWriter(Float32Writer):
    """Writes layers in fp32, and adds the input of each layer to the model's outputs.

    layers (Dict[str, Dense]): The layers by name, in the order of these outputs.
    """

    def __init__(self) -> None:
        self.layers: dict[str, Dense] = {}

    def split_dense(
        self, graph: Graph, x: str, layer: Dense, name: str, n: int
    ) -> list[str]:
        self.layers[name] = layer
        graph.observed.append(x)
        return super().split_dense(graph, x, layer, name, n)


class ObservingShim(OnnxShim):
    """Runs a model of `ObservingWriter`, and keeps a sample of the layers' inputs.

    names (Iterable[str]): The names of the layers, in the order of the outputs.
    step (int): Every `step`-th row of an input is kept.
    """

    def __init__(self, names: Iterable[str], step: int) -> None:
        super().__init__()
        self.observed: dict[str, list[Float32Array]] = {name: [] for name in names}
        self.step = step

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[Float32Array]:
        outputs = super().run(inputs)
        n_regular = len(outputs) - len(self.observed)
        observed = outputs[n_regular:]
        for batches, values in zip(self.observed.values(), observed, strict=True):
            batches.append(values[:: self.step].copy())
        return outputs[:n_regular]

    def run_batches(
        self, batches: Sequence[dict[str, NDArray[Any]]]
    ) -> Iterator[list[Float32Array]]:
        return map(self.run, batches)


def quantize_layers(
    build: Callable[[LayerWriter], bytes],
    tokenizer_json: str,
    settings: Mapping[str, int],
    docs: Sequence[Doc],
) -> dict[str, QuantizedDense]:
    """Quantize the linear layers of a model, calibrated on docs.

    build (Callable[[LayerWriter], bytes]): Builds the ONNX model.
    tokenizer_json (str): The content of the encoder's tokenizer.json.
    settings (Mapping[str, int]): Arguments for `create_onnx_tagger`.
    docs (Sequence[Doc]): Posts to calibrate on. If there are more than MAX_POSTS, a
        random sample is used, the same one in each call.
    RETURNS (Dict[str, QuantizedDense]): The quantized layers by name.

    Raises WnutError if the docs have no word pieces.
    """
    chosen = numpy.random.default_rng(0).permutation(len(docs))[:MAX_POSTS]
    sample = [docs[i] for i in sorted(chosen)]
    writer = ObservingWriter()
    graph = build(writer)
    n_words = sum(len(doc) for doc in sample)
    shim = ObservingShim(writer.layers, step=max(n_words // N_CALIBRATION_ROWS, 1))
    shim.set_model(graph, tokenizer_json)
    model = create_onnx_tagger(**settings)
    model.shims[0] = shim
    model.initialize()
    model.predict(sample)
    quantized = {}
    layers = tqdm(writer.layers.items(), unit="layer", leave=False, disable=None)
    for name, layer in layers:
        if not shim.observed[name]:
            raise WnutError(
                "the posts for the calibration of int8 have no word pieces: pass "
                "others with --calibration"
            )
        inputs = numpy.concatenate(shim.observed.pop(name))
        quantized[name] = quantize_layer(layer, inputs)
    return quantized


class Int8Writer:
    """Writes layers in int8.

    layers (Mapping[str, QuantizedDense]): The quantized layers by name.
    """

    def __init__(self, layers: Mapping[str, QuantizedDense]) -> None:
        self.layers = layers

    def dense(self, graph: Graph, x: str, layer: Dense, name: str) -> str:
        outliers = self.layers[name].outliers
        [product] = self.split_dense(graph, x, layer, name, 1)  # (n, n_outputs)
        if not len(outliers):
            return product
        W = graph.constant(layer.W[outliers])  # (n_outliers, n_outputs)
        columns = self._select_columns(graph, x, outliers)  # (n, n_outliers)
        return graph.add("Gemm", columns, W, product)  # (n, n_outputs)

    def split_dense(
        self, graph: Graph, x: str, layer: Dense, name: str, n: int
    ) -> list[str]:
        """Without the products of outliers: layers that are split have none."""
        quantized = self.layers[name]
        quantizer = quantized.quantizer
        if quantizer.factors is not None:
            x = graph.add("Mul", x, graph.constant(quantizer.factors))
        if quantizer.shifts is not None:
            x = graph.add("Add", x, graph.constant(quantizer.shifts))
        scale = graph.constant(numpy.float32(quantizer.scale))
        zero_point = graph.constant(numpy.uint8(quantizer.zero_point))
        x = graph.add("QuantizeLinear", x, scale, zero_point)  # uint8 (n, n_inputs)
        arrays = (quantized.weights, quantized.weight_scales, quantized.b)
        return [
            graph.add(
                "com.microsoft:MatMulIntegerToFloat",
                x,
                graph.constant(weights),
                scale,
                graph.constant(weight_scales),
                zero_point,
                graph.constant(numpy.zeros(len(b), dtype=numpy.int8)),
                graph.constant(b),
            )
            for weights, weight_scales, b in zip(
                *(numpy.split(array, n, axis=-1) for array in arrays), strict=True
            )
        ]

    def embed(self, graph: Graph, table: Float32Array, ids: str) -> str:
        scales = numpy.abs(table).max(axis=1, keepdims=True) / 127  # (n_ids, 1)
        scales = numpy.where(scales > 0, scales, 1).astype("f")
        weights = numpy.round(table / scales).astype(numpy.int8)  # (n_ids, width)
        rows = graph.add("Gather", graph.constant(weights), ids)  # int8 (*ids, width)
        row_scales = graph.add("Gather", graph.constant(scales), ids)  # (*ids, 1)
        rows = graph.add("Cast", rows, to=FLOAT32)  # float32 (*ids, width)
        return graph.add("Mul", rows, row_scales)  # (*ids, width)

    def _select_columns(self, graph: Graph, x: str, columns: Int64Array) -> str:
        """Write a slice if the columns have a constant step, since that is the fastest
        operator, and a gather otherwise.
        """
        first, last = int(columns[0]), int(columns[-1])
        step = max((last - first) // max(len(columns) - 1, 1), 1)
        if columns.tolist() != list(range(first, last + 1, step)):
            return graph.add("Gather", x, graph.constant(columns), axis=1)
        arguments = [graph.constant([value]) for value in (first, last + 1, 1, step)]
        return graph.add("Slice", x, *arguments)


def quantize_layer(layer: Dense, inputs: Float32Array) -> QuantizedDense:
    """Quantize a linear layer: choose the smoothing and the input range with the least
    error.

    layer (Dense): The layer.
    inputs (Floats2d): A sample of its inputs. Shape (n, n_inputs).
    RETURNS (QuantizedDense): The layer in int8. Its bias corrects the mean of the error
        of each output column on the sample.
    """
    step = max(len(inputs) // N_COMPARED_ROWS, 1)
    variance = (inputs[::step] @ layer.W).var()
    outliers = _find_outliers(layer.W, inputs)
    # The rest of the function is about the other columns.
    W_others, others = layer.W.copy(), inputs.copy()
    W_others[outliers], others[:, outliers] = 0, 0
    compared = others[::step]
    expected = compared @ W_others
    best: QuantizedDense | None = None
    for smoothing in _smoothings(W_others, others):
        W = W_others
        if smoothing.factors is not None:
            W = W_others / smoothing.factors[:, None]
        weights, weight_scales = _quantize_weights(W)
        b = layer.b if smoothing.shifts is None else layer.b - smoothing.shifts @ W
        all_smoothed, smoothed = smoothing.smooth(others), smoothing.smooth(compared)
        lowest, highest = float(all_smoothed.min()), float(all_smoothed.max())
        for share in RANGE_SHARES:
            quantizer = _set_range(smoothing, lowest * share, highest * share)
            x = quantizer.dequantize(quantizer.quantize(smoothed))
            found = (x @ weights.astype("f")) * weight_scales
            error = expected + layer.b - found - b
            mean = error.mean(axis=0)
            # The correction of the bias removes the mean of each column.
            lost = float(numpy.square(error - mean).mean() / variance)
            ratio = 1.0
            if best is not None:
                added = quantizer.n_operators - best.quantizer.n_operators
                ratio = MAX_ERROR_RATIO ** max(added, 0)
            if best is None or lost < ratio * best.error:
                best = QuantizedDense(
                    outliers, quantizer, weights, weight_scales, b + mean, lost
                )
    assert best is not None
    return best


def max_pair_sums(W: NDArray[Any]) -> NDArray[Any]:
    """Return the maximum sum of two weights of the same sign in rows 2k and 2k + 1 of
    each column. ONNX Runtime pads an odd number of rows with zeros.

    W (Array2d): Weights of any dtype. Shape (n_inputs, n_outputs).
    RETURNS (Array1d): Sums of absolute values. Shape (n_outputs,).

    Example:
        >>> max_pair_sums(numpy.asarray([[1, 5], [2, -6], [-4, 3]])).tolist()
        [4, 6]
    """
    padded = numpy.concatenate([W, 0 * W[: len(W) % 2]])
    pairs = padded.reshape(-1, 2, W.shape[1])
    sums = [numpy.maximum(sign * pairs, 0).sum(axis=1) for sign in (1, -1)]
    greatest: NDArray[Any] = numpy.maximum(*sums).max(axis=0)
    return greatest


def _is_narrowing(W: Float32Array) -> bool:
    n_inputs, n_outputs = W.shape
    return bool(n_inputs > n_outputs)


def _find_outliers(W: Float32Array, inputs: Float32Array) -> Int64Array:
    """Return the sorted indices of the input columns with the largest possible effect
    on the output: N_OUTLIERS of a narrowing layer, and none of other layers.
    """
    n = N_OUTLIERS if _is_narrowing(W) else 0
    effects = numpy.abs(inputs).max(axis=0) * numpy.linalg.norm(W, axis=1)
    return numpy.sort(numpy.argsort(-effects)[:n])


def _smoothings(W: Float32Array, inputs: Float32Array) -> Iterator[InputQuantizer]:
    """Yield quantizers that differ in their factors and shifts, the fastest first:
    neither, factors alone, both. A narrowing layer has neither. `scale` and
    `zero_point` are placeholders.

    The factors are the inverse of SmoothQuant's s (Xiao et al. 2023, equation 4), here
    with a geometric mean of 1. The shifts move the centre of each column's range to
    zero (Wei et al. 2023).
    """
    yield InputQuantizer(None, None, 1.0, 0)
    if _is_narrowing(W):
        return
    for has_shifts in (False, True):
        centres = (inputs.max(axis=0) + inputs.min(axis=0)) / 2 * has_shifts
        max_inputs = numpy.maximum(numpy.abs(inputs - centres).max(axis=0), 1e-5)
        max_weights = numpy.maximum(numpy.abs(W).max(axis=1), 1e-5)
        for strength in SMOOTHING_STRENGTHS:
            factors = max_weights ** (1 - strength) / max_inputs**strength
            factors = (factors / numpy.exp(numpy.log(factors).mean())).astype("f")
            shifts = (-centres * factors).astype("f") if has_shifts else None
            yield InputQuantizer(factors, shifts, 1.0, 0)


def _set_range(
    smoothing: InputQuantizer, lowest: float, highest: float
) -> InputQuantizer:
    """Choose the scale and the zero point for a range of smoothed inputs. The range is
    extended to include 0, so that the zero point lies between 0 and 255.
    """
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    scale = max((highest - lowest) / 255, 1e-8)
    return smoothing._replace(scale=scale, zero_point=round(-lowest / scale))


def _quantize_weights(W: Float32Array) -> tuple[Int8Array, Float32Array]:
    """Quantize weights to int8 with per-column scales, as large as MAX_WEIGHT and
    MAX_PAIR_SUM allow.

    RETURNS (Tuple[Int8s2d, Floats1d]): The weights, shape (n_inputs, n_outputs), and
        their scales, shape (n_outputs,).
    """
    pair_sums = max_pair_sums(W)
    scales = numpy.maximum(
        numpy.abs(W).max(axis=0) / MAX_WEIGHT, pair_sums / MAX_PAIR_SUM
    )
    scales = numpy.maximum(scales, 1e-8)
    return numpy.round(W / scales).astype(numpy.int8), scales.astype("f")
