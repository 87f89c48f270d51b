import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.scoring.reliability import (
    expected_calibration_error,
    reliability_table,
    threshold_curve,
)

# Multiples of 1/64, so that there are ties and sums are exact.
entity = st.tuples(st.integers(0, 64).map(lambda n: n / 64), st.booleans())
entities = st.lists(entity, max_size=40)


def columns(drawn):
    return [c for c, _ in drawn], [r for _, r in drawn]


def slow_bins(drawn):
    """Bins by the definition: sort, replace each outcome by the share of its ties that
    is right, and cut.
    """
    rows = []
    for confidence, _ in sorted(drawn):
        ties = [right for other, right in drawn if other == confidence]
        rows.append((confidence, sum(ties) / len(ties)))
    for i in range(10):
        # The first bins hold one entity more.
        size = len(drawn) // 10 + (i < len(drawn) % 10)
        if size:
            yield rows[:size]
        rows = rows[size:]


@given(entities)
def test_table_equals_brute_force(drawn):
    table = reliability_table(*columns(drawn))
    expected = list(slow_bins(drawn))
    assert [row["count"] for row in table] == [len(rows) for rows in expected]
    for row, rows in zip(table, expected, strict=True):
        assert row["confidence"] == pytest.approx(sum(c for c, _ in rows) / len(rows))
        assert row["right"] == pytest.approx(sum(r for _, r in rows) / len(rows))


@given(entities)
def test_error_equals_brute_force(drawn):
    total = 0.0
    for rows in slow_bins(drawn):
        total += abs(sum(c for c, _ in rows) - sum(r for _, r in rows))
    error = expected_calibration_error(*columns(drawn))
    assert error == pytest.approx(total / len(drawn) if drawn else 0.0)


@given(entities, st.randoms(use_true_random=False))
def test_order_of_entities_makes_no_difference(drawn, random):
    before = expected_calibration_error(*columns(drawn))
    random.shuffle(drawn)
    assert expected_calibration_error(*columns(drawn)) == pytest.approx(before)


@pytest.mark.parametrize(
    "confidences, right, error",
    [
        ([1.0] * 7 + [0.0] * 3, [True] * 7 + [False] * 3, 0.0),
        ([1.0] * 7 + [0.0] * 3, [False] * 7 + [True] * 3, 1.0),
        # Ties: a quarter is right, in any order.
        ([0.25] * 40, [True] * 10 + [False] * 30, 0.0),
        ([0.75] * 40, [True] * 10 + [False] * 30, 0.5),
        ([], [], 0.0),
        ([0.9], [True], 0.1),
    ],
)
def test_known_calibration_errors(confidences, right, error):
    assert expected_calibration_error(confidences, right) == pytest.approx(error)


def test_error_of_calibrated_confidences_shrinks_with_more_entities():
    rng = numpy.random.default_rng(0)
    errors = []
    for n in (100, 10_000, 1_000_000):
        confidences = rng.random(n)
        errors.append(
            expected_calibration_error(confidences, rng.random(n) < confidences)
        )
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.002
    # Entities are right with probability c squared: E[c - c**2] = 1/2 - 1/3.
    assert expected_calibration_error(
        confidences, rng.random(n) < confidences**2
    ) == pytest.approx(1 / 6, abs=0.002)


@given(entities, st.integers(0, 20), st.lists(st.integers(0, 64), max_size=5))
def test_threshold_curve_equals_brute_force(drawn, missed, thresholds):
    gold = sum(right for _, right in drawn) + missed
    curve = threshold_curve(*columns(drawn), gold, [n / 64 for n in thresholds])
    assert [row["threshold"] for row in curve] == [n / 64 for n in thresholds]
    for row in curve:
        kept = [right for c, right in drawn if c >= row["threshold"]]
        precision = sum(kept) / len(kept) if kept else 0.0
        recall = sum(kept) / gold if gold else 0.0
        assert (row["precision"], row["recall"]) == (precision, recall)
        both = precision + recall
        assert row["f1"] == pytest.approx(2 * precision * recall / both if both else 0)


@pytest.mark.parametrize(
    "confidences, right, message",
    [
        ([0.5], [True, False], r"got shapes \(1,\) and \(2,\)"),
        ([[0.5]], [[True]], r"got shapes \(1, 1\) and \(1, 1\)"),
        ([0.5, 1.5], [True, False], r"from 0 to 1, got 1\.5"),
        ([float("nan")], [True], "from 0 to 1, got nan"),
    ],
)
def test_bad_input_is_rejected(confidences, right, message):
    for measure in (
        expected_calibration_error,
        lambda c, r: threshold_curve(c, r, 1, [0.5]),
    ):
        with pytest.raises(ValueError, match=message):
            measure(confidences, right)
