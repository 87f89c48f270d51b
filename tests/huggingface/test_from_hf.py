import itertools
import json
import shutil

import numpy
import pytest
import spacy
import torch
from safetensors.torch import load_file, save_file
from seqeval.metrics.sequence_labeling import get_entities
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.vocab import Vocab
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from spacy_wnut.errors import WnutError
from spacy_wnut.huggingface.from_hf import from_hf
from spacy_wnut.huggingface.label_map import read_labels
from spacy_wnut.huggingface.to_hf import to_hf
from spacy_wnut.onnx_export.export import convert as convert_to_onnx
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
    assert from_hf(str(folder), out).types == ("B", "C", "A")
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
    "labels, scheme, message",
    [
        (["LABEL_0", "LABEL_1"], None, r"doesn't name its labels \(LABEL_0, LABEL_1\)"),
        (["B-A", "I-A"], None, "no label O: B-A, I-A"),
        (["O"], None, "no labels of entity types: O"),
        (["O", "[PAD]", "X"], None, r"no labels of entity types: O, \[PAD\], X"),
        (["O", "B-A ", "I-A "], None, "'A ' can't be an entity type"),
        (["O", "B-A", "B-A"], None, "there twice: O, B-A, B-A"),
        (["O", "B-A", "I-A", "PER"], None, "'PER' is not a BIO tag: .* O, B-A, I-A"),
        (["O", "B-A", "E-A", "L-A"], None, "'L-A' is not an IOBES tag"),
        (["O", "B-A", "A-I"], None, "'A-I' is not a BIO tag"),
        (["O", "S-A", "E-A", "B-A", "E-B"], None, "no labels that begin B: O, S-A"),
        (["O", "I-A", "I-B", "B-B"], "bio", "no labels that begin A: .* --scheme iob1"),
        (["O", "B-A", "E-A"], "bio", "'E-A' is not a BIO tag"),
    ],
)
def test_labels_of_no_scheme(labels, scheme, message):
    with pytest.raises(WnutError, match=message):
        read_labels(dict(enumerate(labels)), scheme)


@pytest.mark.parametrize(
    "labels, scheme, types, tags",
    [
        # O, B-A, I-A, B-B, I-B
        ("O B-A I-A", None, "A", ["O", "B-A", "I-A"]),
        ("O B-A", None, "A", ["O", "B-A", ""]),
        ("I-B O B_A".replace("_", "-"), "iob1", "B A", "O I-B I-B B-A B-A".split()),
        ("O B_geo_loc I_geo_loc", None, "geo_loc", ["O", "B_geo_loc", "I_geo_loc"]),
        ("O A-I A-B", None, "A", ["O", "A-B", "A-I"]),
        ("o b-A i-A", None, "A", ["o", "b-A", "i-A"]),
        ("O I-A I-B", None, "A B", "O I-A I-A I-B I-B".split()),
        ("O A B", None, "A B", "O A A B B".split()),
        ("O X A [PAD] [CLS]", None, "A", "O A A".split()),
        ("[PAD] O B-A I-A X <pad> [SEP]", None, "A", "O B-A I-A".split()),
        ("O B I", None, "entity", "O B I".split()),
        ("O B-S I-S E-S S-S", None, "S", ["O", "B-S S-S", "I-S E-S"]),
        ("O B-A M-A E-A W-A", None, "A", ["O", "B-A W-A", "M-A E-A"]),
        ("O B-A I-A L-A U-A", None, "A", ["O", "B-A U-A", "I-A L-A"]),
        ("O A_B A_I A_L A_U", None, "A", ["O", "A_B A_U", "A_I A_L"]),
        ("O U-A U-B", None, "A B", ["O", "U-A", "", "U-B", ""]),
        # Most checkpoints of CoNLL 2003: B-PER occurs in no training data.
        (
            "B-LOC I-LOC I-PER O",
            None,
            "LOC PER",
            ["O", "B-LOC I-LOC", "B-LOC I-LOC", "I-PER", "I-PER"],
        ),
        ("O B-A I-A", "iob1", "A", ["O", "B-A I-A", "B-A I-A"]),
        ("O B-A I-A", "bio", "A", ["O", "B-A", "I-A"]),
        ("O B-A C", "io", "B-A C", ["O", "B-A", "B-A", "C", "C"]),
    ],
)
def test_labels_of_all_schemes(labels, scheme, types, tags):
    labels = labels.split()
    found = read_labels(dict(enumerate(labels)), scheme)
    assert found.scheme.types == tuple(types.split())
    named = [" ".join(labels[i] for i in row) for row in found.labels]
    assert named == tags


