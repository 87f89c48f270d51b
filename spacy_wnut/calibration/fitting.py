"""One number at a time: the temperature and the bias that fit best."""

import math
from collections.abc import Callable, Sequence

import numpy
from numpy.typing import ArrayLike

BIASES = tuple(step / 10 for step in range(-20, 41))
# Where the search for a temperature begins: 0.1 to 10, and 1 in the middle.
TEMPERATURES = numpy.geomspace(0.1, 10.0, 9)


def fit_temperature(
    confidences_at: Callable[[float], ArrayLike], right: ArrayLike
) -> float:
    """The temperature from 0.1 to 10 at which confidences fit best what is right.

    It minimises the binary log loss (Guo et al. 2017, section 4.2, with the exact
    probability of a span in the place of the softmax's): the best of a coarse grid,
    and from there a golden section (Kiefer 1953) on the logarithm, to 0.1 percent.

    confidences_at (Callable[[float], ArrayLike]): The confidences of n entities at
        a temperature, shape (n,), from 0 to 1.
    right (ArrayLike): Whether each is right, shape (n,).
    RETURNS (float): The temperature. It is 1 where all are right or all wrong, or
        there are none: the loss has no minimum then.
    """
    is_right = numpy.asarray(right, dtype=bool)
    if is_right.all() or not is_right.any():
        return 1.0

    def loss(log_temperature: float) -> float:
        # The bounds keep one entity that is wrong for certain from deciding alone.
        probs = numpy.clip(confidences_at(math.exp(log_temperature)), 1e-12, 1 - 1e-12)
        return -float(numpy.log(numpy.where(is_right, probs, 1 - probs)).mean())

    grid = numpy.log(TEMPERATURES).tolist()
    best = min(range(len(grid)), key=lambda i: loss(grid[i]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    # No more digits than the search has found.
    return round(math.exp(_golden_section(loss, low, high, tolerance=1e-3)), 4)


def tune_bias(
    f1_at: Callable[[float], float], biases: Sequence[float] = BIASES
) -> float:
    """The bias with the highest F1; of several the one closest to 0.

    f1_at (Callable[[float], float]): The F1 of the entities found with a bias.
    biases (Sequence[float]): The values to try, in nats: -2 to 4 in steps of 0.1.
    RETURNS (float): The best of them.
    """
    scores = [f1_at(bias) for bias in biases]
    highest = max(scores) - 1e-9
    return min(
        (b for b, score in zip(biases, scores, strict=True) if score >= highest),
        key=abs,
    )


def _golden_section(
    loss: Callable[[float], float], low: float, high: float, tolerance: float
) -> float:
    """Where a function with one minimum between low and high has it."""
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
