"""Write the encoder and the head of a pipeline as one ONNX model."""

import io
import json
import warnings
from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy

from ..errors import WnutError
from ..models.onnx_session import FORMAT, METADATA_KEY
from ..models.sum_labels import FLOOR
from .graph import Graph
from .weights import Dense, EncoderWeights, Float32Array, HeadWeights, Norm

# The newest opset that torch's tracing exporter writes.
TRACED_OPSET = 17


class LayerWriter(Protocol):
    """Writes the large layers into a graph, in fp32 or in int8."""

    def dense(self, graph: Graph, x: str, layer: Dense, name: str) -> str:
        """Write a linear layer.

        graph (Graph): The graph.
        x (str): The input tensor. Shape (n, n_inputs).
        layer (Dense): The weights.
        name (str): The name of the layer, for example "0.qkv".
        RETURNS (str): The output tensor. Shape (n, n_outputs).
        """

    def split_dense(
        self, graph: Graph, x: str, layer: Dense, name: str, n: int
    ) -> list[str]:
        """Write a linear layer as `n` layers with a share of the outputs each, which is
        faster than a `Split` of one output.

        RETURNS (List[str]): `n` output tensors. Shape (n_rows, n_outputs / n).
        """

    def embed(self, graph: Graph, table: Float32Array, ids: str) -> str:
        """Write an embedding layer.

        table (Floats2d): The embeddings. Shape (n_ids, width).
        ids (str): A tensor of row indices, of any shape.
        RETURNS (str): The embeddings of the ids. Shape (*ids, width).
        """


class Float32Writer:
    """Writes layers in fp32."""

    def dense(self, graph: Graph, x: str, layer: Dense, name: str) -> str:
        return self.split_dense(graph, x, layer, name, 1)[0]

    def split_dense(
        self, graph: Graph, x: str, layer: Dense, name: str, n: int
    ) -> list[str]:
        outputs = []
        for W, b in zip(*(numpy.split(a, n, axis=-1) for a in layer), strict=True):
            # Most biases are zero, see `_fold_biases`.
            bias = [graph.constant(b)] if b.any() else []
            outputs.append(graph.add("Gemm", x, graph.constant(W), *bias))
        return outputs

    def embed(self, graph: Graph, table: Float32Array, ids: str) -> str:
        return graph.add("Gather", graph.constant(table), ids)


