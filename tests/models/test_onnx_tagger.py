"""The emissions of ONNX Runtime: torch's, whatever they are run with."""

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
    """What goes into decoding, by a pipeline with a transformer or without."""
    ner = nlp.get_pipe("ner")
    with nlp.select_pipes(disable=["ner"]):
        docs = list(nlp.pipe(docs))
    return [rows.copy() for rows in ner.model.predict(docs)]


@pytest.fixture(scope="module", params=HEADS)
def pair(request, make_nlp, make_examples):
    """A pipeline of random weights and what ONNX Runtime runs of it."""

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
        # White space has none at all.
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
def test_company_and_order_change_nothing(nlp, batch_pieces, monkeypatch):
    """Not even by rounding: int8 would turn a little of it into a lot."""
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


def test_pipe_gives_the_same_in_any_batches(nlp):
    expected = annotate(nlp)
    assert sum(len(ents) for ents, _ in expected) > 30
    assert [text for _, text in expected] == TEXTS * 3
    for size in (1, 2, 5):
        assert annotate(nlp, batch_size=size) == expected
    assert annotate(nlp, n_process=2, batch_size=7) == expected


def test_nothing_but_empty_docs(nlp):
    model = nlp.get_pipe("ner").model
    assert model.predict([]) == []
    docs = [nlp.make_doc(""), Doc(nlp.vocab, words=["\n"])]
    empty, blank = model.predict(docs)
    assert empty.shape == (0, 5)
    assert blank.tolist() == [[0] * 5]


@pytest.mark.parametrize("road", ["disk", "bytes", "pickle"])
def test_pipeline_stays_the_same(nlp, tmp_path, road):
    if road == "disk":
        nlp.to_disk(tmp_path / "model")
        again = spacy.load(tmp_path / "model")
    elif road == "bytes":
        again = spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    else:
        again = pickle.loads(pickle.dumps(nlp))
    assert annotate(again) == annotate(nlp)
    assert again.get_pipe("ner").model.get_dim("nO") == 5


def test_settings_are_those_of_the_config(onnx_folder):
    nlp = spacy.load(onnx_folder, config={"components.ner.model.threads": 3})
    model = nlp.get_pipe("ner").model.layers[0]
    assert model.shims[0].threads == 3
    options = model.shims[0].session.get_session_options()
    assert options.intra_op_num_threads == 3
    assert (model.attrs["window"], model.attrs["stride"]) == (254, 192)


def test_it_can_not_be_trained(onnx_folder, make_examples):
    nlp = spacy.load(onnx_folder)
    with pytest.raises(ValueError, match="an exported model can't be trained: train"):
        nlp.update(make_examples(nlp))


def test_it_can_not_be_started_without_a_model(make_examples):
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
def test_numbers_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        create_onnx_tagger(**settings)


@pytest.mark.skipif(
    "SPACY_WNUT_ENCODER" not in os.environ, reason="SPACY_WNUT_ENCODER is not set"
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_real_encoder(make_nlp, make_examples, precision):
    """Its head is random. In int8 most of what tells words apart is still there, and
    all of it in any batch.
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
