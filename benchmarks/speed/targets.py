"""From the figures of systems to targets met or missed, and to README's table."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .measure import against
from .systems import OURS

Systems = Mapping[str, Mapping[str, Any]]


class Target(NamedTuple):
    """A `name`, whether the figure is to be at least (">=") or at most ("<=") the
    `bound`, and how to get it from the systems: None, or a KeyError, where one of them
    wasn't measured.
    """

    name: str
    relation: str
    bound: float
    figure: Callable[[Systems], float | None]


def cost_growth(system: Mapping[str, Any]) -> float:
    """By how much the dearest word costs more than the cheapest, over the sizes: 0.1
    is a tenth. Texts of posts and texts that are one document each are compared among
    themselves.
    """
    costs = system["cost_per_word_us"]
    growth = 0.0
    for in_one in (False, True):
        kind = [cost for name, cost in costs.items() if ("in one" in name) == in_one]
        if kind:
            growth = max(growth, max(kind) / min(kind) - 1)
    return growth


def _times(key: str, other: str) -> Callable[[Systems], float | None]:
    return lambda systems: against(systems, key, other)


def _share(key: str) -> Callable[[Systems], float | None]:
    return lambda systems: systems[key].get("share_of_limit")


def _part(*path: str) -> Callable[[Systems], float | None]:
    """The part of transformers' figure that int8 has."""

    def part(systems: Systems) -> float:
        mine: Any = systems["onnx-int8"]
        theirs: Any = systems["transformers"]
        for name in path:
            mine, theirs = mine[name], theirs[name]
        return float(mine / theirs)

    return part


def _greatest_growth(systems: Systems) -> float | None:
    ours = [cost_growth(systems[key]) for key in OURS if key in systems]
    return max(ours, default=None)


def _loss_of_f1(systems: Systems) -> float:
    return float(
        systems["onnx-fp32"]["entity_f1"]["dev"]
        - systems["onnx-int8"]["entity_f1"]["dev"]
    )


AT_BEST = "transformers at its best"

CPU_TARGETS = [
    Target(
        f"words a second, int8 against {AT_BEST}",
        ">=",
        5,
        _times("onnx-int8", "transformers"),
    ),
    Target(
        "words a second, int8 against spaCy's ner",
        ">=",
        7,
        _times("onnx-int8", "spacy-ner"),
    ),
    Target(
        f"words a second, ONNX fp32 against {AT_BEST}",
        ">=",
        2,
        _times("onnx-fp32", "transformers"),
    ),
    Target(
        "words a second, torch (fp32) against spaCy's ner",
        ">=",
        2,
        _times("torch", "spacy-ner"),
    ),
    Target("share of the fp32 limit, ONNX fp32", ">=", 0.85, _share("onnx-fp32")),
    Target("share of the int8 limit, int8", ">=", 0.5, _share("onnx-int8")),
    Target(
        "latency of a post (p50), int8 against transformers",
        "<=",
        1 / 5,
        _part("latency_ms", "p50"),
    ),
    Target(
        "start to first entity, int8 against transformers",
        "<=",
        1 / 5,
        _part("start_to_first_entity_s"),
    ),
    Target(
        "peak memory, int8 against transformers",
        "<=",
        1 / 3,
        _part("peak_memory_mb"),
    ),
    Target("growth of the cost of a word, ours", "<=", 0.1, _greatest_growth),
    Target("dev entity F1, fp32 less int8", "<=", 0.005, _loss_of_f1),
]

GPU_TARGETS = [
    Target(
        f"words a second, torch against {AT_BEST}",
        ">=",
        3,
        _times("torch", "transformers"),
    ),
    Target(
        "words a second, torch against spaCy's ner",
        ">=",
        3,
        _times("torch", "spacy-ner"),
    ),
]


def judge(targets: Iterable[Target], systems: Systems) -> Iterator[dict[str, Any]]:
    """The targets as the results have them: `name`, `target`, what was `measured`, and
    whether it is `met`; both are None where a system wasn't measured.
    """
    for target in targets:
        try:
            measured = target.figure(systems)
        except KeyError:
            measured = None
        met = None
        if measured is not None:
            at_least = target.relation == ">="
            met = measured >= target.bound if at_least else measured <= target.bound
        yield {
            "name": target.name,
            "target": f"{target.relation} {target.bound:.3g}",
            "measured": measured,
            "met": met,
        }


def table(results: Mapping[str, Any]) -> Iterator[str]:
    """README's table, a line each."""
    systems, limits = results["systems"], results["limits"]
    sizes = [list(system["words_per_second"])[-1] for system in systems.values()]
    long = f"{int(sizes[0]):,} words" if sizes else "long text"
    yield (
        f"| system | words/s | times transformers | words/s, {long} | latency p50 / p95, "
        "ms | start to first entity, s | peak memory, MB | install, MB | test F1 | "
        "share of the limit |"
    )
    yield "| --- | " + " | ".join(["---:"] * 9) + " |"
    for key, system in systems.items():
        speed, latency = system["words_per_second"], system["latency_ms"]
        times = against(systems, key, "transformers")
        share = system.get("share_of_limit")
        figures = [
            f"{speed['test']:,.0f}",
            "" if times is None else f"{times:.2f}",
            f"{list(speed.values())[-1]:,.0f}",
            f"{latency['p50']:.1f} / {latency['p95']:.1f}",
            f"{system['start_to_first_entity_s']:.2f}",
            f"{system['peak_memory_mb']:.0f}",
            f"{system['install_mb']:.0f}",
            f"{100 * system['entity_f1']['test']:.1f}",
            "" if share is None else f"{share:.2f} ({system['limit']})",
        ]
        yield f"| {system['title']} | {' | '.join(figures)} |"
    yield ""
    device = results["device"]
    rates = [
        f"{precision} {limit['rate'] / 1e9:,.0f} ({limit['library']})"
        for precision, limit in limits.items()
        if precision in ("fp32", "int8")
    ]
    measured = f"; the limits, in 10⁹ operations a second: {', '.join(rates)}"
    yield (
        f"{device['name']}, {device['threads']} threads, {results['rounds']} rounds"
        f"{measured if rates else ''}."
    )
