"""The weights of encoders of BERT's form, whatever transformers calls them."""

from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from ..errors import WnutError
from ..pipeline.parts import Parts

Floats = NDArray[numpy.float32]

# Which names stand for what. Everything else about them is the same.
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
FAMILIES = {
    "bert": BERT,
    "camembert": BERT,
    "distilbert": DISTILBERT,
    "electra": BERT,
    "roberta": BERT,
    "xlm-roberta": BERT,
}
# These count positions from the one after their padding piece.
OFFSET_FAMILIES = ("camembert", "roberta", "xlm-roberta")


class Dense(NamedTuple):
    """A linear layer: `W` has shape (inputs, outputs), `b` (outputs,)."""

    W: Floats
    b: Floats


class Norm(NamedTuple):
    """A layer normalisation: its factor and what it adds, both (width,).

    around (Optional[Floats1d]): What its output is times where it goes around the next
        layer, if that isn't 1.
    """

    gamma: Floats
    beta: Floats
    around: Floats | None = None


class Layer(NamedTuple):
    """A layer: attention (`qkv` are its three inputs side by side), then a network
    of two (`up`, `down`), each with what goes around it and a norm after.

    What `out` and `down` add is in the norms, see `_fold`.
    """

    qkv: Dense
    out: Dense
    attention_norm: Norm
    up: Dense
    down: Dense
    norm: Norm


class EncoderWeights(NamedTuple):
    """An encoder of BERT's form.

    words (Floats2d): A row a piece of the vocabulary.
    positions (Floats2d): A row a position, what is the same for all pieces included.
    norm (Norm): What goes over their sum.
    projection (Optional[Dense]): From there to the layers, if their width is another.
    layers (List[Layer]): The layers.
    n_heads (int): The number of attention's heads.
    epsilon (float): What the norms add to the variance.
    """

    words: Floats
    positions: Floats
    norm: Norm
    projection: Dense | None
    layers: list[Layer]
    n_heads: int
    epsilon: float


class HeadWeights(NamedTuple):
    """The layers between the encoder's vectors and the emissions.

    shapes (Optional[Floats2d]): The table of the vectors of words' shapes.
    hidden (Optional[Dense]): A hidden layer, with Gelu.
    output (Dense): The tags.
    is_mean (bool): Whether a word is the mean of its pieces, and not the first.
    """

    shapes: Floats | None
    hidden: Dense | None
    output: Dense
    is_mean: bool


def read_encoder_weights(encoder: Any) -> EncoderWeights | None:
    """Read an encoder of transformers.

    encoder (PreTrainedModel): What `AutoModel` makes.
    RETURNS (Optional[EncoderWeights]): Its weights, or None if it isn't known to have
        BERT's form: another family, or settings that make it differ.
    """
    config = encoder.config
    names = FAMILIES.get(config.model_type)
    activation = getattr(config, "activation", None) or getattr(
        config, "hidden_act", ""
    )
    kind = getattr(config, "position_embedding_type", "absolute")
    is_decoder = getattr(config, "is_decoder", False)
    if names is None or activation != "gelu" or kind != "absolute" or is_decoder:
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
        positions = positions[config.pad_token_id + 1 :]
    # One text at a time: all pieces are of the first type.
    types = state.get("embeddings.token_type_embeddings.weight")
    if types is not None:
        positions = positions + types[0]
    layers = []
    for i in range(config.num_hidden_layers):
        at = names["layer"].format(i)
        qkv = [dense(at + names[part]) for part in ("query", "key", "value")]
        layers.append(
            Layer(
                Dense(
                    numpy.concatenate([part.W for part in qkv], axis=1),
                    numpy.concatenate([part.b for part in qkv]),
                ),
                dense(at + names["out"]),
                norm(at + names["attention_norm"]),
                dense(at + names["up"]),
                dense(at + names["down"]),
                norm(at + names["norm"]),
            )
        )
    projection = None
    if "embeddings_project.weight" in state:
        projection = dense("embeddings_project")
    return _fold(
        EncoderWeights(
            state["embeddings.word_embeddings.weight"],
            positions,
            norm("embeddings.LayerNorm"),
            projection,
            layers,
            config.num_attention_heads,
            float(getattr(config, "layer_norm_eps", 1e-12)),
        )
    )


def read_head_weights(parts: Parts) -> HeadWeights:
    """Read the layers between the encoder's vectors and the emissions.

    Raises WnutError if the head has a layer or a pooling that cannot be exported.
    """
    _, head, *shapes = parts.network.layers
    dense = []
    leaves = [node for node in head.walk() if not node.layers]
    for node in leaves:
        if node.name in ("linear", "gelu"):
            W, b = (node.ops.to_numpy(node.get_param(n)) for n in ("W", "b"))
            dense.append(Dense(W.T, b))
        elif node.name != "dropout":
            raise WnutError(
                f"the head has a layer {node.name}, which cannot be exported: train "
                "a head of spacy-wnut.TransformerTagger.v1"
            )
    *hidden, output = dense
    table = [layer.ops.to_numpy(layer.get_param("E")) for layer in shapes]
    if parts.pooling not in ("reduce_first", "reduce_mean"):
        raise WnutError(
            f"the pooling {parts.pooling} cannot be exported: train the pipeline with "
            "reduce_first.v1 or reduce_mean.v1"
        )
    return HeadWeights(
        table[0] if table else None,
        hidden[0] if hidden else None,
        output,
        parts.pooling == "reduce_mean",
    )


def _fold(weights: EncoderWeights) -> EncoderWeights:
    """The same function, with less to add.

    What `out` and `down` add to a vector that goes around them can be added by the
    norm before, if the layer that reads it as well takes it off again.
    """
    layers = list(weights.layers)
    norm, projection = weights.norm, weights.projection
    for i, layer in enumerate(layers):
        qkv, attention_norm = layer.qkv, layer.attention_norm
        if i > 0:
            before = layers[i - 1]
            layers[i - 1] = before._replace(norm=_shifted(before.norm, layer.out.b))
        elif projection is not None:
            projection = Dense(projection.W, projection.b + layer.out.b)
        else:
            norm = _shifted(norm, layer.out.b)
        qkv = Dense(qkv.W, qkv.b - layer.out.b @ qkv.W)
        up = Dense(layer.up.W, layer.up.b - layer.down.b @ layer.up.W)
        layers[i] = Layer(
            qkv,
            Dense(layer.out.W, numpy.zeros_like(layer.out.b)),
            _shifted(attention_norm, layer.down.b),
            up,
            Dense(layer.down.W, numpy.zeros_like(layer.down.b)),
            layer.norm,
        )
    return weights._replace(norm=norm, projection=projection, layers=layers)


def _shifted(norm: Norm, by: Floats) -> Norm:
    return norm._replace(beta=norm.beta + by)
