"""From spaCy's examples to scored posts, whichever way the texts were tokenised.

Gold tokens and the pipeline's own are brought under one definition: the text is
cut wherever a token of either side starts or ends. Over these finest common
units an entity of either side is an exact span, so two entities agree if and only
if their characters and types do. Where both sides have the same tokens, the units
are the tokens.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise

from spacy.tokens import Doc, Span
from spacy.training import Example

from ..errors import WnutError
from ..labels import Entity, entities_to_tags
from .measures import ScoredPost

CONFIDENCE = "confidence"  # span._.confidence, as the component sets it
MISSING = 0  # token.ent_iob of a token for which nothing was annotated


def examples_to_posts(examples: Iterable[Example]) -> Iterator[ScoredPost]:
    """The posts of examples, as far as their references are annotated.

    As in spaCy's `get_ner_prf`, a reference without any annotation of entities is
    left out, and so are predicted entities that touch a token without it. Such
    tokens themselves are no positions of the post.

    examples (Iterable[Example]): The predicted docs with their references.
    YIELDS (ScoredPost): A post for each annotated reference.

    Raises WnutError if an example's two docs have different texts. White space
    may differ if the tokens are the same.
    """
    for example in examples:
        if example.reference.has_annotation("ENT_IOB"):
            yield _to_post(example.predicted, example.reference)


def confidence_of(ent: Span) -> float | None:
    """An entity's confidence, None if it has none or what it has is no probability."""
    value = ent._.get(CONFIDENCE) if Span.has_extension(CONFIDENCE) else None
    if isinstance(value, float) and 0.0 <= value <= 1.0:
        return float(value)
    return None


def _to_post(predicted: Doc, reference: Doc) -> ScoredPost:
    gold_tokens = _token_spans(reference)
    if [token.text for token in predicted] == [token.text for token in reference]:
        # The same tokens are the same units, though one doc may not know its spaces.
        predicted_tokens = gold_tokens
    elif predicted.text == reference.text:
        predicted_tokens = _token_spans(predicted)
    else:
        raise WnutError(
            "can't compare a predicted doc with its reference, their texts differ: "
            f"{predicted.text!r} and {reference.text!r}. Make the predicted doc from "
            "the reference's text or from its words"
        )
    starts = _unit_starts(gold_tokens + predicted_tokens)
    words = [
        reference.text[start:end]
        for start, end in pairwise([*starts, len(reference.text)])
    ]
    missing = {
        unit
        for token, span in zip(reference, gold_tokens, strict=True)
        if token.ent_iob == MISSING
        for unit in _units(span, starts)
    }
    gold = _entities(reference, gold_tokens, starts)
    found = _entities(predicted, predicted_tokens, starts)
    judged = {
        entity: confidence_of(ent)
        for entity, ent in zip(found, predicted.ents, strict=True)
        if missing.isdisjoint(range(entity.start, entity.end))
    }
    gold_tags = entities_to_tags(gold, len(words))
    predicted_tags = entities_to_tags(judged, len(words))
    confidences = list(judged.values())
    kept = [unit for unit in range(len(words)) if unit not in missing]
    return ScoredPost(
        words=[words[unit] for unit in kept],
        gold_tags=[gold_tags[unit] for unit in kept],
        predicted_tags=[predicted_tags[unit] for unit in kept],
        confidences=confidences if any(c is not None for c in confidences) else (),
    )


def _token_spans(doc: Doc) -> list[tuple[int, int]]:
    """The characters of each token: start and end (exclusive)."""
    return [(token.idx, token.idx + len(token)) for token in doc]


def _unit_starts(tokens: list[tuple[int, int]]) -> list[int]:
    """The characters at which a unit starts, in order. What lies in no token, the
    space between two, is no unit.
    """
    inside = {offset for start, end in tokens for offset in range(start, end)}
    return sorted(inside.intersection(offset for token in tokens for offset in token))


def _units(span: tuple[int, int], starts: list[int]) -> range:
    """The units of a span of characters that starts and ends with a token."""
    return range(bisect_left(starts, span[0]), bisect_left(starts, span[1]))


def _entities(
    doc: Doc, tokens: list[tuple[int, int]], starts: list[int]
) -> Iterator[Entity]:
    for ent in doc.ents:
        span = (tokens[ent.start][0], tokens[ent.end - 1][1])
        units = _units(span, starts)
        yield Entity(units.start, units.stop, ent.label_)
