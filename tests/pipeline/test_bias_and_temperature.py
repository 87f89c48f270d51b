"""The settings that calibration fits: temperature and bias."""

import json

import numpy
import pytest
import spacy

from spacy_wnut.crf.decoding import decode

TEXT = "lol Grace Hopper and Alan Turing are in London"


def entities(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def confidences(doc):
    return [ent._.confidence for ent in doc.ents]


def test_defaults_change_nothing(nlp):
    ner = nlp.get_pipe("ner")
    assert (ner.temperature, ner.bias) == (1.0, 0.0)
    before = confidences(nlp(TEXT))
    with nlp.select_pipes(disable=["ner"]):
        emitted = ner.emit([nlp(TEXT)])
    assert decode(emitted).confidences.tolist() == before


def test_temperature_moves_confidences_alone(nlp):
    before = nlp(TEXT)
    for temperature, is_right in ((2.0, numpy.less), (0.5, numpy.greater)):
        nlp.get_pipe("ner").temperature = temperature
        after = nlp(TEXT)
        assert entities(after) == entities(before)
        # All are above a half, so a higher temperature makes all of them less sure.
        assert is_right(confidences(after), confidences(before)).all()
        assert after.spans["wnut"].attrs["scores"].tolist() == confidences(after)


def test_threshold_is_one_of_calibrated_confidences(nlp):
    ner = nlp.get_pipe("ner")
    ner.threshold = min(confidences(nlp(TEXT)))
    assert len(nlp(TEXT).ents) == 3
    ner.temperature = 2.0
    assert len(nlp(TEXT).ents) < 3


def test_bias_trades_precision_for_recall(nlp):
    ner = nlp.get_pipe("ner")
    ner.bias = -1000.0
    assert not nlp(TEXT).ents
    ner.bias = 1000.0
    assert all(token.ent_type_ for token in nlp(TEXT))


def test_bias_leaves_white_space_and_blocked_words_as_they_are(nlp):
    nlp.get_pipe("ner").bias = 1000.0
    doc = nlp.make_doc("in  Oslo \n")
    assert [token.is_space for token in doc] == [False, True, False, True]
    doc.set_ents([], blocked=[doc[0:1]])
    doc = nlp(doc)
    assert [(ent.start, ent.end) for ent in doc.ents] == [(2, 3)]
    assert not nlp(" \n").ents


def test_training_knows_neither(nlp, make_examples):
    losses = []
    for settings in ({}, {"temperature": 3.0, "bias": 2.0}):
        ner = nlp.get_pipe("ner")
        for name, value in settings.items():
            setattr(ner, name, value)
        examples = make_examples(nlp)
        with nlp.select_pipes(disable=["ner"]):
            docs = [nlp(eg.predicted) for eg in examples]
        scores = ner.model.predict(docs)
        loss, (gradients, _) = ner.get_loss(examples, scores)
        losses.append((loss, [g.tolist() for g in gradients]))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("road", ["disk", "bytes"])
def test_both_are_stored_with_the_pipeline(nlp, tmp_path, road):
    ner = nlp.get_pipe("ner")
    ner.temperature, ner.bias = 1.2172267752499452, 0.3
    before = nlp(TEXT)
    if road == "disk":
        nlp.to_disk(tmp_path / "model")
        loaded = spacy.load(tmp_path / "model")
    else:
        loaded = spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    ner = loaded.get_pipe("ner")
    assert (ner.temperature, ner.bias) == (1.217227, 0.3)
    assert entities(loaded(TEXT)) == entities(before)
    assert confidences(loaded(TEXT)) == confidences(before)


def test_pipelines_stored_before_there_were_any_load(nlp, tmp_path):
    nlp.to_disk(tmp_path / "model")
    path = tmp_path / "model" / "ner" / "cfg"
    cfg = json.loads(path.read_text())
    del cfg["temperature"], cfg["bias"]
    path.write_text(json.dumps(cfg))
    path = tmp_path / "model" / "config.cfg"
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("temperature", "bias"))]
    assert len(lines) - len(kept) == 2
    path.write_text("".join(kept))
    loaded = spacy.load(tmp_path / "model")
    ner = loaded.get_pipe("ner")
    assert (ner.temperature, ner.bias) == (1.0, 0.0)
    assert confidences(loaded(TEXT)) == confidences(nlp(TEXT))


def test_both_are_settings_of_the_config(make_nlp):
    ner = make_nlp(temperature=1.5, bias=-1).get_pipe("ner")
    assert (ner.temperature, ner.bias) == (1.5, -1.0)


@pytest.mark.parametrize("value", [0, -1.0, 1001, float("inf"), float("nan")])
def test_temperature_has_to_be_above_zero(nlp, value):
    with pytest.raises(ValueError, match=r"from 0\.001 to 1000, got"):
        nlp.get_pipe("ner").temperature = value
    assert nlp.get_pipe("ner").temperature == 1.0


@pytest.mark.parametrize("value", [-1001, float("inf"), float("-inf"), float("nan")])
def test_bias_has_to_be_finite(nlp, value):
    with pytest.raises(ValueError, match="from -1000 to 1000, got"):
        nlp.get_pipe("ner").bias = value
    assert nlp.get_pipe("ner").bias == 0.0


def test_settings_of_the_config_are_checked_too(make_nlp):
    with pytest.raises(ValueError, match=r"temperature has to be .*, got -2\.0"):
        make_nlp(temperature=-2.0)
    with pytest.raises(ValueError, match=r"bias has to be .*, got 2000\.0"):
        make_nlp(bias=2000.0)
