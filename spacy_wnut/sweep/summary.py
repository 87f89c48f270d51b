"""Summary of the trainings of a sweep: means, standard deviations and comparisons."""

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import TypedDict

from ..errors import WnutError
from ..scoring.significance import compare_f1, f1_interval
from .metrics import Metrics, ScoreRow

TEST = "test_gold"


class Figure(TypedDict):
    """A score of several trainings.

    runs (List[float]): The score of each training, a fraction between 0 and 1.
    mean (float): The mean.
    sd (Optional[float]): The sample standard deviation (with n - 1), None for a single
        training.
    """

    runs: list[float]
    mean: float
    sd: float | None


class ConfigSummary(TypedDict):
    """Summary of the trainings of one config.

    config (str): The name of the config.
    encoder (str): The name of the encoder.
    device (str): The names of the devices, separated by commas.
    seeds (List[int]): The seed of each training.
    figures (Dict[str, Figure]): The scores by name ("test F1").
    test_f1_interval (Tuple[float, float]): The 95 percent bootstrap interval over posts
        of the mean test F1, as fractions.
    """

    config: str
    encoder: str
    device: str
    seeds: list[int]
    figures: dict[str, Figure]
    test_f1_interval: tuple[float, float]


class ConfigComparison(TypedDict):
    """Comparison of the mean test F1 (gold tokens) of two configs.

    config (str): The name of the first config.
    against (str): The name of the second config.
    difference (float): The mean F1 of the first config minus that of the second, a
        fraction.
    p (float): The one-sided p-value of the paired bootstrap test.
    """

    config: str
    against: str
    difference: float
    p: float


class SweepSummary(TypedDict):
    """The summary of each config, and the first config compared with each other one."""

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
    """Summarize the trainings of one or several configs.

    trainings (Sequence[Metrics]): The trainings, all scored on the same posts.
    RETURNS (SweepSummary): The configs in order of their first training, and their
        comparisons.

    Raises WnutError if the trainings were scored on different posts.
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
    """Test whether the mean test F1 of one config is higher than that of another.

    runs (Sequence[Metrics]): The trainings of the config expected to be better.
    others (Sequence[Metrics]): The trainings of the other config.
    RETURNS (ConfigComparison): The comparison.

    Raises ValueError if the trainings were scored on different posts.
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
    """Return the scores of a training on a split with a protocol.

    metrics (Metrics): The metrics of the training.
    split (str): "dev" or "test".
    protocol (str): "gold" or "spacy".
    RETURNS (ScoreRow): The scores.

    Raises ValueError if there is not exactly one such row.
    """
    [row] = [
        row
        for row in metrics["rows"]
        if (row["split"], row["protocol"]) == (split, protocol)
    ]
    return row


def make_figure(values: Sequence[float]) -> Figure:
    """Compute the mean and the sample standard deviation of a score.

    values (Sequence[float]): The score of each training, at least one.
    RETURNS (Figure): The figure.

    Example:
        >>> from spacy_wnut.sweep.summary import make_figure
        >>> make_figure([0.25, 0.75])["mean"]
        0.5
        >>> make_figure([0.25])
        {'runs': [0.25], 'mean': 0.25, 'sd': None}
    """
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
