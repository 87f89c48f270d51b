"""Measure systems in turn, over several rounds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import numpy

from spacy_wnut.errors import WnutError
from spacy_wnut.packaging.wheels import SENTENCE

from .environments import install_size, size_of
from .posts import AnnotatedPost, count_words, entity_f1, make_texts, sample_evenly
from .systems import (
    OURS,
    WITH_DOCUMENTS,
    Contender,
    WorkerProcess,
    time_to_first_entity,
)

# A measurement that takes longer is not repeated in later rounds.
ONCE_SECONDS = 15.0
LATENCY_POSTS = 100
WARM_UP_POSTS = 64


class MeasurementPlan(NamedTuple):
    """Settings of a measurement.

    posts (List[AnnotatedPost]): Posts to run the systems on.
    dev (List[AnnotatedPost]): Other posts, whose entities are scored as well.
    sizes (Tuple[int, ...]): Text lengths, in words, for the cost per word.
    rounds (int): Number of rounds.
    threads (int): Threads per system.
    gpu (int): GPU to run on; -1 for the CPU.
    log (Callable): Called with a message on each step.
    """

    posts: list[AnnotatedPost]
    dev: list[AnnotatedPost]
    sizes: tuple[int, ...]
    rounds: int
    threads: int
    gpu: int
    log: Callable[[str], None]


class Measurements:
    """Measurements of one system.

    settings (Dict[str, Any]): Its settings.
    seconds (Dict[str, List[float]]): Durations by the name of the measurement, one per
        round.
    singles (List[float]): Durations of single posts, over all rounds.
    starts (List[float]): Durations from start to first entity, one per round.
    figures (Dict[str, Any]): Results that don't change between rounds.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.seconds: dict[str, list[float]] = {}
        self.singles: list[float] = []
        self.starts: list[float] = []
        self.figures: dict[str, Any] = {}

    def add(self, name: str, measure: Callable[[], float]) -> None:
        """Run a measurement, unless its first duration was ONCE_SECONDS or more."""
        seconds = self.seconds.setdefault(name, [])
        if not seconds or seconds[0] < ONCE_SECONDS:
            seconds.append(measure())


def measure_systems(
    contenders: Sequence[Contender],
    plan: MeasurementPlan,
    before_round: Callable[[], None],
) -> dict[str, dict[str, Any]]:
    """Measure systems in turn, over several rounds.

    contenders (Sequence[Contender]): The systems.
    plan (MeasurementPlan): The settings.
    before_round (Callable): Called at the start of each round.
    RETURNS (Dict[str, Dict[str, Any]]): Results of each system by its key.

    Raises WnutError if a system fails, or the encoders differ.
    """
    for contender in contenders:
        # Not measured: compiles modules and loads files into the page cache.
        time_to_first_entity(contender, SENTENCE, plan.threads, plan.gpu)
    measured = {}
    for contender in contenders:
        settings = _best_settings(contender, plan)
        plan.log(f"{contender.system.key} {settings or ''}")
        measured[contender.system.key] = Measurements(settings)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(WorkerProcess(contender, plan.threads, plan.gpu))
            for contender in contenders
        ]
        check_encoders(workers)
        for i in range(plan.rounds):
            plan.log(f"round {i + 1} of {plan.rounds}")
            before_round()
            # Rotate the order, so that no system always follows the same other one.
            first = i % len(workers)
            for worker in workers[first:] + workers[:first]:
                _measure_round(worker, measured[worker.contender.system.key], plan)
    return {
        worker.contender.system.key: _summarize(
            worker, measured[worker.contender.system.key], plan
        )
        for worker in workers
    }


def speedup(
    systems: Mapping[str, Mapping[str, Any]], key: str, other: str
) -> float | None:
    """Ratio of the words per second of a system to those of another one.

    systems (Mapping[str, Mapping[str, Any]]): Results of the systems by their keys.
    key, other (str): Keys of the two systems.
    RETURNS (Optional[float]): Median over the rounds; None if one of them was not
        measured.
    """
    if key not in systems or other not in systems:
        return None
    pairs = zip(
        systems[other]["seconds"]["test"], systems[key]["seconds"]["test"], strict=True
    )
    return float(statistics.median(theirs / mine for theirs, mine in pairs))


