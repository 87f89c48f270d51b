"""From a trained pipeline to one without torch, and what isn't written."""

import shutil
from collections import Counter

import numpy
import onnx
import pytest
import spacy
import srsly
from onnx import numpy_helper
from spacy.tokens import DocBin
from transformers import (
    AutoModel,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    RobertaConfig,
)

from spacy_wnut import __version__
from spacy_wnut.errors import WnutError
from spacy_wnut.models.onnx_session import _start
from spacy_wnut.onnx_export import export
from spacy_wnut.onnx_export.comparison import check_agreement
from spacy_wnut.onnx_export.export import convert, export_pipeline
from spacy_wnut.onnx_export.graph import Graph
from spacy_wnut.onnx_export.quantization import MOST, MOST_PAIR, greatest_pairs
from spacy_wnut.onnx_export.weights import read_encoder_weights

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 600,
    # A large one: what is left out would be seen.
    "initializer_range": 0.3,
}
FUSED = {
    "bert": BertConfig(**SIZES, type_vocab_size=3, layer_norm_eps=1e-5),
    "roberta": RobertaConfig(**SIZES, max_position_embeddings=514, pad_token_id=0),
    "camembert": CamembertConfig(**SIZES, max_position_embeddings=514, pad_token_id=0),
    "electra": ElectraConfig(**SIZES, embedding_size=24),
    "distilbert": DistilBertConfig(
        dim=32, hidden_dim=48, n_layers=2, n_heads=4, initializer_range=0.3
    ),
}
PLAIN = {
    "bert with relu": BertConfig(**SIZES, hidden_act="relu"),
    "relative bert": BertConfig(**SIZES, position_embedding_type="relative_key"),
    "mpnet": MPNetConfig(**SIZES, max_position_embeddings=514, pad_token_id=0),
}


def graph_of(nlp):
    shim = nlp.get_pipe("ner").model.layers[0].shims[0]
    return onnx.load_from_string(shim.graph).graph


def int8_layers_of(nlp):
    """The int8 layers of a pipeline: a model of the layer alone, and its constants."""
    graph = graph_of(nlp)
    arrays = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    for node in graph.node:
        if node.op_type != "MatMulIntegerToFloat":
            continue
        constants = [arrays[name] for name in node.input[1:]]
        alone = Graph()
        names = [alone.constant(array) for array in constants]
        alone.add("com.microsoft:MatMulIntegerToFloat", "bits", *names, name="y")
        n_inputs, n_outputs = constants[0].shape
        model = alone.model(
            {"bits": ("uint8", ["n", n_inputs])}, {"y": ("float32", ["n", n_outputs])}
        )
        yield model, *constants


def ops_of(nlp):
    return Counter(node.op_type for node in graph_of(nlp).node)


@pytest.fixture
def make_pipeline(make_nlp, make_examples):
    """Makes a pipeline with an encoder of random weights, whatever its family."""

    def make(config):
        nlp = make_nlp()
        nlp.initialize(lambda: make_examples(nlp))
        encoder = nlp.get_pipe("transformer").model
        config.vocab_size = max(config.vocab_size, 2000)
        model = AutoModel.from_config(config).eval()
        # Biases and norms of checkpoints aren't those of random weights.
        rng = numpy.random.default_rng(0)
        for name, values in model.named_parameters():
            if name.endswith("bias") or "norm" in name.lower():
                noise = rng.normal(scale=0.3, size=tuple(values.shape))
                values.data += values.data.new_tensor(noise)
        encoder.layers[0].shims[0]._hfmodel.transformer = model
        encoder.layers[0].shims[0]._model = model
        nlp.get_pipe("ner").model.layers[0].get_ref("output_layer").get_param("W")[
            :
        ] *= 10
        return nlp

    return make


def compare(nlp, make_docs):
    docs = make_docs(nlp)
    ner = nlp.get_pipe("ner")
    with nlp.select_pipes(disable=["ner"]):
        expected = numpy.concatenate(ner.model.predict(list(nlp.pipe(docs))))
    convert(nlp)
    found = numpy.concatenate(nlp.get_pipe("ner").model.predict(make_docs(nlp)))
    assert expected.std() > 0.05
    numpy.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("family", FUSED)
