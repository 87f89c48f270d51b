"""Conversion of spaCy's examples to scored posts, for any tokenization.

The predicted and the reference doc may have different tokens. The text is split
wherever a token of either doc starts or ends. Every entity of both docs is then an exact
span of these units, so two entities agree if and only if their characters and types are
the same. If both docs have the same tokens, the units are the tokens.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise

from spacy.tokens import Doc, Span
from spacy.training import Example

from ..errors import WnutError
from ..labels import Entity, entities_to_tags
from .measures import ScoredPost

CONFIDENCE = "confidence"  # span._.confidence, set by the component
# token.ent_iob of a token without entity annotation.
UNANNOTATED = 0


def examples_to_posts(examples: Iterable[Example]) -> Iterator[ScoredPost]:
    """Convert examples to scored posts, without their unannotated parts.

    As in spaCy's `get_ner_prf`, an example whose reference has no entity annotation is
    skipped, and predicted entities that overlap an unannotated token are ignored. The
    unannotated tokens of other references are not part of the post.

    examples (Iterable[Example]): The predicted docs with their references.
    YIELDS (ScoredPost): One post for each example with an annotated reference.

    Raises WnutError if the two docs of an example have different texts. White space may
    differ if the tokens are the same.

    Example:
        >>> from spacy.tokens import Doc
        >>> from spacy.training import Example
        >>> from spacy.vocab import Vocab
        >>> from spacy_wnut.scoring.examples import examples_to_posts
        >>> vocab = Vocab()
        >>> gold = Doc(vocab, words=["in", "Paris"], ents=["O", "B-location"])
        >>> predicted = Doc(vocab, words=["in", "Paris"], ents=["O", "O"])
        >>> [post] = examples_to_posts([Example(predicted, gold)])
        >>> post.gold_tags, post.predicted_tags
        (['O', 'B-location'], ['O', 'O'])
    """
    for example in examples:
        if example.reference.has_annotation("ENT_IOB"):
            yield _to_post(example.predicted, example.reference)


def confidence_of(ent: Span) -> float | None:
    """Return the confidence of an entity.

    ent (Span): The entity.
    RETURNS (Optional[float]): `ent._.confidence`, a fraction between 0 and 1. None if
        the entity has no confidence, or a value that is not a float in this range.
    """
    value = ent._.get(CONFIDENCE) if Span.has_extension(CONFIDENCE) else None
    if isinstance(value, float) and 0.0 <= value <= 1.0:
        return float(value)
    return None


def _to_post(predicted: Doc, reference: Doc) -> ScoredPost:
    gold_tokens = _token_spans(reference)
    if [token.text for token in predicted] == [token.text for token in reference]:
        # Same tokens, same units. The offsets may differ: a doc with unknown spaces has
        # a space after every token.
        predicted_tokens = gold_tokens
    elif predicted.text == reference.text:
        predicted_tokens = _token_spans(predicted)
    else:
        raise WnutError(
            "can't compare a predicted doc with its reference, because their texts "
            f"differ: {predicted.text!r} and {reference.text!r}. Make the predicted "
            "doc from the text or the words of the reference"
        )
    starts = _unit_starts(gold_tokens + predicted_tokens)
    words = [
        reference.text[start:end]
        for start, end in pairwise([*starts, len(reference.text)])
    ]
    missing = {
        unit
        for token, span in zip(reference, gold_tokens, strict=True)
        if token.ent_iob == UNANNOTATED
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
    """Return the character offsets of each token: start and end (exclusive)."""
    return [(token.idx, token.idx + len(token)) for token in doc]


def _unit_starts(tokens: list[tuple[int, int]]) -> list[int]:
    """Return the character offsets at which a unit starts, in order. Spaces between
    tokens belong to no unit.
    """
    inside = {offset for start, end in tokens for offset in range(start, end)}
    return sorted(inside.intersection(offset for token in tokens for offset in token))


def _units(span: tuple[int, int], starts: list[int]) -> range:
    """Return the units of a character span. It has to start and end with a token."""
    return range(bisect_left(starts, span[0]), bisect_left(starts, span[1]))


def _entities(
    doc: Doc, tokens: list[tuple[int, int]], starts: list[int]
) -> Iterator[Entity]:
    for ent in doc.ents:
        span = (tokens[ent.start][0], tokens[ent.end - 1][1])
        units = _units(span, starts)
        yield Entity(units.start, units.stop, ent.label_)
