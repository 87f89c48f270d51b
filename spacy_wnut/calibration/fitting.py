"""One-dimensional searches for the best temperature and the best bias."""

import math
from collections.abc import Callable

import numpy
from numpy.typing import ArrayLike

# Nats: -2 to 4 in steps of 0.1.
BIASES = tuple(step / 10 for step in range(-20, 41))
# Coarse grid of the temperature search: 0.1 to 10, with 1 in the middle.
TEMPERATURES = numpy.geomspace(0.1, 10.0, 9)


def fit_temperature(
    confidences_at: Callable[[float], ArrayLike], right: ArrayLike
) -> float:
    """Find the temperature between 0.1 and 10 with the lowest binary log loss.

    With c_i(T) the confidence of entity i and y_i = 1 if it is right, the loss is

        -mean over i of [y_i log c_i(T) + (1 - y_i) log(1 - c_i(T))]

    This is temperature scaling (Guo et al. 2017, section 4.2) with the exact
    probability of a span in place of the softmax. The search starts with the best
    temperature of a coarse grid, and refines it with a golden-section search (Kiefer
    1953) on log T to 0.1 percent.

    confidences_at (Callable[[float], ArrayLike]): Returns the confidences of n entities
        at a temperature: fractions between 0 and 1. Shape (n,).
    right (ArrayLike): Whether each entity is right. Shape (n,).
    RETURNS (float): The temperature. It is 1 if all entities are right, if all are
        wrong, or if n is 0, because the loss has no minimum then.

    Example:
        Confidences of about 0.95, of which only three quarters are right, are too high.

        >>> import numpy
        >>> from spacy_wnut.calibration.fitting import fit_temperature
        >>> logits = numpy.asarray([3.0, 3.0, 3.0, 3.0])
        >>> right = [True, True, True, False]
        >>> fitted = fit_temperature(lambda t: 1 / (1 + numpy.exp(-logits / t)), right)
        >>> round(fitted, 2)  # 3 / log(3), where the confidence is 0.75
        2.73
    """
    is_right = numpy.asarray(right, dtype=bool)
    if is_right.all() or not is_right.any():
        return 1.0

    def loss(log_temperature: float) -> float:
        # Clipped, so that one wrong entity with confidence 1 does not make the loss
        # infinite and determine the temperature alone.
        probs = numpy.clip(confidences_at(math.exp(log_temperature)), 1e-12, 1 - 1e-12)
        return -float(numpy.log(numpy.where(is_right, probs, 1 - probs)).mean())

    grid = numpy.log(TEMPERATURES).tolist()
    best = min(range(len(grid)), key=lambda i: loss(grid[i]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    # Rounded to the accuracy of the search.
    return round(math.exp(_golden_section(loss, low, high, tolerance=1e-3)), 4)


def tune_bias(f1_at: Callable[[float], float]) -> float:
    """Find the bias between -2 and 4 with the highest F1, in steps of 0.1.

    f1_at (Callable[[float], float]): Returns the F1 of the entities that are found with
        a bias (in nats, the unit of the emissions).
    RETURNS (float): The bias. If several biases tie, the one closest to 0.

    Example:
        >>> from spacy_wnut.calibration.fitting import tune_bias
        >>> tune_bias(lambda bias: 0.6 if 0.5 <= bias <= 1.5 else 0.4)
        0.5
    """
    scores = [f1_at(bias) for bias in BIASES]
    highest = max(scores) - 1e-9
    return min(
        (b for b, score in zip(BIASES, scores, strict=True) if score >= highest),
        key=abs,
    )


def _golden_section(
    loss: Callable[[float], float], low: float, high: float, tolerance: float
) -> float:
    """Find the minimum of a function that has only one between `low` and `high`."""
    share = (math.sqrt(5) - 1) / 2
    left, right = high - share * (high - low), low + share * (high - low)
    left_loss, right_loss = loss(left), loss(right)
    while high - low > tolerance:
        if left_loss <= right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - share * (high - low)
            left_loss = loss(left)
        else:
            low, left, left_loss = left, right, right_loss
            right = low + share * (high - low)
            right_loss = loss(right)
    return (low + high) / 2
