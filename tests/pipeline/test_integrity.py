"""Loading a pipeline runs no code from its folder, and errors name the damaged file."""

import os
import pickle
import shutil

import numpy
import pytest
import spacy
import srsly

from spacy_wnut.errors import WnutError
from spacy_wnut.pipeline.integrity import find_fault
from spacy_wnut.pipeline.loading import load_pipeline

OSLO = "Ada Lovelace moved to Oslo"


@pytest.fixture
def marker(tmp_path):
    """A file that the payload creates when it runs."""
    return tmp_path / "it-has-run"


@pytest.fixture
def payload(marker):
    """A pickle that runs a command on loading."""

    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    # The protocol that torch uses.
    return pickle.dumps(Payload(), protocol=2)


@pytest.fixture
def model(folder, tmp_path):
    """A copy of a pipeline's folder, of each kind, that may be changed."""
    return shutil.copytree(folder, tmp_path / "model")


@pytest.fixture
def torch_model(trained_folder, tmp_path):
    return shutil.copytree(trained_folder, tmp_path / "model")


def files_of(model):
    files = sorted(path for path in model.rglob("*") if path.is_file())
    assert {"config.cfg", "meta.json", "cfg", "model"} <= {path.name for path in files}
    return files


def change_encoder(model, change):
    """Change the stored data of the encoder's shim in place."""
    path = model / "transformer" / "model"
    message = srsly.msgpack_loads(path.read_bytes())
    [(i, stored)] = [(i, s[0]) for i, s in enumerate(message["shims"]) if s]
    stored = srsly.msgpack_loads(stored)
    change(stored)
    message["shims"][i] = [srsly.msgpack_dumps(stored)]
    path.write_bytes(srsly.msgpack_dumps(message))


def test_payload_runs_when_it_is_unpickled(payload, marker):
    pickle.loads(payload)
    assert marker.exists()


def test_pickle_in_place_of_any_file_is_refused_and_not_run(model, payload, marker):
    for path in files_of(model):
        content = path.read_bytes()
        path.write_bytes(payload)
        with pytest.raises(WnutError) as error:
            load_pipeline(str(model))
        assert f"{path} is damaged" in str(error.value)
        assert not marker.exists()
        path.write_bytes(content)
    assert find_fault(model) is None
    assert spacy.load(model)(OSLO).ents


@pytest.mark.parametrize("part", [0, 0.5])
def test_truncated_files_are_named(model, part):
    for path in files_of(model):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(WnutError) as error:
            load_pipeline(str(model))
        # A truncated config may still be valid.
        assert str(path) in str(error.value) or path.name == "config.cfg"
        path.write_bytes(content)


@pytest.mark.parametrize("part", ["cfg", "model"])
@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"\x93\x01\x02\x03"])
def test_component_names_its_damaged_file(model, part, content):
    (model / "ner" / part).write_bytes(content)
    with pytest.raises(ValueError, match=f"{model}/ner/{part} of the component 'ner'"):
        spacy.load(model)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"labels": ["person"]}, r"labels (have 3: person|are O, B-person, I-person)"),
        ({"labels": ["a ", "c"]}, "'a ' can't be an entity type"),
        ({"labels": 7}, "not iterable"),
        ({"threshold": 2}, "threshold has to be between 0 and 1"),
        ({"threshold": "high"}, "not supported between"),
        ({"temperature": 0}, "temperature has to be"),
        ({"bias": None}, "not supported between"),
        ({"transitions": "os.system"}, '"learned" or "constrained"'),
    ],
)
def test_invalid_settings_are_refused(model, change, says):
    path = model / "ner" / "cfg"
    srsly.write_json(path, {**srsly.read_json(path), **change})
    with pytest.raises(ValueError, match=says):
        spacy.load(model)


def test_model_of_another_pipeline_is_refused(
    torch_model, make_nlp, make_examples, tmp_path
):
    other = make_nlp()
    labels = ["group", "location", "person"]
    other.config["initialize"]["components"]["ner"] = {"labels": labels}
    other.initialize(lambda: make_examples(other))
    other.to_disk(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "ner" / "model", torch_model / "ner" / "model")
    with pytest.raises(ValueError, match=r"ner/model .* 7 tags, and the labels have 5"):
        spacy.load(torch_model)


def test_model_for_an_encoder_of_another_width_is_refused(
    torch_model, make_nlp, make_examples, tmp_path
):
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    nlp = spacy.load(torch_model)
    transformer = nlp.get_pipe("transformer").model
    config = DistilBertConfig(
        **{**transformer.transformer.config.to_dict(), "dim": 48, "n_heads": 3}
    )
    encoder = tmp_path / "encoder"
    DistilBertModel(config).save_pretrained(encoder)
    transformer.tokenizer.save_pretrained(encoder)
    assert AutoTokenizer.from_pretrained(encoder).is_fast
    other = make_nlp(encoder={"name": str(encoder)})
    other.initialize(lambda: make_examples(other))
    other.to_disk(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "ner" / "model", torch_model / "ner" / "model")
    with pytest.raises(ValueError, match="48: ner/model and transformer/model"):
        spacy.load(torch_model)(OSLO)


