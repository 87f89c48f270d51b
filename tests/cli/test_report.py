import pytest
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.display import report


def run(*args):
    return CliRunner().invoke(app, ["report", *args], catch_exceptions=False)


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def make(*args):
        calls.append(args)
        runs = [{"name": name, "entity": {"f1": 0.5}} for name in ("A", "B")]
        return {"runs": runs, "posts": [{}], "protocol": "gold tokens"}

    monkeypatch.setattr(report, "report", make)
    return calls


def test_options_go_to_the_report(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m", "n"):
        (tmp_path / name).mkdir()
    for name in ("dev.spacy", "train.spacy"):
        (tmp_path / name).touch()
    out = tmp_path / "page.html"
    done = run(
        *("m", "dev.spacy", "--out", str(out), "--against", "n"),
        *("--train", "train.spacy", "--gpu-id", "0"),
    )
    assert done.exit_code == 0
    [(model, corpus, page, against, train, gpu_id)] = asked
    assert (model, str(corpus), page, against) == ("m", "dev.spacy", out, "n")
    assert (str(train), gpu_id) == ("train.spacy", 0)
    assert "A: entity F1 50.00" in done.stdout and "B: entity F1" in done.stdout
    # Long lines are broken.
    assert "1 posts, gold tokens" in " ".join(done.stdout.split())


def test_page_has_to_be_named(asked):
    done = run("m", "dev.spacy")
    assert done.exit_code == 2 and "Missing option '--out'" in done.output
    assert asked == []
