"""The encoder and the head of a pipeline as one ONNX graph."""

import io
import json
import warnings
from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy

from ..errors import WnutError
from ..models.onnx_session import FORMAT, METADATA_KEY
from .graph import Graph
from .weights import Dense, EncoderWeights, Floats, HeadWeights, Norm

# The newest that torch's exporter of traces writes.
TRACED_OPSET = 17


class Writer(Protocol):
    """How what has many weights is put into a graph."""

    def dense(self, graph: Graph, x: str, layer: Dense, name: str) -> str:
        """A linear layer on the rows of x."""

    def parts(self, graph: Graph, x: str, layer: Dense, name: str, n: int) -> list[str]:
        """What it puts out in n parts side by side, which costs less than to split it."""

    def rows(self, graph: Graph, table: Floats, ids: str) -> str:
        """The rows of a table."""


class FullPrecision:
    """Weights as they are."""

    def dense(self, graph: Graph, x: str, layer: Dense, name: str) -> str:
        return self.parts(graph, x, layer, name, 1)[0]

    def parts(self, graph: Graph, x: str, layer: Dense, name: str, n: int) -> list[str]:
        found = []
        for W, b in zip(*(numpy.split(a, n, axis=-1) for a in layer), strict=True):
            added = [graph.constant(b)] if b.any() else []
            found.append(graph.add("Gemm", x, graph.constant(W), *added))
        return found

    def rows(self, graph: Graph, table: Floats, ids: str) -> str:
        return graph.add("Gather", graph.constant(table), ids)


def build_model(
    encoder: EncoderWeights | Any,
    head: HeadWeights,
    tags: Sequence[str],
    writer: Writer,
) -> bytes:
    """The model that `spacy-wnut.OnnxTagger.v1` runs.

    Its inputs are piece numbers of texts of the same length, special tokens around,
    without padding (`input_ids`), and which of these vectors, counted through, are
    wanted (`rows`). With shapes, `shapes` has the rows of their table for each word.
    With mean pooling, `words` says to which word each of the rows belongs, `counts`
    how many pieces each word has, and `carried` the sum over those that were in other
    batches; `sums` is with them.

    encoder (Union[EncoderWeights, PreTrainedModel]): The encoder. One of transformers
        is traced by torch's exporter.
    head (HeadWeights): The head.
    tags (Sequence[str]): The tags, in the order of the emissions.
    writer (Writer): How the weights are put in.
    """
    graph = Graph()
    opset = 23
    if isinstance(encoder, EncoderWeights):
        vectors = _write_encoder(graph, encoder, writer)
        width = encoder.layers[-1].norm.beta.shape[0]
    else:
        opset = TRACED_OPSET
        vectors = _trace_encoder(graph, encoder)
        width = encoder.config.hidden_size
    inputs: dict[str, tuple[str, list[Any]]] = {
        "input_ids": ("int64", ["texts", "pieces"]),
        "rows": ("int64", ["rows"]),
    }
    outputs: dict[str, tuple[str, list[Any]]] = {
        "emissions": ("float32", ["n_words", len(tags)])
    }
    if head.is_mean:
        inputs["words"] = ("int64", ["rows", 1])
        inputs["counts"] = ("float32", ["n_words", 1])
        inputs["carried"] = ("float32", ["n_words", width])
        outputs["sums"] = ("float32", ["n_words", width])
        sums = graph.add(
            "ScatterND", "carried", "words", vectors, reduction="add", name="sums"
        )
        vectors = graph.add("Div", sums, "counts")
    if head.shapes is not None:
        inputs["shapes"] = ("int64", ["n_words", "features"])
        found = graph.add("Gather", graph.constant(head.shapes), "shapes")
        axis = graph.constant(numpy.asarray([1]))
        total = graph.add("ReduceSum", found, axis, keepdims=0)
        vectors = graph.add("Concat", vectors, total, axis=1)
    if head.hidden is not None:
        hidden = writer.dense(graph, vectors, head.hidden, "head.hidden")
        vectors = graph.add("com.microsoft:Gelu", hidden)
    weights, added = graph.constant(head.output.W), graph.constant(head.output.b)
    graph.add("Gemm", vectors, weights, added, name="emissions")
    about = {"format": FORMAT, "tags": list(tags)}
    return graph.model(inputs, outputs, {METADATA_KEY: json.dumps(about)}, opset)


