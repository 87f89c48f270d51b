"""Encoder layer, compared with outputs and gradients of transformers."""

import os
from pathlib import Path

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.training import Example
from transformers import AutoModel, AutoTokenizer

from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.models.transformer_model import create_transformer_model

NLP = spacy.blank("en")
TEXTS = [
    "Ada Lovelace moved to Oslo",
    "",
    "so @ann_b 's iPhone7s rock!!! https://x.io/?q=1 😀",
    " \n ",
    "é",
    "Pretty bad storm in New York . " * 3,
]


@pytest.fixture
def make_model(tiny_encoder):
    def make(name=tiny_encoder, **settings):
        model = create_transformer_model(name, **settings)
        model.initialize()
        return model

    return make


def vectors(model, docs):
    """Compute the vectors of special tokens and pieces per doc, None if it is empty."""
    return [
        data.model_output["last_hidden_state"][0] if len(doc) else None
        for doc, data in zip(docs, model.predict(docs).doc_data, strict=True)
    ]


@pytest.fixture(scope="module")
def transformers_vectors(tiny_encoder):
    """Function that computes the vectors of one text with transformers."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    encoder = AutoModel.from_pretrained(tiny_encoder).eval()

    def run(text):
        with torch.no_grad():
            output = encoder(**tokenizer(text, return_tensors="pt"))
        return output.last_hidden_state[0].numpy()

    return run


@pytest.mark.parametrize("batch_pieces", [1, 40, 100_000])
def test_vectors_are_those_of_transformers(
    make_model, transformers_vectors, batch_pieces
):
    docs = [NLP.make_doc(text) for text in TEXTS]
    for doc, actual in zip(
        docs, vectors(make_model(batch_pieces=batch_pieces), docs), strict=True
    ):
        if any(not token.is_space for token in doc):
            expected = transformers_vectors(doc.text)
            numpy.testing.assert_allclose(actual, expected, atol=1e-5)
        elif len(doc):
            assert not actual.any()
        else:
            assert actual is None


def test_alignment_and_pieces_are_kept_with_the_doc(make_model, tiny_encoder):
    doc = NLP.make_doc("so  Oslo's rocks")
    [data] = make_model().predict([doc]).doc_data
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    assert data.wordpieces.input_ids.tolist() == [tokenizer(doc.text)["input_ids"]]
    strings = data.wordpieces.strings[0]
    assert strings == tokenizer.convert_ids_to_tokens(tokenizer(doc.text)["input_ids"])
    words = []
    position = 0
    for length in data.align.lengths:
        rows = data.align.dataXd[position : position + length]
        words.append("".join(strings[row].removeprefix("##") for row in rows))
        position += length
    assert words == ["so", "", "oslo", "'s", "rocks"]


@pytest.mark.parametrize(
    "window, stride", [(8, 8), (8, 6), (9, 6), (8, 3), (7, 1), (1, 1), (254, 192)]
)
def test_long_docs_are_stitched_from_windows(make_model, slow_vectors, window, stride):
    model = make_model(window=window, stride=stride, batch_pieces=64)
    texts = [TEXTS[5], TEXTS[0], "so in Oslo"]
    docs = [NLP.make_doc(text) for text in texts]
    for doc, actual in zip(docs, vectors(model, docs), strict=True):
        expected, _ = slow_vectors(
            model.transformer, model.tokenizer, doc.text, window, stride
        )
        numpy.testing.assert_allclose(actual[1:-1], expected, atol=1e-5)


def test_special_tokens_come_from_the_first_and_the_last_window(
    make_model, transformers_vectors
):
    words = TEXTS[0].split()
    [actual] = vectors(
        make_model(window=2, stride=2), [Doc(NLP.vocab, words=["in"] * 5)]
    )
    numpy.testing.assert_allclose(
        actual[0], transformers_vectors("in in")[0], atol=1e-5
    )
    numpy.testing.assert_allclose(actual[-1], transformers_vectors("in")[-1], atol=1e-5)
    assert len(words) == len(actual) - 2


def without_dropout(encoder):
    """Disable dropout, also in the attribute for DistilBERT's fast attention."""
    for module in encoder.modules():
        for name in ("p", "dropout_prob"):
            if hasattr(module, name):
                setattr(module, name, 0.0)


def gradients(encoder):
    return {
        name: parameter.grad.numpy().copy()
        for name, parameter in encoder.named_parameters()
        if parameter.grad is not None
    }


@pytest.fixture
def batch(make_nlp, make_examples):
    """Function that creates a pipeline with the loss of the tutorial, and a batch."""

    def make(**encoder):
        nlp = make_nlp(encoder, transitions="constrained")
        nlp.initialize(lambda: make_examples(nlp))
        without_dropout(nlp.get_pipe("transformer").model.transformer)
        return nlp, make_examples(nlp)

    return make


