"""Emissions of ONNX Runtime: equal to those of torch, in any batch."""

import os
import pickle

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from spacy.util import fix_random_seed

from spacy_wnut.models.onnx_tagger import create_onnx_tagger
from spacy_wnut.onnx_export.export import convert

TEXTS = [
    "Ada Lovelace moved to Oslo",
    "",
    "so  @ann_b 's iPhone7s rock!!! https://x.io/?q=1 😀",
    " \n ",
    "é",
    "lol Grace Hopper and Alan Turing are in London",
    "Grace Hopper  and\n\nAlan Turing moved to Oslo , London and New York . " * 30,
    "New York " + "x" * 300 + " " + "!" * 600 + " Oslo",
    "nothing to see here",
]
HEADS = {
    "linear": {},
    "whole": {"shape_width": 8, "hidden_width": 16},
    "mean": {"tok2vec": {"pooling": {"@layers": "reduce_mean.v1"}}},
    "whole mean": {
        "shape_width": 8,
        "hidden_width": 16,
        "tok2vec": {"pooling": {"@layers": "reduce_mean.v1"}},
    },
}


def emissions(nlp, docs):
    """Compute the emissions of docs, in pipelines with and without a transformer."""
    ner = nlp.get_pipe("ner")
    with nlp.select_pipes(disable=["ner"]):
        docs = list(nlp.pipe(docs))
    return [rows.copy() for rows in ner.model.predict(docs)]


@pytest.fixture(scope="module", params=HEADS)
def pair(request, make_nlp, make_examples):
    """A pipeline with random weights, and the same pipeline after export."""

    def make():
        nlp = make_nlp({"window": 24, "stride": 16}, model=HEADS[request.param])
        nlp.initialize(lambda: make_examples(nlp))
        for layer in nlp.get_pipe("ner").model.walk():
            if layer.has_param("b"):
                layer.get_param("b")[:] = numpy.linspace(-1, 1, layer.get_dim("nO"))
        return nlp

    exported = make()
    convert(exported)
    return make(), exported


def test_emissions_are_those_of_torch(pair):
    expected, found = (
        emissions(nlp, [nlp.make_doc(text) for text in TEXTS]) for nlp in pair
    )
    for theirs, ours in zip(expected, found, strict=True):
        assert ours.dtype == numpy.float32
        numpy.testing.assert_allclose(ours, theirs, atol=1e-5)
        # Words without pieces have zeros in both.
        assert (ours.any(axis=1) == theirs.any(axis=1)).all()


def test_long_texts_do_not_depend_on_the_batch(pair):
    _, nlp = pair
    docs = [nlp.make_doc(text) for text in TEXTS]
    together = emissions(nlp, docs)
    for doc, rows in zip(docs, together, strict=True):
        numpy.testing.assert_allclose(emissions(nlp, [doc])[0], rows, atol=1e-6)


@pytest.fixture(scope="module", params=["fp32", "int8"])
def nlp(request, onnx_folder, int8_folder):
    return spacy.load(onnx_folder if request.param == "fp32" else int8_folder)


@pytest.mark.parametrize("batch_pieces", [1, 40, 512, 100_000])
def test_batch_and_order_do_not_change_the_emissions(nlp, batch_pieces, monkeypatch):
    """Small differences by rounding would become large ones in int8."""
    model = nlp.get_pipe("ner").model.layers[0]
    docs = [nlp.make_doc(text) for text in TEXTS * 3]
    alone = [model.predict([doc])[0] for doc in docs[: len(TEXTS)]] * 3
    monkeypatch.setitem(model.attrs, "batch_pieces", batch_pieces)
    order = numpy.random.default_rng(0).permutation(len(docs))
    found = model.predict([docs[i] for i in order])
    for i, rows in zip(order, found, strict=True):
        numpy.testing.assert_allclose(rows, alone[i], atol=1e-6, rtol=0)


def annotate(nlp, **options):
    return [
        (
            [(ent.text, ent.label_, round(ent._.confidence, 6)) for ent in doc.ents],
            doc.text,
        )
        for doc in nlp.pipe(TEXTS * 3, **options)
    ]


