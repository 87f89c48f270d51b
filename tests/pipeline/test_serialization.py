"""Storing and loading pipelines, components and docs in every way that spaCy offers."""

import copy
import pickle
import shutil
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin
from spacy.util import load_model_from_config
from thinc.api import Config

from spacy_wnut.errors import WnutError

TEXT = "lol Grace Hopper and Alan Turing are in London"


def entities(doc):
    return [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents]


def annotate(nlp, posts):
    return [entities(doc) for doc in nlp.pipe(text for text, _ in posts)]


def groups(doc):
    """The spans of `doc.spans` with their labels and scores."""
    group = doc.spans["wnut"]
    scores = group.attrs["scores"].tolist()
    return [
        (span.text, span.label_, score)
        for span, score in zip(group, scores, strict=True)
    ]


def reload(nlp, format_, tmp_path):
    if format_ == "disk":
        nlp.to_disk(tmp_path / "model")
        return spacy.load(tmp_path / "model")
    if format_ == "bytes":
        return spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    if format_ == "config":
        config = Config().from_str(nlp.config.to_str())
        loaded = load_model_from_config(config, auto_fill=True, validate=True)
        assert loaded.config["components"] == nlp.config["components"]
        return loaded.from_bytes(nlp.to_bytes())
    return pickle.loads(pickle.dumps(nlp))


@pytest.mark.parametrize("format_", ["disk", "bytes", "config", "pickle"])
def test_loaded_pipeline_gives_the_same_entities(pipeline, posts, tmp_path, format_):
    ner = pipeline.get_pipe("ner")
    ner.temperature, ner.threshold = 1.25, 0.1
    before = annotate(pipeline, posts)
    assert sum(map(len, before)) == 6
    loaded = reload(pipeline, format_, tmp_path)
    assert annotate(loaded, posts) == before
    assert loaded.get_pipe("ner").cfg == ner.cfg
    assert loaded.get_pipe("ner").labels == ner.labels == ("location", "person")
    # Once more, from the loaded pipeline.
    if format_ in ("disk", "bytes"):
        assert annotate(reload(loaded, format_, tmp_path), posts) == before


@pytest.mark.parametrize("format_", ["disk", "bytes"])
def test_component_is_loaded_into_another_pipeline(pipeline, folder, tmp_path, format_):
    other = spacy.load(folder)
    ner = pipeline.get_pipe("ner")
    ner.temperature, ner.bias, ner.threshold = 1.5, 0.25, 0.05
    if format_ == "disk":
        ner.to_disk(tmp_path / "ner")
        other.get_pipe("ner").from_disk(tmp_path / "ner")
    else:
        other.get_pipe("ner").from_bytes(ner.to_bytes())
    assert other.get_pipe("ner").cfg == ner.cfg
    assert entities(other(TEXT)) == entities(pipeline(TEXT))


def test_component_is_loaded_into_an_uninitialized_pipeline(nlp, make_nlp, posts):
    other = make_nlp()
    for name in ("transformer", "ner"):
        other.get_pipe(name).from_bytes(nlp.get_pipe(name).to_bytes())
    assert annotate(other, posts) == annotate(nlp, posts)


def test_excluded_parts_are_not_stored(pipeline, folder, tmp_path):
    ner = pipeline.get_pipe("ner")
    ner.threshold = 0.25
    ner.to_disk(tmp_path / "ner", exclude=["model", "vocab"])
    assert [path.name for path in (tmp_path / "ner").iterdir()] == ["cfg"]
    other = spacy.load(folder)
    other.get_pipe("ner").from_disk(tmp_path / "ner", exclude=["model", "vocab"])
    assert other.get_pipe("ner").threshold == 0.25
    assert entities(other(TEXT)) == entities(pipeline(TEXT))
    assert len(ner.to_bytes(exclude=["vocab", "model"])) < len(ner.to_bytes())


def test_pipeline_without_strings_works_in_a_memory_zone(pipeline, folder):
    # The names of the types are added to the strings inside the zone, and removed
    # with it.
    loaded = spacy.load(folder, exclude=["strings"])
    assert "moved" not in loaded.vocab.strings
    expected = entities(pipeline(TEXT))
    with loaded.memory_zone():
        assert entities(loaded(TEXT)) == expected
    assert entities(loaded(TEXT)) == expected


def test_memory_zone_frees_its_words(pipeline):
    expected = entities(pipeline(TEXT))
    before = len(pipeline.vocab.strings)
    for i in range(3):
        with pipeline.memory_zone():
            for doc in pipeline.pipe(f"{TEXT} unheard{i}x{j}" for j in range(20)):
                assert len(doc.ents) >= 3
            assert entities(pipeline(TEXT)) == expected
        assert len(pipeline.vocab.strings) == before
    assert "unheard0x0" not in pipeline.vocab.strings
    assert entities(pipeline(TEXT)) == expected


