"""Read the weights of an encoder and a head, independent of the names that an
architecture of transformers gives them.
"""

from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from ..errors import WnutError
from ..pipeline.parts import Parts

Float32Array = NDArray[numpy.float32]

# The names of modules in the state dicts of transformers. `layer` is the prefix of the
# others.
BERT = {
    "layer": "encoder.layer.{}.",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm": "output.LayerNorm",
}
DISTILBERT = {
    "layer": "transformer.layer.{}.",
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "out": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "norm": "output_layer_norm",
}
MPNET = {
    **BERT,
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "out": "attention.attn.o",
    "attention_norm": "attention.LayerNorm",
}
# The supported values of `model_type` in config.json.
FAMILIES = {
    "bert": BERT,
    "camembert": BERT,
    "distilbert": DISTILBERT,
    "electra": BERT,
    "mpnet": MPNET,
    "roberta": BERT,
    "xlm-roberta": BERT,
}
# Families whose first position follows the index of the padding.
OFFSET_FAMILIES = ("camembert", "mpnet", "roberta", "xlm-roberta")


class Dense(NamedTuple):
    """A linear layer, `y = x @ W + b`.

    W (Floats2d): The weights. Shape (n_inputs, n_outputs).
    b (Floats1d): The bias. Shape (n_outputs,).
    """

    W: Float32Array
    b: Float32Array


class Norm(NamedTuple):
    """A layer normalization.

    gamma (Floats1d): The weight. Shape (width,).
    beta (Floats1d): The bias. Shape (width,).
    residual_scale (Optional[Floats1d]): Scale on the residual branch that starts at its
        output. Shape (width,). None means 1.
    """

    gamma: Float32Array
    beta: Float32Array
    residual_scale: Float32Array | None = None


class EncoderLayer(NamedTuple):
    """A post-norm transformer layer of hidden width d and intermediate width f:

        h = attention_norm(x + out(attention(qkv(x))))
        y = norm(h + down(gelu(up(h))))

    The biases of `out` and `down` are zero, see `_fold_biases`.

    qkv (Dense): Queries, keys and values side by side. Shape (d, 3 * d).
    out (Dense): The output projection of attention. Shape (d, d).
    attention_norm (Norm): The norm after attention.
    up (Dense): The first layer of the feed-forward network. Shape (d, f).
    down (Dense): Its second layer. Shape (f, d).
    norm (Norm): The norm after the feed-forward network.
    """

    qkv: Dense
    out: Dense
    attention_norm: Norm
    up: Dense
    down: Dense
    norm: Norm


class EncoderWeights(NamedTuple):
    """An encoder of BERT's form: embeddings of width e, and post-norm transformer
    layers of width d.

    word_embeddings (Floats2d): One row per word piece. Shape (n_vocab, e).
    position_embeddings (Floats2d): One row per position, with the embedding of the
        first token type added. Shape (n_positions, e).
    embedding_norm (Norm): The norm over the sum of both.
    projection (Optional[Dense]): A layer from width e to d. None if e equals d.
    layers (List[EncoderLayer]): The transformer layers.
    n_heads (int): The number of attention heads.
    epsilon (float): The number that all norms add to the variance.
    attention_bias (Optional[Floats2d]): MPNet: numbers added to the attention scores of
        all layers, by relative position. Shape (2 * n_positions - 1, n_heads), from the
        distance of the key to the query of -(n_positions - 1) to n_positions - 1. None
        for other families.
    """

    word_embeddings: Float32Array
    position_embeddings: Float32Array
    embedding_norm: Norm
    projection: Dense | None
    layers: list[EncoderLayer]
    n_heads: int
    epsilon: float
    attention_bias: Float32Array | None = None


class HeadWeights(NamedTuple):
    """The layers between the encoder's vectors and the emissions, for vectors of width
    d, shape embeddings of width s and a hidden width h. Without a hidden layer, h
    stands for d + s.

    shape_embeddings (Optional[Floats2d]): One row per value of a word-shape feature.
        Shape (n_values, s). None if the head does not use word shapes (s is 0).
    hidden (Optional[Dense]): A hidden layer with Gelu. Shape (d + s, h).
    output (Dense): The output layer. Shape (h, n_tags), or (h, n_labels) if there are
        other labels than tags.
    has_mean_pooling (bool): Whether a word's vector is the mean of its pieces. If not,
        it is the vector of the first piece.
    labels (Optional[Floats2d]): 1 if a label belongs to a tag, otherwise 0. Shape
        (n_labels, n_tags). None if the outputs are the emissions of tags.
    """

    shape_embeddings: Float32Array | None
    hidden: Dense | None
    output: Dense
    has_mean_pooling: bool
    labels: Float32Array | None = None


