import zlib

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity
from spacy_wnut.scoring.evaluation import evaluate_pipeline

NLP = spacy.blank("en")
WORDS = ["visit", "Paris,", "#London", "Rome"]
ENTS = ["O", "O", "B-location", "B-location"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    nlp = spacy.blank("en")
    patterns = [
        {"label": "location", "pattern": name} for name in ("#London", "Paris", "Rome")
    ]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    folder = tmp_path_factory.mktemp("pipelines") / "ruler"
    nlp.to_disk(folder)
    return str(folder)


@pytest.fixture
def save(tmp_path):
    def save_docs(*docs):
        path = tmp_path / "corpus.spacy"
        DocBin(docs=docs).to_disk(path)
        return path

    return save_docs


def gold_tokens():
    return Doc(NLP.vocab, words=WORDS, ents=ENTS)


def spacy_tokens():
    spaces = [True] * (len(WORDS) - 1) + [False]
    return Doc(NLP.vocab, words=WORDS, spaces=spaces, ents=ENTS)


def test_corpus_with_unknown_spaces_is_evaluated_on_gold_tokens(model, save):
    evaluation = evaluate_pipeline(model, save(gold_tokens()), -1)
    assert evaluation.protocol == "gold tokens"
    [post] = evaluation.posts
    assert post.words == ["visit ", "Paris, ", "#London ", "Rome "]
    assert post.gold == {Entity(2, 3, "location"), Entity(3, 4, "location")}
    # The gold token is "Paris,".
    assert post.predicted == post.gold - {Entity(2, 3, "location")}


def test_corpus_with_spaces_is_evaluated_on_spacy_tokens(model, save):
    evaluation = evaluate_pipeline(model, save(spacy_tokens()), -1)
    assert evaluation.protocol == "spaCy tokens"
    [post] = evaluation.posts
    assert post.words == ["visit ", "Paris", ", ", "#", "London ", "Rome"]
    assert post.gold == {Entity(3, 5, "location"), Entity(5, 6, "location")}
    assert post.predicted == {*post.gold, Entity(1, 2, "location")}


def test_docs_are_freed_after_scoring(tmp_path, model, save, vectors):
    nlp = spacy.load(model)
    nlp.add_pipe("test_adds_vectors", first=True)
    nlp.batch_size = nlp.config["nlp"]["batch_size"] = 4
    nlp.to_disk(tmp_path / "pipeline")
    corpus = save(*(gold_tokens() for _ in range(40)))
    evaluation = evaluate_pipeline(str(tmp_path / "pipeline"), corpus, -1)
    assert len(evaluation.posts) == 40
    assert evaluation.posts == evaluate_pipeline(model, corpus, -1).posts
    assert 0 < vectors.most <= 8


def test_missing_gpu_is_rejected(model, save):
    with pytest.raises(WnutError, match=r"GPU 99 can't be used: .* Leave --gpu-id out"):
        evaluate_pipeline(model, save(gold_tokens()), 99)


def test_missing_pipeline_is_rejected(save):
    with pytest.raises(
        WnutError, match="pipeline en_nowhere can't be loaded: give the"
    ):
        evaluate_pipeline("en_nowhere", save(gold_tokens()), -1)


def test_damaged_pipeline_is_rejected(tmp_path, save):
    folder = tmp_path / "damaged"
    spacy.blank("en").to_disk(folder)
    (folder / "config.cfg").write_text("[nlp")
    with pytest.raises(
        WnutError, match=r"damaged can't be loaded: (.|\n)*no section headers"
    ):
        evaluate_pipeline(str(folder), save(gold_tokens()), -1)


def test_pipeline_with_an_unknown_component_is_rejected(tmp_path, save):
    folder = tmp_path / "unknown"
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(folder)
    config = folder / "config.cfg"
    config.write_text(config.read_text().replace('"sentencizer"', '"sentinel"'))
    with pytest.raises(WnutError, match=r"unknown can't be loaded: (.|\n)*sentinel"):
        evaluate_pipeline(str(folder), save(gold_tokens()), -1)


@pytest.mark.parametrize(
    "components, listed", [([], "none"), (["sentencizer"], "sentencizer")]
)
def test_pipeline_that_sets_no_entities_is_rejected(tmp_path, save, components, listed):
    nlp = spacy.blank("en")
    for name in components:
        nlp.add_pipe(name)
    nlp.to_disk(tmp_path / "blank")
    with pytest.raises(WnutError, match=rf"sets entities \(it has: {listed}\)"):
        evaluate_pipeline(str(tmp_path / "blank"), save(gold_tokens()), -1)


def test_missing_corpus_is_rejected(model, tmp_path):
    with pytest.raises(
        WnutError, match=r"there is no file .*test\.spacy: make it with"
    ):
        evaluate_pipeline(model, tmp_path / "test.spacy", -1)


@pytest.mark.parametrize(
    "name, message", [("test.conll", "there is no file"), ("", "is a folder: give one")]
)
def test_corpus_has_to_be_a_file(model, tmp_path, name, message):
    with pytest.raises(WnutError, match=message):
        evaluate_pipeline(model, tmp_path / name, -1)


def test_gold_entities_inside_tokens_count_as_not_found(model, tmp_path):
    path = tmp_path / "test.jsonl"
    # The ruler finds Paris and Rome. "Romeo" is one token, of which "Rome" is a part.
    path.write_text(
        '{"text": "visit Paris, Romeo", "label": [[6, 11, "location"], [13, 17, '
        '"location"]]}\n'
    )
    evaluation = evaluate_pipeline(model, path, -1)
    assert evaluation.protocol == "spaCy tokens"
    [post] = evaluation.posts
    assert post.words == ["visit ", "Paris", ", ", "Rome", "o"]
    assert post.gold == {Entity(1, 2, "location"), Entity(3, 4, "location")}
    assert post.predicted == {Entity(1, 2, "location")}


def test_columns_are_evaluated_on_gold_tokens(model, tmp_path):
    path = tmp_path / "test.conll"
    tags = [("visit", "O"), ("Paris,", "O"), ("Rome", "B-location")]
    path.write_text("".join(f"{word}\t{tag}\n" for word, tag in tags))
    evaluation = evaluate_pipeline(model, path, -1)
    assert evaluation.protocol == "gold tokens"
    [post] = evaluation.posts
    assert post.words == ["visit ", "Paris, ", "Rome "]
    assert post.gold == post.predicted == {Entity(2, 3, "location")}


@pytest.mark.parametrize(
    "data",
    [b"", b"Ann\tB-person\n", zlib.compress(b"\x93\x01\x02\x03"), b"\x81\xa1a\x01"],
)
@pytest.mark.parametrize("compress", [False, True])
def test_corpus_that_is_not_a_docbin_is_rejected(model, tmp_path, data, compress):
    path = tmp_path / "test.spacy"
    path.write_bytes(zlib.compress(data) if compress else data)
    with pytest.raises(WnutError, match=r"test\.spacy can't be read as a DocBin"):
        evaluate_pipeline(model, path, -1)


def test_corpus_without_docs_is_rejected(model, save):
    with pytest.raises(WnutError, match=r"no docs with entity annotation \(0 docs\)"):
        evaluate_pipeline(model, save(), -1)


def test_corpus_without_annotation_is_rejected(model, save):
    doc = Doc(NLP.vocab, words=WORDS)
    with pytest.raises(WnutError, match=r"no docs with entity annotation \(1 docs\)"):
        evaluate_pipeline(model, save(doc), -1)


def test_corpus_with_both_protocols_is_rejected(model, save):
    with pytest.raises(WnutError, match="that mixes gold tokens with spaCy's"):
        evaluate_pipeline(model, save(gold_tokens(), spacy_tokens()), -1)
