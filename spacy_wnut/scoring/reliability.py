"""Whether confidences are what they say: measures on predicted entities.

An entity is right if a gold entity has its exact span and type. Among entities with
a confidence of 0.8, 80 percent should be right: then the confidence is calibrated.
"""

from collections.abc import Iterable
from typing import TypedDict

import numpy
from numpy.typing import ArrayLike, NDArray

from .measures import PRF, prf_of_counts


class Bin(TypedDict):
    """Entities of similar confidence: the mean confidence, the share that is right,
    and how many they are. Fractions.
    """

    confidence: float
    right: float
    count: int


class ThresholdScores(PRF):
    """PRF of the entities with a confidence of at least `threshold`."""

    threshold: float


def reliability_table(
    confidences: ArrayLike, right: ArrayLike, bins: int = 10
) -> list[Bin]:
    """The reliability diagram's bins, from the least confident to the most.

    All bins hold equally many entities, or one more: of equal width, most of them
    would hold next to none. Entities of equal confidence each count as right by the
    share of them that is right, so that their order makes no difference.

    confidences (ArrayLike): Of the predicted entities, shape (n,), from 0 to 1.
    right (ArrayLike): Whether each is right, shape (n,).
    bins (int): How many bins. There are never more than entities.
    RETURNS (List[Bin]): The bins that hold entities.

    Raises ValueError if the shapes differ, a confidence is not from 0 to 1, or
    there is less than one bin.
    """
    confidence, is_right = _checked(confidences, right)
    if bins < 1:
        raise ValueError(f"there has to be at least one bin, got {bins}")
    order = numpy.argsort(confidence)
    _, tie, counts = numpy.unique(confidence, return_inverse=True, return_counts=True)
    shares = (numpy.bincount(tie, weights=is_right) / counts)[tie]
    return [
        {
            "confidence": float(confidence[rows].mean()),
            "right": float(shares[rows].mean()),
            "count": len(rows),
        }
        for rows in numpy.array_split(order, bins)
        if len(rows)
    ]


def expected_calibration_error(
    confidences: ArrayLike, right: ArrayLike, bins: int = 10
) -> float:
    """The mean distance between confidence and the share that is right (ECE).

    Guo et al. 2017, equation 3, over bins of equal mass (Nguyen and O'Connor 2015):
    the distance of each bin of `reliability_table`, weighed by its entities.

    confidences (ArrayLike): Of the predicted entities, shape (n,), from 0 to 1.
    right (ArrayLike): Whether each is right, shape (n,).
    bins (int): How many bins.
    RETURNS (float): From 0 to 1, and 0 if there are no entities.

    Raises ValueError as `reliability_table` does.
    """
    table = reliability_table(confidences, right, bins)
    total = sum(row["count"] for row in table)
    distances = (row["count"] * abs(row["confidence"] - row["right"]) for row in table)
    return sum(distances) / total if total else 0.0


def threshold_curve(
    confidences: ArrayLike, right: ArrayLike, gold: int, thresholds: Iterable[float]
) -> list[ThresholdScores]:
    """Precision, recall and F1 along the threshold.

    confidences (ArrayLike): Of the predicted entities, shape (n,), from 0 to 1.
    right (ArrayLike): Whether each is right, shape (n,).
    gold (int): How many entities there are to find.
    thresholds (Iterable[float]): Entities with a lower confidence are left out.
    RETURNS (List[ThresholdScores]): Fractions, one for each threshold.

    Raises ValueError if the shapes differ or a confidence is not from 0 to 1.
    """
    confidence, is_right = _checked(confidences, right)

    curve: list[ThresholdScores] = []
    for threshold in thresholds:
        kept = confidence >= threshold
        prf = prf_of_counts(int(is_right[kept].sum()), int(kept.sum()), gold)
        curve.append({"threshold": float(threshold), **prf})
    return curve


def _checked(
    confidences: ArrayLike, right: ArrayLike
) -> tuple[NDArray[numpy.float64], NDArray[numpy.bool_]]:
    confidence = numpy.asarray(confidences, dtype=numpy.float64)
    is_right = numpy.asarray(right, dtype=bool)
    if confidence.ndim != 1 or confidence.shape != is_right.shape:
        raise ValueError(
            "each confidence needs one right or wrong: got shapes "
            f"{confidence.shape} and {is_right.shape}"
        )
    outside = ~((confidence >= 0) & (confidence <= 1))
    if outside.any():
        raise ValueError(
            f"a confidence has to be from 0 to 1, got {confidence[outside][0]}"
        )
    return confidence, is_right