def test_families_of_berts_form(make_pipeline, make_docs, family):
    nlp = make_pipeline(FUSED[family])
    compare(nlp, make_docs)
    ops = ops_of(nlp)
    assert ops["Attention"] == 2
    assert ops["LayerNormalization"] == 5
    assert ops["Gelu"] == 2
    # Nothing is left of what they are made of.
    assert not {"Softmax", "Erf", "Sqrt", "Pow", "Transpose", "MatMul"} & set(ops)


@pytest.mark.parametrize("family", PLAIN)
def test_others_are_written_by_torch(make_pipeline, make_docs, family):
    nlp = make_pipeline(PLAIN[family])
    assert read_encoder_weights(nlp.get_pipe("transformer").model.transformer) is None
    compare(nlp, make_docs)
    assert ops_of(nlp)["Softmax"] > 0


def test_others_have_no_int8(make_pipeline, make_docs):
    nlp = make_pipeline(PLAIN["bert with relu"])
    with pytest.raises(
        WnutError, match=r"int8 supports .*, which this bert encoder does not"
    ):
        convert(nlp, make_docs(nlp))


def test_layers_are_in_eight_bits(int8_folder):
    nlp = spacy.load(int8_folder)
    ops = ops_of(nlp)
    # Four a layer, of which one in three parts, and the head's hidden one. In full
    # precision are the tags and the outliers of the narrowing ones: one a layer, and the
    # hidden one.
    assert ops["QuantizeLinear"] == 9
    assert ops["MatMulIntegerToFloat"] == 13
    assert ops["Gemm"] == 4
    assert ops["Attention"] == 2
    # Scales that depend on what is run are not among them.
    assert not any("Dynamic" in op for op in ops)
    shim = nlp.get_pipe("ner").model.layers[0].shims[0]
    n_pieces = shim.tokenizer.get_vocab_size()
    [words] = [c for c in graph_of(nlp).initializer if list(c.dims) == [n_pieces, 32]]
    assert words.data_type == onnx.TensorProto.INT8


def check_int8_layers(nlp, multiply_saturating, make_extreme):
    """No layer saturates on any processor, and each yields here what NumPy does.

    RETURNS (int): The number of layers.
    """
    layers = list(int8_layers_of(nlp))
    for model, weights, scale, scales, zero, zeros, added in layers:
        assert weights.dtype == numpy.int8 and zero.dtype == numpy.uint8
        assert not zeros.any()
        assert numpy.abs(weights.astype("i8")).max() <= MOST
        assert greatest_pairs(weights).max() <= MOST_PAIR + 1
        bits = make_extreme(weights)
        sums = multiply_saturating(bits, weights)
        assert (sums == bits.astype("i8") @ weights.astype("i8")).all()
        sums = sums - zero.astype("i8") * weights.sum(axis=0, dtype="i8")
        expected = sums * (scale.astype("d") * scales) + added
        # All rows at once, and one, which ONNX Runtime multiplies in another way.
        for rows in (slice(None), slice(0, 1)):
            found = _start(model, 1).run(None, {"bits": bits[rows]})[0]
            size = numpy.abs(expected).max()
            numpy.testing.assert_allclose(
                found, expected[rows], rtol=1e-5, atol=1e-6 * size
            )
    return len(layers)


def test_no_layer_of_a_pipeline_saturates(
    int8_folder, multiply_saturating, make_extreme
):
    nlp = spacy.load(int8_folder)
    n_layers = check_int8_layers(nlp, multiply_saturating, make_extreme)
    assert n_layers == ops_of(nlp)["MatMulIntegerToFloat"] == 13
    # The outliers of a network's second layer are one slice.
    slices = [node for node in graph_of(nlp).node if node.op_type == "Slice"]
    assert len(slices) == 1 + 2


@pytest.mark.parametrize("family", FUSED)
def test_no_layer_of_any_family_saturates(
    make_pipeline, make_docs, family, multiply_saturating, make_extreme
):
    nlp = make_pipeline(FUSED[family])
    convert(nlp, make_docs(nlp))
    n_layers = check_int8_layers(nlp, multiply_saturating, make_extreme)
    assert n_layers == 12 + (family == "electra")


