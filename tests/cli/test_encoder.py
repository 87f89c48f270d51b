import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.cli._app import DEFAULT_ENCODER, ENCODER


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
        ("", DEFAULT_ENCODER),
        (None, DEFAULT_ENCODER),
    ],
)
@pytest.mark.parametrize("sources", [[], ["", ""]])
def test_source_that_is_not_given(tmp_path, monkeypatch, sources, variable, expected):
    asked = []

    def fetch(source, out, revision):
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

    def fetch(source, out, revision):
        asked.append((source, out, revision))
        return type("Config", (), {"model_type": "distilbert"})

    monkeypatch.setattr("spacy_wnut.models.checkpoints.fetch_encoder", fetch)
    run(str(tmp_path / "out"), "somebody/encoder", "--revision", "v2")
    assert asked == [("somebody/encoder", tmp_path / "out", "v2")]


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
