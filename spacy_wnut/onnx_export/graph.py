"""Build an ONNX graph node by node."""

from collections.abc import Mapping
from typing import Any

import numpy

# The domain of ONNX Runtime's own operators, which are no part of the ONNX standard.
MICROSOFT_DOMAIN = "com.microsoft"


class Graph:
    """The nodes and constants of an ONNX graph under construction. Tensors are referred
    to by their names.

    Example:
        >>> graph = Graph()
        >>> W = graph.constant(numpy.ones((384, 2), dtype="float32"))
        >>> graph.add("MatMul", "x", W, name="y")
        'y'
        >>> inputs = {"x": ("float32", ["n", 384])}
        >>> model = graph.model(inputs, {"y": ("float32", ["n", 2])})
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        # Tensors that become outputs of the model, for the calibration of int8 scales.
        self.observed: list[str] = []

    def constant(self, values: Any) -> str:
        """Add a constant.

        values (ArrayLike): An array of any shape, or a number.
        RETURNS (str): The name of the tensor.
        """
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        array = numpy.asarray(values, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output.

        op (str): The operator, for example "MatMul". The name of one of ONNX Runtime's
            own operators has its domain in front: "com.microsoft:Gelu".
        inputs (str): The names of its input tensors. "" omits an optional input.
        name (str): The name of its output tensor. If empty, a name is generated.
        attributes (Any): The attributes of the operator.
        RETURNS (str): The name of its output tensor.
        """
        from onnx import helper

        domain, _, kind = op.rpartition(":")
        output = name or f"{kind}_{len(self.nodes)}"
        node = helper.make_node(
            kind, list(inputs), [output], domain=domain, **attributes
        )
        self.nodes.append(node)
        return output

    def include(self, model: Any, output: str) -> str:
        """Add all nodes and constants of another model. Its inputs are connected to the
        tensors with the same names. All its other names must be new to this graph.

        model (ModelProto): The other model.
        output (str): The name of one of its output tensors.
        RETURNS (str): The same name.
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
        """Serialize the graph as an ONNX model.

        inputs (Mapping[str, Tuple[str, List]]): For each input, its dtype and shape. A
            string in the shape names a dimension of variable size.
        outputs (Mapping[str, Tuple[str, List]]): The same for each output.
        metadata (Optional[Mapping[str, str]]): Metadata properties of the model.
        opset (int): The version of the ONNX operator set.
        RETURNS (bytes): The content of an ONNX file.
        """
        from onnx import helper

        observed = {name: ("float32", None) for name in self.observed}
        graph = helper.make_graph(
            self.nodes,
            "spacy_wnut",
            _value_infos(inputs),
            _value_infos({**outputs, **observed}),
            self.constants,
        )
        model = helper.make_model(
            graph,
            producer_name="spacy-wnut",
            opset_imports=[
                helper.make_opsetid("", opset),
                helper.make_opsetid(MICROSOFT_DOMAIN, 1),
            ],
        )
        # The oldest IR version with this opset, so that older releases of ONNX Runtime
        # can read the model.
        model.ir_version = helper.find_min_ir_version_for(
            list(model.opset_import), ignore_unknown=True
        )
        helper.set_model_props(model, dict(metadata or {}))
        return bytes(model.SerializeToString())


def _value_infos(tensors: Mapping[str, tuple[str, Any]]) -> list[Any]:
    """Convert names, dtypes and shapes to ONNX's ValueInfoProto."""
    from onnx import helper

    return [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(numpy.dtype(dtype)), shape
        )
        for name, (dtype, shape) in tensors.items()
    ]
