"""How far a figure is to be trusted: bootstrap over posts.

The test split is a sample of posts, and another sample would have given other
scores. The bootstrap (Efron and Tibshirani 1993) draws many samples of the same size
from the posts at hand, with replacement, and looks at how the scores vary. A post is
drawn as a whole, for entities of one post are not independent, and all trainings of a
recipe are scored on the same draw.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from .measures import Counts

RESAMPLES = 10_000
# Draws that are held in memory at once.
CHUNK = 500

Floats = NDArray[numpy.float64]


class Interval(NamedTuple):
    """An interval that holds a figure in so many of 100 samples."""

    low: float
    high: float


class Comparison(NamedTuple):
    """How much higher the mean F1 of one recipe is than another's, and the share of
    samples in which it is not higher: the one-sided p.
    """

    difference: float
    p: float


def f1_interval(
    runs: Sequence[Counts], level: float = 0.95, resamples: int = RESAMPLES
) -> Interval:
    """The bootstrap interval of the mean entity F1 of a recipe's trainings.

    The percentile interval (Efron and Tibshirani 1993, chapter 13): it says how the
    figure depends on the posts. How it depends on the seed is the standard deviation
    over the trainings, which is no part of it.

    runs (Sequence[Counts]): Of each training, on the same posts.
    level (float): The share of samples to cover.
    resamples (int): How many samples to draw. The same ones every time.
    RETURNS (Interval): Fractions.

    Raises ValueError if there are no trainings or no posts, or the trainings were
    not scored on the same posts.
    """
    means = numpy.concatenate([_mean_f1(d) for [d] in _draw([runs], resamples)])
    tail = (1 - level) / 2
    low, high = numpy.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def compare_f1(
    runs: Sequence[Counts], others: Sequence[Counts], resamples: int = RESAMPLES
) -> Comparison:
    """The paired bootstrap test of the mean entity F1 of two recipes' trainings.

    Both are scored on the same samples of posts, and p is the share of them in
    which the first is not better than the second (Koehn 2004, section 4.2; how it
    relates to other tests: Berg-Kirkpatrick, Burkett and Klein 2012). The sample at
    hand counts as one against, so p is never 0 (Davison and Hinkley 1997, section
    4.2).

    runs (Sequence[Counts]): Of each training of the recipe that should be better.
    others (Sequence[Counts]): Of each training of the other, on the same posts.
    resamples (int): How many samples to draw. The same ones every time.
    RETURNS (Comparison): The difference as a fraction, and p.

    Raises ValueError as `f1_interval` does.
    """
    worse = sum(
        int((_mean_f1(ours) <= _mean_f1(theirs)).sum())
        for ours, theirs in _draw([runs, others], resamples)
    )
    difference = mean_f1(runs) - mean_f1(others)
    return Comparison(difference, (1 + worse) / (1 + resamples))


def mean_f1(runs: Sequence[Counts]) -> float:
    """The entity F1 on all posts, in the mean of a recipe's trainings."""
    [counts] = _stack([runs])
    return float(_mean_f1(counts.sum(axis=0, keepdims=True))[0])


def _draw(
    recipes: Sequence[Sequence[Counts]], resamples: int
) -> Iterator[list[Floats]]:
    """For samples of posts, a chunk at a time, each recipe's counts: a row a sample,
    and in it right, predicted and gold of each training.
    """
    stacked = _stack(recipes)
    n_posts = len(stacked[0])
    rng = numpy.random.default_rng(0)
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        # How often each post is drawn.
        times = rng.multinomial(n_posts, numpy.full(n_posts, 1 / n_posts), size)
        weights = times.astype(numpy.float64)
        yield [
            (weights @ counts.reshape(n_posts, -1)).reshape(size, -1, 3)
            for counts in stacked
        ]


def _stack(recipes: Sequence[Sequence[Counts]]) -> list[Floats]:
    """Each recipe's counts as an array of posts, trainings, and right, predicted
    and gold.
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
    """The F1 of each row, in the mean over the trainings; 0 where it is undefined."""
    right, predicted, gold = numpy.moveaxis(counts, -1, 0)
    total = predicted + gold
    f1 = 2 * right / numpy.maximum(total, 1)
    return numpy.asarray(f1.mean(axis=1), dtype=numpy.float64)
