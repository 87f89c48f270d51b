"""The scorer that `spacy train` and `spacy evaluate` use, `spacy-wnut.scorer.v1`.

It needs spaCy alone: a pipeline brings it along where seqeval isn't installed.
"""

from collections.abc import Callable, Iterable
from typing import Any

from spacy.training import Example

from .examples import examples_to_posts
from .measures import PRF, entity_scores, surface_scores, tag_accuracy, type_scores


def make_scorer() -> Callable[..., dict[str, Any]]:
    """The scorer for a component that sets `doc.ents`.

    RETURNS (Callable): `score_entities`.
    """
    return score_entities


def score_entities(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """Score the entities of predicted docs, as fractions.

    examples (Iterable[Example]): The predicted docs with their references.
    RETURNS (Dict[str, Any]): ents_p, ents_r, ents_f and ents_per_type as spaCy's
        own scorer has them, None if there is no entity on either side; ents_acc,
        the share of tokens with the right tag, None if nothing is annotated;
        ents_surface_p, ents_surface_r, ents_surface_f over distinct surface forms
        (Derczynski et al. 2017).

    On tokens that differ from the reference's an entity is right if its characters
    and type are. spaCy's own scorer is more lenient there: it takes a token for
    all those that it overlaps.

    Raises WnutError if an example's two docs have different texts.
    """
    posts = list(examples_to_posts(examples))
    per_type = type_scores(posts)
    return {
        **_spacy_prf("ents", entity_scores(posts) if per_type else None),
        "ents_per_type": {
            label: {"p": s["precision"], "r": s["recall"], "f": s["f1"]}
            for label, s in per_type.items()
        }
        or None,
        "ents_acc": tag_accuracy(posts) if posts else None,
        **_spacy_prf("ents_surface", surface_scores(posts) if per_type else None),
    }


def _spacy_prf(name: str, scores: PRF | None) -> dict[str, float | None]:
    return {
        f"{name}_p": scores["precision"] if scores else None,
        f"{name}_r": scores["recall"] if scores else None,
        f"{name}_f": scores["f1"] if scores else None,
    }
