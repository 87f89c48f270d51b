"""The factory `entity_tagger`: what a config makes the component of."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Config, Model
from thinc.types import Floats2d

from .entity_tagger import CONFIDENCE, FACTORY, EntityTagger

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

    model (Model[List[Doc], List[Floats2d]]): The emissions: for each doc a row
        a word and a column a BIO tag. A row of zeros says that the word has
        nothing to be seen; it never starts or ends an entity, nor does white space,
        whatever its row.
    transitions (str): "learned" trains a linear-chain CRF, "constrained" trains
        cross-entropy a word. Both decode legal BIO sequences only.
    threshold (float): Entities with a lower confidence are left out.
    temperature (float): What the scores of the chain are divided by before they
        become confidences, from 0.001 to 1000; 1 leaves them as trained. Above 1 they are
        less sure, below surer. The entities found stay the same. Training
        doesn't know it: `spacy-wnut calibrate` fits it afterwards.
    bias (float): What is added to the scores of all tags but O in decoding, in
        nats. Above 0 it finds more entities, below fewer. Training doesn't know
        it either.
    overwrite (bool): Whether to replace entities that an earlier pipe set. If
        not, they stay, and new ones are found around them. Entities that this
        component set itself, in an earlier run on the same doc, are replaced.
    spans_key (str): The key of `doc.spans` to save the entities under, with
        their confidences in `attrs["scores"]`. Several EntityTaggers may have the
        same key: the span group has the entities of all of them.
    incorrect_spans_key (Optional[str]): The key of `doc.spans` under which training
        data has spans that are known to be no entities of their label with exactly
        these borders, as for spaCy's `ner`. Training makes them improbable.
    scorer (Optional[Callable]): The scoring method.
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
