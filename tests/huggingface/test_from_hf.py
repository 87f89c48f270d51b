import json
import shutil

import numpy
import pytest
import spacy
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from spacy_wnut.errors import WnutError
from spacy_wnut.huggingface.from_hf import from_hf, read_labels
from spacy_wnut.packaging.wheels import package_pipeline
from spacy_wnut.scoring.evaluation import evaluate_pipeline

TEXT = "Ada Lovelace moved to Oslo , so did Grace Hopper"
# Of no scheme's order, and C has words by themselves alone.
LABELS = ["I-B", "B-C", "O", "B-B", "I-A", "B-A"]


@pytest.fixture
def make_checkpoint(tiny_encoder, tmp_path):
    """Makes a fine-tuned model of random weights."""

    def make(labels, dtype=torch.float32):
        folder = tmp_path / "checkpoint"
        config = AutoConfig.from_pretrained(tiny_encoder)
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
        torch.manual_seed(1)
        model = AutoModelForTokenClassification.from_config(config)
        torch.nn.init.normal_(model.classifier.weight)
        torch.nn.init.normal_(model.classifier.bias)
        model.to(dtype).save_pretrained(folder)
        AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def out(tmp_path):
    """Where to write to, with a pipeline of an earlier run in it."""
    folder = tmp_path / "out" / "pipeline"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("earlier")
    return folder


