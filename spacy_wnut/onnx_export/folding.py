"""Fold the smoothing of int8 inputs into the layers that precede them."""

from collections.abc import Mapping

import numpy

from .quantization import Int64Array, QuantizedDense
from .weights import EncoderLayer, EncoderWeights, Float32Array, Norm


def fold_smoothing(
    weights: EncoderWeights, quantized: Mapping[str, QuantizedDense]
) -> tuple[EncoderWeights, dict[str, QuantizedDense]]:
    """Fold smoothing factors and shifts into the preceding layers. The function of the
    encoder stays the same, with fewer operators.

    - `qkv` and `up` read the output of a norm, so the factors and shifts become part of
      its gamma and beta. The residual branch that starts at the norm is divided by the
      factors (`residual_scale`), and the bias of the next layer on that branch
      subtracts the shifts. The input of the first `qkv` is the output of the projection
      in an encoder that has one, so its smoothing stays.
    - `out` reads weighted means of the values, so its factors and shifts become part of
      the values' weight scales and bias.
    - The outliers of `down` become every second of its last columns, which one strided
      slice selects. MAX_PAIR_SUM holds for the new order of rows as well.

    weights (EncoderWeights): The encoder.
    quantized (Mapping[str, QuantizedDense]): Its quantized layers, by the names of
        `build_model`. Other layers are returned unchanged.
    RETURNS (Tuple[EncoderWeights, Dict[str, QuantizedDense]]): The encoder and the
        quantized layers. They have to be used together.
    """
    quantized = dict(quantized)
    layers = list(weights.layers)
    embedding_norm = weights.embedding_norm
    for i, layer in enumerate(layers):
        qkv, out, up, down = (f"{i}.{part}" for part in ("qkv", "out", "up", "down"))
        _fold_into_values(quantized, qkv, out)
        if i > 0:
            norm = _fold_into_norm(quantized, layers[i - 1].norm, qkv, out)
            layers[i - 1] = layers[i - 1]._replace(norm=norm)
        elif weights.projection is None:
            embedding_norm = _fold_into_norm(quantized, embedding_norm, qkv, out)
        norm = _fold_into_norm(quantized, layer.attention_norm, up, down)
        layer = layer._replace(attention_norm=norm)
        layers[i] = _move_outliers(quantized, layer, up, down)
    return weights._replace(embedding_norm=embedding_norm, layers=layers), quantized


def _pop_smoothing(
    quantized: dict[str, QuantizedDense], name: str
) -> tuple[Float32Array, Float32Array]:
    """Remove the smoothing from a layer.

    RETURNS (Tuple[Floats1d, Floats1d]): Its factors and shifts. Shape (n_inputs,).
    """
    layer = quantized[name]
    factors, shifts = layer.quantizer.factors, layer.quantizer.shifts
    quantizer = layer.quantizer._replace(factors=None, shifts=None)
    quantized[name] = layer._replace(quantizer=quantizer)
    n_inputs = len(layer.weights)
    return (
        numpy.ones(n_inputs, dtype="f") if factors is None else factors,
        numpy.zeros(n_inputs, dtype="f") if shifts is None else shifts,
    )


def _fold_into_values(quantized: dict[str, QuantizedDense], qkv: str, out: str) -> None:
    """Fold the smoothing of `out` into the values, the last third of `qkv`."""
    factors, shifts = _pop_smoothing(quantized, out)
    layer, width = quantized[qkv], len(factors)
    scales, b = layer.weight_scales.copy(), layer.b.copy()
    scales[-width:] *= factors
    b[-width:] = b[-width:] * factors + shifts
    quantized[qkv] = layer._replace(weight_scales=scales, b=b)


def _fold_into_norm(
    quantized: dict[str, QuantizedDense], norm: Norm, reader: str, adder: str
) -> Norm:
    """Fold the smoothing of a layer into the norm that it reads.

    norm (Norm): The norm.
    reader (str): The name of the layer that reads the norm: `qkv` or `up`.
    adder (str): The name of the layer whose output is added to the residual branch that
        starts at the norm: `out` or `down`.
    RETURNS (Norm): The new norm.
    """
    if quantized[reader].quantizer.factors is None:
        return norm
    factors, shifts = _pop_smoothing(quantized, reader)
    added = quantized[adder]
    quantized[adder] = added._replace(b=added.b - shifts / factors)
    return Norm(
        norm.gamma * factors, norm.beta * factors + shifts, numpy.reciprocal(factors)
    )


def _move_outliers(
    quantized: dict[str, QuantizedDense], layer: EncoderLayer, up: str, down: str
) -> EncoderLayer:
    """Reorder the hidden units of a feed-forward network by `_pair_outliers`.

    RETURNS (EncoderLayer): The layer with the rows of `down` in the new order.
    """
    n_units, outliers = len(quantized[down].weights), quantized[down].outliers
    order = _pair_outliers(n_units, outliers)
    quantized[up] = quantized[up]._replace(
        weights=quantized[up].weights[:, order],
        weight_scales=quantized[up].weight_scales[order],
        b=quantized[up].b[order],
    )
    quantized[down] = quantized[down]._replace(
        weights=quantized[down].weights[order],
        outliers=numpy.flatnonzero(numpy.isin(order, outliers)),
    )
    return layer._replace(down=layer.down._replace(W=layer.down.W[order]))


def _pair_outliers(n_units: int, outliers: Int64Array) -> Int64Array:
    """Return an order of hidden units with an outlier in every second place at the end.
    If there are too few other units or their number is odd, the order stays as it is.

    Weights are within MAX_PAIR_SUM for the pairs of rows 2k and 2k + 1, so a new pair
    of two rows with weights could exceed it. Pairs without an outlier therefore stay
    together. Each other unit is paired with an outlier, whose row of weights is zero.

    n_units (int): The number of hidden units.
    outliers (Ints1d): The indices of the outliers, sorted.
    RETURNS (Ints1d): The units in their new order. Shape (n_units,).

    Example:
        >>> _pair_outliers(8, numpy.asarray([0, 3])).tolist()
        [4, 5, 6, 7, 1, 0, 2, 3]
    """
    if n_units % 2 or n_units < 2 * len(outliers):
        return numpy.arange(n_units)
    pairs = numpy.arange(n_units).reshape(-1, 2)
    is_outlier = numpy.isin(pairs, outliers)
    is_kept = ~is_outlier.any(axis=1)
    kept, others = pairs[is_kept], pairs[~is_kept][~is_outlier[~is_kept]]
    # A pair of two outliers has no other unit, so each such pair splits a pair of two
    # other units.
    n_split = (len(outliers) - len(others)) // 2
    others = numpy.concatenate([others, kept[:n_split].ravel()])
    beside = numpy.stack([others, outliers], axis=1)
    return numpy.concatenate([kept[n_split:].ravel(), beside.ravel()])