def test_pipeline_without_torch(onnx_folder, whole_folder):
    nlp, before = spacy.load(onnx_folder), spacy.load(whole_folder)
    assert nlp.pipe_names == ["ner"]
    assert "transformer" not in nlp.config.to_str().replace("TransformerTagger", "")
    ner = nlp.get_pipe("ner")
    assert ner.cfg == before.get_pipe("ner").cfg
    for name in ("transitions", "start", "end"):
        expected = before.get_pipe("ner").model.get_param(name)
        numpy.testing.assert_array_equal(ner.model.get_param(name), expected)
    # Its vocabulary doesn't know the corpus.
    assert "Hopper" not in nlp.vocab.strings or "Hopper" in before.vocab.strings


def test_rules_of_its_tokenizer_are_the_stored_ones(onnx_folder, whole_folder):
    nlp, before = spacy.load(onnx_folder), spacy.load(whole_folder)
    assert nlp.config["nlp"]["tokenizer"] == export.STORED_TOKENIZER
    again = spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    text = "I'm here , e.g. (see http://x.io) :) don't @ann_b #oslo"
    expected = [token.text for token in before.make_doc(text)]
    for loaded in (nlp, again):
        assert loaded.tokenizer.rules == before.tokenizer.rules
        assert [token.text for token in loaded.make_doc(text)] == expected


def test_another_tokenizer_stays(whole_folder):
    nlp = spacy.load(whole_folder)
    nlp.config["nlp"]["tokenizer"] = {"@tokenizers": "someone.Tokenizer.v1"}
    convert(nlp)
    assert nlp.config["nlp"]["tokenizer"] == {"@tokenizers": "someone.Tokenizer.v1"}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_meta_says_what_was_measured(onnx_folder, int8_folder, precision):
    folder = onnx_folder if precision == "fp32" else int8_folder
    meta = srsly.read_json(folder / "meta.json")
    figures = meta["export"]
    assert meta["requirements"] == [f"spacy-wnut[onnx]>={__version__}"]
    assert figures["precision"] == precision
    assert figures["spacy_wnut"] == __version__
    assert figures["posts"] == 4 and figures["corpus"] == "posts.spacy"
    assert figures["entity_f1"] == {"before": 1.0, "after": 1.0}
    assert figures["agreement"] == {"all": 1.0, "entities": 1.0}
    assert (figures["emissions"] < 1e-5) == (precision == "fp32")
    assert spacy.load(folder).get_pipe("ner").temperature == figures["temperature"]


FIGURES = {
    "precision": "int8",
    "spacy_wnut": "0",
    "corpus": "dev",
    "posts": 9,
    "emissions": 0.4,
    "entity_f1": {"before": 0.6, "after": 0.596},
    "agreement": {"all": 0.99, "entities": 0.93},
    "temperature": 1.0,
}


def test_words_of_training_are_not_in_it(onnx_folder, whole_folder):
    words, labels = {"Lovelace", "evening"}, {"location", "person"}
    before = set(srsly.read_json(whole_folder / "vocab" / "strings.json"))
    after = set(srsly.read_json(onnx_folder / "vocab" / "strings.json"))
    assert words | labels <= before
    assert labels <= after and not words & after


def test_what_may_differ():
    check_agreement(FIGURES)
    fp32 = {"precision": "fp32", "emissions": 9e-5}
    check_agreement({**FIGURES, **fp32, "agreement": {"all": 1.0, "entities": 1.0}})


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"precision": "fp32"}, r"emissions differ by up to 0\.4 .*; only 93\.0% of"),
        ({"precision": "fp32", "emissions": float("nan")}, "differ by up to nan"),
        ({"entity_f1": {"before": 0.6, "after": 0.5949}}, "from 0.6000 to 0.5949"),
        (
            {"agreement": {"all": 0.99, "entities": 0.8}},
            "only 80.0% of the words in entities have the same",
        ),
    ],
)
def test_what_may_not(changed, message):
    with pytest.raises(WnutError, match=f"is not written: .*{message}"):
        check_agreement({**FIGURES, **changed})


def test_nothing_is_written_that_does_not_agree(
    whole_folder, posts_corpus, tmp_path, monkeypatch
):
    def read_wrong_head(parts):
        head = read_head_weights(parts)
        return head._replace(output=head.output._replace(b=head.output.b + 1))

    read_head_weights = export.read_head_weights
    monkeypatch.setattr(export, "read_head_weights", read_wrong_head)
    with pytest.raises(WnutError, match="emissions differ by up to 1"):
        export_pipeline(str(whole_folder), tmp_path / "new", "fp32", posts_corpus)
    assert list(tmp_path.iterdir()) == []