def _write_encoder(graph: Graph, weights: EncoderWeights, writer: Writer) -> str:
    """The vectors of the wanted rows, in the operators that ONNX Runtime is fastest
    with. That is not SkipLayerNormalization: on a CPU it takes several times as long
    as Add and LayerNormalization.
    """
    flat = graph.constant(numpy.asarray([-1, weights.norm.beta.shape[0]]))
    width = graph.constant(numpy.asarray([-1, weights.layers[0].norm.beta.shape[0]]))
    zero = graph.constant(numpy.asarray([0]))
    length = graph.add("Shape", "input_ids", start=1, end=2)
    texts = graph.add(
        "Concat",
        graph.add("Shape", "input_ids"),
        graph.constant(numpy.asarray([-1])),
        axis=0,
    )

    def norm(x: str, layer: Norm) -> str:
        gamma, beta = graph.constant(layer.gamma), graph.constant(layer.beta)
        return graph.add("LayerNormalization", x, gamma, beta, epsilon=weights.epsilon)

    def add_around(x: str, around: str, before: Norm) -> str:
        if before.around is not None:
            around = graph.add("Mul", around, graph.constant(before.around))
        return graph.add("Add", x, around)

    words = writer.rows(graph, weights.words, "input_ids")
    table = graph.constant(weights.positions)
    positions = graph.add("Slice", table, zero, length, zero)
    x = graph.add("Reshape", graph.add("Add", words, positions), flat)
    x = norm(x, weights.norm)
    if weights.projection is not None:
        x = writer.dense(graph, x, weights.projection, "projection")
    before = weights.norm
    for i, layer in enumerate(weights.layers):
        qkv = writer.parts(graph, x, layer.qkv, f"{i}.qkv", 3)
        attended = graph.add(
            "Attention",
            *(graph.add("Reshape", part, texts) for part in qkv),
            q_num_heads=weights.n_heads,
            kv_num_heads=weights.n_heads,
        )
        attended = graph.add("Reshape", attended, width)
        if i == len(weights.layers) - 1:
            # From here on pieces don't see each other any more.
            attended = graph.add("Gather", attended, "rows")
            x = graph.add("Gather", x, "rows")
        out = writer.dense(graph, attended, layer.out, f"{i}.out")
        x = norm(add_around(out, x, before), layer.attention_norm)
        up = writer.dense(graph, x, layer.up, f"{i}.up")
        up = graph.add("com.microsoft:Gelu", up)
        down = writer.dense(graph, up, layer.down, f"{i}.down")
        x = norm(add_around(down, x, layer.attention_norm), layer.norm)
        before = layer.norm
    return x


def _trace_encoder(graph: Graph, encoder: Any) -> str:
    """The vectors of the wanted rows, as torch's exporter writes the encoder."""
    import onnx
    import torch

    from ..models.checkpoints import accepts

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any) -> Any:
            settings = {}
            for name, fill in (
                ("attention_mask", torch.ones_like),
                ("token_type_ids", torch.zeros_like),
            ):
                if accepts(encoder, name):
                    settings[name] = fill(input_ids)
            return encoder(input_ids=input_ids, **settings).last_hidden_state

    # Any: its types don't know of files that aren't on a disk.
    written: Any = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Traced().eval(),
                (torch.full((2, 9), encoder.config.pad_token_id or 0) + 1,),
                cast(Any, written),
                input_names=["input_ids"],
                output_names=["hidden"],
                dynamic_axes={"input_ids": {0: "texts", 1: "pieces"}},
                opset_version=TRACED_OPSET,
                dynamo=False,
            )
    # Whatever an architecture does that can't be traced.
    except Exception as err:
        raise WnutError(
            f"torch can't write {type(encoder).__name__} as ONNX: {err}"
        ) from err
    hidden = graph.include(onnx.load_from_string(written.getvalue()), "hidden")
    width = graph.constant(numpy.asarray([-1, encoder.config.hidden_size]))
    return graph.add("Gather", graph.add("Reshape", hidden, width), "rows")
