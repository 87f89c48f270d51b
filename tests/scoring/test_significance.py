"""The bootstrap, against all resamples that there are."""

from itertools import product

import numpy
import pytest

from spacy_wnut.scoring.measures import prf_of_counts
from spacy_wnut.scoring.significance import compare_f1, f1_interval, mean_f1


def counts(*posts):
    """Right, predicted and gold of each post."""
    right, predicted, gold = (list(column) for column in zip(*posts, strict=True))
    return {"right": right, "predicted": predicted, "gold": gold}


GOOD = [
    counts((1, 1, 1), (0, 1, 2), (2, 2, 2), (0, 0, 0), (1, 2, 1)),
    counts((1, 2, 1), (1, 1, 2), (1, 2, 2), (0, 1, 0), (1, 1, 1)),
]
BAD = [counts((0, 1, 1), (1, 1, 2), (1, 2, 2), (0, 0, 0), (0, 2, 1))]


def f1_of(runs, drawn):
    """The mean F1 on some posts, by the definition."""
    return numpy.mean(
        [
            prf_of_counts(
                *(
                    sum(run[key][post] for post in drawn)
                    for key in ("right", "predicted", "gold")
                )
            )["f1"]
            for run in runs
        ]
    )


def all_samples():
    """Every way to draw five posts from five, each as likely as the others."""
    return list(product(range(5), repeat=5))


def test_mean_f1():
    assert mean_f1(GOOD) == pytest.approx(f1_of(GOOD, range(5)))
    # 8 of 6 + 6, and of 7 + 6.
    assert mean_f1(GOOD) == pytest.approx((8 / 12 + 8 / 13) / 2)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_interval_is_that_of_all_samples(level):
    exact = numpy.sort([f1_of(GOOD, drawn) for drawn in all_samples()])
    low, high = f1_interval(GOOD, level, resamples=20_000)
    # As a share of all samples: an F1 may come more than once.
    for end, share in ((low, (1 - level) / 2), (high, (1 + level) / 2)):
        below = numpy.searchsorted(exact, end - 1e-9) / len(exact)
        up_to = numpy.searchsorted(exact, end + 1e-9, side="right") / len(exact)
        assert below - 0.01 <= share <= up_to + 0.01


def test_p_is_the_share_of_all_samples_in_which_it_is_not_better():
    shares = [
        f1_of(GOOD, drawn) <= f1_of(BAD, drawn) + 1e-12 for drawn in all_samples()
    ]
    found = compare_f1(GOOD, BAD, resamples=20_000)
    assert 0.01 < numpy.mean(shares) < 0.2
    assert found.p == pytest.approx(numpy.mean(shares), abs=0.006)
    assert found.difference == pytest.approx(mean_f1(GOOD) - mean_f1(BAD))


def test_samples_are_paired():
    """One is better by a little on each post, far less than posts differ."""
    rng = numpy.random.default_rng(1)
    gold = rng.integers(1, 9, 300)
    right = rng.integers(0, gold)
    worse = counts(*zip(right.tolist(), gold.tolist(), gold.tolist(), strict=True))
    better = {**worse, "right": [n + (i % 3 == 0) for i, n in enumerate(right)]}
    assert f1_interval([better]).low < f1_interval([worse]).high
    assert compare_f1([better], [worse]).p == pytest.approx(1 / 10_001)
    assert compare_f1([worse], [better]).p == 1.0


def test_nothing_is_no_better_than_itself():
    assert compare_f1(GOOD, GOOD) == (0.0, 1.0)


def test_no_entities_at_all():
    nothing = [counts((0, 0, 0), (0, 0, 0))]
    assert f1_interval(nothing) == (0.0, 0.0)
    assert mean_f1(nothing) == 0.0


def test_same_figures_every_time():
    assert f1_interval(GOOD) == f1_interval(GOOD)
    assert compare_f1(GOOD, BAD) == compare_f1(GOOD, BAD)


def test_what_cannot_be_compared():
    other = [counts((0, 0, 1))]
    with pytest.raises(ValueError, match="not scored on the same posts"):
        compare_f1(GOOD, other)
    with pytest.raises(ValueError, match="not scored on the same posts"):
        f1_interval([*GOOD, *other])
    with pytest.raises(ValueError, match="at least one training"):
        compare_f1(GOOD, [])
    with pytest.raises(ValueError, match="no posts"):
        f1_interval([{"right": [], "predicted": [], "gold": []}])
