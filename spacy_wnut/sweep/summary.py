"""What the trainings of a sweep say together."""

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import TypedDict

from ..errors import WnutError
from ..scoring.significance import compare_f1, f1_interval
from .metrics import Metrics, ScoreRow

TEST = "test_gold"


class Figure(TypedDict):
    """A figure of several trainings: `runs` by seed, their mean, and their standard
    deviation (of a sample: over n - 1), which one training hasn't.
    """

    runs: list[float]
    mean: float
    sd: float | None


class ConfigSummary(TypedDict):
    """The trainings of a config. `figures` are fractions, by their names.
    `test_f1_interval` has the two ends of the bootstrap 95% interval over posts.
    """

    config: str
    encoder: str
    device: str
    seeds: list[int]
    figures: dict[str, Figure]
    test_f1_interval: tuple[float, float]


class ConfigComparison(TypedDict):
    """By how much a config's test F1 (gold tokens) is above another's in the mean,
    and the one-sided p of the paired bootstrap test.
    """

    config: str
    against: str
    difference: float
    p: float


class SweepSummary(TypedDict):
    """All configs of a sweep, and the first compared with each of the others."""

    configs: list[ConfigSummary]
    comparisons: list[ConfigComparison]


def _f1(split: str, protocol: str, measure: str) -> Callable[[Metrics], float]:
    def get(metrics: Metrics) -> float:
        row = find_row(metrics, split, protocol)
        return row["entity" if measure == "entity" else "surface"]["f1"]

    return get


FIGURES: dict[str, Callable[[Metrics], float]] = {
    "dev F1": _f1("dev", "gold", "entity"),
    "test P": lambda m: find_row(m, "test", "gold")["entity"]["precision"],
    "test R": lambda m: find_row(m, "test", "gold")["entity"]["recall"],
    "test F1": _f1("test", "gold", "entity"),
    "test surface F1": _f1("test", "gold", "surface"),
    "dev F1, spaCy tokens": _f1("dev", "spacy", "entity"),
    "test F1, spaCy tokens": _f1("test", "spacy", "entity"),
}


def summarise(trainings: Sequence[Metrics]) -> SweepSummary:
    """Bring the trainings of one config or several together.

    trainings (Sequence[Metrics]): Those of one config after those of another, all
        scored on the same posts.
    RETURNS (SweepSummary): Fractions.

    Raises WnutError if they were not scored on the same posts.
    """
    by_config: dict[str, list[Metrics]] = {}
    for metrics in trainings:
        by_config.setdefault(metrics["config"], []).append(metrics)
    first, *others = by_config
    try:
        return {
            "configs": [_summarise_config(runs) for runs in by_config.values()],
            "comparisons": [
                compare_configs(by_config[first], by_config[other]) for other in others
            ],
        }
    except ValueError as err:
        raise WnutError(f"can't compare the trainings: {err}") from err


def compare_configs(
    runs: Sequence[Metrics], others: Sequence[Metrics]
) -> ConfigComparison:
    """Whether the trainings of a config are better than those of another.

    Raises ValueError if they were not scored on the same posts.
    """
    difference, p = compare_f1(
        [metrics["posts"][TEST] for metrics in runs],
        [metrics["posts"][TEST] for metrics in others],
    )
    return {
        "config": runs[0]["config"],
        "against": others[0]["config"],
        "difference": difference,
        "p": p,
    }


def find_row(metrics: Metrics, split: str, protocol: str) -> ScoreRow:
    """The scores of a training on a split by a protocol."""
    [row] = [
        row
        for row in metrics["rows"]
        if (row["split"], row["protocol"]) == (split, protocol)
    ]
    return row


def make_figure(values: Sequence[float]) -> Figure:
    """A figure of several trainings."""
    return {
        "runs": list(values),
        "mean": mean(values),
        "sd": stdev(values) if len(values) > 1 else None,
    }


def _summarise_config(runs: Sequence[Metrics]) -> ConfigSummary:
    return {
        "config": runs[0]["config"],
        "encoder": runs[0]["encoder"],
        "device": ", ".join(dict.fromkeys(metrics["device"] for metrics in runs)),
        "seeds": [metrics["seed"] for metrics in runs],
        "figures": {
            name: make_figure([get(metrics) for metrics in runs])
            for name, get in FIGURES.items()
        },
        "test_f1_interval": f1_interval([metrics["posts"][TEST] for metrics in runs]),
    }
