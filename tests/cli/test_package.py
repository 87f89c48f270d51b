from pathlib import Path

import pytest
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.cli._app import DEFAULT_ENCODER
from spacy_wnut.errors import WnutError
from spacy_wnut.packaging import wheels

OPTIONS = ("--name", "posts", "--version", "1.0", "--license", "LICENSE")


def run(*args):
    return CliRunner().invoke(app, ["package", *args], catch_exceptions=False)


def test_options_go_to_the_packaging(monkeypatch):
    asked = []

    def build(*args, **options):
        asked.append((args, options))
        return Path("out/posts.whl")

    monkeypatch.setattr(wheels, "package_pipeline", build)
    encoders = ("--encoder", "", "--encoder", "somebody/tiny", "--encoder", "default")
    metrics = ("--metrics", "dev.json", "--metrics", "test.json")
    data = ("--data", "", "--data", "my/posts", "--data", "wnut_17")
    done = run("model", "out", *OPTIONS, *encoders, *metrics, *data)
    assert done.exit_code == 0
    assert "Built out/posts.whl" in done.stdout.replace("\\", "/")
    options = {
        "name": "posts",
        "version": "1.0",
        "encoder": "somebody/tiny",
        "license_file": Path("LICENSE"),
        "metrics": [Path("dev.json"), Path("test.json")],
        "data": "my/posts",
    }
    assert asked == [((Path("model"), Path("out")), options)]


def test_folder_without_a_pipeline(tmp_path):
    with pytest.raises(WnutError, match=r"holds no pipeline \(no meta\.json\)"):
        run(str(tmp_path), str(tmp_path / "out"), *OPTIONS, "--encoder", "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("empty", [[], ["--encoder", "", "--data", ""]])
def test_names_that_are_not_given(monkeypatch, empty):
    asked = []

    def build(*args, **options):
        asked.append((options["encoder"], options["data"]))
        return Path("out/posts.whl")

    monkeypatch.setattr(wheels, "package_pipeline", build)
    monkeypatch.delenv("SPACY_WNUT_ENCODER", raising=False)
    monkeypatch.setenv("SPACY_WNUT_DATA", "my/posts")
    run("model", "out", *OPTIONS, *empty)
    monkeypatch.setenv("SPACY_WNUT_ENCODER", "somebody/tiny")
    monkeypatch.delenv("SPACY_WNUT_DATA")
    run("model", "out", *OPTIONS, *empty)
    assert asked == [(DEFAULT_ENCODER, "my/posts"), ("somebody/tiny", "wnut_17")]


@pytest.mark.parametrize("option", ["--name", "--version"])
def test_options_that_have_to_be_there(option):
    given = [*OPTIONS, "--encoder", "x"]
    at = given.index(option)
    done = run("model", "out", *given[:at], *given[at + 2 :])
    assert done.exit_code == 2
    assert f"Missing option '{option}'" in done.output
