from benchmarks.speed.training import make_block


def test_times_are_compared_within_a_round():
    """The machine was slow in the second round."""
    figures = {
        "trainer": {"seconds_a_word": [0.01, 0.09, 0.01], "peak_memory_mb": 900},
        "tutorial.cfg": {"seconds_a_word": [0.02, 0.09, 0.005], "peak_memory_mb": 800},
    }
    block = make_block(
        {
            **{"encoder": "small", "device": "cpu", "threads": 2, "epoch_words": 1000},
            **{"steps": 5, "rounds": 3, "contenders": figures},
        }
    )
    assert "| trainer | 10 s | 1.00 | 900 MiB |" in block
    assert "| tutorial.cfg | 20 s | 1.00 | 800 MiB |" in block
