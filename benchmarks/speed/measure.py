"""Systems in turn, over several rounds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import numpy

from spacy_wnut.errors import WnutError
from spacy_wnut.packaging.wheels import SENTENCE

from .environments import install_size, size_of
from .posts import Post, count_words, cut, entity_f1, evenly
from .systems import OURS, Run, Worker, start_to_first

# What takes longer is measured in the first round only.
ONCE_SECONDS = 15.0
LATENCY_POSTS = 100
WARM_UP_POSTS = 64


class Plan(NamedTuple):
    """What to measure.

    posts (list[Post]): The posts to run on.
    dev (list[Post]): Others, whose entities are scored too.
    sizes (tuple[int, ...]): The numbers of words for the cost of a word.
    rounds (int): How often to measure.
    threads (int): How many threads each system gets.
    gpu (int): The GPU to run on, -1 for the CPU.
    say (Callable): Is told what is going on.
    """

    posts: list[Post]
    dev: list[Post]
    sizes: tuple[int, ...]
    rounds: int
    threads: int
    gpu: int
    say: Callable[[str], None]


class Measured:
    """What the rounds gave for one system: seconds by what was measured, and the
    figures that don't change from round to round.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.seconds: dict[str, list[float]] = {}
        self.singles: list[float] = []
        self.starts: list[float] = []
        self.figures: dict[str, Any] = {}

    def add(self, name: str, measure: Callable[[], float]) -> None:
        """Measure, unless it takes too long to do so again."""
        seconds = self.seconds.setdefault(name, [])
        if not seconds or seconds[0] < ONCE_SECONDS:
            seconds.append(measure())


def measure_systems(
    runs: Sequence[Run], plan: Plan, between: Callable[[], None]
) -> dict[str, dict[str, Any]]:
    """Measure systems in turn, over several rounds.

    runs (Sequence[Run]): The systems.
    plan (Plan): What to measure.
    between (Callable): Is called at the start of each round.
    RETURNS (Dict[str, Dict[str, Any]]): The figures of each system, by its key.

    Raises WnutError if a system fails, or encoders differ.
    """
    for run in runs:
        # What isn't measured: compiling modules, bringing files into memory.
        start_to_first(run, SENTENCE, plan.threads, plan.gpu)
    measured = {}
    for run in runs:
        settings = _best_settings(run, plan)
        plan.say(f"{run.system.key} {settings or ''}")
        measured[run.system.key] = Measured(settings)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(run, plan.threads, plan.gpu)) for run in runs
        ]
        _check_encoders(workers)
        for i in range(plan.rounds):
            plan.say(f"round {i + 1} of {plan.rounds}")
            between()
            # None is always the one after the same other.
            first = i % len(workers)
            for worker in workers[first:] + workers[:first]:
                _measure_round(worker, measured[worker.run.system.key], plan)
    return {
        worker.run.system.key: _figures(worker, measured[worker.run.system.key], plan)
        for worker in workers
    }


def against(
    systems: Mapping[str, Mapping[str, Any]], key: str, other: str
) -> float | None:
    """How many times the words a second of another system one has: the median over
    the rounds; None where one of them wasn't measured.
    """
    if key not in systems or other not in systems:
        return None
    pairs = zip(
        systems[other]["seconds"]["test"], systems[key]["seconds"]["test"], strict=True
    )
    return float(statistics.median(theirs / mine for theirs, mine in pairs))


def _best_settings(run: Run, plan: Plan) -> dict[str, Any]:
    """The settings that are the fastest on a quarter of the posts."""
    candidates = run.system.settings
    if len(candidates) == 1:
        return candidates[0]
    texts = [post.text for post in plan.posts[::4]]
    with Worker(run, plan.threads, plan.gpu) as worker:
        worker.ask("run", calls=[texts[:WARM_UP_POSTS]], settings={})
        seconds = [
            worker.ask("run", calls=[texts], settings=settings)["seconds"]
            for settings in candidates
        ]
    return candidates[seconds.index(min(seconds))]


