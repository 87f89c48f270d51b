"""The command, from the data to the table."""

import json
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.corpus.convert import convert
from spacy_wnut.corpus.sources import load_rows
from spacy_wnut.errors import WnutError


def run(*args):
    return CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)


@pytest.fixture
def corpus(root, tmp_path):
    rows = load_rows(str(root / "corpus" / "sample"))
    for split, posts in rows.items():
        rows[split] = posts.select(range(30))
    for protocol in ("gold", "spacy"):
        convert(rows, tmp_path / "corpus" / protocol, protocol)
    return tmp_path / "corpus"


@pytest.mark.slow
def test_trains_and_compares(root, corpus, tiny_encoder, tmp_path):
    out, summary = tmp_path / "out", tmp_path / "summary.json"
    configs = [root / "configs" / f"{name}.cfg" for name in ("tutorial", "spacy_ner")]
    options = ("--corpus", corpus, "--output", out, "--seeds", "1", "--json", summary)
    settings = ("--paths.encoder", tiny_encoder, "--training.max_steps", 2)
    settings += ("--training.eval_frequency=1", "--training.patience", "0")
    done = run("sweep", *configs, *options, *settings)
    assert done.exit_code == 0
    for name in ("tutorial", "spacy_ner"):
        folder = out / name / "seed-1"
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["encoder"] == "tiny"
        assert len(metrics["posts"]["test_gold"]["gold"]) == len(
            metrics["posts"]["test_spacy"]["gold"]
        )
        config = (folder / "model" / "config.cfg").read_text()
        assert "max_steps = 2\n" in config and "\nseed = 1\n" in config
    # spaCy's own component has no confidences.
    assert metrics["calibration"] is None
    figures = json.loads(summary.read_text())
    assert [c["config"] for c in figures["configs"]] == [
        "tutorial.cfg",
        "spacy_ner.cfg",
    ]
    assert figures["comparisons"][0]["against"] == "spacy_ner.cfg"
    assert "tutorial.cfg over spacy_ner.cfg: " in done.stdout

    again = run("sweep", *configs, *options, *settings)
    assert "2 of 2 are finished already" in again.stdout
    assert done.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]


@pytest.mark.posix
@pytest.mark.slow
def test_nothing_of_a_sweep_that_is_killed_goes_on(
    root, corpus, tiny_encoder, tmp_path
):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "spacy_wnut", "sweep"]
    command += [root / "configs" / "tutorial.cfg", "--corpus", corpus, "--output", out]
    command += ["--seeds", "1", "--paths.encoder", tiny_encoder]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf8"
    ) as sweep:
        # `spacy train` makes its folder when it is about to begin.
        while sweep.poll() is None and not list(out.glob("*/.*/seed-1/training")):
            time.sleep(0.1)
        sweep.send_signal(signal.SIGTERM)
        # The training writes there too: the output ends when both have.
        said, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 130, said
    assert "Interrupted: nothing half-written was left" in said
    assert "Traceback" not in said
    assert list((out / "tutorial").iterdir()) == []


@pytest.mark.parametrize(
    "words, message",
    [
        (["--training.max_steps", "2"], "Name at least one config"),
        (["a.cfg", "--seeds", "one"], "--seeds one is no list of integers"),
        (["a.cfg", "--seed", "1"], "There is no option --seed"),
        (["a.cfg"], "no file .*train.spacy|no file .*dev.spacy"),
    ],
)
def test_what_is_given_wrong(tmp_path, words, message):
    with pytest.raises(WnutError, match=message):
        run("sweep", "--corpus", tmp_path, *words)
