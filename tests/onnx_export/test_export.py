"""Exported pipelines: their graph, their files, and the pipelines that are refused."""

import shutil
from collections import Counter

import numpy
import onnx
import pytest
import spacy
import srsly
from onnx import numpy_helper
from spacy.tokens import DocBin, Span
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    MPNetConfig,
    RobertaConfig,
)

from spacy_wnut import __version__
from spacy_wnut.errors import WnutError
from spacy_wnut.models.onnx_session import start_session
from spacy_wnut.onnx_export import export
from spacy_wnut.onnx_export.export import convert, export_pipeline
from spacy_wnut.onnx_export.graph import Graph
from spacy_wnut.onnx_export.quantization import MAX_PAIR_SUM, MAX_WEIGHT, max_pair_sums
from spacy_wnut.onnx_export.weights import read_encoder_weights

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 600,
    # Large weights, so that a missing part of the encoder changes the emissions.
    "initializer_range": 0.3,
}
SUPPORTED = {
    "bert": BertConfig(**SIZES, type_vocab_size=3, layer_norm_eps=1e-5),
    "roberta": RobertaConfig(**SIZES, max_position_embeddings=514, pad_token_id=0),
    "camembert": CamembertConfig(**SIZES, max_position_embeddings=514, pad_token_id=0),
    "electra": ElectraConfig(**SIZES, embedding_size=24),
    "mpnet": MPNetConfig(**SIZES, max_position_embeddings=514, pad_token_id=0),
    "distilbert": DistilBertConfig(
        dim=32, hidden_dim=48, n_layers=2, n_heads=4, initializer_range=0.3
    ),
}
TRACED = {
    "bert with relu": BertConfig(**SIZES, hidden_act="relu"),
    "relative bert": BertConfig(**SIZES, position_embedding_type="relative_key"),
    "albert": AlbertConfig(**SIZES),
    # transformers' MPNet counts positions by the piece 1, which is no padding here.
    "mpnet with other padding": MPNetConfig(**SIZES, pad_token_id=0),
}


def graph_of(nlp):
    """The ONNX graph of an exported pipeline."""
    shim = nlp.get_pipe("ner").model.layers[0].shims[0]
    return onnx.load_from_string(shim.graph).graph


def int8_layers_of(nlp):
    """For each int8 layer of a pipeline, a model of this layer alone and its constants."""
    graph = graph_of(nlp)
    arrays = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    for node in graph.node:
        if node.op_type != "MatMulIntegerToFloat":
            continue
        constants = [arrays[name] for name in node.input[1:]]
        alone = Graph()
        names = [alone.constant(array) for array in constants]
        alone.add("com.microsoft:MatMulIntegerToFloat", "x", *names, name="y")
        n_inputs, n_outputs = constants[0].shape
        model = alone.model(
            {"x": ("uint8", ["n", n_inputs])}, {"y": ("float32", ["n", n_outputs])}
        )
        yield model, *constants


def ops_of(nlp):
    """The number of nodes per operator."""
    return Counter(node.op_type for node in graph_of(nlp).node)


@pytest.fixture
def make_pipeline(make_nlp, make_examples):
    """Makes a pipeline with an encoder of random weights, of a given config."""

    def make(config):
        nlp = make_nlp()
        nlp.initialize(lambda: make_examples(nlp))
        encoder = nlp.get_pipe("transformer").model
        config.vocab_size = max(config.vocab_size, 2000)
        model = AutoModel.from_config(config).eval()
        if config is SUPPORTED["mpnet"]:
            # The padding of the tests' vocabulary. transformers' is 1, as in MPNet's.
            model.embeddings.padding_idx = config.pad_token_id
        # transformers initializes biases with 0 and norms with 1, so an error in their
        # export would not change the emissions.
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


def check_emissions(nlp, make_docs):
    """Export a pipeline in memory, and compare its emissions before and after."""
    docs = make_docs(nlp)
    ner = nlp.get_pipe("ner")
    with nlp.select_pipes(disable=["ner"]):
        expected = numpy.concatenate(ner.model.predict(list(nlp.pipe(docs))))
    convert(nlp)
    found = numpy.concatenate(nlp.get_pipe("ner").model.predict(make_docs(nlp)))
    assert expected.std() > 0.05
    numpy.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("family", SUPPORTED)
def test_supported_family_has_fused_operators(make_pipeline, make_docs, family):
    nlp = make_pipeline(SUPPORTED[family])
    check_emissions(nlp, make_docs)
    ops = ops_of(nlp)
    assert ops["Attention"] == 2
    assert ops["LayerNormalization"] == 5
    assert ops["Gelu"] == 2
    # None of the operators that these fuse.
    assert not {"Softmax", "Erf", "Sqrt", "Pow", "Transpose", "MatMul"} & set(ops)


