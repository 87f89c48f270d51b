import json

import pytest
import spacy
import torch
from spacy.tokens import DocBin
from transformers import AutoModelForTokenClassification, AutoTokenizer

from spacy_wnut.errors import WnutError
from spacy_wnut.huggingface.to_hf import (
    find_linear_parts,
    find_losses,
    measure_agreement,
    to_hf,
    write_checkpoint,
)

TUTORIAL = {"transitions": "constrained"}


@pytest.fixture
def initialized(make_nlp, make_examples):
    def make(encoder=None, **settings):
        nlp = make_nlp(encoder, **settings)
        nlp.initialize(lambda: make_examples(nlp))
        return nlp

    return make


@pytest.fixture
def out(tmp_path):
    """Where to write to, with the checkpoint of an earlier run in it."""
    folder = tmp_path / "out" / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("earlier")
    return folder


def assert_refused(nlp, out, message):
    with pytest.raises(WnutError, match=message):
        write_checkpoint(nlp, out)
    assert [path.read_text() for path in out.iterdir()] == ["earlier"]
    assert list(out.parent.iterdir()) == [out]


def test_folder_holds_what_transformers_looks_for(plain, out):
    written = write_checkpoint(plain, out)
    assert written == ("DistilBertForTokenClassification", [], None)
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert "earlier" not in names
    config = json.loads((out / "config.json").read_text())
    assert config["architectures"] == ["DistilBertForTokenClassification"]
    assert config["id2label"]["1"] == "B-location"
    assert config["label2id"]["I-person"] == 4


@pytest.mark.parametrize(
    "settings, lost",
    [
        ({"transitions": "learned"}, "learned transition scores"),
        ({"threshold": 0.5}, "threshold = 0.5"),
        (
            {"model": {"tok2vec": {"pooling": {"@layers": "reduce_mean.v1"}}}},
            "pools the pieces of a word by reduce_mean",
        ),
    ],
    ids=["learned", "threshold", "mean"],
)
def test_what_is_lost_is_said(initialized, out, settings, lost):
    nlp = initialized(**TUTORIAL | settings)
    written = write_checkpoint(nlp, out)
    assert len(written.lost) == 1
    assert lost in written.lost[0]
    assert f"- {written.lost[0]}\n" in (out / "README.md").read_text()


@pytest.mark.parametrize("name, value", [("temperature", 1.5), ("bias", 0.3)])
def test_settings_of_decoding_are_lost(plain, name, value):
    parts = find_linear_parts(plain)
    assert find_losses(parts) == []
    setattr(parts.tagger, name, value)
    assert find_losses(parts) == [f"The setting {name} = {value} of decoding is lost."]


@pytest.mark.parametrize(
    "model, layers",
    [
        ({"shape_width": 4}, "word_shapes"),
        ({"hidden_width": 8}, "gelu"),
        ({"shape_width": 4, "hidden_width": 8}, "gelu, word_shapes"),
    ],
    ids=["shapes", "hidden", "both"],
)
def test_head_that_is_not_linear_is_refused(initialized, out, model, layers):
    nlp = initialized(model=model, **TUTORIAL)
    assert_refused(nlp, out, rf"more than a linear layer .*\({layers}\).* = 0 to share")


def test_pipeline_has_to_have_one_entity_tagger(plain, out):
    plain.remove_pipe("ner")
    assert_refused(
        plain, out, r"has no components of .* entity_tagger \(it has: transformer\)"
    )


def test_pipeline_has_to_have_an_encoder(out):
    nlp = spacy.blank("en")
    tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None}
    tok2vec |= {"width": 8, "depth": 1, "embed_size": 10}
    tok2vec |= {"window_size": 1, "maxout_pieces": 2, "subword_features": True}
    nlp.add_pipe("entity_tagger", name="ner", config={"model": {"tok2vec": tok2vec}})
    assert_refused(nlp, out, "ner has no encoder of its own that transformers knows")


def test_head_of_the_architecture_has_to_be_linear(initialized, out, monkeypatch):
    from transformers import DistilBertForTokenClassification

    make = DistilBertForTokenClassification.__init__

    def with_a_layer_more(self, config):
        make(self, config)
        self.projection = torch.nn.Linear(32, 32)

    monkeypatch.setattr(DistilBertForTokenClassification, "__init__", with_a_layer_more)
    message = "there has to be one linear layer, and it has Dropout, Linear, Linear"
    assert_refused(initialized(**TUTORIAL), out, message)


def test_logits_have_to_come_from_the_encoder(initialized, out, monkeypatch):
    from transformers import DistilBertForTokenClassification

    run = DistilBertForTokenClassification.forward

    def scaled(self, *args, **kwargs):
        output = run(self, *args, **kwargs)
        output.logits = output.logits * 2
        return output

    monkeypatch.setattr(DistilBertForTokenClassification, "forward", scaled)
    message = "logits depend on more than the vectors of its encoder"
    assert_refused(initialized(**TUTORIAL), out, message)


