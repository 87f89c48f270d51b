"""Operations that texts require, and the rate of the machine's matrix products.

Operations are those that no implementation can avoid: a multiplication and an addition
for each weight of a linear layer and each word piece, and the two products of attention
within a post. Padding, normalization, and activations are not counted.

The limit is the rate of matrix products with the encoder's shapes, each by the fastest
library, with as many threads as the systems have.
"""

import base64
import json
import statistics
import struct
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spacy_wnut.errors import WnutError

from .systems import clean_environ, script_command

RATES = Path(__file__).parent / "rates.py"
# Rows of a product: word pieces in a batch of our pipelines.
ROWS = 512

# Input and output width of a linear layer.
Shape = tuple[int, int]


class EncoderShapes(NamedTuple):
    """Shapes of a checkpoint's layers.

    linear (Counter[Shape]): Number of linear layers of each shape, including the head.
    width (int): Hidden width of attention.
    layers (int): Number of attention layers.
    """

    linear: Counter[Shape]
    width: int
    layers: int


def read_encoder_shapes(checkpoint: Path) -> EncoderShapes:
    """Read the shapes of a checkpoint for token classification without loading it.

    Raises WnutError if model.safetensors can't be read.
    """
    from transformers import AutoConfig

    path = checkpoint / "model.safetensors"
    try:
        with path.open("rb") as file:
            [length] = struct.unpack("<Q", file.read(8))
            tensors = json.loads(file.read(length))
    except (OSError, struct.error, ValueError) as err:
        raise WnutError(
            f"{path} can't be read ({err}): give a checkpoint that `spacy-wnut to-hf` "
            "wrote"
        ) from err
    config = AutoConfig.from_pretrained(checkpoint)
    return EncoderShapes(
        linear_shapes(tensors), config.hidden_size, config.num_hidden_layers
    )


def linear_shapes(tensors: Mapping[str, Mapping[str, Any]]) -> Counter[Shape]:
    """Count the linear layers by shape: all matrices except embedding tables.

    tensors (Mapping[str, Mapping[str, Any]]): Header of a safetensors file.
    """
    return Counter(
        (tensor["shape"][1], tensor["shape"][0])
        for name, tensor in tensors.items()
        if len(tensor.get("shape", ())) == 2 and "embedding" not in name
    )


def count_operations(encoder: EncoderShapes, lengths: Iterable[int]) -> int:
    """Count the operations that an encoder requires for posts.

    encoder (EncoderShapes): The encoder.
    lengths (Iterable[int]): Word pieces of each post, including special tokens.
    """
    weights = sum(ins * outs * n for (ins, outs), n in encoder.linear.items())
    # Per pair of pieces: a product for the scores and one for the weighted sum.
    attention = 2 * encoder.width * encoder.layers
    return sum(2 * weights * n + 2 * attention * n * n for n in lengths)


def stack_shapes(encoder: EncoderShapes) -> Counter[Shape]:
    """Linear layers that occur in each layer of the encoder, so not the head."""
    return Counter(
        {shape: n for shape, n in encoder.linear.items() if n >= encoder.layers}
    )


def combined_rate(
    linear: Counter[Shape], rates: Iterable[Mapping[Shape, float]]
) -> float:
    """Rate of all linear layers together, each with the fastest library for its shape.

    linear (Counter[Shape]): Number of layers of each shape.
    rates (Iterable[Mapping[Shape, float]]): Operations per second by shape, one mapping
        per library.
    RETURNS (float): Operations per second; 0.0 if a shape has no rate.
    """
    best = {
        shape: max((rate[shape] for rate in rates if shape in rate), default=0.0)
        for shape in linear
    }
    if not best or not all(best.values()):
        return 0.0
    operations = {shape: 2 * shape[0] * shape[1] * n for shape, n in linear.items()}
    seconds = sum(n / best[shape] for shape, n in operations.items())
    return sum(operations.values()) / seconds


def measure_rates(
    linear: Counter[Shape], pythons: Iterable[str], threads: int
) -> dict[str, dict[str, dict[Shape, float]]]:
    """Measure the rates of the libraries in several environments.

    linear (Counter[Shape]): Shapes to measure.
    pythons (Iterable[str]): Interpreters of the environments.
    threads (int): Threads per library.
    RETURNS (Dict[str, Dict[str, Dict[Shape, float]]]): Operations per second by
        precision, library with the index of its environment, and shape.

    Raises WnutError if a process fails.
    """
    shapes = list(linear)
    task = {"rows": ROWS, "shapes": shapes, "graphs": _graphs(shapes)}
    found: dict[str, dict[str, dict[Shape, float]]] = {"fp32": {}, "int8": {}}
    for i, python in enumerate(pythons):
        done = subprocess.run(
            script_command(python, RATES),
            input=json.dumps(task),
            capture_output=True,
            encoding="utf8",
            env=clean_environ(threads),
        )
        if done.returncode != 0:
            raise WnutError(f"{RATES.name} failed in {python}: {done.stderr.strip()}")
        for precision, libraries in json.loads(done.stdout).items():
            for library, rates in libraries.items():
                # A library can be in several environments.
                found[precision][f"{library} {i}"] = dict(
                    zip(shapes, rates, strict=True)
                )
    return found


def median_limits(
    encoder: EncoderShapes,
    rounds: Sequence[Mapping[str, Mapping[str, Mapping[Shape, float]]]],
) -> dict[str, dict[str, Any]]:
    """Median of the limits over several rounds of `measure_rates`.

    RETURNS (Dict[str, Dict[str, Any]]): By precision, the combined `rate` in operations
        per second, the rates of the single `libraries`, and the fastest `library`.
    """
    linear = stack_shapes(encoder)
    limits: dict[str, dict[str, Any]] = {}
    for precision in ("fp32", "int8"):
        found = [rates[precision] for rates in rounds]
        rate = statistics.median(combined_rate(linear, r.values()) for r in found)
        if rate:
            libraries: dict[str, float] = {}
            for name in found[0]:
                alone = statistics.median(
                    combined_rate(linear, [r[name]]) for r in found
                )
                library = name.split(" ")[0]
                libraries[library] = max(alone, libraries.get(library, 0.0))
            limits[precision] = {
                "rate": rate,
                "library": max(libraries, key=lambda library: libraries[library]),
                "libraries": libraries,
            }
    return limits


def _graphs(shapes: Iterable[Shape]) -> dict[str, list[str]]:
    """ONNX graphs of one product per shape, in base64, by precision; empty if the
    package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        return {}
    del onnx
    return {
        precision: [
            base64.b64encode(_graph(shape, precision)).decode() for shape in shapes
        ]
        for precision in ("fp32", "int8")
    }


def _graph(shape: Shape, precision: str) -> bytes:
    import numpy
    from onnx import TensorProto, helper, numpy_helper

    random = numpy.random.default_rng(0)
    if precision == "fp32":
        weights = random.normal(size=shape).astype("float32")
        node, ins, outs = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT
    else:
        weights = random.integers(-127, 127, size=shape, dtype="int8")
        node, ins, outs = "MatMulInteger", TensorProto.UINT8, TensorProto.INT32
    graph = helper.make_graph(
        [helper.make_node(node, ["in", "weights"], ["out"])],
        "product",
        [helper.make_tensor_value_info("in", ins, [ROWS, shape[0]])],
        [helper.make_tensor_value_info("out", outs, [ROWS, shape[1]])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    content: bytes = model.SerializeToString()
    return content
