"""The bootstrap compared with all possible resamples."""

from itertools import product

import numpy
import pytest

from spacy_wnut.scoring.measures import prf_of_counts
from spacy_wnut.scoring.significance import compare_f1, f1_interval, mean_f1


def counts(*posts):
    """Post counts from one (right, predicted, gold) per post."""
    right, predicted, gold = (list(column) for column in zip(*posts, strict=True))
    return {"right": right, "predicted": predicted, "gold": gold}


GOOD = [
    counts((1, 1, 1), (0, 1, 2), (2, 2, 2), (0, 0, 0), (1, 2, 1)),
    counts((1, 2, 1), (1, 1, 2), (1, 2, 2), (0, 1, 0), (1, 1, 1)),
]
BAD = [counts((0, 1, 1), (1, 1, 2), (1, 2, 2), (0, 0, 0), (0, 2, 1))]


def f1_of(runs, drawn):
    """The mean F1 on some posts, by its definition."""
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
    """All samples of five posts from five. Each is equally likely."""
    return list(product(range(5), repeat=5))


def test_mean_f1_is_the_mean_over_trainings():
    assert mean_f1(GOOD) == pytest.approx(f1_of(GOOD, range(5)))
    # F1 = 2 * right / (predicted + gold), with 4 right in both trainings.
    assert mean_f1(GOOD) == pytest.approx((8 / 12 + 8 / 13) / 2)


def test_interval_covers_95_percent_of_all_samples():
    exact = numpy.sort([f1_of(GOOD, drawn) for drawn in all_samples()])
    low, high = f1_interval(GOOD)
    # Several samples may have the same F1, so each end has a range of shares.
    for end, share in ((low, 0.025), (high, 0.975)):
        below = numpy.searchsorted(exact, end - 1e-9) / len(exact)
        up_to = numpy.searchsorted(exact, end + 1e-9, side="right") / len(exact)
        assert below - 0.01 <= share <= up_to + 0.01


def test_p_is_the_share_of_all_samples_in_which_the_first_is_not_better():
    shares = [
        f1_of(GOOD, drawn) <= f1_of(BAD, drawn) + 1e-12 for drawn in all_samples()
    ]
    found = compare_f1(GOOD, BAD)
    assert 0.01 < numpy.mean(shares) < 0.2
    assert found.p == pytest.approx(numpy.mean(shares), abs=0.006)
    assert found.difference == pytest.approx(mean_f1(GOOD) - mean_f1(BAD))


def test_samples_are_paired():
    """One recipe is slightly better on a third of the posts. The intervals overlap,
    since posts differ much more, but the paired test is certain.
    """
    rng = numpy.random.default_rng(1)
    gold = rng.integers(1, 9, 300)
    right = rng.integers(0, gold)
    worse = counts(*zip(right.tolist(), gold.tolist(), gold.tolist(), strict=True))
    better = {**worse, "right": [n + (i % 3 == 0) for i, n in enumerate(right)]}
    assert f1_interval([better]).low < f1_interval([worse]).high
    assert compare_f1([better], [worse]).p == pytest.approx(1 / 10_001)
    assert compare_f1([worse], [better]).p == 1.0


def test_recipe_is_not_better_than_itself():
    assert compare_f1(GOOD, GOOD) == (0.0, 1.0)


def test_f1_without_entities_is_zero():
    nothing = [counts((0, 0, 0), (0, 0, 0))]
    assert f1_interval(nothing) == (0.0, 0.0)
    assert mean_f1(nothing) == 0.0


def test_results_are_deterministic():
    assert f1_interval(GOOD) == f1_interval(GOOD)
    assert compare_f1(GOOD, BAD) == compare_f1(GOOD, BAD)


def test_bad_input_is_rejected():
    other = [counts((0, 0, 1))]
    with pytest.raises(ValueError, match="not scored on the same posts"):
        compare_f1(GOOD, other)
    with pytest.raises(ValueError, match="not scored on the same posts"):
        f1_interval([*GOOD, *other])
    with pytest.raises(ValueError, match="at least one training"):
        compare_f1(GOOD, [])
    with pytest.raises(ValueError, match="no posts"):
        f1_interval([{"right": [], "predicted": [], "gold": []}])