def build_model(
    encoder: EncoderWeights | Any,
    head: HeadWeights,
    tags: Sequence[str],
    writer: LayerWriter,
) -> bytes:
    """Build the model that `spacy-wnut.OnnxTagger.v1` runs.

    A batch holds `texts` windows of `pieces` word pieces each, special tokens included,
    without padding. `rows` is the number of pieces whose vectors are used, and `n_words`
    the number of words they belong to. Without mean pooling, both are equal. Inputs:

    | name | dtype, shape | contents |
    | --- | --- | --- |
    | input_ids | int64 (texts, pieces) | word-piece ids |
    | rows | int64 (rows,) | the used rows of the vectors, (texts * pieces, width) |
    | shapes | int64 (n_words, features) | word shapes, if the head uses them |
    | words | int64 (rows, 1) | mean pooling: the word of each row |
    | counts | float32 (n_words, 1) | mean pooling: the number of pieces per word |
    | carried | float32 (n_words, width) | mean pooling: sums from previous batches |

    Outputs are `emissions`, float32 (n_words, n_tags), and for mean pooling `sums`,
    float32 (n_words, width): the sums over a word's pieces so far, `carried` included.

    encoder (Union[EncoderWeights, PreTrainedModel]): The encoder. A model of
        transformers is traced by torch's exporter.
    head (HeadWeights): The head.
    tags (Sequence[str]): The tags, in the order of the emissions' columns.
    writer (LayerWriter): Writes the weights. Unused for a traced encoder.
    RETURNS (bytes): The content of an ONNX file.

    Raises WnutError if torch cannot trace the encoder.
    """
    # Shapes in comments: r used rows, w words, vectors of width d, k shape features per
    # word with embeddings of width s, and a hidden layer of width h.
    graph = Graph()
    opset = 23
    if isinstance(encoder, EncoderWeights):
        x = _write_encoder(graph, encoder, writer)  # (r, d)
        width = encoder.layers[-1].norm.beta.shape[0]
    else:
        opset = TRACED_OPSET
        x = _trace_encoder(graph, encoder)  # (r, d)
        width = encoder.config.hidden_size
    inputs: dict[str, tuple[str, list[Any]]] = {
        "input_ids": ("int64", ["texts", "pieces"]),
        "rows": ("int64", ["rows"]),
    }
    outputs: dict[str, tuple[str, list[Any]]] = {
        "emissions": ("float32", ["n_words", len(tags)])
    }
    if head.has_mean_pooling:
        inputs["words"] = ("int64", ["rows", 1])
        inputs["counts"] = ("float32", ["n_words", 1])
        inputs["carried"] = ("float32", ["n_words", width])
        outputs["sums"] = ("float32", ["n_words", width])
        sums = graph.add(
            "ScatterND", "carried", "words", x, reduction="add", name="sums"
        )  # (w, d)
        x = graph.add("Div", sums, "counts")  # (w, d)
    if head.shape_embeddings is not None:
        inputs["shapes"] = ("int64", ["n_words", "features"])
        table = graph.constant(head.shape_embeddings)  # (n_values, s)
        embedded = graph.add("Gather", table, "shapes")  # (w, k, s)
        axis = graph.constant(numpy.asarray([1]))
        summed = graph.add("ReduceSum", embedded, axis, keepdims=0)  # (w, s)
        x = graph.add("Concat", x, summed, axis=1)  # (w, d + s)
    if head.hidden is not None:
        hidden = writer.dense(graph, x, head.hidden, "head.hidden")  # (w, h)
        x = graph.add("com.microsoft:Gelu", hidden)  # (w, h)
    W, b = graph.constant(head.output.W), graph.constant(head.output.b)
    if head.labels is None:
        graph.add("Gemm", x, W, b, name="emissions")  # (w, n_tags)
    else:
        # As `sum_labels`.
        p = graph.add("Softmax", graph.add("Gemm", x, W, b), axis=1)  # (w, n_labels)
        sums = graph.add("MatMul", p, graph.constant(head.labels))  # (w, n_tags)
        floor = graph.constant(numpy.asarray(FLOOR, dtype="f"))
        graph.add("Log", graph.add("Max", sums, floor), name="emissions")
    metadata = {METADATA_KEY: json.dumps({"format": FORMAT, "tags": list(tags)})}
    return graph.model(inputs, outputs, metadata, opset)


def _write_encoder(graph: Graph, weights: EncoderWeights, writer: LayerWriter) -> str:
    """Write an encoder in the operators that are fastest in ONNX Runtime on a CPU.

    SkipLayerNormalization, the fused form of Add and LayerNormalization, takes several
    times as long as both together.

    Shapes are given for t texts of p pieces, r used rows, embeddings of width e, hidden
    vectors of width d and feed-forward networks of width f.

    RETURNS (str): The vectors of the pieces in `rows`. Shape (r, d).
    """
    e = weights.embedding_norm.beta.shape[0]
    d = weights.layers[0].norm.beta.shape[0]
    flat_embeddings = graph.constant(numpy.asarray([-1, e]))
    flat_hidden = graph.constant(numpy.asarray([-1, d]))
    zero = graph.constant(numpy.asarray([0]))
    n_pieces = graph.add("Shape", "input_ids", start=1, end=2)  # (1,)
    batched = graph.add(
        "Concat",
        graph.add("Shape", "input_ids"),
        graph.constant(numpy.asarray([-1])),
        axis=0,
    )  # the shape (t, p, -1)

    def norm(x: str, layer: Norm) -> str:
        gamma, beta = graph.constant(layer.gamma), graph.constant(layer.beta)
        return graph.add("LayerNormalization", x, gamma, beta, epsilon=weights.epsilon)

    def residual(fx: str, x: str, start: Norm) -> str:
        """f(x) + x, for a branch `x` that starts at the norm `start`."""
        if start.residual_scale is not None:
            x = graph.add("Mul", x, graph.constant(start.residual_scale))
        return graph.add("Add", fx, x)

    words = writer.embed(graph, weights.word_embeddings, "input_ids")  # (t, p, e)
    table = graph.constant(weights.position_embeddings)  # (n_positions, e)
    positions = graph.add("Slice", table, zero, n_pieces, zero)  # (p, e)
    x = graph.add("Add", words, positions)  # (t, p, e)
    x = graph.add("Reshape", x, flat_embeddings)  # (t * p, e)
    x = norm(x, weights.embedding_norm)  # (t * p, e)
    if weights.projection is not None:
        x = writer.dense(graph, x, weights.projection, "projection")  # (t * p, d)
    bias = []
    if weights.attention_bias is not None:
        bias = [_write_attention_bias(graph, weights.attention_bias, n_pieces)]
    # The norm at which the residual branch `x` starts.
    start = weights.embedding_norm
    for i, layer in enumerate(weights.layers):
        qkv = writer.split_dense(graph, x, layer.qkv, f"{i}.qkv", 3)  # 3 x (t * p, d)
        attended = graph.add(
            "Attention",
            *(graph.add("Reshape", part, batched) for part in qkv),
            *bias,
            q_num_heads=weights.n_heads,
            kv_num_heads=weights.n_heads,
        )  # (t, p, d)
        attended = graph.add("Reshape", attended, flat_hidden)  # (t * p, d)
        if i == len(weights.layers) - 1:
            # Attention is the last operator that mixes pieces, so the rest of the
            # last layer runs on the used pieces only.
            attended = graph.add("Gather", attended, "rows")  # (r, d)
            x = graph.add("Gather", x, "rows")  # (r, d)
        # n is t * p, and r in the last layer.
        out = writer.dense(graph, attended, layer.out, f"{i}.out")  # (n, d)
        x = norm(residual(out, x, start), layer.attention_norm)  # (n, d)
        up = writer.dense(graph, x, layer.up, f"{i}.up")  # (n, f)
        up = graph.add("com.microsoft:Gelu", up)  # (n, f)
        down = writer.dense(graph, up, layer.down, f"{i}.down")  # (n, d)
        x = norm(residual(down, x, layer.attention_norm), layer.norm)  # (n, d)
        start = layer.norm
    return x


