import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError

pytestmark = pytest.mark.slow

TEXT = "Ada Lovelace moved to Oslo"


def run(*args, **options):
    return CliRunner().invoke(
        app, ["show", *map(str, args)], catch_exceptions=False, **options
    )


def test_text(trained_folder):
    done = run(trained_folder, TEXT)
    assert done.exit_code == 0
    name, place = done.stdout.split(" moved to ")
    assert name.startswith("[Ada Lovelace](person 0.") and name.endswith(")")
    assert place.startswith("[Oslo](location 0.") and place.endswith(")\n")


def test_lines_of_standard_input(trained_folder):
    # Blank lines stay, and so do those that aren't UTF-8 or have no end.
    data = f"{TEXT}\n\r\n".encode() + b"\xff nothing"
    done = run(trained_folder, input=data)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("[Ada Lovelace]")
    assert lines[1:] == ["", "\ufffd nothing"]


def test_text_that_is_no_utf8(trained_folder):
    done = run(trained_folder, b"\xff nothing".decode("utf8", "surrogateescape"))
    assert done.stdout == "\ufffd nothing\n"


def test_html(trained_folder, tmp_path):
    done = run(trained_folder, "--html", tmp_path / "page.html", input=f"{TEXT}\n\n")
    assert "Wrote 1 texts to" in done.stdout and "Ada" not in done.stdout
    html = (tmp_path / "page.html").read_text(encoding="utf8")
    assert html.count("<mark") == 2 and "Ada Lovelace" in html


def test_pipeline_that_is_not_there():
    with pytest.raises(WnutError, match="en_nowhere can't be loaded"):
        run("en_nowhere", TEXT)


@pytest.fixture
def process(trained_folder):
    """The command as a process of its own, with pipes."""
    with subprocess.Popen(
        [sys.executable, "-m", "spacy_wnut", "show", str(trained_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"},
    ) as process:
        yield process
        process.kill()


def test_reader_that_goes_away(process):
    process.stdin.write(f"{TEXT}\n".encode())
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(f"{TEXT}\n".encode())
    process.stdin.close()
    assert process.wait(60) == 1
    assert process.stderr.read() == b""


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_each_line_is_answered_until_an_interrupt(process):
    import signal

    for _ in range(2):
        process.stdin.write(f"{TEXT}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"[Ada Lovelace]")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert b"Traceback" not in process.stderr.read()
