import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.calibration.fitting import BIASES, fit_temperature, tune_bias


def sigmoid(logits):
    # Without overflow for very negative logits.
    return numpy.exp(-numpy.logaddexp(0, -logits))


def sample(temperature, n=20_000):
    """Draw logits, and whether each entity is right with its probability at a
    temperature.
    """
    rng = numpy.random.default_rng(0)
    logits = rng.normal(1.0, 3.0, size=n)
    return logits, rng.random(n) < sigmoid(logits / temperature)


def fit(logits, right):
    return fit_temperature(lambda t: sigmoid(logits / t), right)


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.0, 1.5, 3.0, 7.0])
def test_finds_the_temperature_of_the_data(temperature):
    assert fit(*sample(temperature)) == pytest.approx(temperature, rel=0.05)


# At temperatures of 0.1 and more the logits are at most 25, below the clipping.
entities = st.tuples(st.integers(-10, 10).map(lambda n: n / 4), st.booleans())


@settings(deadline=None)
@given(st.lists(entities, min_size=2, max_size=50))
def test_slope_of_the_loss_changes_its_sign_at_the_fitted_temperature(drawn):
    """The log loss is convex in 1 / t, and its derivative has a closed form."""
    logits, right = map(numpy.asarray, zip(*drawn, strict=True))

    def slope(t):
        return ((sigmoid(logits / t) - right) * logits).sum()

    fitted = fit(logits, right)
    if right.all() or not right.any():
        assert fitted == 1.0
        return
    # The bounds of the search may lie before the minimum.
    if fitted > 0.1002:
        assert slope(fitted * 0.997) >= -1e-9
    if fitted < 9.98:
        assert slope(fitted * 1.003) <= 1e-9


@pytest.mark.parametrize("right", [[], [True] * 3, [False] * 3])
def test_temperature_is_one_if_the_loss_has_no_minimum(right):
    confidences = numpy.full(len(right), 0.7)
    assert fit_temperature(lambda t: confidences, right) == 1.0


@pytest.mark.parametrize(
    "logit, is_right",
    [
        (numpy.inf, False),
        # The confidence rounds to 1 only at temperatures up to 2.7, or up to 27.
        (100.0, False),
        (1000.0, False),
        (-numpy.inf, True),
        (-1000.0, True),
    ],
)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_one_certain_mistake_does_not_decide_the_temperature(
    temperature, logit, is_right
):
    logits, right = sample(temperature, n=2000)
    fitted = fit(numpy.append(logits, logit), numpy.append(right, is_right))
    assert fitted == pytest.approx(fit(logits, right), rel=0.01)


def test_bias_with_the_highest_f1_is_found():
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
def test_closest_bias_to_zero_wins_a_tie(flat, expected):
    assert tune_bias(lambda bias: float(flat[0] <= bias <= flat[1])) == expected
