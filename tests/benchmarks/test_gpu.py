"""The script for GPUs, with a program in place of Python that records its arguments."""

import os
import shlex
import subprocess

import pytest
import typer
from spacy.cli._util import app as spacy_app

from benchmarks.common.results import ROOT
from benchmarks.reliability import gpu_parity
from benchmarks.speed import inference
from spacy_wnut.cli import app

pytestmark = pytest.mark.posix

APPS = {
    "spacy": spacy_app,
    "spacy_wnut": app,
    "benchmarks.reliability.gpu_parity": gpu_parity.app,
    "benchmarks.speed.inference": inference.app,
}
WITHOUT_GPU = "exit 1\n"
# Prints the name of a GPU or the prefix. Commands create the files that others need.
WITH_GPU = """
[ "$1" = -c ] && { echo here; exit 0; }
printf '%q ' "$@" >> "$LOG"
echo >> "$LOG"
case "$3" in
  train)
    mkdir -p "$6/model-best"
    echo 'mixed_precision = true' > "$6/model-best/config.cfg" ;;
  encoder)
    mkdir -p "$4"
    touch "$4/config.json" ;;
  to-hf)
    mkdir -p "$5"
    touch "$5/config.json" ;;
esac
"""


@pytest.fixture
def run_script(tmp_path):
    """Run the script. Returns its output and the commands so far."""

    def run_script(program):
        path = tmp_path / "bin" / "python"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{program}")
        path.chmod(0o755)
        log = tmp_path / "log"
        log.touch()
        done = subprocess.run(
            ["bash", ROOT / "benchmarks" / "gpu.sh", tmp_path / "gpu"],
            env={
                **os.environ,
                "PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}",
                "LOG": str(log),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, [shlex.split(line) for line in log.open()]

    return run_script


def test_nothing_is_done_without_a_gpu(run_script, tmp_path):
    output, commands = run_script(WITHOUT_GPU)
    assert output == "torch finds no GPU with CUDA: nothing to measure\n"
    assert not commands
    assert not (tmp_path / "gpu").exists()


def test_commands_exist_and_finished_steps_are_skipped(run_script, tmp_path):
    _, commands = run_script(WITH_GPU)
    for command in commands:
        parse(*command)
    trained = [words[3] for words in commands if words[:3] == ["-m", "spacy", "train"]]
    recipes = ["distilbert", "distilbert", "tutorial", "spacy_ner"]
    assert trained == [f"configs/{recipe}.cfg" for recipe in recipes]
    # A copy in full precision. The original has mixed precision.
    folder = tmp_path / "gpu"
    for name, value in (("full-precision", "false"), ("minilm/model-best", "true")):
        text = (folder / name / "config.cfg").read_text()
        assert text == f"mixed_precision = {value}\n"
    # A second run goes on after an interrupted training.
    (folder / "tutorial").rename(folder / "unfinished")
    _, commands = run_script(WITH_GPU)
    more = [words[3] for words in commands if words[:3] == ["-m", "spacy", "train"]]
    assert more == [*trained, "configs/tutorial.cfg"]
    assert sum(words[2] == "encoder" for words in commands) == 2


def parse(option, program, *words):
    """Parse a command's arguments: fails for a command or an option that isn't there."""
    assert option == "-m"
    command = typer.main.get_command(APPS[program])
    words = list(words)
    if hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    overrides = {"allow_extra_args": True, "ignore_unknown_options": True}
    is_train = command.name == "train"
    command.make_context(command.name, [*words], **(overrides if is_train else {}))
    if is_train:
        assert (ROOT / words[0]).is_file()
