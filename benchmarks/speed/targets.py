"""Targets of the inference benchmark, met or missed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .measure import speedup
from .systems import OURS

# Results of the systems by their keys.
SystemResults = Mapping[str, Mapping[str, Any]]


class Target(NamedTuple):
    """A target.

    name (str): Its name in the results.
    relation (str): ">=" if the bound is a minimum, "<=" if it is a maximum.
    bound (float): The bound.
    figure (Callable): Computes the figure from the results of the systems. Returns None
        or raises KeyError if a system was not measured.
    """

    name: str
    relation: str
    bound: float
    figure: Callable[[SystemResults], float | None]


def cost_growth(system: Mapping[str, Any]) -> float:
    """Relative difference between the highest and the lowest cost per word over all
    sizes: 0.1 is 10%. Texts of many posts are compared with each other, and so are texts
    that are a single document.
    """
    costs = system["cost_per_word_us"]
    growth = 0.0
    for in_one in (False, True):
        kind = [cost for name, cost in costs.items() if ("in one" in name) == in_one]
        if kind:
            growth = max(growth, max(kind) / min(kind) - 1)
    return growth


def _speedup(key: str, other: str) -> Callable[[SystemResults], float | None]:
    return lambda systems: speedup(systems, key, other)


def _share(key: str) -> Callable[[SystemResults], float | None]:
    return lambda systems: systems[key].get("share_of_limit")


def _fraction(
    key: str, other: str, *path: str
) -> Callable[[SystemResults], float | None]:
    """Ratio of the figure at a path in the results of two systems; None if the figure of
    the other one is 0.
    """

    def fraction(systems: SystemResults) -> float | None:
        mine: Any = systems[key]
        theirs: Any = systems[other]
        for name in path:
            mine, theirs = mine[name], theirs[name]
        return float(mine / theirs) if theirs else None

    return fraction


def _max_growth(systems: SystemResults) -> float | None:
    ours = [cost_growth(systems[key]) for key in OURS if key in systems]
    return max(ours, default=None)


def _f1_loss(
    key: str, other: str, split: str
) -> Callable[[SystemResults], float | None]:
    """Entity F1 of a system less that of another one."""
    return lambda systems: float(
        systems[key]["entity_f1"][split] - systems[other]["entity_f1"][split]
    )


# The names of targets are kept in stored results.
AT_BEST = "transformers at its best"

# Targets that are the same on each processor; see `cpu_targets`.
CPU_TARGETS = [
    Target(
        f"words a second, int8 against {AT_BEST}",
        ">=",
        5,
        _speedup("onnx-int8", "transformers"),
    ),
    Target(
        "words a second, int8 against spaCy's ner",
        ">=",
        7,
        _speedup("onnx-int8", "spacy-ner"),
    ),
    Target(
        f"words a second, ONNX fp32 against {AT_BEST}",
        ">=",
        2,
        _speedup("onnx-fp32", "transformers"),
    ),
    Target(
        "words a second, torch (fp32) against spaCy's ner",
        ">=",
        2,
        _speedup("torch", "spacy-ner"),
    ),
    Target("share of the fp32 limit, ONNX fp32", ">=", 0.85, _share("onnx-fp32")),
    Target("share of the int8 limit, int8", ">=", 0.5, _share("onnx-int8")),
    Target(
        "latency of a post (p50), int8 against transformers",
        "<=",
        1 / 5,
        _fraction("onnx-int8", "transformers", "latency_ms", "p50"),
    ),
    Target(
        "start to first entity, int8 against transformers",
        "<=",
        1 / 5,
        _fraction("onnx-int8", "transformers", "start_to_first_entity_s"),
    ),
    Target(
        "peak memory, int8 against transformers",
        "<=",
        1 / 3,
        _fraction("onnx-int8", "transformers", "peak_memory_mb"),
    ),
    Target("growth of the cost of a word, ours", "<=", 0.1, _max_growth),
    Target(
        "dev entity F1, fp32 less int8",
        "<=",
        0.005,
        _f1_loss("onnx-fp32", "onnx-int8", "dev"),
    ),
    Target(
        f"words a second, int8 with 3 layers against {AT_BEST}",
        ">=",
        8,
        _speedup("onnx-int8-3", "transformers"),
    ),
    Target(
        "test entity F1, int8 less int8 with 3 layers",
        "<=",
        0.01,
        _f1_loss("onnx-int8", "onnx-int8-3", "test"),
    ),
    Target(
        "latency of a post (p50), int8 with 3 layers against transformers",
        "<=",
        0.15,
        _fraction("onnx-int8-3", "transformers", "latency_ms", "p50"),
    ),
    Target(
        "peak memory, int8 with 3 layers against transformers",
        "<=",
        1 / 3,
        _fraction("onnx-int8-3", "transformers", "peak_memory_mb"),
    ),
    Target(
        "test entity F1, int8 with 3 layers against spaCy's CNN",
        ">=",
        3,
        _fraction("onnx-int8-3", "cnn", "entity_f1", "test"),
    ),
]

GPU_TARGETS = [
    Target(
        f"words a second, torch against {AT_BEST}",
        ">=",
        3,
        _speedup("torch", "transformers"),
    ),
    Target(
        "words a second, torch against spaCy's ner",
        ">=",
        3,
        _speedup("torch", "spacy-ner"),
    ),
]


def cpu_targets(has_vnni: bool) -> list[Target]:
    """Targets on a CPU.

    has_vnni (bool): Whether the processor has instructions for int8 products, without
        which int8 is slower compared with fp32.
    """
    bound = 1.0 if has_vnni else 0.8
    speed = _speedup("onnx-int8-3", "cnn")
    name = "words a second, int8 with 3 layers against spaCy's CNN"
    return [*CPU_TARGETS, Target(name, ">=", bound, speed)]


def check_targets(
    targets: Iterable[Target], systems: SystemResults
) -> Iterator[dict[str, Any]]:
    """Yield an entry for each target: `name`, `target`, the `measured` figure, and
    whether it is `met`. The last two are None if a system was not measured.
    """
    for target in targets:
        try:
            measured = target.figure(systems)
        except KeyError:
            measured = None
        met = None
        if measured is not None:
            is_minimum = target.relation == ">="
            met = measured >= target.bound if is_minimum else measured <= target.bound
        yield {
            "name": target.name,
            "target": f"{target.relation} {target.bound:.3g}",
            "measured": measured,
            "met": met,
        }
