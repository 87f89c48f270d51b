"""Encoders without their upper layers, compared with hidden states of whole ones."""

import json
import warnings

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModel,
    BartConfig,
    BertConfig,
    BertModel,
    GPT2Config,
    LlamaConfig,
    T5Config,
)

from benchmarks.reliability import encoder_families
from spacy_wnut.errors import WnutError
from spacy_wnut.models.checkpoints import fetch_encoder
from spacy_wnut.models.layers import keep_layers

N_LAYERS = 4
PIECES = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16]])


def family_of(model_type, **settings):
    """A tiny encoder family with four layers."""
    [family] = [f for f in encoder_families.FAMILIES if f.model_type == model_type]
    # Some configs have a name of their own for it.
    counts = {"n_layers", "n_layer"} & family.settings.keys() | {"num_hidden_layers"}
    layers = dict.fromkeys(counts, N_LAYERS)
    return family._replace(settings=family.settings | layers | settings)


@pytest.fixture
def make(tmp_path):
    """Function that writes a tiny encoder of a family and returns its folder."""

    def write(model_type, **settings):
        folder = tmp_path / model_type
        encoder_families.make_tiny(family_of(model_type, **settings), folder)
        return str(folder)

    return write


def run(folder):
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model, model(input_ids=PIECES, output_hidden_states=True)