def test_update_is_that_of_the_tutorial(batch, tiny_encoder):
    """The tutorial uses cross-entropy at first pieces, and label -100 at the others."""
    nlp, examples = batch()
    ner = nlp.get_pipe("ner")
    linear = ner.model.layers[0].get_ref("output_layer")
    weight = torch.tensor(linear.get_param("W").copy(), requires_grad=True)
    bias = torch.tensor(linear.get_param("b").copy(), requires_grad=True)

    losses = nlp.update(examples, sgd=False)

    encoder = AutoModel.from_pretrained(tiny_encoder).train()
    without_dropout(encoder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    words = [[token.text for token in eg.reference] for eg in examples]
    inputs = tokenizer(
        words, is_split_into_words=True, padding=True, return_tensors="pt"
    )
    labels = torch.full(inputs["input_ids"].shape, -100)
    tags = list(ner.scheme.tags)
    for i, eg in enumerate(examples):
        previous = None
        for position, word in enumerate(inputs.word_ids(i)):
            if word is not None and word != previous:
                token = eg.reference[word]
                tag = "-".join(filter(None, (token.ent_iob_, token.ent_type_)))
                labels[i, position] = tags.index(tag)
            previous = word
    hidden = encoder(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
    ).last_hidden_state
    logits = hidden @ weight.T + bias
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=-100
    )
    loss.backward()

    assert losses["ner"] == pytest.approx(loss.item(), abs=1e-5)
    numpy.testing.assert_allclose(linear.get_grad("W"), weight.grad, atol=1e-5)
    numpy.testing.assert_allclose(linear.get_grad("b"), bias.grad, atol=1e-5)
    ours = gradients(nlp.get_pipe("transformer").model.transformer)
    theirs = gradients(encoder)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        numpy.testing.assert_allclose(ours[name], gradient, atol=1e-5, err_msg=name)
    assert max(numpy.abs(gradient).max() for gradient in theirs.values()) > 0.01


def test_gradients_do_not_depend_on_the_batches(batch):
    found = []
    for pieces in (1, 30):
        # Overlapping windows: a piece has gradients in one of them only.
        nlp, examples = batch(window=8, stride=5, batch_pieces=pieces)
        empty = Example(nlp.make_doc(""), nlp.make_doc(""))
        losses = nlp.update([*examples[:2], empty, *examples[2:]], sgd=False)
        found.append(
            (losses["ner"], gradients(nlp.get_pipe("transformer").model.transformer))
        )
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    for name, gradient in found[0][1].items():
        numpy.testing.assert_allclose(found[1][1][name], gradient, atol=1e-5)


@pytest.mark.parametrize("norm", [0.01, 0.0])
def test_gradient_is_clipped_by_its_global_norm(batch, norm):
    nlp, examples = batch(max_grad_norm=norm)
    model = nlp.get_pipe("transformer").model
    nlp.update(examples, sgd=False)
    before = gradients(model.transformer)
    total = numpy.sqrt(sum((g.astype("f8") ** 2).sum() for g in before.values()))
    assert total > 0.02
    seen = {}

    class Recorder:
        def __call__(self, key, weights, gradient, *, lr_scale=1.0):
            seen[key[1]] = gradient.copy()
            return weights, gradient

    model.layers[0].shims[0].finish_update(Recorder())
    factor = norm / total if norm else 1.0
    for name, gradient in before.items():
        numpy.testing.assert_allclose(seen[name], gradient * factor, rtol=1e-3)
    assert not any(g.any() for g in gradients(model.transformer).values())


def test_factor_on_the_learning_rate_of_the_encoder(batch):
    moved = []
    for factor in (1.0, 0.5):
        nlp, examples = batch(learn_rate_factor=factor)
        weights = nlp.get_pipe("transformer").model.transformer.embeddings
        before = weights.position_embeddings.weight.detach().clone()
        nlp.update(examples, sgd=False)
        optimizer = nlp.create_optimizer()
        optimizer.L2 = 0.0
        for _, pipe in nlp.pipeline:
            pipe.finish_update(optimizer)
        moved.append((weights.position_embeddings.weight - before).detach().numpy())
    assert numpy.abs(moved[0]).max() > 1e-4
    numpy.testing.assert_allclose(moved[1], moved[0] / 2, atol=1e-6)


@pytest.mark.parametrize("stride", [0, -1, 9])
def test_stride_outside_of_the_window_is_refused(tiny_encoder, stride):
    with pytest.raises(
        ValueError, match=rf"stride has to be between 1 and window \(8\), got {stride}"
    ):
        create_transformer_model(tiny_encoder, window=8, stride=stride)


def test_stride_may_equal_the_window(tiny_encoder):
    attrs = create_transformer_model(tiny_encoder, window=8, stride=8).attrs
    assert (attrs["window"], attrs["stride"]) == (8, 8)