@pytest.mark.parametrize(
    "labels, lost",
    [
        ("O B-A I-A", []),
        ("O A B", []),
        ("O I-A", []),
        ("O I-A I-B B-B", ["Adjacent entities of the same type become one"]),
        ("O S-A B-A E-A", ["The labels of last and single words (IOBES) are read as"]),
        ("O B-A X [PAD]", ["The labels X, [PAD] are left out: they are not tags of"]),
        ("O B I", ["The labels name no type. It is called 'entity'"]),
    ],
)
def test_losses_are_named(labels, lost):
    found = read_labels(dict(enumerate(labels.split()))).lost
    assert len(found) == len(lost)
    assert all(map(str.startswith, found, lost))


def test_unusable_labels_leave_nothing(make_checkpoint, out):
    folder = make_checkpoint(["O", "B-A", "PER"])
    assert_refused(folder, out, "'PER' is not a BIO tag")


def test_types_keep_the_order_of_the_checkpoint():
    found = read_labels({3: "B-y", 0: "I-x", 2: "O", 1: "B-x"})
    assert found.scheme.types == ("x", "y")
    assert found.labels == [[2], [1], [0], [3], []]


def logits_of(folder, words):
    """The logits of transformers at the first piece of each word, shape (words, n)."""
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoding = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(
            input_ids=encoding["input_ids"], attention_mask=encoding["attention_mask"]
        ).logits[0]
    return logits[[encoding.word_to_tokens(i).start for i in range(len(words))]]


@pytest.mark.parametrize(
    "labels, sums",
    [
        ("O B-A I-A [PAD] X", ["O", "B-A", "I-A"]),
        ("O I-A I-B", ["O", "I-A", "I-A", "I-B", "I-B"]),
        ("B-A I-A O I-B", ["O", "B-A I-A", "B-A I-A", "I-B", "I-B"]),
        ("O S-A [CLS] B-A E-A I-A", ["O", "S-A B-A", "I-A E-A"]),
        ("U-B O B-A L-A I-A U-A", ["O", "U-B", "", "B-A U-A", "I-A L-A"]),
    ],
)
def test_probabilities_are_sums_of_those_of_the_checkpoint(
    make_checkpoint, out, labels, sums
):
    folder = make_checkpoint(labels.split())
    from_hf(str(folder), out)
    probabilities = logits_of(folder, TEXT.split()).softmax(dim=1)
    columns = [[labels.split().index(x) for x in tag.split()] for tag in sums]
    expected = torch.stack([probabilities[:, c].sum(dim=1) for c in columns], dim=1)
    expected /= expected.sum(dim=1, keepdim=True)
    nlp = spacy.load(out)
    ner = nlp.get_pipe("ner")
    emissions = torch.tensor(ner.model.predict([nlp(TEXT)])[0]).softmax(dim=1)
    numpy.testing.assert_allclose(emissions, expected, atol=1e-5)


@pytest.fixture
def corpus(tmp_path):
    """Posts of many words, for the encoder with random weights."""
    random = numpy.random.default_rng(0)
    words = [word for word in TEXT.split() if word != ","] + ["lol", "#", "x"]
    docs = [
        Doc(Vocab(), words=random.choice(words, 12).tolist(), ents=["O"] * 12)
        for _ in range(20)
    ]
    DocBin(docs=docs).to_disk(tmp_path / "corpus.spacy")
    return tmp_path / "corpus.spacy"


def greedy(folder, words):
    """The best labels, by transformers."""
    names = AutoConfig.from_pretrained(folder).id2label
    return [names[i] for i in logits_of(folder, words).argmax(dim=1).tolist()]


