"""A pipeline with a linear head, and its checkpoint for transformers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.language import Language

from spacy_wnut.huggingface.to_hf import write_checkpoint


@pytest.fixture(scope="session")
def plain_folder(
    make_nlp: Callable, train: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tutorial's pipeline: a linear layer, first pieces, cross-entropy."""
    folder = tmp_path_factory.mktemp("huggingface") / "pipeline"
    nlp = make_nlp(transitions="constrained")
    # As in the pipelines that from_hf makes.
    nlp.tokenizer.rules = nlp.Defaults.tokenizer_exceptions
    train(nlp, steps=15)
    nlp.to_disk(folder)
    return folder


@pytest.fixture
def plain(plain_folder: Path) -> Language:
    return spacy.load(plain_folder)


@pytest.fixture(scope="session")
def checkpoint(plain_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a checkpoint of transformers."""
    folder = tmp_path_factory.mktemp("huggingface") / "checkpoint"
    write_checkpoint(spacy.load(plain_folder), folder)
    return folder