def test_empty_batches_are_refused(tiny_encoder):
    with pytest.raises(ValueError, match="batch_pieces has to be at least 1, got 0"):
        create_transformer_model(tiny_encoder, batch_pieces=0)


def test_window_longer_than_the_encoder_supports_is_refused(make_model):
    make_model(window=510)
    with pytest.raises(ValueError, match=r"window is 511 .* at most 510 .* to 510"):
        make_model(window=511)


def test_slow_tokenizer_is_refused(make_model):
    with pytest.raises(ValueError, match=r"use_fast = false, .* remove the setting"):
        make_model(tokenizer_config={"use_fast": False})


@pytest.fixture
def half_encoder(tiny_encoder, tmp_path):
    """The tiny encoder stored in half precision, as many checkpoints are."""
    model = AutoModel.from_pretrained(tiny_encoder)
    model.half().save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path / "half")
    return str(tmp_path / "half")


def dtypes(nlp):
    encoder = nlp.get_pipe("transformer").model.transformer
    assert encoder.config.torch_dtype in (torch.float32, None)
    return {parameter.dtype for parameter in encoder.parameters()}


def test_half_precision_is_trained_and_stored_in_full_precision(
    half_encoder, make_nlp, make_examples, tmp_path
):
    stored = AutoModel.from_pretrained(half_encoder, torch_dtype="auto")
    assert stored.dtype == torch.float16
    # Users of spaCy may also set the type by name.
    for settings in ({}, {"torch_dtype": "float16"}):
        nlp = make_nlp({"name": half_encoder, "transformer_config": settings})
        optimizer = nlp.initialize(lambda nlp=nlp: make_examples(nlp))
        assert dtypes(nlp) == {torch.float32}
        nlp.update(make_examples(nlp), sgd=False)
        for _, pipe in nlp.pipeline:
            pipe.finish_update(optimizer)
        assert dtypes(nlp) == {torch.float32}
        weights = nlp.get_pipe("transformer").model.transformer.embeddings
        weights = weights.word_embeddings.weight.detach()
        # Not exact in half precision.
        assert not weights.half().float().equal(weights)

        nlp.to_disk(tmp_path / "model")
        loaded = spacy.load(tmp_path / "model")
        assert dtypes(loaded) == {torch.float32}
        again = loaded.get_pipe("transformer").model.transformer.embeddings
        assert again.word_embeddings.weight.equal(weights)


def test_settings_are_stored_in_the_config(make_nlp, make_examples, tmp_path):
    settings = {"window": 40, "stride": 30, "batch_pieces": 99, "max_grad_norm": 2.0}
    nlp = make_nlp(settings)
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    for name, value in settings.items():
        assert loaded.config["components"]["transformer"]["model"][name] == value
    model = loaded.get_pipe("transformer").model
    assert (model.attrs["window"], model.attrs["stride"]) == (40, 30)
    assert model.layers[0].shims[0].max_grad_norm == 2.0


def test_copy_is_independent(make_model):
    model = make_model(window=9, stride=6, batch_pieces=77)
    doc = NLP.make_doc(TEXTS[5])
    [before] = vectors(model, [doc])
    copied = model.copy()
    assert copied.id != model.id
    assert copied.get_dim("nO") == model.get_dim("nO")
    assert copied.layers[0].shims[0] is not model.layers[0].shims[0]
    numpy.testing.assert_array_equal(vectors(copied, [doc])[0], before)
    with torch.no_grad():
        copied.transformer.embeddings.position_embeddings.weight.zero_()
    numpy.testing.assert_array_equal(vectors(model, [doc])[0], before)
    assert not numpy.allclose(vectors(copied, [doc])[0], before)


@pytest.mark.skipif(
    not {"SPACY_WNUT_DATA", "SPACY_WNUT_ENCODER"} <= os.environ.keys(),
    reason="SPACY_WNUT_DATA and SPACY_WNUT_ENCODER are not set",
)
def test_real_encoder_on_real_posts(make_model):
    name = os.environ["SPACY_WNUT_ENCODER"]
    path = Path(os.environ["SPACY_WNUT_DATA"]) / "emerging.dev.conll"
    posts = read_conll(path, None)
    docs = [Doc(NLP.vocab, words=next(posts).tokens) for _ in range(20)]
    tokenizer = AutoTokenizer.from_pretrained(name)
    encoder = AutoModel.from_pretrained(name, torch_dtype=torch.float32).eval()
    for doc, actual in zip(docs, vectors(make_model(name), docs), strict=True):
        # As in the tutorial: words are given, not text.
        inputs = tokenizer(
            [token.text for token in doc], is_split_into_words=True, return_tensors="pt"
        )
        with torch.no_grad():
            expected = encoder(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
            ).last_hidden_state[0]
        numpy.testing.assert_allclose(actual, expected.numpy(), atol=1e-4)
