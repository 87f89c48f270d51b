"""Time of one engine on prepared batches, in an environment with the engines.

    python -I engine_worker.py ENGINE MODEL BATCHES

MODEL is an exported pipeline for the engines that run its graph, and a checkpoint for
the others. BATCHES is an npz file: the array `3.input_ids` is an input of the fourth
batch. Prints the seconds of one pass as JSON. engines.py runs this script in an
environment without the project's sources, so it must not import from it.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))

# The inputs of a batch by name.
Batch = dict[str, Any]
# Runs one batch.
Runner = Callable[[Batch], Any]


def load_pipeline(model: str) -> Runner:
    run: Runner = onnx_shim(model).run
    return run


def load_openvino(model: str) -> Runner:
    import openvino  # type: ignore[import-not-found]

    settings = {
        "INFERENCE_NUM_THREADS": THREADS,
        # The default is bf16 on some processors.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    graph = core.read_model(model=onnx_shim(model).graph, weights=b"")
    request = core.compile_model(graph, "CPU", settings).create_infer_request()
    return lambda batch: request.infer(batch)[0]


def load_ctranslate2(model: str, compute_type: str) -> Runner:
    import ctranslate2  # type: ignore[import-not-found]
    from ctranslate2.converters import (  # type: ignore[import-not-found]
        TransformersConverter,
    )

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_model(
            self, model_class: Any, path: str, dtype: Any = None, **settings: Any
        ) -> Any:
            # transformers before 4.56 doesn't know `dtype`.
            return model_class.from_pretrained(path, **settings)

    with tempfile.TemporaryDirectory() as folder:
        Converter(model).convert(folder, force=True)
        encoder = ctranslate2.Encoder(
            folder, device="cpu", compute_type=compute_type, intra_threads=THREADS
        )

    def run(batch: Batch) -> Any:
        output = encoder.forward_batch(batch["input_ids"].tolist())
        return numpy.asarray(output.last_hidden_state)

    return run


def load_torch(model: str, attention: str) -> Runner:
    import torch
    from transformers import AutoModel

    torch.set_num_threads(THREADS)
    encoder = AutoModel.from_pretrained(model, attn_implementation=attention).eval()
    names = ("input_ids", "attention_mask")

    def run(batch: Batch) -> Any:
        inputs = {
            name: torch.from_numpy(batch[name]) for name in names if name in batch
        }
        with torch.inference_mode():
            return encoder(**inputs).last_hidden_state.numpy()

    return run


LOADERS: dict[str, Callable[[str], Runner]] = {
    "onnx-int8": load_pipeline,
    "onnx-fp32": load_pipeline,
    "openvino-fp32": load_openvino,
    "ctranslate2-int8": lambda model: load_ctranslate2(model, "int8"),
    "ctranslate2-fp32": lambda model: load_ctranslate2(model, "float32"),
    "torch": lambda model: load_torch(model, "sdpa"),
    "transformers": lambda model: load_torch(model, "eager"),
}
PACKAGES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "ctranslate2": "ctranslate2",
    "torch": "torch",
    "transformers": "transformers",
}


def onnx_shim(model: str) -> Any:
    """The shim of an exported pipeline that has the graph."""
    import spacy

    pipes: list[Any] = [pipe for _, pipe in spacy.load(model).pipeline]
    [shim] = [
        shim
        for pipe in pipes
        for node in (pipe.model.walk() if hasattr(pipe, "model") else ())
        for shim in node.shims
        if hasattr(shim, "graph")
    ]
    return shim


def read_batches(path: Path) -> list[Batch]:
    """Read the batches in their order."""
    batches: list[Batch] = []
    with numpy.load(path) as arrays:
        for key in sorted(arrays, key=lambda key: int(key.partition(".")[0])):
            number, _, name = key.partition(".")
            if int(number) == len(batches):
                batches.append({})
            batches[-1][name] = arrays[key]
    return batches


def main(engine: str, model: str, path: str) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    batches = read_batches(Path(path))
    run = LOADERS[engine](model)
    # Engines prepare each new shape of inputs.
    for batch in batches:
        output = run(batch)
    began = time.perf_counter()
    for batch in batches:
        output = run(batch)
    seconds = time.perf_counter() - began
    package = PACKAGES[engine.partition("-")[0]]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "version": f"{package} {version(package)}",
                # Of the last batch, to compare engines with each other.
                "output": numpy.asarray(output, dtype="float64").ravel()[:32].tolist(),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
