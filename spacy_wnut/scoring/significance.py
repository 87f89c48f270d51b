"""Confidence intervals and significance tests for F1: the bootstrap over posts.

The test split is a sample of posts; another sample would have given other scores. The
bootstrap (Efron and Tibshirani 1993) draws many samples of the same size from the given
posts, with replacement, and measures how the scores vary. It draws whole posts, because
the entities of one post are not independent, and it scores all trainings of a recipe on
the same samples.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from .measures import PostCounts

# The share of samples that an interval covers.
LEVEL = 0.95
RESAMPLES = 10_000
# Samples that are held in memory at once.
CHUNK = 500

Floats = NDArray[numpy.float64]


class Interval(NamedTuple):
    """An interval of scores.

    low (float): The lower end, a fraction between 0 and 1.
    high (float): The upper end.
    """

    low: float
    high: float


class Comparison(NamedTuple):
    """The result of a paired bootstrap test.

    difference (float): The mean F1 of the first recipe minus that of the second, a
        fraction between -1 and 1.
    p (float): The one-sided p-value: the share of samples in which the first recipe
        is not better.
    """

    difference: float
    p: float


def f1_interval(runs: Sequence[PostCounts]) -> Interval:
    """Compute the 95 percent bootstrap interval of a recipe's mean entity F1.

    This is the percentile interval (Efron and Tibshirani 1993, chapter 13) over 10,000
    samples. It shows how the mean depends on the posts. The spread over seeds is not
    part of it: that is the standard deviation over the trainings.

    runs (Sequence[PostCounts]): The counts of each training, on the same posts.
    RETURNS (Interval): The interval. The samples are the same in every call.

    Raises ValueError if there are no trainings or no posts, or if the trainings were
    scored on different posts.

    Example:
        >>> from spacy_wnut.scoring.significance import f1_interval
        >>> f1_interval([{"right": [1, 0], "predicted": [1, 1], "gold": [1, 1]}])
        Interval(low=0.0, high=1.0)
    """
    means = numpy.concatenate([_mean_f1(d) for [d] in _draw([runs])])
    tail = (1 - LEVEL) / 2
    low, high = numpy.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def compare_f1(runs: Sequence[PostCounts], others: Sequence[PostCounts]) -> Comparison:
    """Test whether the mean entity F1 of one recipe is higher than that of another.

    This is the paired bootstrap test (Koehn 2004, section 4.2; Berg-Kirkpatrick,
    Burkett and Klein 2012 compare it with other tests). Both recipes are scored on the
    same 10,000 samples of posts. With b the number of samples in which the first one is
    not better, p = (1 + b) / (1 + 10,000). The given posts count as one more sample
    against it, so p is never 0 (Davison and Hinkley 1997, section 4.2).

    runs (Sequence[PostCounts]): The counts of each training of the recipe that is
        expected to be better.
    others (Sequence[PostCounts]): The counts of each training of the other recipe, on
        the same posts.
    RETURNS (Comparison): The difference and p. The samples are the same in every call.

    Raises ValueError if a recipe has no trainings, if there are no posts, or if the
    trainings were scored on different posts.

    Example:
        >>> from spacy_wnut.scoring.significance import compare_f1
        >>> better = {"right": [1, 1], "predicted": [1, 1], "gold": [1, 1]}
        >>> worse = {"right": [0, 1], "predicted": [1, 1], "gold": [1, 1]}
        >>> difference, p = compare_f1([better], [worse])
        >>> difference, round(p, 2)  # one sample in four lacks the first post
        (0.5, 0.25)
    """
    worse = sum(
        int((_mean_f1(ours) <= _mean_f1(theirs)).sum())
        for ours, theirs in _draw([runs, others])
    )
    difference = mean_f1(runs) - mean_f1(others)
    return Comparison(difference, (1 + worse) / (1 + RESAMPLES))


def mean_f1(runs: Sequence[PostCounts]) -> float:
    """Compute the entity F1 on all posts, averaged over a recipe's trainings.

    runs (Sequence[PostCounts]): The counts of each training, on the same posts.
    RETURNS (float): The mean, a fraction between 0 and 1.

    Raises ValueError if there are no trainings or no posts, or if the trainings were
    scored on different posts.

    Example:
        >>> from spacy_wnut.scoring.significance import mean_f1
        >>> first = {"right": [1, 0], "predicted": [1, 1], "gold": [1, 1]}
        >>> second = {"right": [1, 1], "predicted": [1, 1], "gold": [1, 1]}
        >>> mean_f1([first, second])
        0.75
    """
    [counts] = _stack([runs])
    return float(_mean_f1(counts.sum(axis=0, keepdims=True))[0])


def _draw(recipes: Sequence[Sequence[PostCounts]]) -> Iterator[list[Floats]]:
    """Yield the counts of each recipe on samples of posts, one chunk of samples at a
    time. Shape of each: (n_samples, n_trainings, 3).
    """
    stacked = _stack(recipes)
    n_posts = len(stacked[0])
    rng = numpy.random.default_rng(0)
    for start in range(0, RESAMPLES, CHUNK):
        size = min(CHUNK, RESAMPLES - start)
        # How often each sample contains each post. Shape (size, n_posts).
        times = rng.multinomial(n_posts, numpy.full(n_posts, 1 / n_posts), size)
        weights = times.astype(numpy.float64)
        yield [
            (weights @ counts.reshape(n_posts, -1)).reshape(size, -1, 3)
            for counts in stacked
        ]


def _stack(recipes: Sequence[Sequence[PostCounts]]) -> list[Floats]:
    """Stack the counts of each recipe: right, predicted and gold on the last axis.
    Shape of each: (n_posts, n_trainings, 3).
    """
    if not all(recipes):
        raise ValueError("there has to be at least one training of each recipe")
    gold = recipes[0][0]["gold"]
    if not gold:
        raise ValueError("there are no posts to draw from")
    if any(run["gold"] != gold for runs in recipes for run in runs):
        raise ValueError(
            "the trainings were not scored on the same posts: their numbers of gold "
            "entities differ. Score all of them on one corpus"
        )
    return [
        numpy.asarray(
            [[run["right"], run["predicted"], run["gold"]] for run in runs],
            dtype=numpy.float64,
        ).transpose(2, 0, 1)
        for runs in recipes
    ]


def _mean_f1(counts: Floats) -> Floats:
    """Average the F1 of each row over the trainings. An undefined F1 counts as 0.
    Shape (n, n_trainings, 3) -> (n,).
    """
    right, predicted, gold = numpy.moveaxis(counts, -1, 0)
    total = predicted + gold
    f1 = 2 * right / numpy.maximum(total, 1)
    return numpy.asarray(f1.mean(axis=1), dtype=numpy.float64)
