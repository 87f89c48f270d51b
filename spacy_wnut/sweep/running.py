"""Execution of a sweep. An interrupted training leaves no files."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Container, Sequence
from pathlib import Path

from wasabi import msg

from ..calibration.pipeline import calibrate_pipeline
from ..corpus.examples import read_surface_forms
from ..errors import WnutError
from ..files import check_out, replacing
from ..scoring.evaluation import evaluate_pipeline
from .metrics import FittedCalibration, Metrics, add_scores, read_metrics, write_metrics
from .plan import TrainingRun, corpus_file, is_finished

MODEL = "model"


def run_all(
    runs: Sequence[TrainingRun],
    corpus: Path,
    gpu_id: int,
    has_bias: bool,
    retrain: bool,
) -> list[Metrics]:
    """Train, calibrate and evaluate all unfinished trainings, and print the progress.

    runs (Sequence[TrainingRun]): The trainings, from `plan_runs`.
    corpus (Path): The folder with both protocols.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    has_bias (bool): Whether calibration tunes the bias on dev.
    retrain (bool): Whether to repeat finished trainings, whatever their inputs were.
    RETURNS (List[Metrics]): The metrics of each training, in the order of `runs`.

    Raises WnutError if a training fails. Raises WnutError before the first training if
    the folder of a training holds a training with other inputs, or other files.
    """
    waiting = [run for run in runs if retrain or not is_finished(run)]
    if len(waiting) < len(runs):
        msg.info(f"{len(runs) - len(waiting)} of {len(runs)} are finished already")
    for run in waiting:
        check_out(run.folder, [corpus], "metrics.json")
    forms = read_surface_forms(corpus_file(corpus, "gold", "train"))
    for number, run in enumerate(waiting, 1):
        msg.divider(f"{run.name} ({number} of {len(waiting)})")
        metrics = _run(run, corpus, gpu_id, has_bias, forms)
        f1 = {
            row["split"]: f"{100 * row['entity']['f1']:.2f}"
            for row in metrics["rows"]
            if row["protocol"] == "gold"
        }
        minutes = metrics["seconds"] / 60
        msg.good(
            f"{run.name}: dev F1 {f1['dev']}, test F1 {f1['test']}, trained in "
            f"{minutes:.1f} minutes"
        )
    finished = [read_metrics(run.folder) for run in runs]
    return [metrics for metrics in finished if metrics is not None]


def _run(
    run: TrainingRun, corpus: Path, gpu_id: int, has_bias: bool, forms: Container[str]
) -> Metrics:
    # The folder is moved into place when it is complete, so an existing one is finished.
    with replacing(run.folder) as beside:
        model = beside / MODEL
        began = time.perf_counter()
        _train(run, beside / "training", gpu_id)
        seconds = time.perf_counter() - began
        # Only the model with the best dev score is kept.
        (beside / "training" / "model-best").rename(model)
        shutil.rmtree(beside / "training")
        dev = corpus_file(corpus, "gold", "dev")
        calibration = calibrate_pipeline(
            str(model), dev, None, has_bias, gpu_id, or_copy=True
        )
        fitted: FittedCalibration | None = calibration and {
            "temperature": calibration["temperature"],
            "bias": calibration["bias"],
            "ece": calibration["cross_validated"]["ece"],
        }
        metrics: Metrics = {
            "config": run.config.name,
            "encoder": run.encoder,
            "seed": run.seed,
            "device": _device(gpu_id),
            "seconds": seconds,
            "made_of": run.made_of,
            "calibration": fitted,
            "rows": [],
            "posts": {},
        }
        add_scores(
            metrics,
            lambda protocol, split: (
                evaluate_pipeline(
                    str(model), corpus_file(corpus, protocol, split), gpu_id
                ).posts
            ),
            forms,
        )
        write_metrics(beside, metrics)
    return metrics


def _train(run: TrainingRun, folder: Path, gpu_id: int) -> None:
    """Run `spacy train` in a subprocess, because seeds, allocators and the GPU are
    settings of a process.
    """
    # `spacy train` parses JSON. Unquoted strings may look like numbers or options.
    settings = [
        word
        for key, value in run.overrides.items()
        for word in (f"--{key}", json.dumps(value))
    ]
    command = [sys.executable, "-m", "spacy", "train", str(run.config)]
    command += ["--output", str(folder), "--gpu-id", str(gpu_id), *settings]
    training = subprocess.Popen(command)
    try:
        status = training.wait()
    finally:
        # If the sweep is interrupted, end the training before its folder is removed.
        training.kill()
        training.wait()
    if status:
        raise WnutError(
            f"the training of {run.name} failed with status {status}: see above. "
            "Finished trainings are kept; repeat the command to resume the sweep"
        )


def _device(gpu_id: int) -> str:
    if gpu_id < 0:
        return "cpu"
    import torch

    return torch.cuda.get_device_name(gpu_id)
