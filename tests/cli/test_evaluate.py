import json

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError


@pytest.fixture
def model(tmp_path):
    nlp = spacy.blank("en")
    patterns = [{"label": "location", "pattern": name} for name in ("Paris", "Rome")]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    nlp.to_disk(tmp_path / "ruler")
    return str(tmp_path / "ruler")


@pytest.fixture
def corpora(tmp_path):
    """A corpus a protocol. Paris! is two of spaCy's tokens."""
    vocab = spacy.blank("en").vocab
    words, ents = ["Ann", "saw", "Paris!"], ["B-person", "O", "B-location"]
    gold = Doc(vocab, words=words, ents=ents)
    own = Doc(vocab, words=words, ents=ents, spaces=[True, True, False])
    paths = {"gold": tmp_path / "gold.spacy", "spacy": tmp_path / "own.spacy"}
    rome = Doc(vocab, words=["Rome"], ents=["B-location"])
    DocBin(docs=[gold, rome]).to_disk(paths["gold"])
    DocBin(docs=[own]).to_disk(paths["spacy"])
    return paths


def run(*args):
    result = CliRunner().invoke(app, ["evaluate", *map(str, args)])
    if isinstance(result.exception, WnutError):
        raise result.exception
    return result


def test_table_says_the_protocol(model, corpora):
    result = run(model, corpora["gold"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{model} on {corpora['gold']}: gold tokens, 2 posts"
    rows = [line.split() for line in lines]
    assert ["Entity", "100.00", "33.33", "50.00"] in rows
    assert ["location", "100.00", "50.00", "66.67"] in rows

    result = run(model, corpora["spacy"])
    assert result.stdout.startswith(
        f"{model} on {corpora['spacy']}: spaCy tokens, 1 posts\n"
    )
    # "Paris" was predicted, "Paris!" is right.
    assert ["Entity", "0.00", "0.00", "0.00"] in [
        line.split() for line in result.stdout.splitlines()
    ]


def test_json(model, corpora, tmp_path):
    to_stdout = run(model, corpora["gold"], "--json", "-")
    assert to_stdout.exit_code == 0
    scores = json.loads(to_stdout.stdout)
    assert scores["entity"] == {"precision": 1.0, "recall": 1 / 3, "f1": 0.5}
    assert scores["seqeval"] == {**scores["entity"], "accuracy": 0.5}
    assert list(scores["per_type"]) == ["location", "person"]

    run(model, corpora["gold"], "--json", tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text()) == scores


def test_json_to_a_folder_is_refused(model, corpora, tmp_path):
    result = run(model, corpora["gold"], "--json", tmp_path)
    assert result.exit_code == 2
    assert "is a directory" in result.stderr


def test_gpu_that_is_not_there(model, corpora):
    with pytest.raises(WnutError, match="GPU 99 can't be used"):
        run(model, corpora["gold"], "--gpu-id", 99)


def test_pipeline_that_is_not_there(corpora):
    with pytest.raises(WnutError, match="en_nowhere can't be loaded"):
        run("en_nowhere", corpora["gold"])


def test_seen_and_unseen_names(model, corpora, tmp_path):
    train = tmp_path / "train.spacy"
    vocab = spacy.blank("en").vocab
    # Whatever the type and the case.
    docs = [Doc(vocab, words=["PARIS!"], ents=["B-person"])]
    DocBin(docs=docs).to_disk(train)
    args = (model, corpora["gold"], "--train", train)
    rows = [line.split() for line in run(*args).stdout.splitlines()]
    assert ["Seen", "names", "0.00", "0.00", "0.00"] in rows
    assert ["Unseen", "names", "100.00", "50.00", "66.67"] in rows
    scores = json.loads(run(*args, "--json", "-").stdout)
    assert scores["unseen"]["recall"] == 0.5
