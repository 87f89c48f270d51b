"""Tiny encoders of all families of the tutorial, with the config of the tutorial."""

import json
import re

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc
from transformers import AlbertConfig, AlbertModel, AlbertTokenizerFast

from benchmarks.reliability import encoder_families
from spacy_wnut.models.checkpoints import accepts, read_vocabulary
from spacy_wnut.models.transformer_model import create_transformer_model

pytestmark = pytest.mark.slow

# Error messages of unsupported families.
REFUSALS = {
    "bros": "You have to specify bbox",
    "canine": "is not supported: its tokenizer (CanineTokenizer) has no fast",
    "layoutlmv2": "requires the detectron2 library",
    "mra": "emissions don't depend on the context",
    "qdqbert": "requires the pytorch-quantization library",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "family", encoder_families.FAMILIES, ids=lambda f: f.model_type
)
def test_family_takes_two_steps_and_predicts(family):
    if not encoder_families.is_installed(family):
        pytest.skip("the installed transformers no longer has it")
    failure = encoder_families.try_family(family)
    if family.why_not:
        assert REFUSALS[family.model_type] in failure
    else:
        assert failure == ""


def test_docs_list_every_family(root):
    page = (root / "docs" / "encoders.md").read_text(encoding="utf8")
    titles = re.findall(r"^\| ([^|]+) \| `[^`]+` \| (?:yes|no) \|", page, re.MULTILINE)
    assert titles == [family.title for family in encoder_families.FAMILIES]


def test_tokenizer_json_is_enough(tmp_path):
    """Also where the slow tokenizer needs a file of SentencePiece."""
    [family] = [f for f in encoder_families.FAMILIES if f.model_type == "albert"]
    tokenizer = encoder_families.make_tokenizer(family)
    assert isinstance(tokenizer, AlbertTokenizerFast) and tokenizer.vocab_file is None
    assert read_vocabulary(tokenizer) == b""
    (tmp_path / "spiece.model").write_bytes(b"pieces")
    tokenizer.vocab_file = str(tmp_path / "spiece.model")
    assert read_vocabulary(tokenizer) == b"pieces"
    del tokenizer.vocab_file
    assert read_vocabulary(tokenizer) is None


def test_inputs_that_an_encoder_accepts():
    config = AlbertConfig(vocab_size=9, hidden_size=8, intermediate_size=8)
    config.num_attention_heads = 2
    assert accepts(AlbertModel(config), "token_type_ids")
    assert not accepts(AlbertModel(config), "bbox")


@pytest.fixture
def make_short(tmp_path, monkeypatch):
    """Function that creates a tiny encoder of a family with 66 positions. Its tokenizer
    has no limit.
    """

    def make(model_type, **settings):
        [family] = [f for f in encoder_families.FAMILIES if f.model_type == model_type]
        short = family.settings | {"max_position_embeddings": 66, **settings}
        encoder_families.make_tiny(family._replace(settings=short), tmp_path / "short")
        path = tmp_path / "short" / "tokenizer_config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | {"model_max_length": 10**30}))
        return str(tmp_path / "short")

    return make


# Number of positions for pieces: 66 minus two special tokens. RoBERTa and its variants
# do not use positions 0 and 1, up to the id of the padding token.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "model_type, room",
    [
        ("bert", 64),
        ("distilbert", 64),
        ("electra", 64),
        ("megatron-bert", 64),
        ("nystromformer", 64),
        ("roberta", 62),
        ("roberta-prelayernorm", 62),
        ("camembert", 62),
        ("xlm-roberta", 62),
        ("xlm-roberta-xl", 62),
        ("xmod", 62),
        ("data2vec-text", 62),
        ("ibert", 62),
        ("luke", 62),
        ("longformer", 62),
        ("mpnet", 62),
    ],
)
def test_window_fits_the_positions_of_the_encoder(make_short, model_type, room):
    folder = make_short(model_type)
    doc = Doc(spacy.blank("en").vocab, words=["Oslo"] * 200)
    model = create_transformer_model(folder, window=room, stride=room)
    model.initialize()
    assert numpy.isfinite(model.predict([doc]).doc_data[0].tensors[0]).all()
    # The encoder itself fails with one more piece.
    encoder = model.transformer
    n_pieces = room + 2 + 1
    with pytest.raises((IndexError, RuntimeError)):
        encoder(torch.full((1, n_pieces), 7), torch.ones((1, n_pieces)))
    longer = create_transformer_model(folder, window=room + 1, stride=room)
    with pytest.raises(ValueError, match=rf"takes at most {room} .* to {room} or less"):
        longer.initialize()


def test_window_of_an_encoder_without_a_table_of_positions(make_short):
    folder = make_short("bloom", max_position_embeddings=None)
    create_transformer_model(folder, window=1000, stride=500).initialize()


def test_settings_of_the_encoder_are_stored_exactly(tmp_path):
    [family] = [f for f in encoder_families.FAMILIES if f.model_type == "bert"]
    encoder_families.make_tiny(family, tmp_path)
    model = create_transformer_model(str(tmp_path))
    model.initialize()
    loaded = create_transformer_model("").from_bytes(model.to_bytes())
    for layer in (model, loaded):
        assert layer.transformer.config.layer_norm_eps == 1e-12
        assert layer.transformer.embeddings.LayerNorm.eps == 1e-12
