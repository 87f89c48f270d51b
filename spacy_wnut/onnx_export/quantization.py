"""Eight bits in the place of thirty-two, with scales that are fixed beforehand.

A scale that is taken from the numbers at hand, as dynamic quantisation does, makes a
text's emissions depend on what is run with it. Here each layer's input has one scale
for ever, fitted on posts. What that costs where a few columns are much larger than
the others, or lie elsewhere, is won back in the way that takes less time. A layer with
more outputs than inputs gives each column a factor and a place, and the weights the
opposite (SmoothQuant: Xiao et al. 2023; Outlier Suppression+: Wei et al. 2023). One with
fewer multiplies its largest columns in full precision (LLM.int8: Dettmers et al. 2022).
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
from .model import FullPrecision, Writer
from .weights import Dense, Floats

Ints = NDArray[numpy.int64]

# The largest weight, and the largest sum of two weights of the same sign in rows 2k and
# 2k + 1 of a column. On x86 processors with AVX2 or AVX-512 but without VNNI,
# ONNX Runtime multiplies such a pair by two inputs of up to 255 and adds the products
# in 16 bits (the instruction vpmaddubsw). Larger sums are silently cut off, and
# 255 * 128 is the largest that fits. The limit is 127, since rounding may add one.
MOST, MOST_PAIR = 127, 127
# The type of full precision, onnx.TensorProto.FLOAT.
FLOAT = 1
# How strongly columns are evened out, and which share of their range is kept: all of
# them are tried, and the best is taken.
STRENGTHS = (0.4, 0.55, 0.7)
SHARES = (1.0, 0.9, 0.8, 0.65, 0.5)
# How many posts are read, and how many rows of what goes into a layer are kept of
# them and are used to compare.
N_POSTS = 600
N_KEPT = 5000
N_ROWS = 1024
# To what evening out and moving each have to lower the error: they take a little time.
LEAST_GAIN = 0.92
# How many columns a layer with fewer outputs than inputs keeps in full precision.
N_OUTLIERS = 16


class Scale(NamedTuple):
    """How a layer's input becomes eight bits: each column times its `factors`, plus its
    `moves`, if there are any, then over `scale`, rounded, plus `zero`, cut off at 0 and
    255.
    """

    factors: Floats | None
    moves: Floats | None
    scale: float
    zero: int

    def even_out(self, rows: Floats) -> Floats:
        """The columns more alike."""
        if self.factors is not None:
            rows = rows * self.factors
        return rows if self.moves is None else rows + self.moves


class Fit(NamedTuple):
    """How a layer is written.

    outliers (Ints1d): Columns of its input that are multiplied in full precision.
    scale (Scale): How the others become eight bits.
    weights (Int8s2d): Its weights, with zeros for the outliers.
    weight_scales (Floats1d): What each column of the weights is times.
    b (Floats1d): What it adds.
    error (float): The share of its output's variance that is lost.
    """

    outliers: Ints
    scale: Scale
    weights: NDArray[numpy.int8]
    weight_scales: Floats
    b: Floats
    error: float


class Observer(FullPrecision):
    """Writes weights as they are, and has the graph put out what goes into each layer."""

    def __init__(self) -> None:
        self.layers: dict[str, Dense] = {}

    def parts(self, graph: Graph, x: str, layer: Dense, name: str, n: int) -> list[str]:
        self.layers[name] = layer
        graph.observed.append(x)
        return super().parts(graph, x, layer, name, n)


class ObservingShim(OnnxShim):
    """Runs the model that an `Observer` wrote, and keeps some of what it puts out."""

    def __init__(self, names: Iterable[str], every: int) -> None:
        super().__init__()
        self.seen: dict[str, list[Floats]] = {name: [] for name in names}
        self.every = every

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[Floats]:
        outputs = super().run(inputs)
        n_own = len(outputs) - len(self.seen)
        for rows, values in zip(self.seen.values(), outputs[n_own:], strict=True):
            rows.append(values[:: self.every].copy())
        return outputs[:n_own]


def fit_eight_bits(
    build: Callable[[Writer], bytes],
    tokenizer_json: str,
    sizes: Mapping[str, int],
    docs: Sequence[Doc],
) -> dict[str, Fit]:
    """Find how the layers of a model are best written in eight bits.

    build (Callable[[Writer], bytes]): Builds the model.
    tokenizer_json (str): Its tokenizer.
    sizes (Mapping[str, int]): Settings of `create_onnx_tagger`.
    docs (Sequence[Doc]): Posts like those it is for. Of many, some are taken.
    RETURNS (Dict[str, Fit]): How each layer is written, by its name.

    Raises WnutError if they have no pieces.
    """
    chosen = numpy.random.default_rng(0).permutation(len(docs))[:N_POSTS]
    posts = [docs[i] for i in sorted(chosen)]
    observer = Observer()
    graph = build(observer)
    n_words = sum(len(doc) for doc in posts)
    shim = ObservingShim(observer.layers, every=max(n_words // N_KEPT, 1))
    shim.set_model(graph, tokenizer_json)
    model = create_onnx_tagger(**sizes)
    model.shims[0] = shim
    model.initialize()
    model.predict(posts)
    fits = {}
    layers = tqdm(observer.layers.items(), unit="layer", leave=False, disable=None)
    for name, layer in layers:
        if not shim.seen[name]:
            raise WnutError("the posts to fit int8 to have no word pieces: give others")
        fits[name] = fit_layer(layer, numpy.concatenate(shim.seen.pop(name)))
    return fits


class EightBits:
    """Writes layers in eight bits.

    fits (Mapping[str, Fit]): How each layer is written.
    """

    def __init__(self, fits: Mapping[str, Fit]) -> None:
        self.fits = fits

    def dense(self, graph: Graph, x: str, layer: Dense, name: str) -> str:
        fit = self.fits[name]
        [product] = self.parts(graph, x, layer, name, 1)
        if not len(fit.outliers):
            return product
        weights = graph.constant(layer.W[fit.outliers])
        return graph.add("Gemm", self._columns(graph, x, fit), weights, product)

    def parts(self, graph: Graph, x: str, layer: Dense, name: str, n: int) -> list[str]:
        """Without what outliers add: layers that widen have none."""
        fit = self.fits[name]
        if fit.scale.factors is not None:
            x = graph.add("Mul", x, graph.constant(fit.scale.factors))
        if fit.scale.moves is not None:
            x = graph.add("Add", x, graph.constant(fit.scale.moves))
        scale = graph.constant(numpy.float32(fit.scale.scale))
        zero = graph.constant(numpy.uint8(fit.scale.zero))
        bits = graph.add("QuantizeLinear", x, scale, zero)
        columns = (fit.weights, fit.weight_scales, fit.b)
        return [
            graph.add(
                "com.microsoft:MatMulIntegerToFloat",
                bits,
                graph.constant(weights),
                scale,
                graph.constant(weight_scales),
                zero,
                graph.constant(numpy.zeros(len(b), dtype=numpy.int8)),
                graph.constant(b),
            )
            for weights, weight_scales, b in zip(
                *(numpy.split(part, n, axis=-1) for part in columns), strict=True
            )
        ]

    def _columns(self, graph: Graph, x: str, fit: Fit) -> str:
        """The outliers. With a fixed step between them, a slice is the fastest way."""
        first, last = int(fit.outliers[0]), int(fit.outliers[-1])
        step = max((last - first) // max(len(fit.outliers) - 1, 1), 1)
        if fit.outliers.tolist() != list(range(first, last + 1, step)):
            return graph.add("Gather", x, graph.constant(fit.outliers), axis=1)
        span = [graph.constant([at]) for at in (first, last + 1, 1, step)]
        return graph.add("Slice", x, *span)

    def rows(self, graph: Graph, table: Floats, ids: str) -> str:
        scales = numpy.abs(table).max(axis=1, keepdims=True) / 127
        scales = numpy.where(scales > 0, scales, 1).astype("f")
        rounded = numpy.round(table / scales).astype(numpy.int8)
        found = graph.add("Gather", graph.constant(rounded), ids)
        factors = graph.add("Gather", graph.constant(scales), ids)
        return graph.add("Mul", graph.add("Cast", found, to=FLOAT), factors)


def fit_layer(layer: Dense, inputs: Floats) -> Fit:
    """Find how a layer is best written in eight bits.

    layer (Dense): The layer.
    inputs (Floats2d): Some of what goes into it, a row each.
    """
    every = max(len(inputs) // N_ROWS, 1)
    variance = (inputs[::every] @ layer.W).var()
    outliers = _outliers(layer.W, inputs)
    W_others, others = layer.W.copy(), inputs.copy()
    W_others[outliers], others[:, outliers] = 0, 0
    rows = others[::every]
    expected = rows @ W_others
    best: Fit | None = None
    for even in _ways(W_others, others):
        W = W_others if even.factors is None else W_others / even.factors[:, None]
        weights, weight_scales = _round_weights(W)
        b = layer.b if even.moves is None else layer.b - even.moves @ W
        full, evened = even.even_out(others), even.even_out(rows)
        lowest, highest = float(full.min()), float(full.max())
        costs = sum(part is not None for part in even[:2])
        for share in SHARES:
            scale = _fit_range(even, lowest * share, highest * share)
            found = dequantize(quantize(evened, scale), scale)
            found = (found @ weights.astype("f")) * weight_scales
            error = expected + layer.b - found - b
            mean = error.mean(axis=0)
            lost = float(numpy.square(error - mean).mean() / variance)
            gain = 1.0
            if best is not None:
                more = costs - sum(part is not None for part in best.scale[:2])
                gain = LEAST_GAIN ** max(more, 0)
            if best is None or lost < gain * best.error:
                best = Fit(outliers, scale, weights, weight_scales, b + mean, lost)
    assert best is not None
    return best


def _is_narrowing(W: Floats) -> bool:
    n_inputs, n_outputs = W.shape
    return bool(n_inputs > n_outputs)


def _outliers(W: Floats, inputs: Floats) -> Ints:
    """The columns that can do the most to what a layer puts out, if it is one whose
    outliers are multiplied apart.
    """
    n = N_OUTLIERS if _is_narrowing(W) else 0
    reach = numpy.abs(inputs).max(axis=0) * numpy.linalg.norm(W, axis=1)
    return numpy.sort(numpy.argsort(-reach)[:n])


def quantize(rows: Floats, scale: Scale) -> NDArray[numpy.uint8]:
    """As ONNX's QuantizeLinear has it; factors are already in the rows."""
    rounded = numpy.rint(rows / numpy.float32(scale.scale)) + scale.zero
    clipped: NDArray[numpy.uint8] = numpy.clip(rounded, 0, 255).astype(numpy.uint8)
    return clipped


