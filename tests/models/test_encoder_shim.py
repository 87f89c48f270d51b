"""Features of the shim beyond thinc: frozen vectors, averages, half precision."""

import numpy
import pytest
import torch

from spacy_wnut.models import encoder_shim
from spacy_wnut.models.transformer_model import create_transformer_model

WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"


def weights(nlp):
    encoder = nlp.get_pipe("transformer").model.transformer
    return {name: p.detach().clone() for name, p in encoder.named_parameters()}


def step(nlp, examples):
    optimizer = nlp.initialize(lambda: examples)
    before = weights(nlp)
    # Outside of `spacy train`, the encoder is updated one batch later.
    for _ in range(2):
        nlp.update(examples, sgd=optimizer)
    return before, weights(nlp)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_vectors_of_pieces_can_be_frozen(make_nlp, make_examples, is_frozen):
    nlp = make_nlp({"freeze_embeddings": is_frozen})
    before, after = step(nlp, make_examples(nlp))
    assert torch.equal(before[WORDS], after[WORDS]) == is_frozen
    assert not torch.equal(before[POSITIONS], after[POSITIONS])


def test_averages_of_the_optimizer_replace_the_weights_within_the_context(
    make_nlp, make_examples
):
    nlp = make_nlp()
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.averages = {}
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    last = weights(nlp)
    shim = nlp.get_pipe("transformer").model.layers[0].shims[0]
    with nlp.use_params(optimizer.averages):
        within = weights(nlp)
        for name, values in within.items():
            average = optimizer.averages[(shim.id, name)]
            numpy.testing.assert_array_equal(values.numpy(), average)
        assert not torch.equal(within[POSITIONS], last[POSITIONS])
        doc = nlp("Ada Lovelace moved to Oslo")
    assert all(torch.equal(last[name], values) for name, values in weights(nlp).items())
    assert doc.has_annotation("ENT_IOB")


def test_initial_scale_may_be_an_integer(tiny_encoder):
    model = create_transformer_model(
        tiny_encoder, mixed_precision=True, grad_scaler_config={"init_scale": 1024}
    )
    assert model.layers[0].shims[0]._grad_scaler._scale.is_floating_point()


def test_devices_without_half_precision_use_full_precision(tiny_encoder, monkeypatch):
    monkeypatch.setattr(encoder_shim, "half_precision_dtype", lambda: None)
    model = create_transformer_model(tiny_encoder, mixed_precision=True)
    assert model.layers[0].shims[0].half is None


@pytest.mark.parametrize(
    ("has_amx", "vendor", "flags", "dtype"),
    [
        (True, "GenuineIntel", "avx512_bf16 amx_bf16", torch.bfloat16),
        # On Intel's processors, AVX-512 BF16 alone is slower than full precision.
        (False, "GenuineIntel", "avx512f avx512_bf16", None),
        (False, "AuthenticAMD", "avx512f avx512_bf16", torch.bfloat16),
        (False, "AuthenticAMD", "avx2", None),
    ],
)
def test_cpus_use_half_precision_if_it_is_faster(
    tmp_path, monkeypatch, has_amx, vendor, flags, dtype
):
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text(f"vendor_id\t: {vendor}\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(encoder_shim, "CPU_INFO", cpu_info)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    assert encoder_shim.half_precision_dtype() == dtype


def test_cpus_of_unknown_vendor_use_full_precision(tmp_path, monkeypatch):
    """Other systems than Linux have no such file."""
    monkeypatch.setattr(encoder_shim, "CPU_INFO", tmp_path / "missing")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert encoder_shim.half_precision_dtype() is None


def test_half_precision_approximates_full_precision(
    make_nlp, make_examples, monkeypatch
):
    monkeypatch.setattr(encoder_shim, "half_precision_dtype", lambda: torch.bfloat16)
    vectors, gradients = [], []
    for is_mixed in (False, True):
        nlp = make_nlp({"mixed_precision": is_mixed})
        examples = make_examples(nlp)
        nlp.initialize(lambda e=examples: e)
        network = nlp.get_pipe("transformer").model.transformer
        for module in network.modules():
            for name in ("p", "dropout_prob"):
                if hasattr(module, name):
                    setattr(module, name, 0.0)
        docs = [nlp.make_doc(eg.text) for eg in examples]
        outputs = nlp.get_pipe("transformer").model.predict(docs).doc_data
        vectors.append(
            numpy.concatenate([d.model_output["last_hidden_state"][0] for d in outputs])
        )
        nlp.update(examples, sgd=False)
        gradients.append(
            torch.cat(
                [p.grad.flatten() for p in network.parameters() if p.grad is not None]
            )
        )
    full, half = vectors
    assert half.dtype == numpy.float32
    assert 0 < abs(full - half).max() < 0.1
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    assert cosine > 0.99
