"""Help, the version, completion and bad input are answered without spaCy."""

import json
import os
import subprocess
import sys

import pytest
import typer

from spacy_wnut.about import __version__
from spacy_wnut.cli import app

COMMANDS = sorted(typer.main.get_command(app).commands)
# spaCy and torch take seconds, the others a tenth of a second or more.
HEAVY = {
    *("spacy", "thinc", "numpy", "srsly", "torch", "transformers", "tokenizers"),
    *("huggingface_hub", "datasets", "onnx", "onnxruntime", "pyarrow", "ray"),
}
# typer imports these itself where it needs them: pydantic to convert values, rich to
# complete in zsh.
TYPERS_OWN = {"pydantic", "rich"}

# Runs each case in turn. A module is reported for the case that loads it first.
PROGRAM = """
import contextlib, io, json, os, sys
from spacy_wnut.cli import main
heavy = set(json.loads(sys.argv[1]))
for name, words, environ in json.load(sys.stdin):
    before = set(sys.modules)
    sys.argv = ["spacy-wnut", *words]
    out, err = io.StringIO(), io.StringIO()
    os.environ.update(environ)
    status = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code
    for variable in environ:
        del os.environ[variable]
    loaded = sorted(heavy & {*sys.modules} - before)
    print(json.dumps([name, status or 0, out.getvalue(), err.getvalue(), loaded]))
"""

NO_PIPELINE = "the pipeline en_nowhere can't be loaded: give the name of an installed"
NO_CORPUS = "there is no file gone.spacy: make it with `spacy-wnut convert`"
NO_CONLL = "gone.conll isn't there: give a CoNLL file"
NO_TEXTS = "gone.txt, line 1: can't be read:"

# Command lines with missing inputs, and the message. MODEL, C.spacy, posts.jsonl and
# a.cfg exist.
MISSING = {
    "annotate en_nowhere posts.jsonl out.jsonl": NO_PIPELINE,
    "annotate en_nowhere posts.jsonl out --engine ray": NO_PIPELINE,
    "annotate MODEL gone.jsonl out.jsonl": "gone.jsonl isn't there: give a file of posts",
    "annotate MODEL gone.txt.gz out.spacy": "gone.txt.gz isn't there: give a file",
    "calibrate en_nowhere C.spacy --out out": NO_PIPELINE,
    "calibrate MODEL gone.spacy": NO_CORPUS,
    "calibrate MODEL MODEL": "MODEL is a folder: give one file of annotated posts",
    "check gone en_x": "no wheels of en_x and spacy_wnut in gone. Build them first",
    "convert out ./gone": "The folder ./gone isn't there: give one with",
    "convert out a.cfg": "a.cfg is in no known format",
    "convert out gone.jsonl": "The file gone.jsonl isn't there",
    "convert out MODEL --labels ,": "The labels that were set can't be used",
    "encoder out ./gone": "The encoder './gone' can't be found: there is no such folder",
    "encoder out /a/b/gone": "'/a/b/gone' can't be found: there is no such folder",
    "evaluate en_nowhere C.spacy": NO_PIPELINE,
    "evaluate MODEL C.spacy gone.spacy": NO_CORPUS,
    "evaluate MODEL C.spacy --train gone.spacy": NO_CORPUS,
    "export en_nowhere out --corpus C.spacy --calibration C.spacy": NO_PIPELINE,
    "export MODEL out --corpus gone.spacy --precision fp32": NO_CORPUS,
    "export MODEL out --corpus C.spacy --calibration gone.spacy": NO_CORPUS,
    "from-hf ../gone out": "The checkpoint '../gone' can't be found: there is no such",
    "package gone out --name x --version 1": "gone holds no pipeline (no meta.json)",
    "package MODEL out --name x --version 1 --metrics gone.json": "no file gone.json",
    "pretrain ./gone out posts.jsonl": "The encoder './gone' can't be found",
    "pretrain someones/encoder out gone.txt": NO_TEXTS,
    "pseudo-label out.spacy posts.jsonl --teacher en_nowhere": NO_PIPELINE,
    "pseudo-label out.spacy gone.txt --teacher MODEL": NO_TEXTS,
    "report en_nowhere C.spacy --out out.html": NO_PIPELINE,
    "report MODEL C.spacy --against en_nowhere --out out.html": NO_PIPELINE,
    "report MODEL gone.spacy --out out.html": NO_CORPUS,
    "report MODEL C.spacy --train gone.spacy --out out.html": NO_CORPUS,
    "score gone.conll posts.jsonl": NO_CONLL,
    "show en_nowhere text": NO_PIPELINE,
    "sweep a.cfg --corpus MODEL": "make it with `spacy-wnut convert MODEL/gold SOURCE",
    "sweep gone.cfg --corpus split": "gone.cfg can't be used as a config: there is no",
    "tiny-encoder out gone.conll": NO_CONLL,
    "to-hf en_nowhere out": NO_PIPELINE,
    "to-hf MODEL out --corpus gone.spacy": NO_CORPUS,
}
# Values that the commands themselves refuse.
WRONG = {
    "annotate MODEL posts.jsonl out.jsonl --chunk-size 0": "--chunk-size has to be at",
    "annotate MODEL posts.jsonl out.jsonl --input-format x": "--input-format 'x' is unkn",
    "annotate MODEL posts.jsonl out.doc": "the format of out.doc can't be told",
    "annotate MODEL posts.jsonl posts.jsonl --overwrite": "which would be replaced",
    "annotate MODEL posts.jsonl out.jsonl --overwrite --resume": "give one of them",
    "convert out a.cfg --split 2": "--split '2' is not two or three numbers",
    "convert out a.cfg --map x": "--map 'x': 'x' is no pair of types",
    "evaluate MODEL C.spacy --map x": "--map 'x': 'x' is no pair of types",
    "export MODEL out --corpus C.spacy": "with --calibration",
    "export MODEL out --corpus C.spacy --precision int4": "precision must be",
    "score C.spacy C.spacy --token-column 0": "--token-column is 0",
    "sweep a.cfg --corpus split --seeds one": "--seeds one is no list of integers",
    "sweep a.cfg a.cfg --corpus split": "two configs are called a",
}
COMPLETED = {
    "completion in bash": (
        {
            "_SPACY_WNUT_COMPLETE": "complete_bash",
            "COMP_WORDS": "spacy-wnut pre",
            "COMP_CWORD": "1",
        },
        "pretrain",
    ),
    "completion of options in zsh": (
        {
            "_SPACY_WNUT_COMPLETE": "complete_zsh",
            "_TYPER_COMPLETE_ARGS": "spacy-wnut show --ht",
        },
        "--html",
    ),
}