def assert_refused(folder, out, message, **options):
    with pytest.raises(WnutError, match=message):
        from_hf(str(folder), out, **options)
    assert [path.read_text() for path in out.iterdir()] == ["earlier"]
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_probabilities_are_those_of_the_checkpoint(make_checkpoint, out, dtype):
    folder = make_checkpoint(LABELS, dtype)
    assert from_hf(str(folder), out) == ("B", "C", "A")
    model = AutoModelForTokenClassification.from_pretrained(
        folder, torch_dtype=torch.float32
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoding = tokenizer(TEXT.split(), is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(
            input_ids=encoding["input_ids"], attention_mask=encoding["attention_mask"]
        ).logits[0]
    firsts = [encoding.word_to_tokens(i).start for i in range(len(TEXT.split()))]
    expected = expected[firsts].softmax(dim=1).numpy()
    shutil.rmtree(folder)

    nlp = spacy.load(out)
    ner = nlp.get_pipe("ner")
    assert ner.scheme.tags == ("O", "B-B", "I-B", "B-C", "I-C", "B-A", "I-A")
    assert {
        parameter.dtype
        for parameter in nlp.get_pipe("transformer").model.transformer.parameters()
    } == {torch.float32}
    emissions = torch.tensor(ner.model.predict([nlp(TEXT)])[0]).softmax(dim=1).numpy()
    columns = [ner.scheme.tags.index(label) for label in LABELS]
    numpy.testing.assert_allclose(emissions[:, columns], expected, atol=1e-5)
    # What the checkpoint has no label for is impossible.
    assert not emissions[:, ner.scheme.tags.index("I-C")].any()


def test_entities_have_confidences(make_checkpoint, out):
    from_hf(str(make_checkpoint(LABELS)), out)
    doc = spacy.load(out)(TEXT)
    assert len(doc.ents) > 1
    assert all(0 < ent._.confidence <= 1 for ent in doc.ents)
    assert len(doc.spans["wnut"].attrs["scores"]) == len(doc.ents)


def test_evaluate_and_package_take_it(checkpoint, out, root, tmp_path, monkeypatch):
    from spacy_wnut.corpus.convert import convert
    from spacy_wnut.corpus.sources import load_rows

    from_hf(str(checkpoint), out)
    rows = load_rows(str(root / "corpus" / "sample"), None)
    convert(rows, tmp_path / "corpus", "gold")
    posts, _ = evaluate_pipeline(str(out), tmp_path / "corpus" / "dev.spacy", -1)
    assert len(posts) == len(rows["validation"])
    built = []

    def build(source, folder, **_):
        built.append(spacy.load(source).get_pipe("ner").labels)
        wheel = folder / "en_mine" / "dist" / "en_mine-1.0.0.whl"
        wheel.parent.mkdir(parents=True)
        wheel.touch()

    monkeypatch.setattr("spacy_wnut.packaging.wheels.build_package", build)
    package_pipeline(
        out,
        tmp_path,
        name="mine",
        version="1.0.0",
        encoder="x",
        license_file=root / "LICENSE",
        metrics=[],
    )
    assert built == [("location", "person")]


def test_language_of_the_tokenizer(make_checkpoint, out):
    folder = make_checkpoint(LABELS)
    assert_refused(folder, out, "'qq' is no language of spaCy's", lang="qq")
    from_hf(str(folder), out, lang="de")
    assert spacy.load(out).lang == "de"


@pytest.mark.parametrize("length, window", [(512, 254), (40, 38), (10**30, 254)])
def test_window_is_what_the_encoder_takes(make_checkpoint, out, length, window):
    folder = make_checkpoint(LABELS)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"model_max_length": length}
    path.write_text(json.dumps(config))
    from_hf(str(folder), out)
    nlp = spacy.load(out)
    assert nlp.config["components"]["transformer"]["model"]["window"] == window
    assert len(nlp("no Wörd " * 300)) == 600


@pytest.mark.parametrize(
    "labels, message",
    [
        (["LABEL_0", "LABEL_1"], r"doesn't name its labels \(LABEL_0, LABEL_1\)"),
        (["O", "B-A", "I-A", "E-A", "S-A"], "another scheme than BIO: O, B-A, I-A"),
        (["O", "B-A", "I-A", "L-A", "U-A"], "another scheme than BIO: .* BILOU mark"),
        (["O", "I-A", "I-B"], r"no labels B-A, B-B .* In IOB1"),
        (["O", "I-A", "I-B", "B-B"], r"no labels B-A \(O, I-A, I-B, B-B\)"),
        (["B-A", "I-A"], "no label O: B-A, I-A"),
        (["O"], "no labels entity types"),
        (["O", "A", "B"], "'A' is not a BIO tag"),
        (["O", "B", "I"], "'B' is not a BIO tag"),
        (["O", "B-A", "I-A", "[PAD]"], r"'\[PAD\]' is not a BIO tag"),
        (["O", "B-A ", "I-A "], "'A ' can't be an entity type"),
        (["O", "B-A", "B-A"], "there twice: O, B-A, B-A"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_labels_that_are_no_bio_tags(labels, message):
    with pytest.raises(WnutError, match=message):
        read_labels(dict(enumerate(labels)))


def test_unusable_labels_leave_nothing(make_checkpoint, out):
    folder = make_checkpoint(["O", "I-A", "I-B"])
    assert_refused(folder, out, "In IOB1 an entity begins with I-x")


def test_types_keep_the_order_of_the_checkpoint():
    scheme, rows = read_labels({3: "B-y", 0: "I-x", 2: "O", 1: "B-x"})
    assert scheme.types == ("x", "y")
    assert rows == [2, 1, 0, 3, None]


def test_encoder_without_a_head(tiny_encoder, out):
    message = r"isn't fine-tuned for token classification: .* classifier\.bias"
    assert_refused(tiny_encoder, out, message)


def test_weights_that_are_not_there(make_checkpoint, out):
    folder = make_checkpoint(LABELS)
    weights = load_file(folder / "model.safetensors")
    del weights["distilbert.transformer.layer.1.ffn.lin2.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert_refused(folder, out, "it has no weights distilbert.transformer.layer.1")


def test_folder_and_hub_that_have_nothing(tmp_path, out, hub_cache):
    (tmp_path / "empty").mkdir()
    message = r"The checkpoint .* can't be loaded: .*\. Use a folder with config"
    assert_refused(tmp_path / "empty", out, message)
    message = (
        "checkpoint 'a/b' can't be found: .* the hub can't be .* Give a folder with"
    )
    assert_refused("a/b", out, message)


def test_architecture_without_token_classification(out, tiny_encoder, tmp_path):
    from transformers import GPTJConfig, GPTJModel

    config = GPTJConfig(n_embd=8, n_layer=1, n_head=2, rotary_dim=2, vocab_size=10)
    GPTJModel(config).save_pretrained(tmp_path / "gptj")
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path / "gptj")
    assert_refused(tmp_path / "gptj", out, "can't be loaded: Unrecognized config")


def test_head_that_is_more_than_a_linear_layer(out, tiny_encoder, tmp_path):
    from transformers import ModernBertConfig, ModernBertForTokenClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    ModernBertForTokenClassification(config).save_pretrained(tmp_path / "modern")
    tokenizer.save_pretrained(tmp_path / "modern")
    message = "ModernBertForTokenClassification can't be converted: .* it has Modern"
    assert_refused(tmp_path / "modern", out, message)


def test_pooler_that_the_checkpoint_has_not(out, tiny_encoder, tmp_path, recwarn):
    """BERT's encoder has one by itself, and none under a head."""
    from transformers import BertConfig, BertForTokenClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    BertForTokenClassification(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    from_hf(str(tmp_path / "bert"), out)
    encoder = spacy.load(out).get_pipe("transformer").model.transformer
    assert not encoder.pooler.dense.weight.any()
    assert isinstance(encoder, type(AutoModel.from_config(config)))
    assert not [w for w in recwarn if "state_dict" in str(w.message)]
