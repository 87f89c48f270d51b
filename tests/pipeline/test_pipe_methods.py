"""What spaCy's pipelines do to a pipe: switch it off, move, rename, replace it."""

import copy
import inspect

import pytest
import spacy

TEXT = "lol Grace Hopper and Alan Turing are in London"


def found(doc):
    return {(ent.text, ent.label_) for ent in doc.ents}


def test_is_found_by_its_name(pipeline):
    assert pipeline.has_pipe("ner")
    assert pipeline.get_pipe("ner").name == "ner"
    meta = pipeline.get_pipe_meta("ner")
    assert meta.factory == pipeline.pipe_factories["ner"] == "entity_tagger"
    assert pipeline.get_pipe_config("ner")["threshold"] == 0.0


def test_tells_its_labels(pipeline):
    ner = pipeline.get_pipe("ner")
    assert pipeline.pipe_labels["ner"] == list(ner.labels) == ["location", "person"]
    # As `spacy init labels` needs it.
    assert ner.label_data == ["location", "person"]
    assert "labels" in inspect.signature(ner.initialize).parameters


def test_analysis_knows_what_it_assigns(pipeline):
    analysis = pipeline.analyze_pipes()
    assigned = {"doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"}
    assert assigned <= set(analysis["summary"]["ner"]["assigns"])
    assert "span._.confidence" in analysis["summary"]["ner"]["assigns"]
    assert "ents_f" in analysis["summary"]["ner"]["scores"]
    assert not any(analysis["problems"]["ner"])
    assert set(analysis["attrs"]["doc.ents"]["assigns"]) == {"ner"}


@pytest.mark.parametrize("option", ["disable", "exclude"])
def test_loads_without(folder, option):
    others = [name for name in spacy.load(folder).pipe_names if name != "ner"]
    loaded = spacy.load(folder, **{option: ["ner"]})
    assert loaded.pipe_names == others
    assert ("ner" in loaded.component_names) == (option != "exclude")
    doc = loaded(TEXT)
    assert not doc.ents and not doc.has_annotation("ENT_IOB")
    if option != "exclude":
        loaded.enable_pipe("ner")
        assert len(loaded(TEXT).ents) == 3


def test_contradictory_switches_are_refused(folder):
    with pytest.raises(ValueError, match=r"\[E1042\]"):
        spacy.load(folder, enable=["ner"], disable=["ner"])


def test_disabled_is_stored(pipeline, tmp_path):
    pipeline.disable_pipe("ner")
    assert pipeline.config["nlp"]["disabled"] == ["ner"]
    pipeline.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    assert loaded.disabled == ["ner"]
    assert not loaded(TEXT).ents
    loaded.enable_pipe("ner")
    assert found(loaded(TEXT)) >= {("London", "location")}


def test_context_restores_the_pipe(pipeline):
    names = pipeline.pipe_names
    with pipeline.select_pipes(disable="ner"):
        assert "ner" not in pipeline.pipe_names
        assert not pipeline(TEXT).ents
    assert pipeline.pipe_names == names
    assert len(pipeline(TEXT).ents) == 3


def test_renamed_it_stays_the_same(pipeline, tmp_path):
    before = found(pipeline(TEXT))
    pipeline.config["initialize"]["components"]["ner"] = {"labels": ["person"]}
    pipeline.rename_pipe("ner", "entities")
    assert pipeline.config["initialize"]["components"]["entities"]
    assert "ner" not in pipeline.component_names
    assert found(pipeline(TEXT)) == before
    pipeline.to_disk(tmp_path / "model")
    assert found(spacy.load(tmp_path / "model")(TEXT)) == before


def test_replaced_by_another_pipe(pipeline):
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


def test_stands_at_any_place_behind_what_it_listens_to(pipeline):
    before = found(pipeline(TEXT))
    pipeline.add_pipe("sentencizer", before="ner")
    pipeline.add_pipe("sentencizer", name="first", first=True)
    pipeline.add_pipe("sentencizer", name="last", last=True)
    assert found(pipeline(TEXT)) == before


def test_settings_can_be_set_when_loading(folder):
    loaded = spacy.load(folder, config={"components.ner.scorer": None})
    assert loaded.get_pipe("ner").scorer is None


@pytest.mark.parametrize("setting", [{"no_such": 1}, {"threshold": "much"}])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        spacy.blank("en").add_pipe("entity_tagger", config=setting)


def test_frozen_encoder_stays_and_the_pipe_learns(nlp, make_examples):
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


def test_predicting_in_between_does_not_disturb_an_update(nlp, make_examples):
    """Between the forward and the backward pass of `annotating_components`."""
    examples = make_examples(nlp)
    transformer = nlp.get_pipe("transformer")
    [listener] = transformer.listeners
    transformer.update(examples)
    assert listener._backprop is not None
    transformer.predict([eg.predicted for eg in examples])
    assert listener._backprop is not None


def test_the_pipe_without_torch_stands_beside_a_pipeline_on_tok2vec(onnx_folder):
    """Such as en_core_web_sm: a tagger that listens to a CNN."""
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


@pytest.mark.parametrize("form", ["dotted", "nested"])
def test_settings_given_when_loading_win(folder, tmp_path, form):
    given = {"threshold": 0.9, "spans_key": "sc", "temperature": 2.0}
    config = {"components": {"ner": given}}
    if form == "dotted":
        config = {f"components.ner.{name}": value for name, value in given.items()}
    pipeline = spacy.load(folder, config=config)
    ner = pipeline.get_pipe("ner")
    assert {name: ner.cfg[name] for name in given} == given
    assert set(pipeline(TEXT).spans) == {"sc"}
    pipeline.to_disk(tmp_path / "model")
    ner = spacy.load(tmp_path / "model").get_pipe("ner")
    assert {name: ner.cfg[name] for name in given} == given


@pytest.mark.parametrize(
    "given", [{"window": 9, "stride": 6}, {"batch_pieces": 40}, {"window": 192}]
)
def test_settings_of_the_windows_may_be_given_when_loading(folder, given, tmp_path):
    stored = spacy.load(folder)
    name = "transformer" if "transformer" in stored.pipe_names else "ner"
    overrides = {f"components.{name}.model.{k}": v for k, v in given.items()}
    nlp = spacy.load(folder, config=overrides)
    # They are stored again, and hold in copies.
    nlp.to_disk(tmp_path / "again")
    for pipeline in (nlp, spacy.load(tmp_path / "again"), copy.deepcopy(nlp)):
        model = pipeline.get_pipe(name).model
        [layer] = [node for node in model.walk() if "batch_pieces" in node.attrs]
        attrs = {key: layer.attrs[key] for key in ("window", "stride", "batch_pieces")}
        assert attrs == {"window": 254, "stride": 192, "batch_pieces": 512} | given
    text = "Ada Lovelace moved to Oslo " * 30
    assert len(nlp(text).ents) > 0


def test_a_window_that_the_encoder_can_not_take_is_an_error(trained_folder):
    with pytest.raises(ValueError, match=r"window is 511 .* at most 510 .* to 510"):
        spacy.load(trained_folder, config={"components.transformer.model.window": 511})
