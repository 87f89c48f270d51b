import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.calibration.fitting import BIASES, fit_temperature, tune_bias


def sigmoid(logits):
    return 1 / (1 + numpy.exp(-logits))


def sample(temperature, n=20_000, seed=0):
    """Logits, and right or wrong as the confidences at a temperature say."""
    rng = numpy.random.default_rng(seed)
    logits = rng.normal(1.0, 3.0, size=n)
    return logits, rng.random(n) < sigmoid(logits / temperature)


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.0, 1.5, 3.0, 7.0])
def test_finds_the_temperature_that_made_the_data(temperature):
    logits, right = sample(temperature)
    fitted = fit_temperature(lambda t: sigmoid(logits / t), right)
    assert fitted == pytest.approx(temperature, rel=0.05)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.1, 10), st.integers(3, 50), st.integers(0, 1000))
def test_loss_is_that_of_the_best_of_a_fine_grid(temperature, n, seed):
    logits, right = sample(temperature, n, seed)

    def loss(t):
        probs = numpy.clip(sigmoid(logits / t), 1e-12, 1 - 1e-12)
        return -(right * numpy.log(probs) + ~right * numpy.log(1 - probs)).mean()

    fitted = fit_temperature(lambda t: sigmoid(logits / t), right)
    assert 0.0999 < fitted < 10.001
    if 0 < right.sum() < n:
        best = min(map(loss, numpy.geomspace(0.1, 10, 500)))
        assert loss(fitted) <= best + 1e-4


@pytest.mark.parametrize("right", [[], [True] * 3, [False] * 3])
def test_is_one_where_the_loss_has_no_minimum(right):
    confidences = numpy.full(len(right), 0.7)
    assert fit_temperature(lambda t: confidences, right) == 1.0


def test_survives_certainty_that_is_wrong():
    fitted = fit_temperature(lambda t: numpy.asarray([1.0, 1.0, 0.0]), [True, False, 1])
    assert math.isfinite(fitted) and fitted > 0


def test_bias_with_the_highest_f1():
    tried = []

    def f1_at(bias):
        tried.append(bias)
        return 1 - abs(bias - 1.3)

    assert tune_bias(f1_at) == 1.3
    assert tried == list(BIASES)
    assert (min(BIASES), max(BIASES), len(BIASES)) == (-2.0, 4.0, 61)


@pytest.mark.parametrize(
    "flat, expected",
    [((0.5, 2.0), 0.5), ((-2.0, -0.7), -0.7), ((-1.0, 1.0), 0.0), ((-2, 4), 0.0)],
)
def test_of_several_biases_the_one_closest_to_zero(flat, expected):
    assert tune_bias(lambda bias: float(flat[0] <= bias <= flat[1])) == expected


def test_biases_to_try_can_be_given():
    assert tune_bias(lambda bias: bias, [-7.0, 9.0, 8.0]) == 9.0
