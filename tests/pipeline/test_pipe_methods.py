"""The component under `Language`'s methods: disable, rename, replace, source, load."""

import copy
import inspect

import pytest
import spacy

TEXT = "lol Grace Hopper and Alan Turing are in London"


def found(doc):
    return {(ent.text, ent.label_) for ent in doc.ents}


def test_component_is_found_by_name(pipeline):
    assert pipeline.has_pipe("ner")
    assert pipeline.get_pipe("ner").name == "ner"
    meta = pipeline.get_pipe_meta("ner")
    assert meta.factory == pipeline.pipe_factories["ner"] == "entity_tagger"
    assert pipeline.get_pipe_config("ner")["threshold"] == 0.0


def test_labels_of_the_component(pipeline):
    ner = pipeline.get_pipe("ner")
    assert pipeline.pipe_labels["ner"] == list(ner.labels) == ["location", "person"]
    # `spacy init labels` reads these two.
    assert ner.label_data == ["location", "person"]
    assert "labels" in inspect.signature(ner.initialize).parameters


def test_analysis_lists_assigned_attributes(pipeline):
    analysis = pipeline.analyze_pipes()
    assigned = {"doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"}
    assert assigned <= set(analysis["summary"]["ner"]["assigns"])
    assert "span._.confidence" in analysis["summary"]["ner"]["assigns"]
    assert "ents_f" in analysis["summary"]["ner"]["scores"]
    assert not any(analysis["problems"]["ner"])
    assert set(analysis["attrs"]["doc.ents"]["assigns"]) == {"ner"}


@pytest.mark.parametrize("option", ["disable", "exclude"])
def test_load_without_the_component(folder, option):
    others = [name for name in spacy.load(folder).pipe_names if name != "ner"]
    loaded = spacy.load(folder, **{option: ["ner"]})
    assert loaded.pipe_names == others
    assert ("ner" in loaded.component_names) == (option != "exclude")
    doc = loaded(TEXT)
    assert not doc.ents and not doc.has_annotation("ENT_IOB")
    if option != "exclude":
        loaded.enable_pipe("ner")
        assert len(loaded(TEXT).ents) == 3


def test_component_both_enabled_and_disabled_is_refused(folder):
    with pytest.raises(ValueError, match=r"\[E1042\]"):
        spacy.load(folder, enable=["ner"], disable=["ner"])


def test_disabled_component_is_stored_as_disabled(pipeline, tmp_path):
    pipeline.disable_pipe("ner")
    assert pipeline.config["nlp"]["disabled"] == ["ner"]
    pipeline.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    assert loaded.disabled == ["ner"]
    assert not loaded(TEXT).ents
    loaded.enable_pipe("ner")
    assert found(loaded(TEXT)) >= {("London", "location")}


def test_select_pipes_restores_the_component(pipeline):
    names = pipeline.pipe_names
    with pipeline.select_pipes(disable="ner"):
        assert "ner" not in pipeline.pipe_names
        doc = pipeline(TEXT)
        assert not doc.ents and "wnut" not in doc.spans
    assert pipeline.pipe_names == names
    assert len(pipeline(TEXT).ents) == 3


def test_renamed_component_finds_the_same(pipeline, tmp_path):
    before = found(pipeline(TEXT))
    pipeline.config["initialize"]["components"]["ner"] = {"labels": ["person"]}
    pipeline.rename_pipe("ner", "entities")
    assert pipeline.config["initialize"]["components"]["entities"]
    assert "ner" not in pipeline.component_names
    assert found(pipeline(TEXT)) == before
    pipeline.to_disk(tmp_path / "model")
    assert found(spacy.load(tmp_path / "model")(TEXT)) == before


def test_replaced_by_another_component(pipeline):
    names = pipeline.pipe_names
    ruler = pipeline.replace_pipe("ner", "entity_ruler")
    ruler.add_patterns([{"label": "laugh", "pattern": "lol"}])
    assert pipeline.pipe_names == names
    assert found(pipeline(TEXT)) == {("lol", "laugh")}


