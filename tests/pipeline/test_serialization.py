"""Pipelines and docs through every road that spaCy stores them by."""

import copy
import pickle

import pytest
import spacy
from spacy.tokens import Doc
from spacy.util import load_model_from_config
from thinc.api import Config

TEXT = "lol Grace Hopper and Alan Turing are in London"


def entities(doc):
    return [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents]


def groups(doc):
    """What `doc.spans` and its scores say."""
    group = doc.spans["wnut"]
    scores = group.attrs["scores"].tolist()
    return [
        (span.text, span.label_, score)
        for span, score in zip(group, scores, strict=True)
    ]


def reload(nlp, road, tmp_path):
    if road == "disk":
        nlp.to_disk(tmp_path / "model")
        return spacy.load(tmp_path / "model")
    if road == "bytes":
        return spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    if road == "config":
        config = Config().from_str(nlp.config.to_str())
        loaded = load_model_from_config(config, auto_fill=True, validate=True)
        assert loaded.config["components"] == nlp.config["components"]
        return loaded.from_bytes(nlp.to_bytes())
    return pickle.loads(pickle.dumps(nlp))


@pytest.mark.parametrize("road", ["disk", "bytes", "config", "pickle"])
def test_pipeline_stays_the_same(pipeline, tmp_path, road):
    loaded = reload(pipeline, road, tmp_path)
    assert entities(loaded(TEXT)) == entities(pipeline(TEXT))
    assert loaded.get_pipe("ner").cfg == pipeline.get_pipe("ner").cfg
    # And once more, from what was loaded.
    if road in ("disk", "bytes"):
        again = reload(loaded, road, tmp_path)
        assert entities(again(TEXT)) == entities(pipeline(TEXT))


@pytest.mark.parametrize("road", ["disk", "bytes"])
def test_component_stays_the_same(pipeline, folder, tmp_path, road):
    other = spacy.load(folder)
    ner = pipeline.get_pipe("ner")
    ner.temperature, ner.bias, ner.threshold = 1.5, 0.25, 0.05
    if road == "disk":
        ner.to_disk(tmp_path / "ner")
        other.get_pipe("ner").from_disk(tmp_path / "ner")
    else:
        other.get_pipe("ner").from_bytes(ner.to_bytes())
    assert other.get_pipe("ner").cfg == ner.cfg
    assert entities(other(TEXT)) == entities(pipeline(TEXT))


def test_parts_can_be_left_out(pipeline, folder, tmp_path):
    ner = pipeline.get_pipe("ner")
    ner.threshold = 0.25
    ner.to_disk(tmp_path / "ner", exclude=["model", "vocab"])
    assert [path.name for path in (tmp_path / "ner").iterdir()] == ["cfg"]
    other = spacy.load(folder)
    other.get_pipe("ner").from_disk(tmp_path / "ner", exclude=["model", "vocab"])
    assert other.get_pipe("ner").threshold == 0.25
    assert entities(other(TEXT)) == entities(pipeline(TEXT))
    assert len(ner.to_bytes(exclude=["vocab", "model"])) < len(ner.to_bytes())


def test_loads_without_strings(pipeline, folder):
    loaded = spacy.load(folder, exclude=["strings"])
    assert "moved" not in loaded.vocab.strings
    assert entities(loaded(TEXT)) == entities(pipeline(TEXT))


def test_a_pipeline_without_its_strings_works_in_a_memory_zone(pipeline, folder):
    # The names of the types are looked up in there for the first time, and are
    # forgotten with it.
    loaded = spacy.load(folder, exclude=["strings"])
    expected = entities(pipeline(TEXT))
    with loaded.memory_zone():
        assert entities(loaded(TEXT)) == expected
    assert entities(loaded(TEXT)) == expected


def test_words_of_a_memory_zone_are_forgotten(pipeline):
    list(pipeline.pipe([TEXT]))
    before = len(pipeline.vocab.strings)
    for i in range(3):
        with pipeline.memory_zone():
            for doc in pipeline.pipe(f"{TEXT} unheard{i}x{j}" for j in range(20)):
                assert len(doc.ents) >= 3
        assert len(pipeline.vocab.strings) == before
    assert "unheard0x0" not in pipeline.vocab.strings
    assert entities(pipeline(TEXT))


@pytest.mark.parametrize("road", ["bytes", "disk", "pickle", "copy"])
def test_docs_keep_entities_and_confidences(pipeline, tmp_path, road):
    doc = pipeline(TEXT)
    if road == "bytes":
        new = Doc(spacy.blank("en").vocab).from_bytes(doc.to_bytes())
    elif road == "disk":
        doc.to_disk(tmp_path / "doc")
        new = Doc(spacy.blank("en").vocab).from_disk(tmp_path / "doc")
    elif road == "pickle":
        new = pickle.loads(pickle.dumps(doc))
    else:
        new = doc.copy()
    assert len(entities(doc)) == 3
    assert entities(new) == entities(doc)
    assert groups(new) == groups(doc) == entities(doc)


# spaCy tells that the encoder's vectors stay behind.
@pytest.mark.filterwarnings(r"ignore:\[W101\]")
def test_docs_that_are_joined_keep_all_entities_and_confidences(pipeline, posts):
    docs = list(pipeline.pipe(text for text, _ in posts))
    joined = Doc.from_docs(docs)
    assert entities(joined) == [ent for doc in docs for ent in entities(doc)]
    assert len(joined.ents) == 6


def test_docs_as_json_tell_the_confidences(pipeline):
    doc = pipeline(TEXT)
    told = doc.to_json(underscore=["confidence"])
    assert [ent["label"] for ent in told["ents"]] == [e[1] for e in entities(doc)]
    values = [entry["value"] for entry in told["underscore_span"]["confidence"]]
    assert set(values) >= {confidence for _, _, confidence in entities(doc)}


def test_copies_of_a_pipeline_have_settings_of_their_own(pipeline):
    copied = copy.deepcopy(pipeline)
    copied.get_pipe("ner").threshold = 1.0
    assert not copied(TEXT).ents
    assert len(pipeline(TEXT).ents) == 3
