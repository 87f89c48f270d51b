"""What layers in eight bits need of their inputs, done by what makes these inputs."""

from collections.abc import Mapping

import numpy

from .quantization import Fit, Ints
from .weights import EncoderWeights, Floats, Layer, Norm


def fold_scales(
    weights: EncoderWeights, fits: Mapping[str, Fit]
) -> tuple[EncoderWeights, dict[str, Fit]]:
    """The same function with fewer operators.

    Factors and moves of a norm's output are the norm's own; what goes around the next
    layer is divided by the factors, and the move is taken off by what that layer adds.
    Those of attention's output are of its values, since attention takes means of these.
    The columns that are multiplied in full precision stand at the end, every second
    one, and all weights keep to the limit for pairs of rows (`MOST_PAIR`).

    weights (EncoderWeights): The encoder.
    fits (Mapping[str, Fit]): How its layers are written, by the names that
        `build_model` gives them. Others stay as they are.
    RETURNS (Tuple[EncoderWeights, Dict[str, Fit]]): Both, to be written together.
    """
    fits = dict(fits)
    layers = list(weights.layers)
    first = weights.norm
    for i, layer in enumerate(layers):
        qkv, out, up, down = (f"{i}.{part}" for part in ("qkv", "out", "up", "down"))
        _fold_into_values(fits, qkv, out)
        if i > 0:
            norm = _fold_into_norm(fits, layers[i - 1].norm, qkv, out)
            layers[i - 1] = layers[i - 1]._replace(norm=norm)
        elif weights.projection is None:
            first = _fold_into_norm(fits, first, qkv, out)
        norm = _fold_into_norm(fits, layer.attention_norm, up, down)
        layer = layer._replace(attention_norm=norm)
        layers[i] = _put_outliers_last(fits, layer, up, down)
    return weights._replace(norm=first, layers=layers), fits


def _take_scales(fits: dict[str, Fit], name: str) -> tuple[Floats, Floats]:
    """Factors and moves of a layer's input, which it doesn't have any more."""
    fit = fits[name]
    width = len(fit.weights)
    factors, moves = fit.scale.factors, fit.scale.moves
    fits[name] = fit._replace(scale=fit.scale._replace(factors=None, moves=None))
    return (
        numpy.ones(width, dtype="f") if factors is None else factors,
        numpy.zeros(width, dtype="f") if moves is None else moves,
    )


def _fold_into_values(fits: dict[str, Fit], qkv: str, out: str) -> None:
    factors, moves = _take_scales(fits, out)
    fit, width = fits[qkv], len(factors)
    scales, b = fit.weight_scales.copy(), fit.b.copy()
    scales[-width:] *= factors
    b[-width:] = b[-width:] * factors + moves
    fits[qkv] = fit._replace(weight_scales=scales, b=b)


def _fold_into_norm(fits: dict[str, Fit], norm: Norm, reader: str, adder: str) -> Norm:
    """The norm before a layer that reads its output, and before one whose output is
    added to what goes around both.
    """
    if fits[reader].scale.factors is None:
        return norm
    factors, moves = _take_scales(fits, reader)
    fits[adder] = fits[adder]._replace(b=fits[adder].b - moves / factors)
    return Norm(
        norm.gamma * factors, norm.beta * factors + moves, numpy.reciprocal(factors)
    )


def _put_outliers_last(fits: dict[str, Fit], layer: Layer, up: str, down: str) -> Layer:
    n_units, outliers = len(fits[down].weights), fits[down].outliers
    order = _pair_outliers(n_units, outliers)
    fits[up] = fits[up]._replace(
        weights=fits[up].weights[:, order],
        weight_scales=fits[up].weight_scales[order],
        b=fits[up].b[order],
    )
    fits[down] = fits[down]._replace(
        weights=fits[down].weights[order],
        outliers=numpy.flatnonzero(numpy.isin(order, outliers)),
    )
    return layer._replace(down=layer.down._replace(W=layer.down.W[order]))


def _pair_outliers(n_units: int, outliers: Ints) -> Ints:
    """An order of units with the outliers at every second place at the end, if there
    are enough other units.

    The weights were fitted to the limit for the pairs of rows 2k and 2k + 1, so no
    other pairs may arise. Pairs without an outlier stay together. All other units stand
    beside an outlier each, whose row of weights is zero.
    """
    if n_units % 2 or n_units < 2 * len(outliers):
        return numpy.arange(n_units)
    pairs = numpy.arange(n_units).reshape(-1, 2)
    is_outlier = numpy.isin(pairs, outliers)
    is_kept = ~is_outlier.any(axis=1)
    kept, others = pairs[is_kept], pairs[~is_kept][~is_outlier[~is_kept]]
    # For two outliers that were a pair, two units that were one are taken apart.
    n_apart = (len(outliers) - len(others)) // 2
    others = numpy.concatenate([others, kept[:n_apart].ravel()])
    beside = numpy.stack([others, outliers], axis=1)
    return numpy.concatenate([kept[n_apart:].ravel(), beside.ravel()])
