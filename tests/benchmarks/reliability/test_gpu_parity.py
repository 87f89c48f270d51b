"""The comparison of devices, with the CPU as both of them."""

import torch

from benchmarks.common.results import read_results
from benchmarks.reliability import gpu_parity
from spacy_wnut.models import encoder_shim


def test_entities_are_those_of_the_pipeline(trained_folder, posts_corpus, nlp):
    found = gpu_parity.predict(trained_folder, posts_corpus, -1, False)
    names = {label for *_, label in found}
    assert found and names <= set(nlp.get_pipe("ner").labels)
    assert all(0 < confidence <= 1 for confidence in found.values())
    again = gpu_parity.predict(trained_folder, posts_corpus, -1, False)
    assert gpu_parity.compare(found, again) == {
        "differing_entities": 0,
        "max_confidence_difference": 0.0,
    }


def test_precision_is_that_asked_for(trained_folder, posts_corpus, monkeypatch):
    monkeypatch.setattr(encoder_shim, "half_precision_dtype", lambda: torch.bfloat16)
    full = gpu_parity.predict(trained_folder, posts_corpus, -1, False)
    monkeypatch.undo()
    assert full == gpu_parity.predict(trained_folder, posts_corpus, -1, False)
    monkeypatch.setattr(encoder_shim, "half_precision_dtype", lambda: torch.bfloat16)
    half = gpu_parity.predict(trained_folder, posts_corpus, -1, True)
    assert 0 < gpu_parity.compare(full, half)["max_confidence_difference"] < 0.1


def test_differences_are_counted():
    """One entity that only the first has, one that only the second has, and one with
    another type count one, one and two.
    """
    one = {(0, 0, 1, "a"): 0.5, (0, 2, 3, "a"): 0.9, (1, 0, 1, "a"): 0.75}
    other = {(0, 0, 1, "a"): 0.25, (0, 3, 4, "a"): 0.1, (1, 0, 1, "b"): 0.75}
    assert gpu_parity.compare(one, other) == {
        "differing_entities": 4,
        "max_confidence_difference": 0.25,
    }
    assert gpu_parity.compare({}, {})["max_confidence_difference"] == 0.0


def test_results_are_kept_by_name(tmp_path, monkeypatch):
    """Half precision loses an entity."""
    on_cpu = {(0, 0, 1, "a"): 0.5, (0, 2, 3, "a"): 0.5}
    asked = []

    def in_process(model, corpus, gpu_id, has_half):
        asked.append((gpu_id, has_half))
        return {(0, 0, 1, "a"): 0.4} if has_half else on_cpu

    monkeypatch.setattr(gpu_parity, "in_process", in_process)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda gpu_id: f"GPU {gpu_id}")
    monkeypatch.setattr(gpu_parity, "RESULTS", tmp_path / "gpu.json")
    for name in ("small", "large"):
        gpu_parity.run(tmp_path, tmp_path, name, 3)
    assert asked[:3] == [(-1, False), (3, False), (3, True)]
    results = read_results(gpu_parity.RESULTS)
    assert list(results) == ["small", "large"]
    assert results["small"]["device"]["gpu"] == "GPU 3"
    assert results["small"]["full"]["differing_entities"] == 0
    assert results["small"]["half"]["differing_entities"] == 1