@pytest.mark.parametrize("format_", ["bytes", "disk", "DocBin", "pickle", "copy"])
def test_docs_keep_entities_and_confidences(pipeline, tmp_path, format_):
    doc = pipeline(TEXT)
    vocab = spacy.blank("xx").vocab
    if format_ == "bytes":
        new = Doc(vocab).from_bytes(doc.to_bytes())
    elif format_ == "disk":
        doc.to_disk(tmp_path / "doc")
        new = Doc(vocab).from_disk(tmp_path / "doc")
    elif format_ == "DocBin":
        stored = DocBin(docs=[doc], store_user_data=True).to_bytes()
        [new] = DocBin().from_bytes(stored).get_docs(vocab)
    elif format_ == "pickle":
        new = pickle.loads(pickle.dumps(doc))
    else:
        new = doc.copy()
    assert len(entities(doc)) == 3
    assert entities(new) == entities(doc)
    assert groups(new) == groups(doc) == entities(doc)


# spaCy warns that the output of the encoder is not copied.
@pytest.mark.filterwarnings(r"ignore:\[W101\]")
def test_joined_docs_keep_all_entities_and_confidences(pipeline, posts):
    docs = list(pipeline.pipe(text for text, _ in posts))
    joined = Doc.from_docs(docs)
    assert entities(joined) == [ent for doc in docs for ent in entities(doc)]
    assert len(joined.ents) == 6


def test_docs_as_json_have_the_confidences(pipeline):
    doc = pipeline(TEXT)
    data = doc.to_json(underscore=["confidence"])
    assert [ent["label"] for ent in data["ents"]] == [e[1] for e in entities(doc)]
    values = [entry["value"] for entry in data["underscore_span"]["confidence"]]
    assert set(values) >= {confidence for _, _, confidence in entities(doc)}


def test_copies_of_a_pipeline_have_their_own_settings(pipeline):
    copied = copy.deepcopy(pipeline)
    copied.get_pipe("ner").threshold = 1.0
    assert not copied(TEXT).ents
    assert len(pipeline(TEXT).ents) == 3


def test_stored_pipeline_does_not_need_the_encoder_folder(nlp, posts, tmp_path):
    nlp.config["components"]["transformer"]["model"]["name"] = "nowhere/at-all"
    assert "nowhere" in str(nlp.config["components"]["transformer"])
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(
        tmp_path / "model",
        config={"components.transformer.model.name": "nowhere/at-all"},
    )
    assert annotate(loaded, posts) == annotate(nlp, posts)


def test_uninitialized_pipeline_is_stored(make_nlp, make_examples, tmp_path):
    nlp = make_nlp(threshold=0.25)
    nlp.get_pipe("ner").add_label("person")
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    assert loaded.get_pipe("ner").labels == ("person",)
    assert loaded.get_pipe("ner").threshold == 0.25
    loaded.initialize(lambda: make_examples(loaded))
    assert loaded.get_pipe("ner").labels == ("person", "location")


def test_sourced_components_give_the_same_entities(nlp, posts, tmp_path):
    other = spacy.blank("en")
    for name in ("transformer", "ner"):
        other.add_pipe(name, source=nlp)
    assert other.get_pipe("ner") is nlp.get_pipe("ner")
    before = annotate(nlp, posts)
    assert annotate(other, posts) == before
    other.to_disk(tmp_path / "model")
    assert annotate(spacy.load(tmp_path / "model"), posts) == before


def test_replaced_listener_does_not_need_the_transformer(
    nlp, make_examples, posts, tmp_path
):
    before = annotate(nlp, posts)
    nlp.replace_listeners("transformer", "ner", ["model.tok2vec"])
    assert not nlp.get_pipe("transformer").listeners
    nlp.remove_pipe("transformer")
    assert annotate(nlp, posts) == before
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    assert loaded.pipe_names == ["ner"]
    assert annotate(loaded, posts) == before

    # The encoder is now part of the component and is trained with it.
    encoder = next(
        node
        for node in loaded.get_pipe("ner").model.walk()
        if node.name == "transformer"
    ).transformer
    weights = encoder.embeddings.word_embeddings.weight.detach().clone()
    loaded.update(make_examples(loaded), sgd=loaded.resume_training())
    assert not weights.equal(encoder.embeddings.word_embeddings.weight)


@pytest.mark.parametrize("size", [0, 99, 5000])
def test_truncated_model_file_is_named(onnx_folder, tmp_path, size):
    folder = Path(shutil.copytree(onnx_folder, tmp_path / "copy"))
    path = folder / "ner" / "model"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(
        WnutError, match=r"copy.ner.model of the component 'ner' is damaged"
    ):
        spacy.load(folder)


def test_bytes_of_something_else_are_refused(make_table_nlp):
    with pytest.raises(WnutError, match="cfg of the component 'ner' is damaged"):
        make_table_nlp().get_pipe("ner").from_bytes(b"hello" * 20)


@pytest.mark.parametrize(
    "kind, labels",
    [
        ("torch", ["location"]),
        ("onnx", ["location"]),
        # Only the ONNX model stores its tags; the torch model only their number.
        ("onnx", ["person", "location"]),
    ],
)
def test_model_for_other_entity_types_is_refused(
    trained_folder, onnx_folder, tmp_path, kind, labels
):
    source = trained_folder if kind == "torch" else onnx_folder
    folder = Path(shutil.copytree(source, tmp_path / "copy"))
    cfg = srsly.read_json(folder / "ner" / "cfg")
    srsly.write_json(folder / "ner" / "cfg", {**cfg, "labels": labels})
    with pytest.raises(
        WnutError, match=f"model of the component .* labels .*{labels[-1]}"
    ):
        spacy.load(folder)