def cases():
    yield "--help", ["--help"], {}
    yield "--version", ["--version"], {}
    for command in COMMANDS:
        yield f"{command} --help", [command, "--help"], {}
    yield "no command", [], {}
    yield "wrong command", ["shwo"], {}
    for command in COMMANDS:
        # `sweep` passes unknown options on: these are settings without a config.
        yield f"{command} --wrong", [command, "--wrong", "x"], {}
        yield f"{command} without arguments", [command], {}
    for line in (*MISSING, *WRONG):
        yield line, line.split(), {}
    for name, (environ, _) in COMPLETED.items():
        yield name, [], environ


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Exit status, stdout, stderr and heavy modules of each case, all in one process."""
    folder = tmp_path_factory.mktemp("startup")
    (folder / "MODEL").mkdir()
    (folder / "MODEL" / "meta.json").write_text("{}")
    for name in ("C.spacy", "posts.jsonl", "a.cfg"):
        (folder / name).write_text("{}\n")
    for protocol in ("gold", "spacy"):
        (folder / "split" / protocol).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (folder / "split" / protocol / f"{split}.spacy").touch()
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([*HEAVY, *TYPERS_OWN])],
        input=json.dumps([*cases()]),
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(folder.rglob("*")) == before
    rows = map(json.loads, done.stdout.splitlines())
    return {name: answer for name, *answer in rows}


@pytest.mark.parametrize("name", [name for name, _, _ in cases()])
def test_nothing_heavy_is_loaded(answers, name):
    *_, loaded = answers[name]
    is_light = name in ("--help", "--version")
    assert not {*loaded} - (set() if is_light else TYPERS_OWN)


def test_help_and_version(answers):
    assert answers["--version"][:2] == [0, f"spacy-wnut {__version__}\n"]
    status, help_, _, _ = answers["--help"]
    assert status == 0
    assert {f"  {command}  " in help_ for command in COMMANDS} == {True}
    for command in COMMANDS:
        status, help_, _, _ = answers[f"{command} --help"]
        assert status == 0 and f"Usage: spacy-wnut {command}" in help_


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "sweep"])
def test_wrong_option(answers, command):
    status, _, error, _ = answers[f"{command} --wrong"]
    assert status == 2 and "No such option: --wrong" in error


@pytest.mark.parametrize("line", [*MISSING, *WRONG])
def test_message(answers, line):
    status, _, error, _ = answers[line]
    assert status == 1
    assert {**MISSING, **WRONG}[line] in " ".join(error.split())


@pytest.mark.parametrize("name", COMPLETED)
def test_completion(answers, name):
    status, output, error, _ = answers[name]
    assert (status, error) == (0, "")
    assert COMPLETED[name][1] in output


def test_module_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "spacy_wnut", "--version"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"spacy-wnut {__version__}\n" and done.returncode == 0


@pytest.mark.posix
def test_completion_is_installed_for_the_shell(tmp_path):
    # The shell is that of the parent process.
    command = f'"{sys.executable}" -m spacy_wnut --install-completion; exit $?'
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    scripts = [path for path in tmp_path.rglob("*") if path.name == "spacy-wnut.sh"]
    assert len(scripts) == 1
    assert "_SPACY_WNUT_COMPLETE=complete_bash" in scripts[0].read_text()
    assert scripts[0].name in (tmp_path / ".bashrc").read_text()
