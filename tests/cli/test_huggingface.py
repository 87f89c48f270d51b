"""The two commands across the bridge, by what they say."""

from pathlib import Path

import pytest
import spacy
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError
from spacy_wnut.huggingface.from_hf import Conversion, EntityAgreement
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


def test_from_hf_gives_its_options_on(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dev.spacy").touch()
    calls = []

    def from_hf(source, model, revision, lang, scheme, corpus):
        calls.append((source, str(model), revision, lang, scheme, corpus))
        agreement = EntityAgreement(20, 19, 8, 7, 1) if corpus else None
        return Conversion(("person",), ["This is lost."], agreement)

    monkeypatch.setattr("spacy_wnut.huggingface.from_hf.from_hf", from_hf)
    said = run("from-hf", "a/b", "out")
    assert "This is lost." in said
    assert "best labels" not in said
    options = ["--revision", "v2", "--lang", "xx", "--scheme", "iob1"]
    said = run("from-hf", "a/b", "out", *options, "--corpus", "dev.spacy")
    assert calls == [
        ("a/b", "out", None, "en", None, None),
        ("a/b", "out", "v2", "xx", "iob1", Path("dev.spacy")),
    ]
    assert (
        "The entities are the same as those of the checkpoint's best labels in 19 of 20 "
        "posts. The pipeline finds 7 of the checkpoint's 8 entities, and 1 others"
    ) in said


def test_from_hf_refuses_a_corpus_that_is_not_there(tmp_path):
    with pytest.raises(WnutError, match=r"there is no file gone\.spacy"):
        run("from-hf", "a/b", str(tmp_path / "out"), "--corpus", "gone.spacy")