def test_weights_other_than_tensors_are_refused(torch_model, payload, marker):
    change_encoder(torch_model, lambda stored: stored.update(state=payload))
    with pytest.raises(
        WnutError, match=r"transformer/model.*contain more than tensors"
    ):
        spacy.load(torch_model)
    assert not marker.exists()


def test_missing_weights_are_refused(torch_model):
    import io

    import torch

    def leave_out(stored):
        weights = torch.load(io.BytesIO(stored["state"]), weights_only=True)
        weights.pop("embeddings.word_embeddings.weight")
        target = io.BytesIO()
        torch.save(weights, target)
        stored["state"] = target.getvalue()

    change_encoder(torch_model, leave_out)
    lacks = r"transformer/model lacks the weights embeddings\.word_embeddings\.weight"
    with pytest.raises(WnutError, match=lacks):
        spacy.load(torch_model)


CODE = """
import pathlib
pathlib.Path({marker!r}).touch()
from transformers import DistilBertConfig as Config
from transformers import DistilBertModel as Model
from transformers import DistilBertTokenizerFast as Tokenizer
"""


def test_code_of_the_tokenizer_is_not_run(torch_model, marker):
    def bring_code(stored):
        files = stored["tokenizer"]
        settings = srsly.json_loads(files["tokenizer_config.json"])
        settings["auto_map"] = {"AutoTokenizer": [None, "evil.Tokenizer"]}
        settings["tokenizer_class"] = "Tokenizer"
        files["tokenizer_config.json"] = srsly.json_dumps(settings).encode()
        files["evil.py"] = CODE.format(marker=str(marker)).encode()
        # spacy-transformers passes these to `from_pretrained` unchecked.
        files["kwargs"] = {"use_fast": True, "trust_remote_code": True}

    change_encoder(torch_model, bring_code)
    with pytest.raises(WnutError, match="transformer/model"):
        spacy.load(torch_model)
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["AutoConfig", "AutoModel"])
def test_code_of_the_encoder_is_not_run(torch_model, marker, kind):
    def bring_code(stored):
        stored["config"]["auto_map"] = {kind: f"evil.{kind.removeprefix('Auto')}"}
        stored["config"]["model_type"] = "unheard-of"
        stored["tokenizer"]["evil.py"] = CODE.format(marker=str(marker)).encode()

    change_encoder(torch_model, bring_code)
    with pytest.raises(WnutError, match="transformer/model"):
        spacy.load(torch_model)
    assert not marker.exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"_attn_implementation_internal": "someone/kernel:run"},
        {"attn_implementation": "someone/kernel"},
        {"text_config": {"_attn_implementation": "someone/kernel:run"}},
        {"attn_implementation": {"text_config": "someone/kernel"}},
    ],
)
def test_code_on_the_hub_is_refused(torch_model, settings):
    change_encoder(torch_model, lambda stored: stored["config"].update(settings))
    with pytest.raises(WnutError, match=r"attn_implementation.* names code on the hub"):
        spacy.load(torch_model)


@pytest.mark.parametrize("name", ["../{}", "{}", "a/../../{}", "..\\{}", "..", ""])
def test_tokenizer_files_outside_of_their_folder_are_refused(torch_model, marker, name):
    name = name.format(marker if name == "{}" else marker.name)
    change_encoder(
        torch_model, lambda stored: stored["tokenizer"].update({name: b"written"})
    )
    with pytest.raises(WnutError, match="leads out of its folder"):
        spacy.load(torch_model)
    assert not list(marker.parent.rglob(marker.name))


def test_arrays_of_objects_are_refused(model, payload, marker):
    path = model / "ner" / "model"
    message = srsly.msgpack_loads(path.read_bytes())
    [chain] = [p for p in message["params"] if "transitions" in p]
    chain["start"] = {
        b"nd": True,
        b"kind": b"",
        b"type": numpy.dtype(object).str,
        b"shape": [1],
        b"data": payload,
    }
    path.write_bytes(srsly.msgpack_dumps(message))
    with pytest.raises(ValueError, match="ner/model of the component 'ner'"):
        spacy.load(model)
    assert not marker.exists()


def test_code_in_the_folder_is_not_run(model, marker):
    for name in ("__init__.py", "ner/__init__.py", "setup.py", "sitecustomize.py"):
        (model / name).write_text(CODE.format(marker=str(marker)))
    assert spacy.load(model)(OSLO).ents
    assert not marker.exists()


def change_config(model, old, new):
    path = model / "config.cfg"
    text = path.read_text(encoding="utf8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf8")


@pytest.mark.parametrize("function", ["os.system", "builtins.eval", "no-such.v1"])
def test_config_with_an_unregistered_function_is_refused(model, function):
    change_config(model, '"spacy-wnut.scorer.v1"', f'"{function}"')
    with pytest.raises(ValueError, match=function):
        spacy.load(model)


@pytest.mark.parametrize("name", ["/ner", "/tmp/ner", "a/ner", "a\\\\ner"])
def test_component_outside_of_the_folder_is_refused(model, tmp_path, name):
    shutil.copytree(model / "ner", tmp_path / "ner")
    change_config(model, '"ner"]', f'"{name}"]')
    change_config(model, "[components.ner", f"[components.{name}")
    with pytest.raises(ValueError):
        spacy.load(model)
    with pytest.raises(WnutError, match=r"config\.cfg has a component .* leads out of"):
        load_pipeline(str(model))