@pytest.mark.parametrize("family", TRACED)
def test_other_architecture_is_traced(make_pipeline, make_docs, family):
    nlp = make_pipeline(TRACED[family])
    assert read_encoder_weights(nlp.get_pipe("transformer").model.transformer) is None
    check_emissions(nlp, make_docs)
    assert ops_of(nlp)["Softmax"] > 0


def test_an_encoder_without_the_modules_of_bert_is_not_of_its_form():
    encoder = AutoModel.from_config(GPT2Config(n_embd=32, n_layer=2, n_head=4))
    assert not hasattr(encoder, "embeddings")
    assert read_encoder_weights(encoder) is None


def test_traced_encoder_has_no_int8(make_pipeline, make_docs):
    nlp = make_pipeline(TRACED["bert with relu"])
    with pytest.raises(
        WnutError, match=r"int8 supports .*, which this bert encoder does not"
    ):
        convert(nlp, make_docs(nlp))


def test_layers_are_in_int8(int8_folder):
    nlp = spacy.load(int8_folder)
    ops = ops_of(nlp)
    # Two encoder layers with four layers each, of which qkv is split in three, and the
    # hidden layer of the head. The output layer is in fp32, and so are the outliers of
    # the three narrowing layers.
    assert ops["QuantizeLinear"] == 9
    assert ops["MatMulIntegerToFloat"] == 13
    assert ops["Gemm"] == 4
    assert ops["Attention"] == 2
    # Scales that depend on the batch come from DynamicQuantizeLinear.
    assert not any("Dynamic" in op for op in ops)
    shim = nlp.get_pipe("ner").model.layers[0].shims[0]
    n_pieces = shim.tokenizer.get_vocab_size()
    [words] = [c for c in graph_of(nlp).initializer if list(c.dims) == [n_pieces, 32]]
    assert words.data_type == onnx.TensorProto.INT8


def check_int8_layers(nlp, multiply_saturating, make_extreme):
    """Check that no layer saturates on a processor without VNNI, and that each layer
    yields in ONNX Runtime the same as in NumPy.

    RETURNS (int): The number of layers.
    """
    layers = list(int8_layers_of(nlp))
    for model, weights, scale, scales, zero_point, weight_zero_points, b in layers:
        assert weights.dtype == numpy.int8 and zero_point.dtype == numpy.uint8
        assert not weight_zero_points.any()
        assert numpy.abs(weights.astype("i8")).max() <= MAX_WEIGHT
        assert max_pair_sums(weights).max() <= MAX_PAIR_SUM + 1
        x = make_extreme(weights)
        sums = multiply_saturating(x, weights)
        assert (sums == x.astype("i8") @ weights.astype("i8")).all()
        sums = sums - zero_point.astype("i8") * weights.sum(axis=0, dtype="i8")
        expected = sums * (scale.astype("d") * scales) + b
        # ONNX Runtime has different kernels for several rows and for one.
        for rows in (slice(None), slice(0, 1)):
            found = start_session(model, 1).run(None, {"x": x[rows]})[0]
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
    # One slice selects the positions, and one per encoder layer the outliers of `down`.
    slices = [node for node in graph_of(nlp).node if node.op_type == "Slice"]
    assert len(slices) == 1 + 2


@pytest.mark.parametrize("family", SUPPORTED)
def test_no_layer_of_a_supported_family_saturates(
    make_pipeline, make_docs, family, multiply_saturating, make_extreme
):
    nlp = make_pipeline(SUPPORTED[family])
    convert(nlp, make_docs(nlp))
    n_layers = check_int8_layers(nlp, multiply_saturating, make_extreme)
    assert n_layers == 12 + (family == "electra")


def test_exported_pipeline_has_no_transformer(onnx_folder, whole_folder):
    nlp, before = spacy.load(onnx_folder), spacy.load(whole_folder)
    assert nlp.pipe_names == ["ner"]
    assert "transformer" not in nlp.config.to_str().replace("TransformerTagger", "")
    ner = nlp.get_pipe("ner")
    assert ner.cfg == before.get_pipe("ner").cfg
    for name in ("transitions", "start", "end"):
        expected = before.get_pipe("ner").model.get_param(name)
        numpy.testing.assert_array_equal(ner.model.get_param(name), expected)


