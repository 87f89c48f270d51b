"""The systems that are compared, and each one's process."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from spacy_wnut.errors import WnutError

WORKER = Path(__file__).parent / "worker.py"


class System(NamedTuple):
    """A system under measurement.

    key (str): What it is called in the results.
    title (str): What it is called in the table.
    kind (str): How it is loaded: "transformers" or "spacy".
    environment (str): The environment that it runs in.
    precision (str): The limit that it is held against: "fp32", "int8" or "".
    settings (list): The settings to try; the fastest is measured.
    note (str): What to know of its figures.
    """

    key: str
    title: str
    kind: str
    environment: str
    precision: str
    settings: list[dict[str, Any]] = [{}]  # noqa: RUF012
    note: str = ""


class Run(NamedTuple):
    """A `system` with the `model` it is measured on, a folder, and the interpreter
    of its environment, `python`.
    """

    system: System
    model: Path
    python: str


SYSTEMS = [
    System(
        "transformers",
        'transformers `pipeline("ner")`',
        "transformers",
        "transformers",
        "fp32",
        [
            {"batch_size": size, "by_length": by_length}
            for size in (1, 8, 32, 128)
            for by_length in (False, True)
        ],
        'aggregation_strategy="first", at its best batch size and order of the texts. '
        "A checkpoint of the same encoder with a linear head of its own, which is all "
        "that this pipeline runs: the work is the same, the entities are others",
    ),
    System(
        "spacy-ner",
        "spaCy `transformer` + `ner`",
        "spacy",
        "torch",
        "fp32",
        [{}, {"batch_size": 32}, {"batch_size": 512}],
        "configs/spacy_ner.cfg: the same encoder under spaCy's transition-based ner, "
        "trained for itself; at its best batch size",
    ),
    System("torch", "ours, torch", "spacy", "torch", "fp32"),
    System("torch-bf16", "ours, torch in bf16", "spacy", "torch", ""),
    System("onnx-fp32", "ours, ONNX fp32", "spacy", "onnx", "fp32"),
    System("onnx-int8", "ours, ONNX int8", "spacy", "onnx", "int8"),
]
OURS = [system.key for system in SYSTEMS[2:]]


def clean_environ(threads: int) -> dict[str, str]:
    """The environment variables of a process that is measured: nothing of this
    process's may help it, and each library gets the same number of threads.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    names = ("OMP", "MKL", "OPENBLAS", "RAYON")
    counts = {f"{name}_NUM_THREADS": str(threads) for name in names}
    return {**kept, **counts, "HF_HUB_OFFLINE": "1"}


class Worker:
    """A system in a process of its own, loaded and waiting for commands.

    Raises WnutError, with the last it said, if the process fails.
    """

    def __init__(self, run: Run, threads: int, gpu: int) -> None:
        self.run = run
        self.errors = tempfile.TemporaryFile("w+", encoding="utf8", errors="replace")
        self.process = subprocess.Popen(
            _command(run, "serve", gpu),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            encoding="utf8",
            env=clean_environ(threads),
        )
        self.loaded = self._reply()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The reply to a command of worker.py, which takes the arguments."""
        # What another system's threads still do when their work is done is over by
        # then: they spin for a while before they sleep.
        time.sleep(0.3)
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{json.dumps({'do': do, **arguments})}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # The reply says why.
        return self._reply()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        if kind is not None:
            self.process.kill()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.errors.close()

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise _failure(self.run, self.errors.read())
        reply: dict[str, Any] = json.loads(line)
        return reply


def start_to_first(run: Run, text: str, threads: int, gpu: int) -> float:
    """The seconds from starting an interpreter to the entities of a first text."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*_command(run, "once", gpu), text],
        stdout=subprocess.PIPE,
        # A pipe could fill up while this waits for the other one.
        stderr=subprocess.DEVNULL,
        encoding="utf8",
        env=clean_environ(threads),
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
    if not line:
        raise _failure(run, f"exit status {process.returncode} after one text")
    return seconds


def _command(run: Run, do: str, gpu: int) -> list[str]:
    return [run.python, str(WORKER), do, run.system.kind, str(run.model), str(gpu)]


def _failure(run: Run, said: str) -> WnutError:
    last = "\n".join(said.strip().splitlines()[-5:])
    return WnutError(f"{run.system.key} on {run.model} failed: {last}")
