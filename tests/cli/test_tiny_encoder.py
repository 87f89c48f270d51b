import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError

POSTS = "Ada\tB-person\nsaw\tO\nAda\tB-person\n\nin\tO\nOslo\tB-location\n"


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "posts.conll"
    path.write_text(POSTS, encoding="utf8")
    return str(path)


def run(*args):
    return CliRunner().invoke(app, ["tiny-encoder", *args], catch_exceptions=False)


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_same_encoder_in_every_process(tmp_path, corpus):
    done = run(str(tmp_path / "a"), corpus)
    assert done.exit_code == 0
    assert "Wrote a tiny encoder to" in done.stdout
    assert "scores of pipelines trained on it mean" in done.stdout
    subprocess.run(
        [sys.executable, "-m", "spacy_wnut", "tiny-encoder", tmp_path / "b", corpus],
        check=True,
        # Another order of sets and dicts than in here.
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    vocabulary = (tmp_path / "a" / "vocab.txt").read_text(encoding="utf8").split()
    assert "ada" in vocabulary and "oslo" not in vocabulary


def test_corpus_that_is_not_there(tmp_path):
    with pytest.raises(WnutError, match=r"nowhere\.conll"):
        run(str(tmp_path / "out"), str(tmp_path / "nowhere.conll"))
    assert list(tmp_path.iterdir()) == []


def test_corpus_that_holds_no_posts(tmp_path):
    (tmp_path / "empty.conll").write_text("\n\n")
    with pytest.raises(WnutError, match=r"empty\.conll"):
        run(str(tmp_path / "out"), str(tmp_path / "empty.conll"))
    assert [path.name for path in tmp_path.iterdir()] == ["empty.conll"]
