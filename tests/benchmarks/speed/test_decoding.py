from benchmarks.speed.decoding import POSTS, WORDS, make_block, make_emitted, measure
from spacy_wnut.crf.decoding import decode


def test_about_a_tenth_of_the_words_has_an_entity():
    emitted = make_emitted(6, POSTS, WORDS)
    assert emitted.emissions.shape == (POSTS * WORDS, 13)
    n_entities = len(decode(emitted).docs)
    assert 0.03 * POSTS * WORDS < n_entities < 0.1 * POSTS * WORDS


def test_a_row_has_all_figures():
    row = measure(2, rounds=1)
    assert row["tags"] == 5
    assert set(row["peak_memory_mib"]) == {"1024", "4096"}
    # More posts have more entities.
    assert row["peak_memory_mib"]["4096"] > row["peak_memory_mib"]["1024"] > 0
    row |= {"words_per_second": 12345, "loss_seconds": 0.0123}
    row["peak_memory_mib"] = {"1024": 2.4, "4096": 9.6}
    block = make_block({"device": {"name": "a CPU"}, "rounds": 1, "rows": [row]})
    assert "| 2 | 5 | 12,345 | 12 ms | 2 MiB | 10 MiB |" in block
