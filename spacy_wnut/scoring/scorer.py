"""`spacy-wnut.scorer.v1`, the scorer that `spacy train` and `spacy evaluate` use.

It depends only on spaCy, so that a packaged pipeline loads without seqeval.
"""

from collections.abc import Callable, Iterable
from typing import Any

from spacy.training import Example

from .examples import examples_to_posts
from .measures import PRF, entity_scores, surface_scores, tag_accuracy, type_scores


def make_scorer() -> Callable[..., dict[str, Any]]:
    """Create the scorer of a component that sets `doc.ents`.

    RETURNS (Callable): `score_entities`.
    """
    return score_entities


def score_entities(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """Score the entities of predicted docs.

    If a predicted doc and its reference have different tokens, an entity is right if
    its characters and type are right. spaCy's scorer is more lenient in this case: it
    aligns a token with all reference tokens that it overlaps.

    examples (Iterable[Example]): The predicted docs with their references.
    kwargs (Any): Ignored: spaCy passes the same settings to every scorer.
    RETURNS (Dict[str, Any]): Scores, as fractions between 0 and 1:
        ents_p, ents_r, ents_f and ents_per_type as from spaCy's scorer, None if there
        are neither gold nor predicted entities;
        ents_acc, the share of tokens with the right tag, None if nothing is annotated;
        ents_surface_p, ents_surface_r and ents_surface_f over distinct surface forms
        (Derczynski et al. 2017), None like ents_f.

    Raises WnutError if the two docs of an example have different texts.

    Example:
        >>> from spacy.tokens import Doc
        >>> from spacy.training import Example
        >>> from spacy.vocab import Vocab
        >>> from spacy_wnut.scoring.scorer import score_entities
        >>> vocab = Vocab()
        >>> gold = Doc(vocab, words=["in", "Paris"], ents=["O", "B-location"])
        >>> predicted = Doc(vocab, words=["in", "Paris"], ents=["O", "B-person"])
        >>> scores = score_entities([Example(predicted, gold)])
        >>> scores["ents_f"], scores["ents_acc"]
        (0.0, 0.5)
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
