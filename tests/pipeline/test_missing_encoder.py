"""A pipeline without the encoder that its tagger listens to."""

import pytest
import spacy

from spacy_wnut.errors import WnutError

TEXT = "Ada Lovelace moved to Oslo"
MISSING = (
    r"'ner' listens to the component 'transformer', which hasn't run on these docs"
    r".*replace_listeners\('transformer', 'ner', \[\"model\.tok2vec\"\]\)"
)


def found(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def without_encoder(nlp):
    other = spacy.blank("en")
    other.add_pipe("ner", source=nlp)
    return other


def too_late(nlp):
    other = spacy.blank("en")
    other.add_pipe("ner", source=nlp)
    other.add_pipe("transformer", source=nlp)
    return other


def removed(nlp):
    nlp.remove_pipe("transformer")
    return nlp


def disabled(nlp):
    nlp.disable_pipe("transformer")
    return nlp


LACKING = [without_encoder, too_late, removed, disabled]


@pytest.mark.parametrize("change", LACKING)
def test_missing_encoder_is_named(nlp, change):
    nlp = change(nlp)
    with pytest.raises(WnutError, match=MISSING):
        nlp(TEXT)
    with pytest.raises(WnutError, match=MISSING):
        list(nlp.pipe(["", TEXT]))


@pytest.mark.parametrize("option", ["exclude", "disable"])
def test_encoder_left_out_on_loading_is_named(trained_folder, option):
    nlp = spacy.load(trained_folder, **{option: ["transformer"]})
    with pytest.raises(WnutError, match=MISSING):
        nlp(TEXT)


def test_name_of_the_upstream_component_is_given(nlp):
    [listener] = nlp.get_pipe("transformer").listeners
    listener.upstream_name = "encoder"
    with pytest.raises(WnutError, match="listens to the component 'encoder'"):
        without_encoder(nlp)(TEXT)


@pytest.mark.parametrize("change", LACKING)
@pytest.mark.parametrize("text", ["", " ", "\n\n \t", "\u00a0\u3000"])
def test_texts_without_words_need_no_encoder(nlp, change, text):
    assert found(change(nlp)(text)) == []


def test_words_without_word_pieces_are_no_error(nlp):
    assert found(nlp("\u200b \u202e")) == []


def test_advice_of_the_message_works(nlp, trained_folder):
    expected = found(nlp(TEXT))
    assert expected
    source = spacy.load(trained_folder)
    source.replace_listeners("transformer", "ner", ["model.tok2vec"])
    other = spacy.blank("en")
    other.add_pipe("ner", source=source)
    assert found(other(TEXT)) == expected
    config = {
        "nlp": {"lang": "en", "pipeline": ["ner"]},
        "components": {
            "ner": {
                "source": str(trained_folder),
                "replace_listeners": ["model.tok2vec"],
            }
        },
    }
    assert found(spacy.blank("en", config=config)(TEXT)) == expected


def test_missing_tok2vec_is_named(cnn):
    with cnn.select_pipes(disable=["tok2vec"]):
        with pytest.raises(WnutError, match="listens to the component 'tok2vec'"):
            cnn(TEXT)
        assert not cnn("").ents and not cnn(" \n").ents
    cnn.get_pipe("ner").bias = 1000.0
    assert len(cnn(TEXT)) == sum(map(len, cnn(TEXT).ents))
