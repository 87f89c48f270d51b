"""What a trained pipeline's entities come from."""

from typing import Any, NamedTuple

from spacy.language import Language

from ..errors import WnutError
from .entity_tagger import EntityTagger, find_tagger


class Parts(NamedTuple):
    """What a pipeline's entities come from: its `tagger`, `encoder`
    (`spacy_transformers.layers.TransformerModel`), the `network` that makes emissions
    of the encoder's vectors (`spacy-wnut.TransformerTagger.v1`) and the name of its
    `pooling`.
    """

    tagger: EntityTagger
    encoder: Any
    network: Any
    pooling: str


def find_parts(nlp: Language) -> Parts:
    """What a pipeline's entities come from.

    Raises WnutError if it has no or several `entity_tagger`, or no encoder that
    `transformers` knows.
    """
    from spacy_transformers.layers import TransformerModel
    from spacy_transformers.pipeline_component import Transformer

    tagger = find_tagger(nlp)
    network = tagger.model.layers[0]
    if not {"tok2vec", "output_layer"} <= set(network.ref_names):
        raise WnutError(
            f"{tagger.name}'s model isn't spacy-wnut.TransformerTagger, but "
            f"{network.name}: only that can be written for transformers or as ONNX"
        )
    own = list(network.get_ref("tok2vec").walk())
    encoders = [node for node in own if isinstance(node, TransformerModel)] + [
        pipe.model
        for _, pipe in nlp.pipeline
        if isinstance(pipe, Transformer)
        and any(listener is node for listener in pipe.listeners for node in own)
    ]
    poolings = [node.layers[0].name for node in own if node.name == "trfs2arrays"]
    if len(encoders) != 1 or len(poolings) != 1:
        raise WnutError(
            f"{tagger.name} has no encoder of its own that transformers knows, and "
            "listens to none: there is nothing to write"
        )
    return Parts(tagger, encoders[0], network, poolings[0])
