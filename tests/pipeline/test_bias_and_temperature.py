"""Temperature and bias: the settings that calibration fits."""

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


def test_temperature_changes_only_confidences(nlp):
    before = nlp(TEXT)
    for temperature, is_right in ((2.0, numpy.less), (0.5, numpy.greater)):
        nlp.get_pipe("ner").temperature = temperature
        after = nlp(TEXT)
        assert entities(after) == entities(before)
        # All are above 0.5, so a higher temperature lowers all of them.
        assert is_right(confidences(after), confidences(before)).all()
        assert after.spans["wnut"].attrs["scores"].tolist() == confidences(after)


def test_threshold_applies_to_calibrated_confidences(nlp):
    ner = nlp.get_pipe("ner")
    ner.threshold = min(confidences(nlp(TEXT)))
    assert len(nlp(TEXT).ents) == 3
    ner.temperature = 2.0
    assert len(nlp(TEXT).ents) < 3


def test_large_bias_finds_nothing_or_everything(nlp):
    ner = nlp.get_pipe("ner")
    ner.bias = -1000.0
    assert not nlp(TEXT).ents
    ner.bias = 1000.0
    assert all(token.ent_type_ for token in nlp(TEXT))


def test_bias_ignores_white_space_and_blocked_words(nlp):
    nlp.get_pipe("ner").bias = 1000.0
    doc = nlp.make_doc("in  Oslo \n")
    assert [token.is_space for token in doc] == [False, True, False, True]
    doc.set_ents([], blocked=[doc[0:1]])
    doc = nlp(doc)
    assert [(ent.start, ent.end) for ent in doc.ents] == [(2, 3)]
    assert not nlp(" \n").ents


def test_training_ignores_both(nlp, make_examples, emit):
    def loss_and_gradients():
        loss, (gradients, _) = emit(nlp, make_examples(nlp))
        return loss, [gradient.tolist() for gradient in gradients]

    before = loss_and_gradients()
    ner = nlp.get_pipe("ner")
    ner.temperature, ner.bias = 3.0, 2.0
    assert loss_and_gradients() == before


@pytest.mark.parametrize("format_", ["disk", "bytes"])
def test_both_are_stored_with_six_decimals(make_table_nlp, tmp_path, format_):
    nlp = make_table_nlp()
    ner = nlp.get_pipe("ner")
    ner.temperature, ner.bias = 1.2172267752499452, 0.3
    before = nlp(TEXT)
    if format_ == "disk":
        nlp.to_disk(tmp_path / "model")
        loaded = spacy.load(tmp_path / "model")
    else:
        loaded = spacy.blank("xx", config=nlp.config).from_bytes(nlp.to_bytes())
    ner = loaded.get_pipe("ner")
    assert (ner.temperature, ner.bias) == (1.217227, 0.3)
    assert entities(loaded(TEXT)) == entities(before)
    assert confidences(loaded(TEXT)) == confidences(before)
