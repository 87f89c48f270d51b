"""Train what isn't finished yet: nothing of an interrupted training stays."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Container, Sequence
from pathlib import Path

from wasabi import msg

from ..calibration.pipeline import calibrate_pipeline
from ..corpus.docbin import read_surface_forms
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
    """Train, calibrate and evaluate all runs that aren't finished, and say so.

    runs (Sequence[TrainingRun]): As `plan_runs` makes them.
    corpus (Path): The folder of both protocols.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    has_bias (bool): Whether to tune the bias on dev when calibrating.
    retrain (bool): Whether to train what is finished again, from whatever made.
    RETURNS (List[Metrics]): Of each run, in their order.

    Raises WnutError if a training fails, or a finished one was made of something
    else. Both are looked for before the first training.
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
    # In its place as a whole: what is there is finished.
    with replacing(run.folder) as beside:
        model = beside / MODEL
        began = time.perf_counter()
        _train(run, beside / "training", gpu_id)
        seconds = time.perf_counter() - began
        # The best by dev; the last is of no use.
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
    """`spacy train`, in a process of its own: seeds, allocators and the GPU are
    settings of a process.
    """
    # In JSON, as `spacy train` reads them: a string may look like a number or option.
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
        # An interrupted sweep ends it, before the folder it writes to is removed.
        training.kill()
        training.wait()
    if status:
        raise WnutError(
            f"the training of {run.name} failed with status {status}: see above. What "
            "is finished stays; sweep again to go on"
        )


def _device(gpu_id: int) -> str:
    if gpu_id < 0:
        return "cpu"
    import torch

    return torch.cuda.get_device_name(gpu_id)
