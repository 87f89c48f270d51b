import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.packaging import wheels

FOUND = "New York\tlocation\t0.912\n"


def test_entities_are_printed_and_written(tmp_path, monkeypatch):
    asked = []

    def check(*args):
        asked.append(args)
        return FOUND

    monkeypatch.setattr(wheels, "check_wheels", check)
    out = tmp_path / "new" / "check.txt"
    options = ["--out", str(out), "--constraints", "pins.txt"]
    options += ["--absent", "torch", "--absent", "transformers", "--offline"]
    done = CliRunner().invoke(
        app, ["check", "packages", "en_posts", *options], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert done.stdout.endswith(FOUND)
    assert "en_posts loads and annotates, offline" in done.stdout
    assert out.read_text(encoding="utf8") == FOUND
    absent = ("torch", "transformers")
    assert asked == [(Path("packages"), "en_posts", Path("pins.txt"), [*absent], True)]


def test_message_and_status_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "spacy_wnut", "check", "nowhere", "en_posts"]
    done = subprocess.run(
        [*command, "--out", "check.txt"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "no wheels of en_posts and spacy_wnut in nowhere. Build them first:" in said
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