def test_tokenizer_has_the_stored_rules(onnx_folder, whole_folder):
    nlp, before = spacy.load(onnx_folder), spacy.load(whole_folder)
    assert nlp.config["nlp"]["tokenizer"] == export.STORED_TOKENIZER
    again = spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    text = "I'm here , e.g. (see http://x.io) :) don't @ann_b #oslo"
    expected = [token.text for token in before.make_doc(text)]
    for loaded in (nlp, again):
        assert loaded.tokenizer.rules == before.tokenizer.rules
        assert [token.text for token in loaded.make_doc(text)] == expected


def test_custom_tokenizer_is_kept(whole_folder):
    nlp = spacy.load(whole_folder)
    nlp.config["nlp"]["tokenizer"] = {"@tokenizers": "someone.Tokenizer.v1"}
    convert(nlp)
    assert nlp.config["nlp"]["tokenizer"] == {"@tokenizers": "someone.Tokenizer.v1"}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_figures_are_in_meta_json(onnx_folder, int8_folder, precision):
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


def test_words_of_the_training_data_are_not_stored(onnx_folder, whole_folder):
    words, labels = {"Lovelace", "evening"}, {"location", "person"}
    before = set(srsly.read_json(whole_folder / "vocab" / "strings.json"))
    after = set(srsly.read_json(onnx_folder / "vocab" / "strings.json"))
    assert words | labels <= before
    assert labels <= after and not words & after


def test_words_of_corpora_are_not_stored(whole_folder, tmp_path):
    """Pipelines with several components keep the words that they have, and get no
    others from the corpora of the export.
    """
    nlp = spacy.load(whole_folder)
    nlp.add_pipe("sentencizer", first=True)
    nlp.to_disk(tmp_path / "before")
    for name in ("dev", "train"):
        doc = nlp.make_doc(f"Ada Lovelace likes {name}words")
        doc.set_ents([Span(doc, 0, 2, label="person")])
        DocBin(docs=[doc]).to_disk(tmp_path / f"{name}.spacy")
    export_pipeline(
        str(tmp_path / "before"),
        tmp_path / "after",
        "int8",
        tmp_path / "dev.spacy",
        tmp_path / "train.spacy",
    )
    before, after = (
        srsly.read_json(tmp_path / name / "vocab" / "strings.json")
        for name in ("before", "after")
    )
    assert "devwords" not in before and "trainwords" not in before
    assert after == before


def test_pipeline_that_disagrees_is_not_written(
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


def test_temperature_is_refitted_for_int8(
    whole_folder, posts_corpus, tmp_path, monkeypatch
):
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
def test_invalid_options_are_rejected(tmp_path, precision, calibration, message):
    with pytest.raises(WnutError, match=message):
        export_pipeline("none", tmp_path, precision, tmp_path / "dev", calibration)


def test_calibration_posts_without_words_are_rejected(
    whole_folder, posts_corpus, tmp_path
):
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(" \n")]
    docs[0].set_ents([])
    DocBin(docs=docs).to_disk(tmp_path / "empty.spacy")
    with pytest.raises(WnutError, match="have no word pieces: pass others"):
        export_pipeline(
            str(whole_folder),
            tmp_path / "out",
            "int8",
            posts_corpus,
            tmp_path / "empty.spacy",
        )


def test_folder_with_other_files_is_not_replaced(whole_folder, posts_corpus, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(WnutError, match=r"holds other files .*, so it is not replaced"):
        export_pipeline(str(whole_folder), tmp_path, "fp32", posts_corpus)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_exported_pipeline_cannot_be_exported_again(
    onnx_folder, posts_corpus, tmp_path
):
    with pytest.raises(WnutError, match="onnx_tagger: only that can be written"):
        export_pipeline(str(onnx_folder), tmp_path / "out", "fp32", posts_corpus)


def test_encoder_with_other_listeners_is_rejected(whole_folder, tmp_path):
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


def test_encoder_inside_the_component_is_exported(whole_folder):
    nlp = spacy.load(whole_folder)
    nlp.replace_listeners("transformer", "ner", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    convert(nlp)
    text = "Ada Lovelace moved to Oslo"
    assert [ent.text for ent in nlp(text).ents] == ["Ada Lovelace", "Oslo"]


def test_head_with_another_layer_is_rejected(whole_folder):
    nlp = spacy.load(whole_folder)
    for node in nlp.get_pipe("ner").model.walk():
        if node.name == "gelu":
            node.name = "mish"
    with pytest.raises(
        WnutError, match="the head has a layer mish, which cannot be exported"
    ):
        convert(nlp)


def test_other_components_are_kept(whole_folder, posts_corpus, tmp_path):
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
