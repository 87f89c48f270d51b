"""One system in a process and an environment of its own, driven over its pipes.

    python worker.py serve KIND MODEL GPU         a JSON object a line: command, reply
    python worker.py once KIND MODEL GPU TEXT     the entities of one text, then ends

KIND is "transformers" for a checkpoint and "spacy" for a pipeline. Run as a script:
it imports nothing that its system doesn't need, and nothing of the project.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

# The characters of an entity, start and end (exclusive), and its type.
Found = list[tuple[int, int, str]]

PACKAGES = ("spacy", "spacy-transformers", "tokenizers", "torch", "transformers")


class System(NamedTuple):
    """How to run a system on a stream of texts (`stream`, which takes settings too)
    and on one text (`single`), and what is known of its `encoder`: nothing, or the
    numbers that identical encoders have in common.
    """

    stream: Callable[..., list[Found]]
    single: Callable[[str], Found]
    encoder: dict[str, Any] | None


def load_transformers(model: str, gpu: int) -> System:
    import transformers

    ner: Any = transformers.pipeline(  # type: ignore[attr-defined, call-overload]
        "ner", model=model, aggregation_strategy="first", device=gpu
    )

    def found(output: Iterable[dict[str, Any]]) -> Found:
        return [(e["start"], e["end"], e["entity_group"]) for e in output]

    def stream(texts: list[str], batch_size: int = 1, by_length: bool = False) -> Any:
        order = list(range(len(texts)))
        if by_length:
            order.sort(key=lambda i: -len(texts[i]))
        outputs = ner([texts[i] for i in order], batch_size=batch_size)
        entities: list[Found] = [[]] * len(texts)
        for i, output in zip(order, outputs, strict=True):
            entities[i] = found(output)
        return entities

    return System(stream, lambda text: found(ner(text)), identity(ner.model.config))


def load_spacy(model: str, gpu: int) -> System:
    import spacy

    if gpu >= 0:
        from thinc.api import require_gpu, set_gpu_allocator

        set_gpu_allocator("pytorch")
        require_gpu(gpu)
    nlp = spacy.load(model)

    def found(doc: Any) -> Found:
        return [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]

    def stream(texts: list[str], batch_size: int | None = None) -> list[Found]:
        return [found(doc) for doc in nlp.pipe(texts, batch_size=batch_size)]

    networks = [
        shim._model
        for _, pipe in nlp.pipeline
        for node in (pipe.model.walk() if hasattr(pipe, "model") else ())
        for shim in node.shims
        if hasattr(getattr(shim, "_model", None), "config")
    ]
    encoder = identity(networks[0].config) if networks else None
    return System(stream, lambda text: found(nlp(text)), encoder)


LOADERS = {"transformers": load_transformers, "spacy": load_spacy}


def identity(config: Any) -> dict[str, Any]:
    names = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")
    return {name: getattr(config, name, None) for name in names}


def run(
    system: System,
    calls: list[list[str]],
    settings: dict[str, Any],
    entities: bool = False,
) -> dict[str, Any]:
    """Time the calls one after the other, each a stream of texts with its entities."""
    began = time.perf_counter()
    found = [system.stream(texts, **settings) for texts in calls]
    seconds = time.perf_counter() - began
    reply: dict[str, Any] = {"seconds": seconds}
    if entities:
        reply["entities"] = [text for call in found for text in call]
    return reply


def singles(system: System, texts: list[str]) -> dict[str, Any]:
    """Time each text by itself."""
    seconds = []
    for text in texts:
        began = time.perf_counter()
        system.single(text)
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds}


def memory(system: System) -> dict[str, Any]:
    """The most memory that this process has held so far."""
    # Not getrusage where it can be helped: on Linux it goes on counting from the
    # process that started this one.
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status", encoding="ascii") as file:
            [peak] = [line.split()[1] for line in file if line.startswith("VmHWM:")]
        return {"bytes": 1024 * int(peak)}
    import resource

    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"bytes": peak_rss if sys.platform == "darwin" else 1024 * peak_rss}


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "run": run,
    "singles": singles,
    "memory": memory,
}


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in (*PACKAGES, "onnxruntime", "spacy-wnut"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def keep_to_threads() -> None:
    """Where there are more cores than threads wanted, leave the others alone: not
    every library asks OMP_NUM_THREADS.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    if threads and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


def main(do: str, kind: str, model: str, gpu: str, text: str = "") -> None:
    keep_to_threads()
    # What libraries print must not come between the replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf8")
    os.dup2(2, 1)

    def reply(content: Any) -> None:
        replies.write(f"{json.dumps(content)}\n")
        replies.flush()

    began = time.perf_counter()
    system = LOADERS[kind](model, int(gpu))
    seconds = time.perf_counter() - began
    if do == "once":
        reply(system.single(text))
        return
    reply({"seconds": seconds, "encoder": system.encoder, "versions": versions()})
    for line in sys.stdin:
        command = json.loads(line)
        reply(COMMANDS[command.pop("do")](system, **command))


if __name__ == "__main__":
    main(*sys.argv[1:])