def test_pipe_gives_the_same_results_in_any_batches(nlp):
    expected = annotate(nlp)
    assert sum(len(ents) for ents, _ in expected) > 30
    assert [text for _, text in expected] == TEXTS * 3
    for size in (1, 2, 5):
        assert annotate(nlp, batch_size=size) == expected
    assert annotate(nlp, n_process=2, batch_size=7) == expected


def test_docs_without_pieces(nlp):
    model = nlp.get_pipe("ner").model
    assert model.predict([]) == []
    docs = [nlp.make_doc(""), Doc(nlp.vocab, words=["\n"])]
    empty, blank = model.predict(docs)
    assert empty.shape == (0, 5)
    assert blank.tolist() == [[0] * 5]


@pytest.mark.parametrize("form", ["disk", "bytes", "pickle"])
def test_serialized_pipeline_gives_the_same_results(nlp, tmp_path, form):
    if form == "disk":
        nlp.to_disk(tmp_path / "model")
        again = spacy.load(tmp_path / "model")
    elif form == "bytes":
        again = spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    else:
        again = pickle.loads(pickle.dumps(nlp))
    assert annotate(again) == annotate(nlp)
    assert again.get_pipe("ner").model.get_dim("nO") == 5


def test_settings_of_the_config_override_stored_ones(onnx_folder):
    nlp = spacy.load(onnx_folder, config={"components.ner.model.threads": 3})
    model = nlp.get_pipe("ner").model.layers[0]
    assert model.shims[0].threads == 3
    options = model.shims[0].session.get_session_options()
    assert options.intra_op_num_threads == 3
    assert (model.attrs["window"], model.attrs["stride"]) == (254, 192)


def test_exported_model_cannot_be_trained(onnx_folder, make_examples):
    nlp = spacy.load(onnx_folder)
    with pytest.raises(ValueError, match="an exported model can't be trained: train"):
        nlp.update(make_examples(nlp))


def test_layer_without_a_model_cannot_be_initialized(make_examples):
    nlp = spacy.blank("en")
    model = {"@architectures": "spacy-wnut.OnnxTagger.v1"}
    nlp.add_pipe("entity_tagger", config={"model": model})
    with pytest.raises(ValueError, match=r"no model yet\. It can't be trained"):
        nlp.initialize(lambda: make_examples(nlp))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"window": 8, "stride": 9}, r"between 1 and window \(8\), got 9"),
        ({"stride": 0}, r"between 1 and window \(254\), got 0"),
        ({"batch_pieces": 0}, "batch_pieces has to be at least 1, got 0"),
        ({"threads": -1}, "threads has to be at least 0, got -1"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        create_onnx_tagger(**settings)


def test_stride_may_equal_the_window():
    attrs = create_onnx_tagger(window=8, stride=8).attrs
    assert (attrs["window"], attrs["stride"]) == (8, 8)


@pytest.mark.skipif(
    "SPACY_WNUT_ENCODER" not in os.environ, reason="SPACY_WNUT_ENCODER is not set"
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_emissions_of_a_real_encoder(make_nlp, make_examples, precision):
    """With a random head. int8 loses less than 5 % of the variance of the emissions,
    and the result does not depend on the batch.
    """

    def make():
        encoder = {"name": os.environ["SPACY_WNUT_ENCODER"]}
        nlp = make_nlp(encoder, model=HEADS["whole"])
        fix_random_seed(0)
        nlp.initialize(lambda: make_examples(nlp))
        return nlp

    torch_nlp, nlp = make(), make()
    docs = [nlp.make_doc(text) for text in TEXTS[:7]]
    convert(nlp, docs if precision == "int8" else None)
    expected = numpy.concatenate(
        emissions(torch_nlp, [torch_nlp.make_doc(text) for text in TEXTS[:7]])
    )
    found = numpy.concatenate(emissions(nlp, docs))
    if precision == "fp32":
        numpy.testing.assert_allclose(found, expected, atol=1e-4)
    else:
        lost = numpy.square(found - expected).mean() / expected.var()
        assert 0 < lost < 0.05
    alone = numpy.concatenate([emissions(nlp, [doc])[0] for doc in docs])
    numpy.testing.assert_allclose(found, alone, atol=1e-6)