def test_encoder_inside_of_the_component(plain, out, make_docs):
    write_checkpoint(plain, out)
    before = AutoModelForTokenClassification.from_pretrained(out).state_dict()
    plain.replace_listeners("transformer", "ner", ["model.tok2vec"])
    plain.remove_pipe("transformer")
    written = write_checkpoint(plain, out, make_docs(plain)[:2])
    assert written.agreement.same == written.agreement.words > 10
    after = AutoModelForTokenClassification.from_pretrained(out).state_dict()
    assert all(after[name].equal(weights) for name, weights in before.items())


def test_agreement_is_whole_for_what_a_checkpoint_carries(plain, out, make_docs):
    short = [doc for doc in make_docs(plain) if len(doc) < 200]
    n_words = sum(not token.is_space for doc in short for token in doc)
    assert write_checkpoint(plain, out, short).agreement == (n_words, n_words)
    assert (
        f"same for {n_words:,} of the {n_words:,} words"
        in (out / "README.md").read_text()
    )


def test_agreement_is_less_for_mean_pooling_and_long_texts(
    make_nlp, train, plain, checkpoint, make_docs
):
    nlp = make_nlp(
        **TUTORIAL, model={"tok2vec": {"pooling": {"@layers": "reduce_mean.v1"}}}
    )
    train(nlp, steps=15)
    model = AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    docs = [doc for doc in make_docs(nlp) if len(doc) < 200]
    same, words = measure_agreement(nlp, find_linear_parts(nlp), model, tokenizer, docs)
    assert 0 < same < words
    tokenizer.model_max_length = 12
    docs = [plain.make_doc("Ada Lovelace moved to Oslo . " * 3)]
    same, words = measure_agreement(
        plain, find_linear_parts(plain), model, tokenizer, docs
    )
    # Of 18 words no more than 10 have a piece beside the special tokens.
    assert 0 < same <= 10 < words == 18


def test_greatest_length_is_never_missing(initialized, out):
    nlp = initialized({"window": 30, "stride": 20}, **TUTORIAL)
    tokenizer = nlp.get_pipe("transformer").model.tokenizer
    tokenizer.model_max_length = 10**30
    write_checkpoint(nlp, out)
    assert AutoTokenizer.from_pretrained(out).model_max_length == 32
    assert tokenizer.model_max_length == 10**30


def test_card_has_the_figures(plain, out):
    plain.meta["license"] = "MIT"
    plain.meta["performance"] = {
        "test_gold_entity_f1": 0.4567,
        "ner_loss": 12.5,
        "ents_per_type": {"person": {"f": 0.5}},
    }
    write_checkpoint(plain, out)
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlanguage: en\n") and "license: mit\n" in card
    assert "pipeline_tag: token-classification\n" in card
    assert "| test_gold_entity_f1 | 45.7 |" in card
    assert "ner_loss" not in card and "Not measured" not in card
    plain.meta["performance"] = {}
    write_checkpoint(plain, out)
    assert "Not measured." in (out / "README.md").read_text()


@pytest.fixture
def corpus(root, tmp_path):
    from spacy_wnut.corpus.convert import convert
    from spacy_wnut.corpus.sources import load_rows

    rows = load_rows(str(root / "corpus" / "sample"), None)
    convert(rows, tmp_path / "corpus", "gold")
    return tmp_path / "corpus" / "dev.spacy"


def test_agreement_on_a_corpus(plain_folder, out, corpus):
    words = sum(
        len(doc) for doc in DocBin().from_disk(corpus).get_docs(spacy.blank("en").vocab)
    )
    written = to_hf(str(plain_folder), out, corpus)
    assert written.agreement == (words, words)


def test_push_shares_the_folder(plain_folder, out, hub):
    to_hf(str(plain_folder), out)
    assert hub.uploads == []
    to_hf(str(plain_folder), out, repo="ada/ner")
    [(repo, private, names)] = hub.uploads
    assert (repo, private) == ("ada/ner", False)
    assert {"config.json", "model.safetensors", "README.md"} <= set(names)


def test_push_that_fails(plain_folder, out, hub):
    hub.error = OSError("no token")
    with pytest.raises(WnutError, match=r"is written, but couldn't be shared as 'x'"):
        to_hf(str(plain_folder), out, repo="x")
    assert (out / "model.safetensors").exists()


def test_docs_are_freed_with_their_vectors(plain, tmp_path, vectors):
    docs = [plain.make_doc(f"Oslo {i}") for i in range(40)]
    plain.add_pipe("test_adds_vectors", first=True)
    plain.batch_size = 4
    written = write_checkpoint(plain, tmp_path / "checkpoint", docs)
    assert written.agreement.words == 80
    assert 0 < vectors.most <= 8
