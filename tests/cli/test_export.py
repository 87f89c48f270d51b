import sys
from pathlib import Path

import pytest
import srsly
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError
from spacy_wnut.onnx_export import export as onnx_export


def run(*args):
    command = ["export", *map(str, args)]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def test_options_are_passed_on(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    for name in ("dev.spacy", "train.spacy"):
        (tmp_path / name).touch()
    calls = []

    def export(*args):
        calls.append(args)
        return {
            "entity_f1": {"before": 0.6, "after": 0.5983},
            "agreement": {"all": 0.9912, "entities": 0.9345},
        }

    monkeypatch.setattr(onnx_export, "export_pipeline", export)
    options = ("--precision", "fp32", "--calibration", "train.spacy")
    done = run("model", "out", "--corpus", "dev.spacy", *options)
    assert done.exit_code == 0
    printed = " ".join(done.stdout.split())
    assert "dev.spacy: entity F1 0.6000 before the export, 0.5983 after" in printed
    assert "99.12% of all words, and for 93.45% of the words in entities" in printed
    assert "Exported model in fp32 to out" in printed
    assert calls == [
        ("model", Path("out"), "fp32", Path("dev.spacy"), Path("train.spacy"))
    ]


def test_pipeline_is_written_to_the_folder(whole_folder, posts_corpus, tmp_path):
    out = tmp_path / "new" / "onnx"
    run(whole_folder, out, "--corpus", posts_corpus, "--precision", "fp32")
    assert srsly.read_json(out / "meta.json")["export"]["precision"] == "fp32"


def test_int8_needs_calibration_posts(tmp_path):
    with pytest.raises(WnutError, match="with --calibration"):
        run("model", tmp_path / "out", "--corpus", "dev.spacy")


def test_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(WnutError, match=r"pip install \"spacy-wnut\[train\]\""):
        run("model", tmp_path, "--corpus", "dev.spacy", "--precision", "fp32")


def test_corpus_is_required():
    done = run("model", "out")
    assert done.exit_code == 2
    assert "Missing option '--corpus'" in done.output
