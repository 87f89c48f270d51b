"""The compared systems, and the processes that run them."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from benchmarks.accuracy.recipes import SELF_TRAINED_TWICE
from spacy_wnut.errors import WnutError

WORKER = Path(__file__).parent / "worker.py"


class System(NamedTuple):
    """A system to measure.

    key (str): Its name in the results.
    title (str): Its name in the table.
    kind (str): How it is loaded, "transformers" or "spacy".
    environment (str): Virtual environment that it runs in.
    precision (str): The limit that its rate is compared with: "fp32", "int8", or "" for
        none.
    settings (List[Dict[str, Any]]): Candidate settings; the fastest are measured.
    note (str): Remark in the results.
    shares_encoder (bool): Whether its encoder must be that of the other systems.
    trained (Optional[Tuple[str, str]]): Recipe and encoder of its trainings over seeds
        in benchmarks/results/accuracy.json.
    """

    key: str
    title: str
    kind: str
    environment: str
    precision: str
    settings: list[dict[str, Any]] = [{}]  # noqa: RUF012
    note: str = ""
    shares_encoder: bool = True
    trained: tuple[str, str] | None = None


class Contender(NamedTuple):
    """A system with a model.

    system (System): The system.
    model (Path): Folder of the checkpoint or pipeline.
    python (str): Interpreter of the system's environment.
    """

    system: System
    model: Path
    python: str


# Encoders in the tables of accuracy.
MINILM, MINILM_3 = "all-MiniLM-L6", "all-MiniLM-L6, 3 layers"
MPNET_6 = "all-mpnet-base-v2, 6 layers"

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
        'aggregation_strategy="first", with the fastest batch size and order of texts. '
        "A checkpoint of the same encoder with a linear head, since this pipeline has no "
        "CRF: same amount of work, different entities",
        trained=("tutorial.cfg", MINILM),
    ),
    System(
        "spacy-ner",
        "spaCy `transformer` + `ner`",
        "spacy",
        "torch",
        "fp32",
        [{}, {"batch_size": 32}, {"batch_size": 512}],
        "configs/spacy_ner.cfg: the same encoder with spaCy's transition-based ner, "
        "trained separately; with the fastest batch size",
        trained=("spacy_ner.cfg", MINILM),
    ),
    System(
        "cnn",
        "spaCy `tok2vec` + `ner` (CNN)",
        "spacy",
        "cnn",
        "",
        [{}, {"batch_size": 64}, {"batch_size": 256}],
        "the pipeline of `spacy init config -p ner -o efficiency`, which has a small "
        "convolutional network instead of a transformer",
        shares_encoder=False,
    ),
    *(
        System(
            *(key, f"ours, {title}", "spacy", environment, limit),
            trained=(SELF_TRAINED_TWICE, MINILM),
        )
        for key, title, environment, limit in (
            ("torch", "torch", "torch", "fp32"),
            ("torch-bf16", "torch in bf16", "torch", ""),
            ("onnx-fp32", "ONNX fp32", "onnx", "fp32"),
            ("onnx-int8", "ONNX int8", "onnx", "int8"),
        )
    ),
    # The limit is that of the encoder of the others, so these systems have none.
    System(
        "onnx-int8-base",
        "ours, DistilBERT's size, ONNX int8",
        "spacy",
        "onnx",
        "",
        note="trained on the first six layers of all-mpnet-base-v2",
        shares_encoder=False,
        trained=(SELF_TRAINED_TWICE, MPNET_6),
    ),
    System(
        "onnx-int8-3",
        "ours, 3 layers, ONNX int8",
        "spacy",
        "onnx",
        "",
        note="trained on the first three layers of the encoder",
        shares_encoder=False,
        trained=(SELF_TRAINED_TWICE, MINILM_3),
    ),
]
OURS = [system.key for system in SYSTEMS[3:]]
# Those that also run texts as single documents.
WITH_DOCUMENTS = ("onnx-int8", "onnx-int8-3")


def clean_environ(threads: int) -> dict[str, str]:
    """Environment variables of a measured process: without PYTHONPATH, which would add
    packages to its environment, and with the same number of threads for each library.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    names = ("OMP", "MKL", "OPENBLAS", "RAYON")
    counts = {f"{name}_NUM_THREADS": str(threads) for name in names}
    return {**kept, **counts, "HF_HUB_OFFLINE": "1"}


def script_command(python: str, script: Path, *arguments: str) -> list[str]:
    """Command line that runs a script of this package in another environment.

    python (str): Interpreter of the environment, which doesn't have this package.
    script (Path): A script that imports nothing from the project.
    """
    # -I: the modules beside the script must not shadow packages of the environment.
    return [python, "-I", str(script), *arguments]


class WorkerProcess:
    """A contender in a process of its own, loaded and waiting for commands.

    contender (Contender): The system and its model.
    threads (int): Threads per library.
    gpu (int): GPU to run on; -1 for the CPU.

    Raises WnutError, with the end of its output, if the process fails.
    """

    def __init__(self, contender: Contender, threads: int, gpu: int) -> None:
        self.contender = contender
        self.errors = tempfile.TemporaryFile("w+", encoding="utf8", errors="replace")
        self.process = subprocess.Popen(
            _worker_command(contender, "serve", gpu),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            encoding="utf8",
            env=clean_environ(threads),
        )
        self.loaded = self._reply()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command to worker.py.

        do (str): Name of the command.
        arguments: Its arguments.
        RETURNS (Dict[str, Any]): The reply.
        """
        # Threads of the system that ran before may still spin for a moment.
        time.sleep(0.3)
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{json.dumps({'do': do, **arguments})}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # The missing reply raises the error.
        return self._reply()

    def __enter__(self) -> "WorkerProcess":
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
            raise _failure(self.contender, self.errors.read())
        reply: dict[str, Any] = json.loads(line)
        return reply


def time_to_first_entity(
    contender: Contender, text: str, threads: int, gpu: int
) -> float:
    """Seconds from the start of an interpreter to the entities of a first text.

    Raises WnutError if the process fails.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [*_worker_command(contender, "once", gpu), text],
        stdout=subprocess.PIPE,
        # A second pipe that isn't read could fill up and block the process.
        stderr=subprocess.DEVNULL,
        encoding="utf8",
        env=clean_environ(threads),
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
    if not line:
        raise _failure(contender, f"exit status {process.returncode} after one text")
    return seconds


def _worker_command(contender: Contender, do: str, gpu: int) -> list[str]:
    arguments = (do, contender.system.kind, str(contender.model), str(gpu))
    return script_command(contender.python, WORKER, *arguments)


def _failure(contender: Contender, output: str) -> WnutError:
    last = "\n".join(output.strip().splitlines()[-5:])
    return WnutError(f"{contender.system.key} on {contender.model} failed: {last}")
