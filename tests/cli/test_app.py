"""Errors of the command line that no single command has."""

import pytest

from spacy_wnut.cli import _app


@pytest.fixture(autouse=True)
def signals(monkeypatch):
    """The handlers of the test process stay as they are."""
    monkeypatch.setattr(_app.signal, "signal", lambda *_: None)


def raise_missing(name):
    def run(**_):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    return run


@pytest.mark.parametrize("name", ["torch", "transformers.models.bert", "onnx"])
def test_a_missing_package_is_named_without_a_traceback(monkeypatch, capsys, name):
    monkeypatch.setattr(_app, "app", raise_missing(name))
    with pytest.raises(SystemExit) as ended:
        _app.main()
    assert ended.value.code == 1
    message = " ".join(capsys.readouterr().err.split())
    assert f"needs the package {name}, which isn't installed: pip install" in message


def test_a_missing_module_of_our_own_is_a_bug(monkeypatch):
    monkeypatch.setattr(_app, "app", raise_missing("spacy_wnut.gone"))
    with pytest.raises(ModuleNotFoundError):
        _app.main()