@pytest.mark.parametrize("labels", ["O I-A I-B", "B O A", "O I"])
def test_io_has_the_entities_of_the_best_labels(make_checkpoint, out, corpus, labels):
    folder = make_checkpoint(labels.split())
    done = from_hf(str(folder), out, corpus=corpus)
    nlp = spacy.load(out)
    n_entities = 0
    for gold in DocBin().from_disk(corpus).get_docs(nlp.vocab):
        words = [token.text for token in gold]
        types = greedy(folder, words)
        runs = [(k, len(list(g))) for k, g in itertools.groupby(types)]
        ends = itertools.accumulate(n for _, n in runs)
        expected = [
            (e - n, e) for e, (k, n) in zip(ends, runs, strict=True) if k != "O"
        ]
        doc = nlp(Doc(nlp.vocab, words=words))
        assert [(ent.start, ent.end) for ent in doc.ents] == expected
        n_entities += len(expected)
    assert n_entities > 20
    assert done.agreement == (20, 20, n_entities, n_entities, 0)


def test_confidence_of_an_io_entity(make_checkpoint, out):
    folder = make_checkpoint(["O", "I-A", "I-B"])
    from_hf(str(folder), out)
    nlp = spacy.load(out)
    words = TEXT.split()
    doc = nlp(Doc(nlp.vocab, words=words))
    p = logits_of(folder, words).softmax(dim=1)
    assert len(doc.ents) > 0
    for ent in doc.ents:
        label = {"A": 1, "B": 2}[ent.label_]
        expected = p[ent.start : ent.end, label].prod()
        for edge in (ent.start - 1, ent.end):
            if 0 <= edge < len(words):
                expected *= 1 - p[edge, label]
        assert ent._.confidence == pytest.approx(expected.item(), abs=1e-4)


WORDS = ["Ada", "Lovelace", "moved", "to", "Oslo", "Grace", "Hopper", "did"]


@pytest.fixture
def make_fitted(make_checkpoint):
    """Makes a checkpoint whose best labels of WORDS are the given tags."""

    def make(labels, tags):
        folder = make_checkpoint(labels)
        model = AutoModelForTokenClassification.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encoding = tokenizer(WORDS, is_split_into_words=True, return_tensors="pt")
        firsts = [encoding.word_to_tokens(i).start for i in range(len(WORDS))]
        with torch.no_grad():
            vectors = model.base_model(input_ids=encoding["input_ids"])[0][0, firsts]
            target = torch.full((len(WORDS), len(labels)), -3.0)
            target[range(len(WORDS)), [labels.index(tag) for tag in tags]] = 6.0
            solution = torch.linalg.lstsq(vectors.double(), target.double()).solution
            model.classifier.weight.copy_(solution.T)
            model.classifier.bias.zero_()
        model.save_pretrained(folder)
        assert greedy(folder, WORDS) == tags
        return folder

    return make


@pytest.mark.parametrize(
    "tags, scheme",
    [
        ("B-A I-A O O B-B B-A B-A O", None),
        ("I-A I-A O O I-B I-A I-A O", "iob1"),
        ("B-A E-A O O S-B S-A S-A O", None),
        ("B-A L-A O O U-B U-A U-A O", None),
        ("B_A M_A E_A O S_B B_A E_A O", None),
        ("A-B A-L O A-U B-U A-U A-U A-U", None),
        ("A A O O B A A O", None),
        ("B E S O O S B E", None),
    ],
)
def test_entities_are_those_of_the_best_labels(
    make_fitted, out, tmp_path, tags, scheme
):
    tags = tags.split()
    bio = "B-A I-A B-B I-B".split() if scheme == "iob1" else []
    labels = [*sorted({"O", *tags, *bio}), "[PAD]"]
    folder = make_fitted(labels, tags)
    doc = Doc(Vocab(), words=WORDS, ents=["O"] * len(WORDS))
    DocBin(docs=[doc]).to_disk(tmp_path / "one.spacy")
    done = from_hf(str(folder), out, scheme=scheme, corpus=tmp_path / "one.spacy")
    # seqeval's rule, with its prefixes.
    if {"A"} <= set(tags):
        known = [tag if tag == "O" else f"I-{tag}" for tag in tags]
    else:
        known = [swap(tag) for tag in tags]
    expected = {(i, j + 1) for _, i, j in get_entities(known)}
    nlp = spacy.load(out)
    doc = nlp(Doc(nlp.vocab, words=WORDS))
    assert {(ent.start, ent.end) for ent in doc.ents} == expected
    assert all(ent._.confidence > 0.9 for ent in doc.ents)
    assert done.agreement == (1, 1, len(expected), len(expected), 0)