def _write_attention_bias(graph: Graph, table: Float32Array, n_pieces: str) -> str:
    """Write the bias of the attention scores by relative position.

    table (Floats2d): As `EncoderWeights.attention_bias`. Shape (2 * n - 1, n_heads).
    n_pieces (str): A tensor with the number p of pieces. Shape (1,).
    RETURNS (str): The bias, as the argument `attn_mask` of Attention. Shape
        (1, n_heads, p, p).
    """
    zero, one = graph.constant(numpy.asarray([0])), graph.constant(numpy.asarray([1]))
    n_positions = (len(table) + 1) // 2
    # The distance of key j to query i is j - i. Its row in the table is j - i + n - 1.
    indices = graph.constant(numpy.arange(n_positions))  # (n,)
    keys = graph.add("Slice", indices, zero, n_pieces, zero)  # (p,)
    queries = graph.add("Unsqueeze", keys, one)  # (p, 1)
    center = graph.constant(numpy.asarray(n_positions - 1))
    rows = graph.add("Add", graph.add("Sub", keys, queries), center)  # (p, p)
    columns = graph.constant(numpy.ascontiguousarray(table.T))  # (n_heads, 2 * n - 1)
    bias = graph.add("Gather", columns, rows, axis=1)  # (n_heads, p, p)
    return graph.add("Unsqueeze", bias, zero)


def _trace_encoder(graph: Graph, encoder: Any) -> str:
    """Add an encoder of any architecture to a graph, as traced by torch's exporter.

    RETURNS (str): The vectors of the pieces in `rows`. Shape (r, d).
    """
    import onnx
    import torch

    from ..models.checkpoints import accepts

    class LastHiddenState(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any) -> Any:
            arguments = {}
            for name, fill in (
                ("attention_mask", torch.ones_like),
                ("token_type_ids", torch.zeros_like),
            ):
                if accepts(encoder, name):
                    arguments[name] = fill(input_ids)
            return encoder(input_ids=input_ids, **arguments).last_hidden_state

    # Any: the type hints of torch.onnx.export accept paths only.
    file: Any = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                LastHiddenState().eval(),
                (torch.full((2, 9), encoder.config.pad_token_id or 0) + 1,),
                cast(Any, file),
                input_names=["input_ids"],
                output_names=["hidden"],
                dynamic_axes={"input_ids": {0: "texts", 1: "pieces"}},
                opset_version=TRACED_OPSET,
                dynamo=False,
            )
    # The exporter and the encoder's own code can raise anything.
    except Exception as err:
        raise WnutError(
            f"torch cannot export {type(encoder).__name__} to ONNX: {err}"
        ) from err
    traced = onnx.load_from_string(file.getvalue())
    hidden = graph.include(traced, "hidden")  # (t, p, d)
    flat = graph.constant(numpy.asarray([-1, encoder.config.hidden_size]))
    hidden = graph.add("Reshape", hidden, flat)  # (t * p, d)
    return graph.add("Gather", hidden, "rows")  # (r, d)