def dequantize(values: NDArray[numpy.uint8], scale: Scale) -> Floats:
    """What eight bits stand for."""
    return (values.astype("f") - scale.zero) * numpy.float32(scale.scale)


def _ways(W: Floats, inputs: Floats) -> Iterator[Scale]:
    """Ways of making the columns of an input more alike, from the cheapest on."""
    yield Scale(None, None, 1.0, 0)
    if _is_narrowing(W):
        return
    for is_moved in (False, True):
        middles = (inputs.max(axis=0) + inputs.min(axis=0)) / 2 * is_moved
        of_inputs = numpy.maximum(numpy.abs(inputs - middles).max(axis=0), 1e-5)
        of_weights = numpy.maximum(numpy.abs(W).max(axis=1), 1e-5)
        for strength in STRENGTHS:
            factors = of_weights ** (1 - strength) / of_inputs**strength
            factors = (factors / numpy.exp(numpy.log(factors).mean())).astype("f")
            moves = (-middles * factors).astype("f") if is_moved else None
            yield Scale(factors, moves, 1.0, 0)


def _fit_range(even: Scale, lowest: float, highest: float) -> Scale:
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    scale = max((highest - lowest) / 255, 1e-8)
    return even._replace(scale=scale, zero=round(-lowest / scale))


def _round_weights(W: Floats) -> tuple[NDArray[numpy.int8], Floats]:
    """Weights in eight bits with one scale per column, as large as `MOST` and
    `MOST_PAIR` allow.
    """
    pairs = greatest_pairs(W)
    scales = numpy.maximum(numpy.abs(W).max(axis=0) / MOST, pairs / MOST_PAIR)
    scales = numpy.maximum(scales, 1e-8)
    return numpy.round(W / scales).astype(numpy.int8), scales.astype("f")


def greatest_pairs(W: NDArray[Any]) -> NDArray[Any]:
    """The largest sum of two weights of the same sign in rows 2k and 2k + 1, per
    column. An odd last row is a pair with zero, as ONNX Runtime pads it.
    """
    padded = numpy.concatenate([W, 0 * W[: len(W) % 2]])
    pairs = padded.reshape(-1, 2, W.shape[1])
    sums = [numpy.maximum(sign * pairs, 0).sum(axis=1) for sign in (1, -1)]
    greatest: NDArray[Any] = numpy.maximum(*sums).max(axis=0)
    return greatest
