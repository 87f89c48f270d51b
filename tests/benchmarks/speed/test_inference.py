import json

import pytest

from benchmarks.accuracy import recipes
from benchmarks.speed import inference
from benchmarks.speed.systems import SYSTEMS


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Results of three systems, of which one was trained over two seeds."""
    by_key = {system.key: system for system in SYSTEMS}
    config, encoder = by_key["onnx-int8"].trained
    systems = {
        key: {
            "title": by_key[key].title,
            "note": by_key[key].note,
            "words_per_second": {"test": speed},
            "seconds": {"test": [1000 / speed]},
            "entity_f1": {"test": 0.25},
            "install_mb": 100.0,
        }
        for key, speed in (
            *(("transformers", 1000.0), ("cnn", 4000.0)),
            ("onnx-int8", 5000.0),
        )
    }
    accuracy = [
        {
            **{"config": config, "encoder": encoder, "seed": seed, "split": "test"},
            **{"protocol": protocol, "entity": {"f1": f1}},
        }
        for seed, f1 in ((0, 0.5), (1, 0.6))
        for protocol in ("gold", "spacy")
    ]
    intervals = [{"config": config, "encoder": encoder, "interval": [0.45, 0.625]}]
    for module, name, content in (
        (inference, "RESULTS", {"device": {"name": "a CPU", "threads": 2}}),
        (recipes, "RESULTS", accuracy),
        (recipes, "SIGNIFICANCE", intervals),
    ):
        path = tmp_path / f"{module.__name__}.{name}.json"
        if module is inference:
            content = {**content, "systems": systems}
        path.write_text(json.dumps(content))
        monkeypatch.setattr(module, name, path)


def test_summary_has_the_mean_over_seeds_or_the_score_of_the_one_training(results):
    summary = inference.make_summary()
    assert "| ours, ONNX int8 | 55.0 ± 7.1 | 45.0 to 62.5 | 0, 1 | 5,000 | " in summary
    assert "(CNN) | 25.0 |  |  | 4,000 | " in summary
    assert "*spaCy `tok2vec` + `ner` (CNN)*: the pipeline of" in summary


def test_recipes_of_systems_are_named_as_in_the_results():
    known = {recipes.recipe_key(row) for row in recipes.read_rows(recipes.RESULTS)}
    for system in SYSTEMS:
        if system.trained is not None and system.shares_encoder:
            assert system.trained in known, system.key
