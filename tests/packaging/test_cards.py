"""Model cards: what the hub reads of them, and what people do."""

import pytest
import srsly

from spacy_wnut.packaging.cards import format_figures, pipeline_card

PRF = {"precision": 0.75, "recall": 0.5, "f1": 0.6}
SCORES = {
    "entity": PRF,
    "surface": {"precision": 0.4, "recall": 0.3, "f1": 0.34},
    "per_type": {
        "person": PRF,
        "product": {"precision": 0.1, "recall": 0.1, "f1": 0.1},
    },
}
META = {
    "lang": "en",
    "name": "posts",
    "version": "1.2.3",
    "license": "MIT",
    "description": "Names in posts.",
    "spacy_version": ">=3.8",
    "pipeline": ["transformer", "ner"],
    "labels": {"transformer": [], "ner": ["product", "person"]},
    "sources": [
        {
            "name": "WNUT 17",
            "url": "https://example.com",
            "author": "Ada",
            "license": "CC BY 4.0",
            "dataset": "wnut_17",
        },
        {"name": "encoder tiny"},
    ],
    "performance": {
        "dev_gold_entity_f1": 0.9,
        "dev_gold": {**SCORES, "entity": {**PRF, "f1": 0.9}},
        "test_spacy": SCORES,
    },
}


def front_of(card):
    start, front, _ = card.split("---\n", 2)
    assert start == ""
    return srsly.yaml_loads(front)


def test_head_is_what_the_hub_reads():
    front = front_of(pipeline_card(META))
    assert front["language"] == "en"
    assert front["license"] == "mit"
    assert front["library_name"] == "spacy"
    assert front["datasets"] == ["wnut_17"]
    assert {"spacy", "token-classification"} <= {*front["tags"]}
    [index] = front["model-index"]
    assert index["name"] == "en_posts"
    first, second = index["results"]
    assert second["dataset"] == {
        "name": "wnut_17, test, spaCy tokens",
        "type": "wnut_17",
        "split": "test",
    }
    assert second["task"]["type"] == "token-classification"
    assert [(m["name"], m["type"], m["value"]) for m in second["metrics"]] == [
        ("Entity precision", "precision", 0.75),
        ("Entity recall", "recall", 0.5),
        ("Entity f1", "f1", 0.6),
        ("Surface f1", "f1", 0.34),
    ]
    assert first["metrics"][2]["value"] == 0.9


def test_data_of_ones_own_is_no_dataset_of_the_hub():
    front = front_of(pipeline_card({**META, "sources": [{"name": "my_data"}]}))
    assert "datasets" not in front
    dataset = front["model-index"][0]["results"][1]["dataset"]
    assert dataset == {
        "name": "my_data, test, spaCy tokens",
        "type": "custom",
        "split": "test",
    }


def test_the_hub_takes_it():
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(pipeline_card(META)).data
    assert data.model_name == "en_posts"
    assert [result.metric_value for result in data.eval_results][-1] == 0.34


def test_figures_of_each_corpus_and_by_type_of_test():
    lines = format_figures(META["performance"]).splitlines()
    assert "| dev, gold tokens | 75.0 | 50.0 | 90.0 | 34.0 |" in lines
    assert "| test, spaCy tokens | 75.0 | 50.0 | 60.0 | 34.0 |" in lines
    assert lines[lines.index("By type, test, spaCy tokens:") :][-2:] == [
        "| person | 75.0 | 50.0 | 60.0 |",
        "| product | 10.0 | 10.0 | 10.0 |",
    ]


def test_limits_say_what_was_measured():
    card = pipeline_card(META)
    assert (
        "On test, spaCy tokens, it finds 50 of 100 entities, and 75 of 100 predicted "
        "entities are correct. The worst type is `product`, with an F1 of 10.0."
    ) in card


def test_what_people_read():
    card = pipeline_card(META)
    for title in ("Use", "Intended use", "Data", "Figures", "Limits", "Licence"):
        assert f"\n## {title}\n" in card
    assert 'spacy.load("en_posts")' in card
    assert "| entity types | `person`, `product` |" in card
    assert "- [WNUT 17](https://example.com) (Ada; CC BY 4.0)\n- encoder tiny\n" in card
    assert "MIT for the pipeline. [WNUT 17](https://example.com) is CC BY 4.0." in card


def test_nothing_measured_and_nothing_known():
    meta = {"lang": "en", "name": "posts", "performance": {"ner_loss": 12.5}}
    card = pipeline_card(meta)
    assert "Not measured." in card and "12.5" not in card
    assert not {"model-index", "datasets", "license"} & front_of(card).keys()


def test_figures_of_training():
    assert format_figures({"ents_f": 0.456, "ner_loss": 1.0}).endswith(
        "| ents_f | 45.6 |"
    )
