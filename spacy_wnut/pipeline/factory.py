"""The factory `entity_tagger`, and its default config."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Config, Model
from thinc.types import Floats2d

from .confidences import CONFIDENCE
from .entity_tagger import EntityTagger
from .settings import FACTORY

DEFAULT_CONFIG_STR = """
[entity_tagger]
transitions = "learned"
threshold = 0.0
temperature = 1.0
bias = 0.0
overwrite = false
spans_key = "wnut"
incorrect_spans_key = null

[entity_tagger.model]
@architectures = "spacy-wnut.TransformerTagger.v1"
nO = null

[entity_tagger.model.tok2vec]
@architectures = "spacy-transformers.TransformerListener.v1"
grad_factor = 1.0
upstream = "*"

[entity_tagger.model.tok2vec.pooling]
@layers = "spacy-wnut.reduce_first.v1"

[entity_tagger.scorer]
@scorers = "spacy-wnut.scorer.v1"
"""

DEFAULT_CONFIG = Config().from_str(DEFAULT_CONFIG_STR)


@Language.factory(
    FACTORY,
    assigns=[
        "doc.ents",
        "doc.spans",
        "token.ent_iob",
        "token.ent_type",
        f"span._.{CONFIDENCE}",
    ],
    default_config=DEFAULT_CONFIG["entity_tagger"],
    default_score_weights={
        "ents_f": 1.0,
        "ents_p": 0.0,
        "ents_r": 0.0,
        "ents_acc": 0.0,
        "ents_surface_f": 0.0,
        "ents_per_type": None,
    },
)
def make_entity_tagger(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    transitions: str,
    threshold: float,
    temperature: float,
    bias: float,
    overwrite: bool,
    spans_key: str,
    incorrect_spans_key: str | None,
    scorer: Callable[..., dict[str, Any]] | None,
) -> EntityTagger:
    """Construct an EntityTagger.

    model (Model[List[Doc], List[Floats2d]]): The model of the emissions: for each doc an
        array of shape (n_words, n_tags), with one column per BIO tag. A row of zeros
        marks a word without word pieces. Neither such a word nor white space starts or
        ends an entity.
    transitions (str): "learned" trains a linear-chain CRF, "constrained" trains the
        cross-entropy of each word. Both decode legal BIO sequences only.
    threshold (float): The least confidence of an entity, between 0 and 1.
    temperature (float): The divisor of all scores of the chain for confidences, from
        0.001 to 1000. Above 1, confidences are lower; the entities stay the same. It has
        no effect on training: `spacy-wnut calibrate` fits it afterwards.
    bias (float): The number added to the emissions of all tags but O in decoding, from
        -1000 to 1000 nats. Above 0 more entities are found, below 0 fewer. It has no
        effect on training.
    overwrite (bool): Whether to replace entities that an earlier pipe set. If not, they
        stay, and others are found around them. Entities that this component set itself,
        in an earlier run on the same doc, are always replaced.
    spans_key (str): The key of `doc.spans` for the entities, with their confidences in
        `attrs["scores"]`. Several EntityTaggers may share a key: the span group then has
        the entities of all of them.
    incorrect_spans_key (Optional[str]): The key of `doc.spans` for the incorrect spans of
        training data: spans that are no entities of their label with exactly these
        boundaries, as for spaCy's `ner`. Training lowers their probability.
    scorer (Optional[Callable]): The scoring method.
    RETURNS (EntityTagger): The component.
    """
    return EntityTagger(
        nlp.vocab,
        model,
        name,
        transitions=transitions,
        threshold=threshold,
        temperature=temperature,
        bias=bias,
        overwrite=overwrite,
        spans_key=spans_key,
        incorrect_spans_key=incorrect_spans_key,
        scorer=scorer,
    )
