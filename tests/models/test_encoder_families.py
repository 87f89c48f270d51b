"""Every encoder family of the tutorial, tiny, under the tutorial's config."""

import importlib.util
import re
from pathlib import Path

import pytest
from transformers import AlbertConfig, AlbertModel, AlbertTokenizerFast

from spacy_wnut.models.checkpoints import accepts, read_vocabulary
from spacy_wnut.models.transformer_model import create_transformer_model


def load_benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "encoders.py"
    spec = importlib.util.spec_from_file_location("encoders", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


encoders = load_benchmark()

# What says so by itself.
REFUSALS = {
    "bros": "You have to specify bbox",
    "canine": "has no fast version, so its pieces can't be aligned",
    "layoutlmv2": "requires the detectron2 library",
    "mra": "words don't see each other",
    "qdqbert": "requires the pytorch-quantization library",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", encoders.FAMILIES, ids=lambda f: f.model_type)
def test_family_takes_two_steps_and_predicts(family):
    if not encoders.is_there(family):
        pytest.skip("the installed transformers doesn't have it any more")
    failure = encoders.try_family(family)
    if family.why_not:
        assert REFUSALS[family.model_type] in failure
    else:
        assert failure == ""


def test_page_lists_every_family(root):
    page = (root / "docs" / "encoders.md").read_text(encoding="utf8")
    titles = re.findall(r"^\| ([^|]+) \| `[^`]+` \| (?:yes|no) \|", page, re.MULTILINE)
    assert titles == [family.title for family in encoders.FAMILIES]


def test_tokenizer_json_is_enough(tmp_path):
    """Of families whose slow tokenizer needs a file of SentencePiece's."""
    [family] = [f for f in encoders.FAMILIES if f.model_type == "albert"]
    tokenizer = encoders.make_tokenizer(family)
    assert isinstance(tokenizer, AlbertTokenizerFast) and tokenizer.vocab_file is None
    assert read_vocabulary(tokenizer) == b""
    (tmp_path / "spiece.model").write_bytes(b"pieces")
    tokenizer.vocab_file = str(tmp_path / "spiece.model")
    assert read_vocabulary(tokenizer) == b"pieces"
    del tokenizer.vocab_file
    assert read_vocabulary(tokenizer) is None


def test_inputs_that_an_encoder_takes():
    config = AlbertConfig(vocab_size=9, hidden_size=8, intermediate_size=8)
    config.num_attention_heads = 2
    assert accepts(AlbertModel(config), "token_type_ids")
    assert not accepts(AlbertModel(config), "bbox")


def test_settings_are_stored_to_the_last_digit(tmp_path):
    [family] = [f for f in encoders.FAMILIES if f.model_type == "bert"]
    encoders.make_tiny(family, tmp_path)
    model = create_transformer_model(str(tmp_path))
    model.initialize()
    loaded = create_transformer_model("").from_bytes(model.to_bytes())
    for layer in (model, loaded):
        assert layer.transformer.config.layer_norm_eps == 1e-12
        assert layer.transformer.embeddings.LayerNorm.eps == 1e-12