def _best_settings(contender: Contender, plan: MeasurementPlan) -> dict[str, Any]:
    """The fastest settings on a quarter of the posts."""
    candidates = contender.system.settings
    if len(candidates) == 1:
        return candidates[0]
    texts = [post.text for post in plan.posts[::4]]
    with WorkerProcess(contender, plan.threads, plan.gpu) as worker:
        worker.ask("run", calls=[texts[:WARM_UP_POSTS]], settings={})
        seconds = [
            worker.ask("run", calls=[texts], settings=settings)["seconds"]
            for settings in candidates
        ]
    return candidates[seconds.index(min(seconds))]


def _measure_round(
    worker: WorkerProcess, measured: Measurements, plan: MeasurementPlan
) -> None:
    settings = measured.settings

    def seconds_of(texts: Sequence[Sequence[AnnotatedPost]]) -> float:
        calls = [[post.text for post in text] for text in texts]
        return float(worker.ask("run", calls=calls, settings=settings)["seconds"])

    if "test" not in measured.seconds:
        _first_pass(worker, measured, plan)
    else:
        measured.seconds["test"].append(seconds_of([plan.posts]))
    for size in plan.sizes:
        texts = make_texts(plan.posts, size)
        measured.add(str(size), partial(seconds_of, texts))
        # Our fastest systems show most clearly the cost of long documents.
        if worker.contender.system.key in WITH_DOCUMENTS:
            docs = [[_join(text)] for text in texts]
            measured.add(f"{size} in one", partial(seconds_of, docs))
    singles = [post.text for post in sample_evenly(plan.posts, LATENCY_POSTS)]
    measured.singles += worker.ask("singles", texts=singles)["seconds"]
    measured.starts.append(
        time_to_first_entity(worker.contender, SENTENCE, plan.threads, plan.gpu)
    )


def _first_pass(
    worker: WorkerProcess, measured: Measurements, plan: MeasurementPlan
) -> None:
    """Warm up, and run over the posts. The peak memory is that of this pass, so it is
    read before any longer text is run.
    """
    settings = measured.settings

    def entities_of(posts: Sequence[AnnotatedPost]) -> dict[str, Any]:
        calls = [[post.text for post in posts]]
        return worker.ask("run", calls=calls, settings=settings, entities=True)

    entities_of(plan.posts[:WARM_UP_POSTS])
    reply = entities_of(plan.posts)
    measured.seconds["test"] = [reply["seconds"]]
    scores = {"test": entity_f1(plan.posts, reply["entities"])}
    measured.figures["peak_memory_bytes"] = worker.ask("memory")["bytes"]
    if plan.dev and worker.contender.system.key in OURS:
        scores["dev"] = entity_f1(plan.dev, entities_of(plan.dev)["entities"])
    measured.figures["entity_f1"] = scores


def _join(text: Sequence[AnnotatedPost]) -> AnnotatedPost:
    return AnnotatedPost(
        " ".join(post.text for post in text), sum(post.words for post in text), []
    )


def check_encoders(workers: Sequence[WorkerProcess]) -> None:
    """Raise WnutError if systems that must share an encoder have different ones."""
    encoders = {
        worker.contender.system.key: worker.loaded["encoder"]
        for worker in workers
        if worker.contender.system.shares_encoder
        and worker.loaded["encoder"] is not None
    }
    if len({repr(encoder) for encoder in encoders.values()}) > 1:
        raise WnutError(
            f"the systems have different encoders: {encoders}. Give pipelines and a "
            "checkpoint that were trained from the same encoder"
        )


def _summarize(
    worker: WorkerProcess, measured: Measurements, plan: MeasurementPlan
) -> dict[str, Any]:
    system, seconds = worker.contender.system, measured.seconds
    words = {"test": count_words([plan.posts])}
    words |= {
        str(size): count_words(make_texts(plan.posts, size)) for size in plan.sizes
    }
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
        "install_mb": install_size(worker.contender.python) / 1e6,
        "model_mb": size_of(worker.contender.model) / 1e6,
        "entity_f1": measured.figures["entity_f1"],
        "load_s": worker.loaded["seconds"],
        "spread": max(seconds["test"]) / min(seconds["test"]),
        "seconds": seconds,
        "versions": worker.loaded["versions"],
    }
