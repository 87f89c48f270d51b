"""Trained pipelines of both kinds: with torch and without."""

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example


@pytest.fixture(scope="session")
def onnx_folder(
    trained_folder: Path,
    make_examples: Callable[[Language], list[Example]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of the pipeline that knows the posts, exported to ONNX."""
    pytest.importorskip(
        "spacy_wnut.models.onnx_tagger", reason="there is no pipeline without torch yet"
    )
    from typer.testing import CliRunner

    from spacy_wnut.cli import app

    scratch = tmp_path_factory.mktemp("pipelines")
    folder, corpus = scratch / "exported", scratch / "posts.spacy"
    examples = make_examples(spacy.blank("en"))
    DocBin(docs=[eg.reference for eg in examples]).to_disk(corpus)
    options = ["--precision", "fp32", "--corpus", str(corpus)]
    args = ["export", str(trained_folder), str(folder), *options]
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
