import pytest

from benchmarks.speed.startup import REFERENCE, make_block, time_process
from spacy_wnut.errors import WnutError


def test_ratios_are_those_of_each_round():
    results = {
        "device": {"name": "CPU", "cores": 2, "load_before": 0.1},
        "rounds": 3,
        # The machine was busy in the second round.
        "seconds": {REFERENCE: [2.0, 8.0, 2.0], "spacy-wnut --help": [0.2, 0.8, 0.5]},
    }
    block = make_block(results)
    assert f"| `{REFERENCE}` | 2.00 | 1.00 |\n" in block
    assert "| `spacy-wnut --help` | 0.50 | 0.10 |\n" in block
    assert block.endswith("CPU, 2 cores, load 0.1 before, medians of 3 rounds.\n")


def test_exit_status_is_checked():
    assert time_process(["-c", "raise SystemExit(2)"], 2) > 0
    with pytest.raises(WnutError, match="status 0 instead of 1"):
        time_process(["-c", "pass"], 1)
