"""What is measured of one training, in the file that says it is finished."""

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
# Both protocols; the folders of a corpus have the same names.
PROTOCOLS = ("gold", "spacy")


class ScoreRow(AllScores):
    """The scores of a training on a split by a protocol, and what it was."""

    config: str
    encoder: str
    seed: int
    device: str
    protocol: str
    split: str


class FittedCalibration(TypedDict):
    """What calibration fitted, and what it gave by cross-validation on dev."""

    temperature: float
    bias: float
    ece: float


class Metrics(TypedDict):
    """A finished training.

    `made_of` has a digest of all that went into it, by its name. `posts` has the
    counts of each split and protocol, for the bootstrap.
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
    """Put the scores of a training on all splits into its metrics.

    metrics (Metrics): What is known of the training so far.
    posts_of (Callable[[str, str], List[ScoredPost]]): The scored posts of a
        protocol and a split.
    seen_forms (Container[str]): The forms of the train split's entities.
    protocols (Tuple[str, ...]): Those to measure.
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
    """Write metrics into the folder of their training.

    Not atomic: the folder itself has to be put into place as a whole.
    """
    text = json.dumps(metrics, indent=1)
    (folder / METRICS).write_text(text + "\n", encoding="utf8")


def read_metrics(folder: Path) -> Metrics | None:
    """The metrics in the folder of a training, None if it isn't finished.

    Raises WnutError if the file is there and holds something else.
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
            f"{path} holds no metrics of a training: {err}. Remove {folder} to train "
            "again"
        ) from err
    return metrics


def read_all_metrics(output: Path) -> list[Metrics]:
    """The metrics of all finished trainings in the output folder of a sweep, by the
    names of the configs and by their seeds.

    Raises WnutError if there are none, or one can't be read.
    """
    folders = [path.parent for path in output.glob(f"*/seed-*/{METRICS}")]
    found = [metrics for folder in folders if (metrics := read_metrics(folder))]
    if not found:
        raise WnutError(
            f"{output} holds no finished trainings (*/seed-*/{METRICS}): make them "
            f"with `spacy-wnut sweep CONFIG... --output {output}`"
        )
    return sorted(found, key=lambda m: (m["config"], m["encoder"], m["seed"]))
