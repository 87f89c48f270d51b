"""No command writes to what it reads, or to a folder of something else."""

import pytest
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError

# Each command with the place that it writes to, as OUT.
COMMANDS = {
    "calibrate": "calibrate MODEL CORPUS --out OUT",
    "calibrate --json": "calibrate MODEL CORPUS --json OUT",
    "export": "export MODEL OUT --corpus CORPUS --calibration CORPUS",
    "to-hf": "to-hf MODEL OUT",
    "from-hf": "from-hf MODEL OUT",
    "encoder": "encoder OUT MODEL",
    "tiny-encoder": "tiny-encoder OUT MODEL",
    "pretrain": "pretrain MODEL OUT CORPUS",
    "pseudo-label": "pseudo-label OUT CORPUS --teacher MODEL",
    "report": "report MODEL CORPUS --out OUT",
    "report --against": "report other CORPUS --against MODEL --out OUT",
    "evaluate": "evaluate MODEL CORPUS --json OUT",
    "evaluate several": "evaluate MODEL CORPUS other.spacy --json OUT",
    "score": "score MODEL CORPUS --json OUT",
    "show": "show MODEL text --html OUT",
    "package": "package MODEL OUT --name x --version 1",
}
# Those that replace a folder as a whole.
FOLDERS = {
    "calibrate": "meta.json",
    "export": "meta.json",
    "to-hf": "config.json",
    "from-hf": "meta.json",
    "encoder": "config.json",
    "tiny-encoder": "config.json",
    "pretrain": "config.json",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a pipeline and a corpus that are never loaded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model" / "ner").mkdir(parents=True)
    (tmp_path / "model" / "meta.json").write_text("{}")
    (tmp_path / "corpus.spacy").write_text("posts")
    (tmp_path / "link").symlink_to("model")
    return tmp_path


def contents(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def run(command, out):
    words = {"MODEL": "model", "CORPUS": "corpus.spacy", "OUT": out}
    args = [words.get(word, word) for word in COMMANDS[command].split()]
    return CliRunner().invoke(app, args).exception


@pytest.mark.parametrize("out", ["model/out", "link/ner/out", "model/../link/out"])
@pytest.mark.parametrize("command", COMMANDS)
def test_inside_of_what_is_read(folder, command, out):
    before = contents(folder)
    error = run(command, out)
    assert isinstance(error, WnutError), error
    assert "is inside model, which is read: name another place" in str(error)
    assert contents(folder) == before


@pytest.mark.parametrize("command", [*FOLDERS])
def test_a_folder_around_what_is_read(folder, command):
    before = contents(folder)
    error = run(command, ".")
    assert isinstance(error, WnutError), error
    assert "holds " in str(error) and "which is read: name another" in str(error)
    assert contents(folder) == before


@pytest.mark.parametrize("command", [*FOLDERS])
def test_a_folder_of_something_else(folder, command):
    (folder / "thesis").mkdir()
    (folder / "thesis" / "chapter.txt").write_text("words")
    before = contents(folder)
    error = run(command, "thesis")
    assert isinstance(error, WnutError), error
    message = f"thesis is there and holds other files (it has no {FOLDERS[command]})"
    assert message in str(error)
    assert contents(folder) == before