def swap(tag):
    """A tag in seqeval's form: the prefix first, E and S."""
    if tag[-2:-1] == "-" and tag[-1] in "BIELSU" and tag[0] == "A":
        tag = f"{tag[-1]}-{tag[0]}"
    elif tag in ("B-U", "B-L"):
        tag = f"{tag[-1]}-B"
    prefix = {"L": "E", "U": "S", "M": "I"}.get(tag[0], tag[0])
    return prefix + tag[1:].replace("_", "-")


def test_agreement_counts_the_entities_that_differ(make_fitted, out, tmp_path):
    # B-A splits adjacent entities in IOB1, which is lost.
    labels = ["O", "I-A", "B-A", "I-B"]
    tags = ["I-A", "B-A", "O", "O", "I-B", "O", "I-A", "I-A"]
    folder = make_fitted(labels, tags)
    docs = [
        Doc(Vocab(), words=words, ents=["O"] * len(words)) for words in (WORDS, ["lol"])
    ]
    DocBin(docs=docs[:1]).to_disk(tmp_path / "one.spacy")
    done = from_hf(str(folder), out, corpus=tmp_path / "one.spacy")
    assert done.agreement == (1, 0, 4, 2, 1)
    assert len(done.lost) == 1


def test_checkpoint_that_was_trained_on_iob1_is_recognized(make_fitted, out, tmp_path):
    """Its labels alone are those of BIO."""
    labels = ["O", "B-A", "I-A"]
    doc = Doc(Vocab(), words=WORDS, ents=["O"] * len(WORDS))
    DocBin(docs=[doc]).to_disk(tmp_path / "one.spacy")
    corpus = tmp_path / "one.spacy"
    folder = make_fitted(labels, "I-A I-A O O I-A O I-A O".split())
    done = from_hf(str(folder), out, corpus=corpus)
    assert "Convert it with --scheme iob1" in done.lost[0]
    assert done.agreement.same_posts == 0
    done = from_hf(str(folder), out, scheme="iob1", corpus=corpus)
    assert done.agreement == (1, 1, 3, 3, 0)
    folder = make_fitted(labels, "B-A I-A O O B-A O B-A O".split())
    assert from_hf(str(folder), out, corpus=corpus).lost == []


@pytest.mark.parametrize("labels", ["O S-A B-A E-A", "I-A O B-A I-B", "O A B X"])
def test_onnx_takes_all_schemes(make_checkpoint, out, labels):
    from_hf(str(make_checkpoint(labels.split())), out)
    nlp = spacy.load(out)
    before = nlp.get_pipe("ner").model.predict([nlp(TEXT)])[0]
    found = [(ent.text, ent.label_, ent._.confidence) for ent in nlp(TEXT).ents]
    convert_to_onnx(nlp)
    after = nlp.get_pipe("ner").model.predict([nlp.make_doc(TEXT)])[0]
    numpy.testing.assert_allclose(after, before, atol=1e-4)
    for ent, (text, label, confidence) in zip(nlp(TEXT).ents, found, strict=True):
        assert (ent.text, ent.label_) == (text, label)
        assert ent._.confidence == pytest.approx(confidence, abs=1e-4)


def test_sums_of_labels_are_no_linear_head(make_checkpoint, out, tmp_path):
    from_hf(str(make_checkpoint(["O", "S-A", "B-A", "E-A"])), out)
    with pytest.raises(
        WnutError, match=r"labels of another scheme, .* the original one"
    ):
        to_hf(str(out), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_training_goes_on(make_checkpoint, out):
    from_hf(str(make_checkpoint(["O", "S-A", "B-A", "I-A", "E-A"])), out)
    nlp = spacy.load(out)
    example = Example.from_dict(
        nlp.make_doc("Ada Lovelace moved"), {"entities": [(0, 12, "A")]}
    )
    optimizer = nlp.resume_training()
    losses = [nlp.update([example], sgd=optimizer)["ner"] for _ in range(12)]
    assert losses[-1] < losses[0]


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
