"""How much arithmetic a text needs, and how fast the machine does such arithmetic.

Counted is what no implementation can leave out: a multiplication and an addition for
each weight of a linear layer and each piece, and the two products of attention, of a
post with itself. Padding, normalisation and activations are not counted.

The limit is the rate of matrix products of the encoder's shapes, by the fastest of the
libraries on each shape, with as many threads as the systems have.
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

from .systems import clean_environ

RATES = Path(__file__).parent / "rates.py"
# The rows of a product: a batch of our pipelines.
ROWS = 512

# Columns in and out of a linear layer.
Shape = tuple[int, int]


class Encoder(NamedTuple):
    """How many linear layers of each shape a checkpoint has (`linear`, the head
    among them), and the `width` and number of `layers` of its attention.
    """

    linear: Counter[Shape]
    width: int
    layers: int


def read_encoder(checkpoint: Path) -> Encoder:
    """What a checkpoint for token classification consists of, without loading it.

    Raises WnutError if it holds no model.safetensors.
    """
    from transformers import AutoConfig

    path = checkpoint / "model.safetensors"
    try:
        with path.open("rb") as file:
            [length] = struct.unpack("<Q", file.read(8))
            tensors = json.loads(file.read(length))
    except (OSError, struct.error, ValueError) as err:
        raise WnutError(
            f"{path} can't be read ({err}): give a checkpoint as `spacy-wnut to-hf` "
            "writes it"
        ) from err
    config = AutoConfig.from_pretrained(checkpoint)
    return Encoder(linear_shapes(tensors), config.hidden_size, config.num_hidden_layers)


def linear_shapes(tensors: Mapping[str, Mapping[str, Any]]) -> Counter[Shape]:
    """The shapes of the linear layers among tensors, by the header of a safetensors
    file: all matrices but those that are looked up in.
    """
    return Counter(
        (tensor["shape"][1], tensor["shape"][0])
        for name, tensor in tensors.items()
        if len(tensor.get("shape", ())) == 2 and "embedding" not in name
    )


def count_operations(encoder: Encoder, lengths: Iterable[int]) -> int:
    """The operations that posts need.

    encoder (Encoder): What is run on them.
    lengths (Iterable[int]): How many pieces each has, special tokens with them.
    """
    weights = sum(ins * outs * n for (ins, outs), n in encoder.linear.items())
    # Of each piece with each of the post: one product for the scores, one for the sums.
    attention = 2 * encoder.width * encoder.layers
    return sum(2 * weights * n + 2 * attention * n * n for n in lengths)


def in_the_stack(encoder: Encoder) -> Counter[Shape]:
    """The linear layers that each layer of the encoder has: not the head."""
    return Counter(
        {shape: n for shape, n in encoder.linear.items() if n >= encoder.layers}
    )


def limit_of(linear: Counter[Shape], rates: Iterable[Mapping[Shape, float]]) -> float:
    """The rate of all linear layers together, each by its fastest library.

    linear (Counter[Shape]): How many layers there are of each shape.
    rates (Iterable[Dict[Shape, float]]): The operations a second of each library.
    RETURNS (float): Operations a second, 0.0 if no library has a rate of each shape.
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
    """The rates of the libraries in some environments.

    linear (Counter[Shape]): The shapes to measure.
    pythons (Iterable[str]): The environments' interpreters.
    threads (int): How many threads each library gets.
    RETURNS (Dict[str, Dict[str, Dict[Shape, float]]]): By precision and library, the
        operations a second of each shape.
    """
    shapes = list(linear)
    task = {"rows": ROWS, "shapes": shapes, "graphs": _graphs(shapes)}
    found: dict[str, dict[str, dict[Shape, float]]] = {"fp32": {}, "int8": {}}
    for i, python in enumerate(pythons):
        done = subprocess.run(
            [python, str(RATES)],
            input=json.dumps(task),
            capture_output=True,
            encoding="utf8",
            env=clean_environ(threads),
        )
        if done.returncode != 0:
            raise WnutError(f"{RATES.name} failed in {python}: {done.stderr.strip()}")
        for precision, libraries in json.loads(done.stdout).items():
            for library, rates in libraries.items():
                # The same library may be in several environments.
                found[precision][f"{library} {i}"] = dict(
                    zip(shapes, rates, strict=True)
                )
    return found


def median_limits(
    encoder: Encoder,
    rounds: Sequence[Mapping[str, Mapping[str, Mapping[Shape, float]]]],
) -> dict[str, dict[str, Any]]:
    """The limits over several rounds of `measure_rates`.

    RETURNS (Dict[str, Dict[str, Any]]): By precision, the operations a second
        (`rate`), those of each library by itself (`libraries`), and which of them is
        the fastest (`library`).
    """
    linear = in_the_stack(encoder)
    limits: dict[str, dict[str, Any]] = {}
    for precision in ("fp32", "int8"):
        found = [rates[precision] for rates in rounds]
        rate = statistics.median(limit_of(linear, r.values()) for r in found)
        if rate:
            libraries: dict[str, float] = {}
            for name in found[0]:
                alone = statistics.median(limit_of(linear, [r[name]]) for r in found)
                library = name.split(" ")[0]
                libraries[library] = max(alone, libraries.get(library, 0.0))
            limits[precision] = {
                "rate": rate,
                "library": max(libraries, key=lambda library: libraries[library]),
                "libraries": libraries,
            }
    return limits


def _graphs(shapes: Iterable[Shape]) -> dict[str, list[str]]:
    """A graph of one product a shape in fp32 and in int8, for ONNX Runtime, in base64;
    none where the package onnx isn't there to write them.
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
