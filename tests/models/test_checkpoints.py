"""Encoders from folders and from a mock of the hub."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import numpy
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file
from spacy.tokens import Doc
from spacy.vocab import Vocab
from transformers import (
    AutoModel,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForMaskedLM,
)

from spacy_wnut.errors import WnutError
from spacy_wnut.models import checkpoints
from spacy_wnut.models.checkpoints import fetch_encoder, make_tiny_encoder
from spacy_wnut.models.transformer_model import create_transformer_model

from .conftest import assert_refused


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture
def copy(tiny_encoder, tmp_path):
    """Copy of the tiny encoder, for tests that modify it."""
    shutil.copytree(tiny_encoder, tmp_path / "copy")
    return tmp_path / "copy"


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def test_encoder_of_full_size_from_the_hub(hub_cache, tiny_encoder, out):
    """The default encoder is stored beside the head that it was pre-trained with."""
    name = "distilbert-base-uncased"
    folder = hub_cache(name)
    DistilBertForMaskedLM(DistilBertConfig()).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
    fetch_encoder(name, out)
    tensors = weights(out)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert sum(tensor.numel() for tensor in tensors.values()) == 66_362_880


@pytest.mark.parametrize("stored_as", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_a_folder_are_stored_in_full_precision_as_safetensors(
    tiny_encoder, copy, out, stored_as, dtype
):
    AutoModel.from_pretrained(tiny_encoder, torch_dtype=dtype).save_pretrained(
        copy, safe_serialization=stored_as.endswith("safetensors")
    )
    if not stored_as.endswith("safetensors"):
        (copy / "model.safetensors").unlink()
    assert (copy / stored_as).is_file()

    config = fetch_encoder(str(copy), out)
    assert config.model_type == "distilbert"
    before, after = weights(tiny_encoder), weights(out)
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        assert tensor.dtype == torch.float32
        assert tensor.equal(before[name].to(dtype).float())
    assert json.loads((out / "config.json").read_text())["torch_dtype"] == "float32"
    assert "earlier" not in contents(out)
    assert list(out.parent.iterdir()) == [out]


def test_tokenizer_is_stored_with_the_encoder(tiny_encoder, out):
    fetch_encoder(tiny_encoder, out)
    text = "Ada Lovelace moved to Oslo 😀"
    before, after = (AutoTokenizer.from_pretrained(f) for f in (tiny_encoder, out))
    assert after(text) == before(text)
    assert after.model_max_length == before.model_max_length == 512


def test_encoder_of_a_checkpoint_with_a_head_is_stored(tiny_encoder, copy, out):
    """Most checkpoints on the hub are masked language models."""
    from transformers import AutoModelForMaskedLM

    AutoModelForMaskedLM.from_pretrained(tiny_encoder).save_pretrained(copy)
    assert all(not name.startswith("transformer.") for name in weights(copy))
    fetch_encoder(str(copy), out)
    for name, tensor in weights(tiny_encoder).items():
        assert weights(out)[name].equal(tensor)


def spoil_config(folder):
    (folder / "config.json").unlink()


def spoil_weights(folder):
    (folder / "model.safetensors").unlink()


def truncate_weights(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def spoil_tokenizer(folder):
    for path in folder.glob("*token*"):
        path.unlink()
    (folder / "vocab.txt").unlink()


def rename_architecture(folder):
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "no-such-architecture"
    (folder / "config.json").write_text(json.dumps(config))


def break_json(folder):
    (folder / "config.json").write_text("{")


def change_width(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dim": 64}))


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_config,
        spoil_weights,
        truncate_weights,
        spoil_tokenizer,
        rename_architecture,
        break_json,
        change_width,
    ],
)
def test_damaged_or_incomplete_folder_is_refused(copy, out, spoil):
    spoil(copy)
    message = r"can't be loaded: .*\. Use a folder with config\.json, model\.saf"
    assert_refused(out, copy, message)


def test_slow_tokenizer_is_refused(copy, out):
    for path in [*copy.glob("*token*"), copy / "vocab.txt"]:
        path.unlink()
    slow = {"tokenizer_class": "CanineTokenizer"}
    (copy / "tokenizer_config.json").write_text(json.dumps(slow))
    message = r"is not supported: .* \(CanineTokenizer\) has no fast .* Use another enc"
    assert_refused(out, copy, message)


# The slow tokenizers have no fast version, as for BERTweet, or need a conversion.
@pytest.mark.parametrize(
    "tokenizer, files, missing, message",
    [
        (
            "BertweetTokenizer",
            {"vocab.txt": "a 1\n", "bpe.codes": "a b 1\n"},
            (),
            r"is not supported: its tokenizer \(BertweetTokenizer\) has no fast tok",
        ),
        (
            "DebertaV2Tokenizer",
            {"spm.model": "pieces"},
            ("sentencepiece",),
            r"SentencePiece .* aren't installed: pip install sentencepiece$",
        ),
        (
            "XLMRobertaTokenizer",
            {"sentencepiece.bpe.model": "pieces"},
            ("sentencepiece", "google.protobuf"),
            r"SentencePiece .* aren't installed: pip install sentencepiece protobuf$",
        ),
        (
            "AlbertTokenizer",
            {"spiece.model": "pieces"},
            ("google.protobuf",),
            r"SentencePiece .* aren't installed: pip install protobuf$",
        ),
        # All packages are installed, so the file itself is damaged.
        ("AlbertTokenizer", {"spiece.model": "pieces"}, (), r"Use a folder with"),
    ],
)
def test_slow_tokenizer_that_cannot_be_converted_is_refused(
    copy, out, monkeypatch, tokenizer, files, missing, message
):
    for path in [*copy.glob("*token*"), copy / "vocab.txt"]:
        path.unlink()
    (copy / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": tokenizer})
    )
    for name, content in files.items():
        (copy / name).write_text(content)
    monkeypatch.setattr(
        checkpoints, "find_spec", lambda name: None if name in missing else "there"
    )
    assert_refused(out, copy, message)


CODE = """
from pathlib import Path
Path(__file__).with_name("was-run").touch()
raise SystemExit("code was run")
"""


@pytest.fixture
def encoder_with_code(tmp_path, tiny_encoder, monkeypatch):
    """Encoder with custom code of an unknown architecture. A prompt on the terminal
    fails the test.
    """
    folder = tmp_path / "with-code"
    shutil.copytree(tiny_encoder, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "unheard-of",
        "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(CODE)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    return folder


NO_CODE = "can't be loaded: it needs custom code, which is not run. Use a checkpoint of"


@pytest.mark.parametrize("settings", [{}, {"trust_remote_code": True}])
def test_code_of_an_encoder_is_not_run_in_training(encoder_with_code, settings):
    model = create_transformer_model(
        str(encoder_with_code), transformer_config=settings, tokenizer_config=settings
    )
    with pytest.raises(WnutError, match=NO_CODE):
        model.initialize()
    assert not (encoder_with_code / "was-run").exists()


def test_settings_are_passed_to_the_encoder_and_the_tokenizer(tiny_encoder):
    model = create_transformer_model(
        tiny_encoder,
        transformer_config={"dropout": 0.25},
        tokenizer_config={"model_max_length": 300},
    )
    model.initialize()
    assert model.transformer.config.dropout == 0.25
    assert model.transformer.embeddings.dropout.p == 0.25
    assert model.tokenizer.model_max_length == 300


@pytest.fixture
def hub(monkeypatch, tiny_encoder):
    """Mock of the client of the hub. It returns the tiny encoder, or raises `error`."""

    class Hub:
        error = None
        calls = ()

        def snapshot_download(self, repo_id, *, revision=None, allow_patterns=None):
            self.calls = (*self.calls, (repo_id, revision))
            if self.error is not None:
                raise self.error
            self.patterns = allow_patterns
            return tiny_encoder

    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    return hub


@pytest.mark.parametrize("revision", [None, "v1.0"])
def test_id_and_revision_are_passed_to_the_hub(hub, tiny_encoder, out, revision):
    fetch_encoder("somebody/encoder", out, revision)
    assert hub.calls == (("somebody/encoder", revision),)
    assert weights(out).keys() == weights(tiny_encoder).keys()


def test_weights_of_other_frameworks_are_not_downloaded(hub, out):
    fetch_encoder("somebody/encoder", out)
    kept = [
        name
        for name in (
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
            "merges.txt",
            "sentencepiece.bpe.model",
            "model.safetensors",
            "model-00001-of-00002.safetensors",
            "pytorch_model.bin",
            "tf_model.h5",
            "flax_model.msgpack",
            "rust_model.ot",
            "onnx/model.onnx",
            "coreml/weights.bin",
        )
        if any(Path(name).match(pattern) for pattern in hub.patterns)
    ]
    assert len(kept) == 9


def test_folder_takes_precedence_over_the_hub(hub, tiny_encoder, out, monkeypatch):
    monkeypatch.chdir(Path(tiny_encoder).parent)
    fetch_encoder(Path(tiny_encoder).name, out)
    assert hub.calls == ()


def http(error):
    return error("404 Client Error", response=_response(404))


def _response(status):
    from requests import Request, Response

    response = Response()
    response.status_code = status
    response.request = Request("GET", "https://huggingface.co/x").prepare()
    return response


NO_SUCH = "there is no such folder and no such model on the hub"
UNREACHABLE = "there is no such folder and the hub can't be reached"


@pytest.mark.parametrize(
    "error, message",
    [
        (http(errors.RepositoryNotFoundError), NO_SUCH),
        (http(errors.GatedRepoError), NO_SUCH),
        (errors.HFValidationError("Repo id must be"), NO_SUCH),
        (http(errors.RevisionNotFoundError), "the hub has no revision 'v9' of it"),
        (errors.LocalEntryNotFoundError("no connection"), UNREACHABLE),
        (http(errors.HfHubHTTPError), UNREACHABLE),
        (errors.OfflineModeIsEnabled("offline"), UNREACHABLE),
        (ConnectionError("no route to host"), UNREACHABLE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_the_hub_are_explained(hub, out, error, message):
    hub.error = error
    message = f"'a/b' can't be found: {message}.* Set --vars.encoder or SPACY_WNUT_ENC"
    assert_refused(out, "a/b", message, revision="v9")


@pytest.fixture
def cache(hub_cache, tiny_encoder):
    """Cache of the hub that contains somebody/encoder, without access to the hub."""
    folder = hub_cache("somebody/encoder")
    shutil.copytree(tiny_encoder, folder, dirs_exist_ok=True)


@pytest.mark.parametrize("revision", [None, "0" * 40])
def test_offline_the_cache_is_used(cache, tiny_encoder, out, revision):
    fetch_encoder("somebody/encoder", out, revision)
    for name, tensor in weights(tiny_encoder).items():
        assert weights(out)[name].equal(tensor)


@pytest.mark.parametrize(
    "source, revision", [("somebody/else", None), ("somebody/encoder", "v2")]
)
def test_offline_encoder_outside_of_the_cache_is_an_error(cache, out, source, revision):
    assert_refused(out, source, UNREACHABLE, revision=revision)


def test_invalid_id_is_an_error(out):
    """Without a mock: the client checks ids before it connects."""
    assert_refused(out, "no/such/folder/here", f"{NO_SUCH} .HFValidationError.")


def test_interrupted_writing_leaves_nothing(tiny_encoder, out, monkeypatch):
    def interrupt(self, folder, **options):
        (Path(folder) / "half").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_encoder(tiny_encoder, out)
    assert contents(out) == {"config.json": b"earlier"}
    assert list(out.parent.iterdir()) == [out]


TEXTS = ["Ada Lovelace moved to Oslo", "so did Ada", "no Wörd is th3re twice !"]


def test_tiny_encoder_is_reproducible(tmp_path):
    for name in "ab":
        make_tiny_encoder(iter(TEXTS), tmp_path / name)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    make_tiny_encoder(TEXTS, tmp_path / "c", seed=1)
    assert (
        contents(tmp_path / "c")["vocab.txt"] == contents(tmp_path / "a")["vocab.txt"]
    )
    assert not weights(tmp_path / "c")["transformer.layer.0.ffn.lin1.weight"].equal(
        weights(tmp_path / "a")["transformer.layer.0.ffn.lin1.weight"]
    )


def test_tiny_encoder_is_a_distilbert_with_all_characters(tmp_path):
    config = make_tiny_encoder(iter(TEXTS), tmp_path / "tiny")
    assert config.model_type == "distilbert"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    pieces = tokenizer.tokenize("Ada moved th3re")
    assert pieces[0] == "ada"
    assert pieces[1:4] == ["m", "##o", "##v"]
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        assert tokenizer.unk_token_id not in ids
    assert tokenizer.convert_tokens_to_ids("q") == tokenizer.unk_token_id
    model = create_transformer_model(str(tmp_path / "tiny"))
    model.initialize()
    [data] = model.predict([Doc(Vocab(), words=TEXTS[2].split())]).doc_data
    assert numpy.isfinite(data.model_output["last_hidden_state"]).all()


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"_attn_implementation_internal": "a/kernel:run"}, "names code on the hub"),
        ({"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "x"}, "custom code"),
    ],
)
def test_code_of_an_encoder_is_not_run_when_it_is_fetched(copy, out, settings, says):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **settings}))
    marker = copy / "it-has-run"
    (copy / "evil.py").write_text(
        f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n"
        "from transformers import DistilBertConfig as Config\n"
    )
    assert_refused(out, copy, says)
    assert not marker.exists()
