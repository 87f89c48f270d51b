import pytest

from spacy_wnut.bulk.settings import parse_interval
from spacy_wnut.errors import WnutError


@pytest.mark.parametrize(
    "given, expected",
    [("0.3,0.7", (0.3, 0.7)), (" 0, 1", (0.0, 1.0)), ("0.5,0.5", (0.5, 0.5))],
)
def test_an_interval_is_two_numbers(given, expected):
    assert parse_interval(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        *("", "0.5", "0.7,0.3", "0.1,0.2,0.3", "a,b", "-0.1,0.5", "0.5,1.1"),
        *("nan,0.5", "0.1,nan", "0,inf", "0.3;0.7", ","),
    ],
)
def test_other_intervals_are_refused(given):
    with pytest.raises(WnutError, match=r"--only-doubtful .* as 0\.3,0\.7"):
        parse_interval(given)