def test_removed_and_sourced_again(pipeline, folder):
    before = found(pipeline(TEXT))
    name, removed = pipeline.remove_pipe("ner")
    assert name == "ner" and removed.labels
    assert not pipeline(TEXT).ents
    pipeline.add_pipe("ner", source=spacy.load(folder))
    assert found(pipeline(TEXT)) == before


def test_any_position_after_the_encoder(pipeline):
    before = found(pipeline(TEXT))
    pipeline.add_pipe("sentencizer", before="ner")
    pipeline.add_pipe("sentencizer", name="first", first=True)
    pipeline.add_pipe("sentencizer", name="last", last=True)
    assert found(pipeline(TEXT)) == before


def test_scorer_can_be_removed_on_loading(folder):
    loaded = spacy.load(folder, config={"components.ner.scorer": None})
    assert loaded.get_pipe("ner").scorer is None


@pytest.mark.parametrize("setting", [{"no_such": 1}, {"threshold": "much"}])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        spacy.blank("en").add_pipe("entity_tagger", config=setting)


def test_frozen_encoder_is_not_trained(nlp, make_examples):
    encoder, ner = nlp.get_pipe("transformer"), nlp.get_pipe("ner")
    before = encoder.to_bytes(), ner.to_bytes()
    nlp.update(
        make_examples(nlp),
        sgd=nlp.resume_training(),
        exclude=["transformer"],
        annotates=["transformer"],
    )
    assert encoder.to_bytes() == before[0]
    assert ner.to_bytes() != before[1]


def test_prediction_between_forward_and_backward_pass(nlp, make_examples):
    """With `annotating_components` the encoder predicts within an update."""
    examples = make_examples(nlp)
    transformer = nlp.get_pipe("transformer")
    [listener] = transformer.listeners
    transformer.update(examples)
    assert listener._backprop is not None
    transformer.predict([eg.predicted for eg in examples])
    assert listener._backprop is not None


def test_onnx_tagger_in_a_pipeline_with_tok2vec(onnx_folder):
    """Like en_core_web_sm: a tagger that listens to a CNN."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96}
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    tagger = nlp.add_pipe("tagger", config={"model": model})
    for label in ("NOUN", "VERB"):
        tagger.add_label(label)
    nlp.initialize()
    tags = [token.tag_ for token in nlp(TEXT)]
    source = spacy.load(onnx_folder)
    expected = source(TEXT)
    nlp.add_pipe("ner", source=source)
    for doc in (nlp(TEXT), *nlp.pipe([TEXT])):
        assert [token.tag_ for token in doc] == tags
        assert found(doc) == found(expected)
        assert [ent._.confidence for ent in doc.ents] == [
            ent._.confidence for ent in expected.ents
        ]


@pytest.mark.parametrize(
    "given", [{"window": 9, "stride": 6, "batch_pieces": 40}, {"window": 192}]
)
def test_windows_can_be_set_on_loading(folder, given, tmp_path):
    stored = spacy.load(folder)
    name = "transformer" if "transformer" in stored.pipe_names else "ner"
    overrides = {f"components.{name}.model.{k}": v for k, v in given.items()}
    nlp = spacy.load(folder, config=overrides)
    # They are stored, and copied with the pipeline.
    nlp.to_disk(tmp_path / "again")
    for pipeline in (nlp, spacy.load(tmp_path / "again"), copy.deepcopy(nlp)):
        model = pipeline.get_pipe(name).model
        [layer] = [node for node in model.walk() if "batch_pieces" in node.attrs]
        attrs = {key: layer.attrs[key] for key in ("window", "stride", "batch_pieces")}
        assert attrs == {"window": 254, "stride": 192, "batch_pieces": 512} | given
    text = "Ada Lovelace moved to Oslo " * 30
    assert len(nlp(text).ents) > 0


def test_window_longer_than_the_encoder_allows_is_refused(trained_folder):
    with pytest.raises(ValueError, match=r"window is 511 .* at most 510 .* to 510"):
        spacy.load(trained_folder, config={"components.transformer.model.window": 511})