# Families without a final layer norm: the output is the hidden state itself.
PLAIN = [
    ("distilbert", {}),
    ("bert", {}),
    ("roberta", {}),
    ("xlm-roberta", {}),
    ("mpnet", {}),
    ("electra", {"embedding_size": 8}),
    ("deberta", {}),
    # With a convolution after the first layer, as in published checkpoints.
    ("deberta-v2", {"conv_kernel_size": 3, "position_buckets": 8}),
    ("deberta-v2", {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    ("camembert", {}),
    ("convbert", {}),
    ("longformer", {"attention_window": [8, 8, 8, 8]}),
    # Four feed-forward networks per layer: lists as long as the stack, within it.
    ("mobilebert", {"num_feedforward_networks": 5}),
    ("squeezebert", {}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type, settings", PLAIN)
def test_output_is_the_hidden_state_of_the_whole_encoder(
    make, tmp_path, model_type, settings
):
    source = make(model_type, **settings)
    _, whole = run(source)
    for n_layers in (1, 3):
        config = fetch_encoder(source, tmp_path / "out", n_layers=n_layers)
        assert config.num_hidden_layers == n_layers
        shallow, output = run(tmp_path / "out")
        assert shallow.config.num_hidden_layers == n_layers
        assert len(output.hidden_states) == n_layers + 1
        expected = whole.hidden_states[n_layers]
        assert (whole.last_hidden_state - expected).abs().max() > 1e-4
        assert torch.allclose(output.last_hidden_state, expected, atol=1e-5)
        for one, other in zip(output.hidden_states, whole.hidden_states, strict=False):
            assert torch.allclose(one, other, atol=1e-5)


# The path of the final layer norm.
NORMS = {
    "gpt2": "ln_f",
    "bloom": "ln_f",
    "roberta-prelayernorm": "LayerNorm",
    "megatron-bert": "encoder.ln",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type", NORMS)
def test_final_layer_norm_is_kept(make, tmp_path, model_type):
    source = make(model_type)
    model, whole = run(source)
    torch.manual_seed(1)
    norm = model.get_submodule(NORMS[model_type])
    torch.nn.init.normal_(norm.weight)
    model.save_pretrained(source)
    fetch_encoder(source, tmp_path / "out", n_layers=2)
    _, output = run(tmp_path / "out")
    with torch.inference_mode():
        expected = norm(whole.hidden_states[2])
    assert torch.allclose(output.last_hidden_state, expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type", ["distilbert", "roberta"])
def test_shallow_encoder_is_trained_by_the_config(make, tmp_path, model_type):
    fetch_encoder(make(model_type), tmp_path / "out", n_layers=2)
    encoder_families.train_and_predict(tmp_path / "out")


def test_all_layers_are_the_encoder_itself(make, tmp_path):
    for model_type in ("bert", "albert"):
        source = make(model_type)
        fetch_encoder(source, tmp_path / "all")
        fetch_encoder(source, tmp_path / "four", n_layers=N_LAYERS)
        for path in (tmp_path / "all").iterdir():
            assert (tmp_path / "four" / path.name).read_bytes() == path.read_bytes()


def test_only_the_dropped_layers_are_missing(make, tmp_path):
    source = make("bert")
    fetch_encoder(source, tmp_path / "out", n_layers=2)
    whole = AutoModel.from_pretrained(source).state_dict()
    shallow = AutoModel.from_pretrained(tmp_path / "out").state_dict()
    dropped = {
        name
        for name in whole
        if name.startswith(("encoder.layer.2.", "encoder.layer.3."))
    }
    assert dropped and whole.keys() - shallow.keys() == dropped
    assert all(whole[name].equal(tensor) for name, tensor in shallow.items())


def test_settings_per_layer_are_cut(make, tmp_path):
    source = make("longformer", attention_window=[8, 8, 8, 8])
    fetch_encoder(source, tmp_path / "out", n_layers=2)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["attention_window"] == [8, 8]


TINY = {"vocab_size": 30, "pad_token_id": 1, "hidden_size": 8, "intermediate_size": 8}
HEADS = {"num_attention_heads": 2, "num_hidden_layers": 2}
BART = {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "config, message",
    [
        (AlbertConfig(**TINY, **HEADS, embedding_size=8), "are not separate modules"),
        # As many lists as layers, in each way.
        (
            AlbertConfig(**TINY, **HEADS, embedding_size=8, inner_group_num=2),
            "are not separate modules",
        ),
        (
            AlbertConfig(
                **{**TINY, **HEADS, "num_hidden_layers": 4},
                embedding_size=8,
                num_hidden_groups=2,
            ),
            "are not separate modules",
        ),
        (
            BartConfig(
                vocab_size=30,
                **BART,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
            ),
            "it has a decoder",
        ),
        (
            T5Config(
                vocab_size=30, d_model=8, d_ff=8, d_kv=4, num_layers=2, num_heads=2
            ),
            "it has a decoder",
        ),
    ],
    ids=["albert", "albert-inner", "albert-groups", "bart", "t5"],
)
def test_other_structures_are_refused(config, message):
    model = AutoModel.from_config(config)
    reason = f"family {config.model_type} can't be reduced .*{message}.* Leave --layers"
    with pytest.raises(WnutError, match=reason):
        keep_layers(model, 1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "model_type, settings, message",
    [
        ("xlm", {}, "several stacks of modules .attentions, layer_norm1"),
        ("flaubert", {}, "several stacks"),
        # Its input is padded to the longest window of all layers.
        ("longformer", {"attention_window": [8, 8, 8, 16]}, "the first ones differ"),
        ("funnel", {"num_hidden_layers": None, "block_sizes": [1, 1]}, "be reduced to"),
        # The weights of its contact head depend on the number of layers.
        ("esm", {}, "be reduced to"),
        # Its config describes each layer, and the number has to agree.
        ("gpt_neo", {"num_layers": 4, "attention_types": [[["global"], 4]]}, "reduced"),
    ],
)
def test_families_that_do_not_fit_are_refused(
    make, tmp_path, model_type, settings, message
):
    source = make(model_type, **settings)
    (tmp_path / "out").mkdir()
    with pytest.raises(WnutError, match=message):
        fetch_encoder(source, tmp_path / "out", n_layers=1)
    assert list((tmp_path / "out").iterdir()) == []


class Scaled(BertModel):
    """An encoder that divides its input by the number of layers."""

    def forward(self, input_ids):
        vectors = self.embeddings.word_embeddings(input_ids)
        return super().forward(inputs_embeds=vectors / self.config.num_hidden_layers)


def test_layers_that_differ_without_the_others_are_refused():
    model = Scaled(BertConfig(**TINY, **HEADS))
    with pytest.raises(WnutError, match="without the other layers, the first ones dif"):
        keep_layers(model, 1)


@pytest.mark.parametrize("n_layers", [0, -1])
def test_fewer_than_one_layer(tmp_path, n_layers, monkeypatch):
    monkeypatch.setattr(
        "spacy_wnut.models.checkpoints.load_checkpoint",
        lambda *_, **__: pytest.fail("the encoder was loaded"),
    )
    with pytest.raises(WnutError, match=f"^{n_layers} layers can't be kept: give 1 or"):
        fetch_encoder("somebody/encoder", tmp_path / "out", n_layers=n_layers)


@pytest.mark.parametrize("model_type", ["bert", "albert"])
def test_more_layers_than_there_are(make, tmp_path, model_type):
    message = "5 layers can't be kept, since the encoder has 4: give .* between 1 and 4"
    with pytest.raises(WnutError, match=message):
        fetch_encoder(make(model_type), tmp_path / "out", n_layers=5)
    assert not (tmp_path / "out").exists()


def test_encoder_with_types_of_layers():
    """Decoder-only models as well: their config lists the type of each layer."""
    config = LlamaConfig(**TINY, **HEADS)
    config.layer_types = ["full_attention", "full_attention"]
    shallow = keep_layers(AutoModel.from_config(config), 1)
    assert shallow.config.layer_types == ["full_attention"]
    assert config.layer_types == ["full_attention"] * 2


def test_encoder_is_not_changed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModel.from_config(GPT2Config(vocab_size=30, n_embd=8, n_head=2))
    keep_layers(model, 3)
    assert model.config.n_layer == len(model.h) == 12
