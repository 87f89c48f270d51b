"""Trained pipelines of both kinds: with torch and without."""

from pathlib import Path

import pytest
import spacy
from spacy.language import Language


@pytest.fixture(scope="session")
def onnx_folder(trained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pipeline that knows the posts, exported to ONNX."""
    pytest.importorskip(
        "spacy_wnut.models.onnx_tagger", reason="there is no pipeline without torch yet"
    )
    from typer.testing import CliRunner

    from spacy_wnut.cli import app

    folder = tmp_path_factory.mktemp("pipelines") / "exported"
    args = ["export", str(trained_folder), str(folder)]
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(params=["torch", "onnx"])
def folder(request: pytest.FixtureRequest, trained_folder: Path) -> Path:
    """The folder of a pipeline that knows the posts, of each kind. Not to be
    changed.
    """
    if request.param == "torch":
        return trained_folder
    return request.getfixturevalue("onnx_folder")


@pytest.fixture
def pipeline(folder: Path) -> Language:
    """A pipeline that knows the posts, of each kind, for one test alone."""
    return spacy.load(folder)