def _measure_round(worker: Worker, measured: Measured, plan: Plan) -> None:
    settings = measured.settings

    def seconds_of(texts: Sequence[Sequence[Post]]) -> float:
        calls = [[post.text for post in text] for text in texts]
        return float(worker.ask("run", calls=calls, settings=settings)["seconds"])

    if "test" not in measured.seconds:
        _first_pass(worker, measured, plan)
    else:
        measured.seconds["test"].append(seconds_of([plan.posts]))
    for size in plan.sizes:
        texts = cut(plan.posts, size)
        measured.add(str(size), partial(seconds_of, texts))
        # The fastest of ours shows best what a long document costs besides its encoder.
        if worker.run.system.key == OURS[-1]:
            docs = [[_as_one(text)] for text in texts]
            measured.add(f"{size} in one", partial(seconds_of, docs))
    singles = [post.text for post in evenly(plan.posts, LATENCY_POSTS)]
    measured.singles += worker.ask("singles", texts=singles)["seconds"]
    measured.starts.append(start_to_first(worker.run, SENTENCE, plan.threads, plan.gpu))


def _first_pass(worker: Worker, measured: Measured, plan: Plan) -> None:
    """Warm up and run over the posts. What that costs in memory is asked before
    anything else is run.
    """
    settings = measured.settings

    def entities_of(posts: Sequence[Post]) -> dict[str, Any]:
        calls = [[post.text for post in posts]]
        return worker.ask("run", calls=calls, settings=settings, entities=True)

    entities_of(plan.posts[:WARM_UP_POSTS])
    reply = entities_of(plan.posts)
    measured.seconds["test"] = [reply["seconds"]]
    scores = {"test": entity_f1(plan.posts, reply["entities"])}
    measured.figures["peak_memory_bytes"] = worker.ask("memory")["bytes"]
    if plan.dev and worker.run.system.key in OURS:
        scores["dev"] = entity_f1(plan.dev, entities_of(plan.dev)["entities"])
    measured.figures["entity_f1"] = scores


def _as_one(text: Sequence[Post]) -> Post:
    return Post(
        " ".join(post.text for post in text), sum(post.words for post in text), []
    )


def _check_encoders(workers: Sequence[Worker]) -> None:
    """Systems on different encoders are no comparison."""
    encoders = {
        worker.run.system.key: worker.loaded["encoder"]
        for worker in workers
        if worker.loaded["encoder"] is not None
    }
    if len({repr(encoder) for encoder in encoders.values()}) > 1:
        raise WnutError(
            f"the systems have different encoders: {encoders}. Give pipelines and a "
            "checkpoint that were trained from the same one"
        )


def _figures(worker: Worker, measured: Measured, plan: Plan) -> dict[str, Any]:
    system, seconds = worker.run.system, measured.seconds
    words = {"test": count_words([plan.posts])}
    words |= {str(size): count_words(cut(plan.posts, size)) for size in plan.sizes}
    costs = {
        name: 1e6 * statistics.median(values) / words[name.split(" ")[0]]
        for name, values in seconds.items()
    }
    p50, p95 = numpy.quantile(measured.singles, [0.5, 0.95]).tolist()
    return {
        "title": system.title,
        "note": system.note,
        "settings": measured.settings,
        "words_per_second": {
            name: 1e6 / costs[name] for name in ("test", str(plan.sizes[-1]))
        },
        "cost_per_word_us": {
            name: cost for name, cost in costs.items() if name != "test"
        },
        "latency_ms": {"p50": 1e3 * p50, "p95": 1e3 * p95},
        "start_to_first_entity_s": statistics.median(measured.starts),
        "peak_memory_mb": measured.figures["peak_memory_bytes"] / 1e6,
        "install_mb": install_size(worker.run.python) / 1e6,
        "model_mb": size_of(worker.run.model) / 1e6,
        "entity_f1": measured.figures["entity_f1"],
        "load_s": worker.loaded["seconds"],
        "spread": max(seconds["test"]) / min(seconds["test"]),
        "seconds": seconds,
        "versions": worker.loaded["versions"],
    }
