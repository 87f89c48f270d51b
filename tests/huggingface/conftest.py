"""A pipeline with a linear head, and its checkpoint for transformers."""

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
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


class Hub:
    """The hub's client. Stores the uploads, or raises `error`.

    error (Optional[Exception]): The error to raise.
    uploads (list[tuple[str, bool, dict[str, bytes]]]): For each upload the repository,
        whether it is private, and the files.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.repositories: dict[str, bool] = {}
        self.uploads: list[tuple[str, bool, dict[str, bytes]]] = []

    def whoami(self) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        return {"name": "ada"}

    def create_repo(
        self, repo_id: str, *, exist_ok: bool = False, private: bool = False
    ) -> None:
        if self.error is not None:
            raise self.error
        assert exist_ok or repo_id not in self.repositories
        self.repositories.setdefault(repo_id, private)

    def upload_folder(self, *, repo_id: str, folder_path: Path) -> None:
        files = {
            path.relative_to(folder_path).as_posix(): path.read_bytes()
            for path in folder_path.rglob("*")
            if path.is_file()
        }
        self.uploads.append((repo_id, self.repositories[repo_id], files))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    for name in ("whoami", "create_repo", "upload_folder"):
        monkeypatch.setattr(huggingface_hub, name, getattr(hub, name))
    return hub
