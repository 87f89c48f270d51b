"""Process of one system in its own environment, controlled over pipes.

    python -I worker.py serve KIND MODEL GPU        commands and replies, one per line
    python -I worker.py once KIND MODEL GPU TEXT    entities of one text

KIND is "transformers" for a checkpoint and "spacy" for a pipeline. Commands and replies
are JSON objects. systems.py runs this script in environments without the project, so it
must not import from it, nor any package that its system doesn't need.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

# Start character, end character (exclusive), and type of each entity.
Entities = list[tuple[int, int, str]]

PACKAGES = (
    *("spacy", "spacy-transformers", "tokenizers", "torch", "transformers"),
    *("onnxruntime", "spacy-wnut"),
)


class LoadedSystem(NamedTuple):
    """A loaded system.

    stream (Callable): From texts, and settings as keywords, to the entities of each.
    single (Callable): From one text to its entities.
    encoder (Optional[Dict[str, Any]]): Dimensions of the encoder, to check that all
        systems have the same one; None if unknown.
    """

    stream: Callable[..., list[Entities]]
    single: Callable[[str], Entities]
    encoder: dict[str, Any] | None


def load_transformers(model: str, gpu: int) -> LoadedSystem:
    import transformers

    ner: Any = transformers.pipeline(  # type: ignore[attr-defined, call-overload]
        "ner", model=model, aggregation_strategy="first", device=gpu
    )

    def to_entities(output: Iterable[dict[str, Any]]) -> Entities:
        return [(e["start"], e["end"], e["entity_group"]) for e in output]

    def stream(texts: list[str], batch_size: int = 1, by_length: bool = False) -> Any:
        order = list(range(len(texts)))
        if by_length:
            order.sort(key=lambda i: -len(texts[i]))
        outputs = ner([texts[i] for i in order], batch_size=batch_size)
        entities: list[Entities] = [[]] * len(texts)
        for i, output in zip(order, outputs, strict=True):
            entities[i] = to_entities(output)
        return entities

    return LoadedSystem(
        stream,
        lambda text: to_entities(ner(text)),
        encoder_dimensions(ner.model.config),
    )


def load_spacy(model: str, gpu: int) -> LoadedSystem:
    import spacy

    if gpu >= 0:
        from thinc.api import require_gpu, set_gpu_allocator

        set_gpu_allocator("pytorch")
        require_gpu(gpu)
    nlp = spacy.load(model)

    def to_entities(doc: Any) -> Entities:
        return [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]

    def stream(texts: list[str], batch_size: int | None = None) -> list[Entities]:
        return [to_entities(doc) for doc in nlp.pipe(texts, batch_size=batch_size)]

    networks = [
        shim._model
        for _, pipe in nlp.pipeline
        for node in (pipe.model.walk() if hasattr(pipe, "model") else ())
        for shim in node.shims
        if hasattr(getattr(shim, "_model", None), "config")
    ]
    encoder = encoder_dimensions(networks[0].config) if networks else None
    return LoadedSystem(stream, lambda text: to_entities(nlp(text)), encoder)


LOADERS = {"transformers": load_transformers, "spacy": load_spacy}


def encoder_dimensions(config: Any) -> dict[str, Any]:
    """Dimensions of an encoder from its config in transformers."""
    names = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")
    return {name: getattr(config, name, None) for name in names}


def time_calls(
    system: LoadedSystem,
    calls: list[list[str]],
    settings: dict[str, Any],
    entities: bool = False,
) -> dict[str, Any]:
    """Time calls of `stream`.

    calls (List[List[str]]): Texts of each call.
    settings (Dict[str, Any]): Settings of the system.
    entities (bool): Whether the reply has the entities of each text.
    RETURNS (Dict[str, Any]): Total `seconds`, and `entities` if asked for.
    """
    began = time.perf_counter()
    found = [system.stream(texts, **settings) for texts in calls]
    seconds = time.perf_counter() - began
    reply: dict[str, Any] = {"seconds": seconds}
    if entities:
        reply["entities"] = [text for call in found for text in call]
    return reply


def time_singles(system: LoadedSystem, texts: list[str]) -> dict[str, Any]:
    """Time each text separately: `seconds` has one value per text."""
    seconds = []
    for text in texts:
        began = time.perf_counter()
        system.single(text)
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds}


def peak_memory(system: LoadedSystem) -> dict[str, Any]:
    """Peak resident memory of this process so far, in `bytes`."""
    # On Linux, getrusage includes the peak of the parent process before exec.
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status", encoding="ascii") as file:
            [peak] = [line.split()[1] for line in file if line.startswith("VmHWM:")]
        return {"bytes": 1024 * int(peak)}
    import resource

    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"bytes": peak_rss if sys.platform == "darwin" else 1024 * peak_rss}


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "run": time_calls,
    "singles": time_singles,
    "memory": peak_memory,
}


def versions() -> dict[str, str]:
    """Versions of the installed packages among those of interest."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def pin_to_cores() -> None:
    """Pin this process to as many cores as OMP_NUM_THREADS, which not every library
    respects.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    if threads and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


def main(do: str, kind: str, model: str, gpu: str, text: str = "") -> None:
    pin_to_cores()
    # Redirect what libraries print to stderr, away from the replies.
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
