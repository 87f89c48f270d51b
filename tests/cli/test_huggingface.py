"""The two commands across the bridge, by what they say."""

import pytest
import spacy
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.huggingface.to_hf import Agreement, Checkpoint


def run(*args):
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.exit_code == 0
    return " ".join(done.stdout.split())


def test_there_and_back(trained_folder, tmp_path):
    said = run("to-hf", str(trained_folder), str(tmp_path / "there"))
    # Its transitions are learned.
    assert "learned transition scores are lost" in said
    assert "(DistilBertForTokenClassification) to" in said
    said = run("from-hf", str(tmp_path / "there"), str(tmp_path / "back"))
    assert "Entity types: location, person" in said
    assert spacy.load(tmp_path / "back")("Ada Lovelace moved to Oslo").ents


@pytest.mark.parametrize(
    "args, call",
    [
        ([], (None, None)),
        (["--corpus", "dev.spacy", "--push", "a/b"], ("dev.spacy", "a/b")),
    ],
)
def test_to_hf_gives_its_options_on(monkeypatch, tmp_path, args, call):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "en_x").mkdir()
    (tmp_path / "dev.spacy").touch()
    calls = []

    def to_hf(model, folder, corpus, repo):
        calls.append((model, str(folder), corpus and str(corpus), repo))
        return Checkpoint(
            "XForTokenClassification", ["This is lost."], Agreement(9, 10)
        )

    monkeypatch.setattr("spacy_wnut.huggingface.to_hf.to_hf", to_hf)
    said = run("to-hf", "en_x", "out", *args)
    assert calls == [("en_x", "out", *call)]
    assert "This is lost." in said
    assert "same for 9 of 10 words" in said
    assert ("Shared it as a/b" in said) == bool(args)


def test_from_hf_gives_its_options_on(monkeypatch):
    calls = []

    def from_hf(source, model, revision, lang):
        calls.append((source, str(model), revision, lang))
        return ("person",)

    monkeypatch.setattr("spacy_wnut.huggingface.from_hf.from_hf", from_hf)
    run("from-hf", "a/b", "out")
    run("from-hf", "a/b", "out", "--revision", "v2", "--lang", "xx")
    assert calls == [("a/b", "out", None, "en"), ("a/b", "out", "v2", "xx")]