def read_encoder_weights(encoder: Any) -> EncoderWeights | None:
    """Read the weights of an encoder of transformers.

    encoder (PreTrainedModel): A model of `AutoModel`.
    RETURNS (Optional[EncoderWeights]): The weights, or None if the encoder is not of
        BERT's form: its family is not in FAMILIES, its activation is not "gelu", its
        positions are relative, it is a decoder, or its positions depend on another
        piece than the padding.
    """
    config = encoder.config
    names = FAMILIES.get(config.model_type)
    activation = getattr(config, "activation", None) or getattr(
        config, "hidden_act", ""
    )
    position_type = getattr(config, "position_embedding_type", "absolute")
    is_decoder = getattr(config, "is_decoder", False)
    if (
        names is None
        or activation != "gelu"
        or position_type != "absolute"
        or is_decoder
    ):
        return None
    # Positions count the pieces with another id. MPNet's id is 1, whatever its config.
    padding = getattr(encoder.embeddings, "padding_idx", config.pad_token_id)
    if padding != config.pad_token_id:
        return None
    state = {
        name: values.detach().cpu().numpy().astype(numpy.float32)
        for name, values in encoder.state_dict().items()
    }

    def dense(name: str) -> Dense:
        return Dense(state[f"{name}.weight"].T, state[f"{name}.bias"])

    def norm(name: str) -> Norm:
        return Norm(state[f"{name}.weight"], state[f"{name}.bias"])

    positions = state["embeddings.position_embeddings.weight"]
    if config.model_type in OFFSET_FAMILIES:
        positions = positions[padding + 1 :]
    # Texts are single segments, so all pieces have token type 0.
    types = state.get("embeddings.token_type_embeddings.weight")
    if types is not None:
        positions = positions + types[0]
    layers = []
    for i in range(config.num_hidden_layers):
        prefix = names["layer"].format(i)
        qkv = [dense(prefix + names[part]) for part in ("query", "key", "value")]
        layers.append(
            EncoderLayer(
                Dense(
                    numpy.concatenate([part.W for part in qkv], axis=1),
                    numpy.concatenate([part.b for part in qkv]),
                ),
                dense(prefix + names["out"]),
                norm(prefix + names["attention_norm"]),
                dense(prefix + names["up"]),
                dense(prefix + names["down"]),
                norm(prefix + names["norm"]),
            )
        )
    projection = None
    if "embeddings_project.weight" in state:
        projection = dense("embeddings_project")
    attention_bias = None
    if config.model_type == "mpnet":
        attention_bias = _mpnet_attention_bias(encoder.encoder, len(positions))
    return _fold_biases(
        EncoderWeights(
            state["embeddings.word_embeddings.weight"],
            positions,
            norm("embeddings.LayerNorm"),
            projection,
            layers,
            config.num_attention_heads,
            float(getattr(config, "layer_norm_eps", 1e-12)),
            attention_bias,
        )
    )


def read_head_weights(parts: Parts) -> HeadWeights:
    """Read the weights of a pipeline's head.

    parts (Parts): The parts of the pipeline.
    RETURNS (HeadWeights): The weights.

    Raises WnutError if the head has a layer or a pooling that cannot be exported.
    """
    _, head, *shapes = parts.network.layers
    dense, labels = [], None
    leaves = [node for node in head.walk() if not node.layers]
    for node in leaves:
        if node.name in ("linear", "gelu"):
            W, b = (node.ops.to_numpy(node.get_param(n)) for n in ("W", "b"))
            dense.append(Dense(W.T, b))
        elif node.name == "sum_labels":
            labels = node.ops.to_numpy(node.attrs["matrix"])
        elif node.name != "dropout":
            raise WnutError(
                f"the head has a layer {node.name}, which cannot be exported: train "
                "a head of spacy-wnut.TransformerTagger.v1"
            )
    *hidden, output = dense
    tables = [layer.ops.to_numpy(layer.get_param("E")) for layer in shapes]
    if parts.pooling not in ("reduce_first", "reduce_mean"):
        raise WnutError(
            f"the pooling {parts.pooling} cannot be exported: train the pipeline with "
            "reduce_first.v1 or reduce_mean.v1"
        )
    return HeadWeights(
        tables[0] if tables else None,
        hidden[0] if hidden else None,
        output,
        parts.pooling == "reduce_mean",
        labels,
    )


def _mpnet_attention_bias(encoder: Any, n_positions: int) -> Float32Array:
    """Return the attention bias of an MPNet (Song et al. 2020) by relative position.

    encoder (MPNetEncoder): The stack of layers.
    n_positions (int): The number of positions.
    RETURNS (Floats2d): Shape (2 * n_positions - 1, n_heads).
    """
    import torch

    distances = torch.arange(1 - n_positions, n_positions)
    table = encoder.relative_attention_bias
    buckets = encoder.relative_position_bucket(distances, table.num_embeddings)
    bias: Float32Array = table(buckets).detach().cpu().numpy().astype(numpy.float32)
    return bias


def _fold_biases(weights: EncoderWeights) -> EncoderWeights:
    """Move the biases of `out` and `down` into the preceding norms or projection. The
    function stays the same, with two additions less per layer.

    Both biases are added to a residual branch, so the norm at which the branch starts
    can add them. The layer that reads the same norm, `qkv` or `up`, subtracts their
    effect: (x + b) @ W - b @ W = x @ W.
    """
    layers = list(weights.layers)
    norm, projection = weights.embedding_norm, weights.projection
    for i, layer in enumerate(layers):
        if i > 0:
            previous = layers[i - 1]
            shifted = _shift_norm(previous.norm, layer.out.b)
            layers[i - 1] = previous._replace(norm=shifted)
        elif projection is not None:
            projection = Dense(projection.W, projection.b + layer.out.b)
        else:
            norm = _shift_norm(norm, layer.out.b)
        qkv = Dense(layer.qkv.W, layer.qkv.b - layer.out.b @ layer.qkv.W)
        up = Dense(layer.up.W, layer.up.b - layer.down.b @ layer.up.W)
        layers[i] = EncoderLayer(
            qkv,
            Dense(layer.out.W, numpy.zeros_like(layer.out.b)),
            _shift_norm(layer.attention_norm, layer.down.b),
            up,
            Dense(layer.down.W, numpy.zeros_like(layer.down.b)),
            layer.norm,
        )
    return weights._replace(embedding_norm=norm, projection=projection, layers=layers)


def _shift_norm(norm: Norm, shift: Float32Array) -> Norm:
    return norm._replace(beta=norm.beta + shift)
