"""Equal entities and confidences after every road there is for a pipeline."""

import pickle
import shutil
from pathlib import Path

import pytest
import spacy
import srsly

from spacy_wnut.errors import WnutError


def annotate(nlp, posts, **options):
    return [
        [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents]
        for doc in nlp.pipe((text for text, _ in posts), **options)
    ]


def reload(nlp, road, tmp_path):
    if road == "disk":
        nlp.to_disk(tmp_path / "model")
        return spacy.load(tmp_path / "model")
    if road == "bytes":
        return spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    return pickle.loads(pickle.dumps(nlp))


@pytest.mark.parametrize("road", ["disk", "bytes", "pickle"])
def test_pipeline_stays_the_same(nlp, posts, tmp_path, road):
    ner = nlp.get_pipe("ner")
    ner.threshold = 0.1
    before = annotate(nlp, posts)
    loaded = reload(nlp, road, tmp_path)
    assert sum(map(len, before)) == 6
    assert annotate(loaded, posts) == before
    assert loaded.get_pipe("ner").cfg == ner.cfg
    assert loaded.get_pipe("ner").labels == ner.labels


@pytest.mark.parametrize("road", ["disk", "bytes"])
def test_component_stays_the_same(nlp, make_nlp, posts, tmp_path, road):
    other = make_nlp()
    other.get_pipe("transformer").from_bytes(nlp.get_pipe("transformer").to_bytes())
    if road == "disk":
        nlp.get_pipe("ner").to_disk(tmp_path / "ner")
        other.get_pipe("ner").from_disk(tmp_path / "ner")
    else:
        other.get_pipe("ner").from_bytes(nlp.get_pipe("ner").to_bytes())
    assert annotate(other, posts) == annotate(nlp, posts)


def test_stored_pipeline_needs_no_encoder_folder(nlp, posts, tmp_path):
    nlp.config["components"]["transformer"]["model"]["name"] = "nowhere/at-all"
    assert "nowhere" in str(nlp.config["components"]["transformer"])
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(
        tmp_path / "model",
        config={"components.transformer.model.name": "nowhere/at-all"},
    )
    assert annotate(loaded, posts) == annotate(nlp, posts)


def test_pipeline_that_is_not_initialized_is_stored(make_nlp, make_examples, tmp_path):
    nlp = make_nlp(threshold=0.25)
    nlp.get_pipe("ner").add_label("person")
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    assert loaded.get_pipe("ner").labels == ("person",)
    assert loaded.get_pipe("ner").threshold == 0.25
    loaded.initialize(lambda: make_examples(loaded))
    assert loaded.get_pipe("ner").labels == ("person", "location")


def test_trains_on_after_loading(nlp, make_examples, tmp_path):
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    optimizer = loaded.resume_training()
    first = loaded.update(make_examples(loaded), sgd=optimizer)
    for _ in range(10):
        last = loaded.update(make_examples(loaded), sgd=optimizer)
    assert last["ner"] < first["ner"] < 0.2


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_any_batch_size_gives_the_same(nlp, posts, batch_size):
    odd = [("", set()), (" ", set()), ("so " * 300 + "in Oslo", set())]
    mixed = [*odd, *posts, *odd]
    one_by_one = [annotate(nlp, [post])[0] for post in mixed]
    together = annotate(nlp, mixed, batch_size=batch_size)
    for alone, among in zip(one_by_one, together, strict=True):
        assert [ent[:2] for ent in among] == [ent[:2] for ent in alone]
        assert [ent[2] for ent in among] == pytest.approx(
            [ent[2] for ent in alone], abs=1e-5
        )


def test_select_pipes(nlp, posts):
    before = annotate(nlp, posts)
    for pipes in (["ner"], ["transformer", "ner"]):
        with nlp.select_pipes(disable=pipes):
            doc = nlp(posts[0][0])
            assert not doc.ents and "wnut" not in doc.spans
    with nlp.select_pipes(enable=["ner"]):
        with pytest.raises(WnutError, match="'transformer', which hasn't run"):
            annotate(nlp, posts)
    assert annotate(nlp, posts) == before


def test_memory_zone(nlp, posts):
    before = annotate(nlp, posts)
    for _ in range(2):
        with nlp.memory_zone():
            assert annotate(nlp, [("zyx wvut", set()), *posts])[1:] == before
    assert annotate(nlp, posts) == before


def test_sourced_pipes_give_the_same(nlp, posts, tmp_path):
    other = spacy.blank("en")
    for name in ("transformer", "ner"):
        other.add_pipe(name, source=nlp)
    before = annotate(nlp, posts)
    assert annotate(other, posts) == before
    other.to_disk(tmp_path / "model")
    assert annotate(spacy.load(tmp_path / "model"), posts) == before


def test_replaced_listener_gives_the_same_without_the_transformer(
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

    # The encoder is a part of the component now, and is trained with it.
    encoder = next(
        node
        for node in loaded.get_pipe("ner").model.walk()
        if node.name == "transformer"
    ).transformer
    weights = encoder.embeddings.word_embeddings.weight.detach().clone()
    loaded.update(make_examples(loaded), sgd=loaded.resume_training())
    assert not weights.equal(encoder.embeddings.word_embeddings.weight)


@pytest.fixture
def onnx_copy(onnx_folder, tmp_path):
    return Path(shutil.copytree(onnx_folder, tmp_path / "copy"))


@pytest.mark.parametrize("size", [0, 99, 5000])
def test_model_file_that_is_cut_off(onnx_copy, size):
    path = onnx_copy / "ner" / "model"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(
        WnutError, match=r"copy.ner.model of the component 'ner' is damaged"
    ):
        spacy.load(onnx_copy)


def test_bytes_that_are_no_component(nlp):
    with pytest.raises(WnutError, match="cfg of the component 'ner' is damaged"):
        nlp.get_pipe("ner").from_bytes(b"hello" * 20)


@pytest.mark.parametrize(
    "kind, labels",
    [
        ("torch", ["location"]),
        ("onnx", ["location"]),
        # Of torch's model nothing but the number of tags is known.
        ("onnx", ["person", "location"]),
    ],
)
def test_entity_types_that_the_model_was_not_made_for(
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