def test_temperature_is_fitted_anew(whole_folder, posts_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "fit_temperature", lambda confidences, right: 1.75)
    folder = tmp_path / "int8"
    found = export_pipeline(
        str(whole_folder), folder, "int8", posts_corpus, posts_corpus
    )
    nlp = spacy.load(folder)
    assert nlp.get_pipe("ner").temperature == found["temperature"] == 1.75
    assert nlp.get_pipe_config("ner")["temperature"] == 1.75


@pytest.mark.parametrize(
    "precision, calibration, message",
    [
        ("int4", None, 'precision must be "fp32" or "int8", got \'int4\''),
        ("int8", None, "int8 needs posts .* with --calibration"),
    ],
)
def test_options_that_do_not_fit(tmp_path, precision, calibration, message):
    with pytest.raises(WnutError, match=message):
        export_pipeline("none", tmp_path, precision, tmp_path / "dev", calibration)


def test_posts_without_words(whole_folder, posts_corpus, tmp_path):
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(" \n")]
    docs[0].set_ents([])
    DocBin(docs=docs).to_disk(tmp_path / "empty.spacy")
    with pytest.raises(WnutError, match="have no word pieces: give others"):
        export_pipeline(
            str(whole_folder),
            tmp_path / "out",
            "int8",
            posts_corpus,
            tmp_path / "empty.spacy",
        )


def test_something_else_is_not_replaced(whole_folder, posts_corpus, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(WnutError, match=r"holds other files .*, so it is not replaced"):
        export_pipeline(str(whole_folder), tmp_path, "fp32", posts_corpus)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_exported_pipeline_is_not_exported_again(onnx_folder, posts_corpus, tmp_path):
    with pytest.raises(WnutError, match="onnx_tagger: only that can be written"):
        export_pipeline(str(onnx_folder), tmp_path / "out", "fp32", posts_corpus)


def test_encoder_that_others_listen_to(whole_folder, tmp_path):
    nlp = spacy.load(whole_folder)
    config = {"model": {"tok2vec": nlp.get_pipe_config("ner")["model"]["tok2vec"]}}
    nlp.add_pipe("entity_tagger", name="second", config=config)
    nlp.get_pipe("transformer").add_listener(
        nlp.get_pipe("transformer").listeners[0], "second"
    )
    parts = export.find_parts
    only_first = parts(spacy.load(whole_folder))
    with pytest.raises(WnutError, match="second listens to the encoder as well"):
        export._find_transformer(
            nlp, only_first._replace(encoder=nlp.get_pipe("transformer").model)
        )


def test_encoder_inside_of_the_component(whole_folder):
    nlp = spacy.load(whole_folder)
    nlp.replace_listeners("transformer", "ner", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    convert(nlp)
    text = "Ada Lovelace moved to Oslo"
    assert [ent.text for ent in nlp(text).ents] == ["Ada Lovelace", "Oslo"]


def test_head_with_other_layers(whole_folder):
    nlp = spacy.load(whole_folder)
    for node in nlp.get_pipe("ner").model.walk():
        if node.name == "gelu":
            node.name = "mish"
    with pytest.raises(
        WnutError, match="the head has a layer mish, which cannot be exported"
    ):
        convert(nlp)


def test_other_pipes_stay(whole_folder, posts_corpus, tmp_path):
    nlp = spacy.load(whole_folder)
    ruler = nlp.add_pipe("entity_ruler", first=True)
    ruler.add_patterns([{"label": "FOUND", "pattern": "Grace"}])
    nlp.to_disk(tmp_path / "before")
    export_pipeline(str(tmp_path / "before"), tmp_path / "after", "fp32", posts_corpus)
    shutil.rmtree(tmp_path / "before")
    exported = spacy.load(tmp_path / "after")
    assert exported.pipe_names == ["entity_ruler", "ner"]
    doc = exported("lol Grace Hopper and Alan Turing are in London")
    assert ("Grace", "FOUND") in [(ent.text, ent.label_) for ent in doc.ents]
    assert ("London", "location") in [(ent.text, ent.label_) for ent in doc.ents]
