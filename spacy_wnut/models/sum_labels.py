"""Layer that converts the labels of another scheme to tags, by their probabilities."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy
from thinc.api import Model
from thinc.types import Floats2d

# Probability floor before the log, of a tag without labels, for example.
FLOOR = 1e-30


def sum_labels(labels_of_tags: Sequence[Sequence[int]]) -> Model[Floats2d, Floats2d]:
    """Create a layer that computes the log-probabilities of tags from the logits of
    labels. The probability of a tag is the sum of those of its labels.

    labels_of_tags (Sequence[Sequence[int]]): The indices of the labels of each tag. A
        label may belong to several tags, and a tag may have no label.
    RETURNS (Model[Floats2d, Floats2d]): The layer. Input: logits, shape (words, labels).
        Output: shape (words, tags).

    Raises ValueError if there are no labels.

    Example:
        >>> logits = numpy.log(numpy.asarray([[0.5, 0.25, 0.25]], dtype="f"))
        >>> numpy.exp(sum_labels([[0], [1, 2]]).predict(logits)).round(3).tolist()
        [[0.5, 0.5]]
    """
    n_labels = 1 + max(label for labels in labels_of_tags for label in labels)
    matrix = numpy.zeros((n_labels, len(labels_of_tags)), dtype="f")
    for tag, labels in enumerate(labels_of_tags):
        matrix[list(labels), tag] = 1
    return Model(
        "sum_labels",
        sum_labels_forward,
        dims={"nI": n_labels, "nO": len(labels_of_tags)},
        attrs={"matrix": matrix},
    )


def sum_labels_forward(
    model: Model[Floats2d, Floats2d], logits: Floats2d, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Floats2d]]:
    ops = model.ops
    matrix = ops.asarray2f(model.attrs["matrix"])  # (labels, tags)
    p = ops.softmax(logits)  # (words, labels)
    sums = p @ matrix  # (words, tags)
    is_above = sums > FLOOR
    sums = cast(Floats2d, ops.xp.maximum(sums, FLOOR))

    def backprop(d_tags: Floats2d) -> Floats2d:
        d_p = (d_tags * is_above / sums) @ matrix.T  # (words, labels)
        return cast(Floats2d, p * (d_p - (p * d_p).sum(axis=1, keepdims=True)))

    return cast(Floats2d, ops.xp.log(sums)), backprop
