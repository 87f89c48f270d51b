"""Metrics of a training, in the file that marks the training as finished."""

import json
from collections.abc import Callable, Container
from pathlib import Path
from typing import TypedDict

from ..errors import WnutError
from ..scoring.measures import (
    AllScores,
    PostCounts,
    ScoredPost,
    all_scores,
    post_counts,
)

METRICS = "metrics.json"
SPLITS = ("dev", "test")
# The folders of a corpus have these names, too.
PROTOCOLS = ("gold", "spacy")


class ScoreRow(AllScores):
    """The scores of a training on one split with one protocol.

    config (str): The name of the config.
    encoder (str): The name of the encoder.
    seed (int): The seed.
    device (str): "cpu" or the name of the GPU.
    protocol (str): "gold" for gold tokens, "spacy" for spaCy's tokens.
    split (str): "dev" or "test".
    """

    config: str
    encoder: str
    seed: int
    device: str
    protocol: str
    split: str


class FittedCalibration(TypedDict):
    """The settings fitted on dev, and their cross-validated calibration error.

    temperature (float): The temperature.
    bias (float): The bias in nats.
    ece (float): The expected calibration error, a fraction between 0 and 1.
    """

    temperature: float
    bias: float
    ece: float


class Metrics(TypedDict):
    """The metrics of a finished training.

    config (str): The name of the config.
    encoder (str): The name of the encoder.
    seed (int): The seed.
    device (str): "cpu" or the name of the GPU.
    seconds (float): The duration of the training, without calibration and evaluation.
    made_of (Dict[str, str]): The digest of each input of the training, by name.
    calibration (Optional[FittedCalibration]): The fitted settings, or None if there was
        nothing to calibrate.
    rows (List[ScoreRow]): The scores on each split with each protocol.
    posts (Dict[str, PostCounts]): The counts for the bootstrap, by split and protocol
        ("test_gold").
    """

    config: str
    encoder: str
    seed: int
    device: str
    seconds: float
    made_of: dict[str, str]
    calibration: FittedCalibration | None
    rows: list[ScoreRow]
    posts: dict[str, PostCounts]


def add_scores(
    metrics: Metrics,
    posts_of: Callable[[str, str], list[ScoredPost]],
    seen_forms: Container[str],
    protocols: tuple[str, ...] = PROTOCOLS,
) -> None:
    """Score a training on all splits, and add the scores to its metrics.

    metrics (Metrics): The metrics. `rows` and `posts` are extended.
    posts_of (Callable[[str, str], List[ScoredPost]]): Returns the scored posts of a
        protocol and a split.
    seen_forms (Container[str]): The casefolded surface forms of the training data.
    protocols (Tuple[str, ...]): The protocols to score.
    """
    for protocol in protocols:
        for split in SPLITS:
            posts = posts_of(protocol, split)
            metrics["rows"].append(
                {
                    "config": metrics["config"],
                    "encoder": metrics["encoder"],
                    "seed": metrics["seed"],
                    "device": metrics["device"],
                    "protocol": protocol,
                    "split": split,
                    **all_scores(posts, seen_forms),
                }
            )
            metrics["posts"][f"{split}_{protocol}"] = post_counts(posts)


def write_metrics(folder: Path, metrics: Metrics) -> None:
    """Write the metrics of a training to its folder.

    The file is not written atomically: the caller moves the finished folder into place.

    folder (Path): The folder.
    metrics (Metrics): The metrics.
    """
    text = json.dumps(metrics, indent=1)
    (folder / METRICS).write_text(text + "\n", encoding="utf8")


def read_metrics(folder: Path) -> Metrics | None:
    """Read the metrics of a training.

    folder (Path): The folder of the training.
    RETURNS (Optional[Metrics]): The metrics, or None if the training isn't finished.

    Raises WnutError if the metrics file has other contents.
    """
    path = folder / METRICS
    if not path.is_file():
        return None
    try:
        metrics: Metrics = json.loads(path.read_text(encoding="utf8"))
        if not metrics.keys() >= Metrics.__required_keys__:
            raise ValueError(f"it has {', '.join(metrics) or 'nothing'}")
    except (AttributeError, ValueError) as err:
        raise WnutError(
            f"{path} holds no metrics of a training: {err}. Remove {folder} to repeat "
            "the training"
        ) from err
    return metrics


def read_all_metrics(output: Path) -> list[Metrics]:
    """Read the metrics of all finished trainings in the output folder of a sweep.

    output (Path): The folder.
    RETURNS (List[Metrics]): The metrics, sorted by config, encoder and seed.

    Raises WnutError if there are no finished trainings or a metrics file can't be read.
    """
    folders = [path.parent for path in output.glob(f"*/seed-*/{METRICS}")]
    found = [metrics for folder in folders if (metrics := read_metrics(folder))]
    if not found:
        raise WnutError(
            f"{output} holds no finished trainings (*/seed-*/{METRICS}): train with "
            f"`spacy-wnut sweep CONFIG... --output {output}`"
        )
    return sorted(found, key=lambda m: (m["config"], m["encoder"], m["seed"]))
