"""Rates of matrix products with the libraries of an environment.

    python -I rates.py < task.json

The task has the `shapes` of the weights, the number of `rows` of the other factor, and
`graphs` for ONNX Runtime. limits.py runs this script in environments without the
project, so it must not import from it.
"""

import base64
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]
try:
    import onnxruntime  # type: ignore[import-untyped]
except ImportError:
    onnxruntime = None

THREADS = int(os.environ.get("OMP_NUM_THREADS", "0"))
# The best of several short spans counts, since a limit is an upper bound.
SPANS, SPAN_SECONDS = 4, 0.05

# From the number of rows and a shape to a function that computes the product.
Maker = Callable[[int, int, int], Callable[[], Any]]


def rate(product: Callable[[], Any], operations: int) -> float:
    """Measure the operations per second of a product."""
    product()
    best = 0.0
    for _ in range(SPANS):
        calls, began = 0, time.perf_counter()
        while (seconds := time.perf_counter() - began) < SPAN_SECONDS:
            product()
            calls += 1
        best = max(best, calls * operations / seconds)
    return best


def with_numpy(rows: int, ins: int, outs: int) -> Callable[[], Any]:
    random = numpy.random.default_rng(0)
    left = random.normal(size=(rows, ins)).astype("float32")
    right = random.normal(size=(ins, outs)).astype("float32")
    return lambda: left @ right


def with_torch(rows: int, ins: int, outs: int) -> Callable[[], Any]:
    left, right = torch.randn(rows, ins), torch.randn(outs, ins)
    return lambda: torch.nn.functional.linear(left, right)


def with_torch_int8(rows: int, ins: int, outs: int) -> Callable[[], Any]:
    # By oneDNN, in builds of torch that have it.
    left = torch.randint(-127, 127, (rows, ins), dtype=torch.int8)
    right = torch.randint(-127, 127, (ins, outs), dtype=torch.int8)
    return lambda: torch._int_mm(left, right)


def with_onnxruntime(graph: str, rows: int, ins: int) -> Callable[[], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        base64.b64decode(graph), options, providers=["CPUExecutionProvider"]
    )
    random = numpy.random.default_rng(0)
    if session.get_inputs()[0].type == "tensor(float)":
        left: Any = random.normal(size=(rows, ins)).astype("float32")
    else:
        left = random.integers(0, 255, size=(rows, ins), dtype="uint8")
    return lambda: session.run(None, {"in": left})


def measure_libraries(task: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Operations per second of each shape, by precision and library."""
    rows, shapes = task["rows"], task["shapes"]

    def over_shapes(make: Maker) -> list[float]:
        return [
            rate(make(rows, ins, outs), 2 * rows * ins * outs) for ins, outs in shapes
        ]

    found: dict[str, dict[str, list[float]]] = {
        "fp32": {"numpy": over_shapes(with_numpy)},
        "int8": {},
    }
    if torch is not None:
        found["fp32"]["torch"] = over_shapes(with_torch)
        try:
            found["int8"]["torch"] = over_shapes(with_torch_int8)
        # Not available on every processor and in every release.
        except (AttributeError, NotImplementedError, RuntimeError):
            pass
    if onnxruntime is not None:
        for precision, graphs in task["graphs"].items():
            found[precision]["onnxruntime"] = [
                rate(with_onnxruntime(graph, rows, ins), 2 * rows * ins * outs)
                for graph, (ins, outs) in zip(graphs, shapes, strict=True)
            ]
    return found


if __name__ == "__main__":
    if THREADS and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    json.dump(measure_libraries(json.load(sys.stdin)), sys.stdout)
