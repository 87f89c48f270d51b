import venv
from pathlib import Path

import pytest

from benchmarks.speed import environments
from benchmarks.speed.environments import STAMP, install_size, make_environment, size_of


@pytest.fixture
def installed(monkeypatch):
    """Packages of each installation, which isn't run."""
    calls = []
    monkeypatch.setattr(
        environments, "_install", lambda python, packages: calls.append(packages)
    )
    return calls


def test_size_is_that_of_all_files(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"123")
    assert size_of(tmp_path) == 8 and size_of(tmp_path / "a") == 5


def test_environment_has_no_packages_of_this_process(tmp_path, installed):
    python = make_environment(tmp_path, "transformers")
    assert installed == [["torch", "transformers"]]
    assert Path(python).is_relative_to(tmp_path)
    assert install_size(python) == 0


def test_environment_is_installed_again_if_the_project_has_changed(tmp_path, installed):
    make_environment(tmp_path, "onnx")
    make_environment(tmp_path, "onnx")
    assert installed == [["spacy-wnut[onnx]"]]
    (tmp_path / "onnx" / STAMP).write_text("another state", encoding="utf8")
    make_environment(tmp_path, "onnx")
    make_environment(tmp_path, "onnx")
    assert len(installed) == 2


def test_environment_created_otherwise_stays_unchanged(tmp_path, installed):
    venv.create(tmp_path / "onnx", with_pip=False)
    make_environment(tmp_path, "onnx")
    assert not installed
