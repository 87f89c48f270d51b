"""Entity types that hold a blank, from CoNLL files to every output."""

import pytest
import spacy
from spacy.training import Corpus

from spacy_wnut.bulk.local import Job, annotate_file
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.corpus.convert import convert
from spacy_wnut.corpus.sources import load_rows
from spacy_wnut.huggingface.from_hf import from_hf
from spacy_wnut.huggingface.to_hf import to_hf
from spacy_wnut.onnx_export.export import export_pipeline
from spacy_wnut.scoring.evaluation import evaluate_pipeline
from spacy_wnut.scoring.matching import read_posts
from spacy_wnut.scoring.measures import all_scores

DATA = (
    "Ada\tB-real person\nmoved\tO\nto\tO\nNew\tB-geo place\nYork\tI-geo place\n\n"
    "nothing\tO\nhere\tO\n\n"
    "Oslo\tB-geo place\nis\tO\nfar\tO\n"
)
TYPES = ("geo place", "real person")


@pytest.fixture(scope="module")
def work(tmp_path_factory, make_nlp):
    """A folder with a corpus, and a pipeline that knows it."""
    folder = tmp_path_factory.mktemp("blank-types")
    source = folder / "source"
    source.mkdir()
    for name in ("train", "dev", "test"):
        (source / f"{name}.conll").write_text(DATA)
    convert(load_rows(str(source)), folder / "corpus", "gold")
    nlp = make_nlp(transitions="constrained")
    corpus = Corpus(folder / "corpus" / "train.spacy")
    optimizer = nlp.initialize(lambda: corpus(nlp))
    optimizer.learn_rate = 3e-3
    for _ in range(40):
        nlp.update(list(corpus(nlp)), sgd=optimizer)
    nlp.to_disk(folder / "pipeline")
    return folder


def perfect(posts):
    scores = all_scores(posts)
    assert list(scores["per_type"]) == list(TYPES)
    return all(
        part["f1"] == 1.0
        for part in (
            scores["entity"],
            scores["seqeval_strict"],
            *scores["per_type"].values(),
        )
    )


def test_training_and_evaluation(work):
    assert spacy.load(work / "pipeline").get_pipe("ner").labels == TYPES
    corpus = work / "corpus" / "test.spacy"
    assert perfect(evaluate_pipeline(str(work / "pipeline"), corpus, -1).posts)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_and_conll_out_of_annotate(work, tmp_path, precision):
    corpus = work / "corpus" / "train.spacy"
    model, out = tmp_path / "onnx", tmp_path / "out.conll"
    export_pipeline(str(work / "pipeline"), model, precision, corpus, corpus)
    gold = work / "source" / "test.conll"
    annotate_file(Job(Settings(str(model)), str(gold), str(out)))
    assert out.read_text() == DATA + "\n"
    assert [post.tags for post in read_conll(out, None)] == [
        post.tags for post in read_conll(gold, None)
    ]
    assert perfect(list(read_posts(gold, out)))


def test_checkpoints_of_transformers(work, tmp_path):
    to_hf(str(work / "pipeline"), tmp_path / "checkpoint")
    from_hf(str(tmp_path / "checkpoint"), tmp_path / "back")
    back = str(tmp_path / "back")
    assert spacy.load(back).get_pipe("ner").labels == TYPES
    assert perfect(evaluate_pipeline(back, work / "corpus" / "test.spacy", -1).posts)
