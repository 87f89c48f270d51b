"""Reliability of confidences: calibration error and threshold curves.

An entity is right if a gold entity has its exact span and type. Confidences are
calibrated if, among the entities with a confidence of 0.8, 80 percent are right.
"""

from collections.abc import Iterable
from typing import TypedDict

import numpy
from numpy.typing import ArrayLike, NDArray

from .measures import PRF, prf_of_counts

N_BINS = 10
# Thresholds of the curves in reports and calibrations: 0, 0.01, ..., 1.
THRESHOLDS = tuple(step / 100 for step in range(101))


class Bin(TypedDict):
    """A bin of the reliability diagram: entities of similar confidence.

    confidence (float): Their mean confidence, a fraction between 0 and 1.
    right (float): The share of them that is right, a fraction between 0 and 1.
    count (int): The number of entities.
    """

    confidence: float
    right: float
    count: int


class ThresholdScores(PRF):
    """PRF of the entities whose confidence is at least `threshold`."""

    threshold: float


def reliability_table(confidences: ArrayLike, right: ArrayLike) -> list[Bin]:
    """Compute the bins of the reliability diagram, least confident first.

    There are 10 bins of equal mass: their sizes differ by one entity at most. With bins
    of equal width, most bins would be nearly empty. Entities that tie in confidence
    each count as right by the share of them that is right, so the order of the input
    makes no difference.

    confidences (ArrayLike): The confidence of each predicted entity, a fraction between
        0 and 1. Shape (n,).
    right (ArrayLike): Whether each predicted entity is right. Shape (n,).
    RETURNS (List[Bin]): The bins that contain entities: min(n, 10).

    Raises ValueError if the shapes differ or a confidence is not between 0 and 1.

    Example:
        >>> from spacy_wnut.scoring.reliability import reliability_table
        >>> for row in reliability_table([0.9, 0.25, 0.9], [True, False, False]):
        ...     print(row)
        {'confidence': 0.25, 'right': 0.0, 'count': 1}
        {'confidence': 0.9, 'right': 0.5, 'count': 1}
        {'confidence': 0.9, 'right': 0.5, 'count': 1}
    """
    confidence, is_right = _checked(confidences, right)
    order = numpy.argsort(confidence)
    _, tie, counts = numpy.unique(confidence, return_inverse=True, return_counts=True)
    shares = (numpy.bincount(tie, weights=is_right) / counts)[tie]
    return [
        {
            "confidence": float(confidence[rows].mean()),
            "right": float(shares[rows].mean()),
            "count": len(rows),
        }
        for rows in numpy.array_split(order, N_BINS)
        if len(rows)
    ]


def expected_calibration_error(confidences: ArrayLike, right: ArrayLike) -> float:
    """Compute the expected calibration error (ECE).

    With bins B_m of n entities, acc the share that is right and conf the mean
    confidence (Guo et al. 2017, equation 3):

        ECE = sum over m of |B_m| / n * |acc(B_m) - conf(B_m)|

    The bins are those of `reliability_table`, of equal mass (Nguyen and O'Connor 2015)
    and not of equal width as in Guo et al.

    confidences (ArrayLike): The confidence of each predicted entity, a fraction between
        0 and 1. Shape (n,).
    right (ArrayLike): Whether each predicted entity is right. Shape (n,).
    RETURNS (float): The error, a fraction between 0 and 1. It is 0 if n is 0.

    Raises ValueError if the shapes differ or a confidence is not between 0 and 1.

    Example:
        >>> from spacy_wnut.scoring.reliability import expected_calibration_error
        >>> expected_calibration_error([0.75, 0.75, 0.75, 0.75], [1, 1, 1, 0])
        0.0
        >>> expected_calibration_error([0.75, 0.5], [True, False])
        0.375
    """
    table = reliability_table(confidences, right)
    total = sum(row["count"] for row in table)
    distances = (row["count"] * abs(row["confidence"] - row["right"]) for row in table)
    return sum(distances) / total if total else 0.0


def threshold_curve(
    confidences: ArrayLike, right: ArrayLike, gold: int, thresholds: Iterable[float]
) -> list[ThresholdScores]:
    """Compute precision, recall and F1 at each of several thresholds.

    confidences (ArrayLike): The confidence of each predicted entity, a fraction between
        0 and 1. Shape (n,).
    right (ArrayLike): Whether each predicted entity is right. Shape (n,).
    gold (int): The number of gold entities.
    thresholds (Iterable[float]): The thresholds. An entity counts as predicted if its
        confidence is at least the threshold.
    RETURNS (List[ThresholdScores]): One row per threshold.

    Raises ValueError if the shapes differ or a confidence is not between 0 and 1.

    Example:
        >>> from spacy_wnut.scoring.reliability import threshold_curve
        >>> for row in threshold_curve([0.9, 0.4], [True, False], 2, [0, 0.5]):
        ...     print(row)
        {'threshold': 0.0, 'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
        {'threshold': 0.5, 'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666}
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
            "each confidence needs one value of right: got shapes "
            f"{confidence.shape} and {is_right.shape}"
        )
    outside = ~((confidence >= 0) & (confidence <= 1))
    if outside.any():
        raise ValueError(
            f"a confidence has to be from 0 to 1, got {confidence[outside][0]}"
        )
    return confidence, is_right
