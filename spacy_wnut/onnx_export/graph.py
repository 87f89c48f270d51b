"""Writing an ONNX graph node by node."""

from collections.abc import Mapping
from typing import Any

import numpy

# What ONNX Runtime adds to ONNX's own operators.
MICROSOFT = "com.microsoft"


class Graph:
    """A graph that is being written. Values go by their names.

    Example:
        >>> graph = Graph()
        >>> graph.add("MatMul", "x", graph.constant(weights), name="y")
        >>> graph.model({"x": ("float32", ["n", 384])}, {"y": ("float32", ["n", 2])})
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.observed: list[str] = []

    def constant(self, values: Any) -> str:
        """Put an array in, or a number.

        RETURNS (str): Its name.
        """
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        array = numpy.asarray(values, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, name: str = "", **settings: Any) -> str:
        """Put an operator with one output in.

        op (str): The operator; one of ONNX Runtime's own as "com.microsoft:Gelu".
        inputs (str): The names of its inputs; "" leaves one out.
        name (str): The name of its output, if it isn't to be made up.
        settings (Any): Its attributes.
        RETURNS (str): The name of its output.
        """
        from onnx import helper

        domain, _, kind = op.rpartition(":")
        output = name or f"{kind}_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [output], domain=domain, **settings)
        self.nodes.append(node)
        return output

    def include(self, model: Any, output: str) -> str:
        """Put the graph of another model in, whose names have to be its own.

        model (ModelProto): The model, with inputs of the same names.
        RETURNS (str): The name of its output.
        """
        self.nodes.extend(model.graph.node)
        self.constants.extend(model.graph.initializer)
        return output

    def model(
        self,
        inputs: Mapping[str, tuple[str, list[Any]]],
        outputs: Mapping[str, tuple[str, list[Any]]],
        metadata: Mapping[str, str] | None = None,
        opset: int = 23,
    ) -> bytes:
        """The finished model.

        inputs, outputs (Mapping[str, Tuple[str, List]]): Types and shapes; a name in
            the place of a size says that it may be any.
        metadata (Optional[Mapping[str, str]]): What to write into the file beside.
        opset (int): The version of ONNX's operators.
        """
        from onnx import helper

        watched = {name: ("float32", None) for name in self.observed}
        graph = helper.make_graph(
            self.nodes,
            "spacy_wnut",
            _declare(inputs),
            _declare({**outputs, **watched}),
            self.constants,
        )
        model = helper.make_model(
            graph,
            producer_name="spacy-wnut",
            opset_imports=[
                helper.make_opsetid("", opset),
                helper.make_opsetid(MICROSOFT, 1),
            ],
        )
        # The oldest that has this opset: older releases of ONNX Runtime read it.
        model.ir_version = helper.find_min_ir_version_for(
            list(model.opset_import), ignore_unknown=True
        )
        helper.set_model_props(model, dict(metadata or {}))
        return bytes(model.SerializeToString())


def _declare(values: Mapping[str, tuple[str, Any]]) -> list[Any]:
    from onnx import helper

    return [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(numpy.dtype(kind)), shape
        )
        for name, (kind, shape) in values.items()
    ]
