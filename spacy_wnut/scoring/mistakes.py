"""Classification of entities as right or as one of four kinds of mistakes."""

from collections import Counter
from collections.abc import Collection, Iterable
from enum import Enum
from typing import NamedTuple

from ..labels import OUTSIDE, Entity


class Kind(str, Enum):
    """The kind of an entity, gold or predicted. Each entity has exactly one.

    The other side of a gold entity is the predicted entities, and vice versa.

    right: the other side has the same span with the same type.
    wrong_type: the other side has the same span with another type.
    wrong_border: the entity overlaps entities of the other side, but none of them has
        the same span.
    missed: a gold entity that overlaps no predicted entity.
    spurious: a predicted entity that overlaps no gold entity.
    """

    right = "right"
    wrong_type = "wrong_type"
    wrong_border = "wrong_border"
    missed = "missed"
    spurious = "spurious"


class JudgedEntity(NamedTuple):
    """An entity with its kind.

    entity (Entity): The entity, gold or predicted.
    kind (Kind): Its kind.
    partner (Optional[Entity]): The entity of the other side with the largest overlap
        (the first one if several tie), or None if there is no overlap.
    """

    entity: Entity
    kind: Kind
    partner: Entity | None


class Judgement(NamedTuple):
    """The gold and the predicted entities of a post with their kinds, in text order."""

    gold: list[JudgedEntity]
    predicted: list[JudgedEntity]


def judge(gold: Collection[Entity], predicted: Collection[Entity]) -> Judgement:
    """Determine the kind of each entity of a post.

    Entities of one side never overlap. An entity whose span is also on the other side
    therefore overlaps nothing else there, and each kind follows from the overlaps
    alone: no assignment of gold to predicted entities is needed.

    gold (Collection[Entity]): The gold entities, without overlaps.
    predicted (Collection[Entity]): The predicted entities, without overlaps.
    RETURNS (Judgement): The entities with their kinds.

    Example:
        >>> from spacy_wnut.labels import Entity
        >>> from spacy_wnut.scoring.mistakes import judge
        >>> gold = [Entity(0, 2, "person"), Entity(4, 5, "location")]
        >>> judged = judge(gold, [Entity(0, 1, "person")])
        >>> [one.kind.value for one in judged.gold]
        ['wrong_border', 'missed']
        >>> judged.predicted[0].partner
        Entity(start=0, end=2, label='person')
    """
    return Judgement(
        [_judge(entity, predicted, Kind.missed) for entity in sorted(gold)],
        [_judge(entity, gold, Kind.spurious) for entity in sorted(predicted)],
    )


def confusion(judgements: Iterable[Judgement]) -> dict[tuple[str, str], int]:
    """Compute the confusion matrix of entity types.

    Each gold entity counts once, with the type of its partner as the predicted type, or
    O if it is missed. Each spurious entity counts once, with O as the gold type.

    judgements (Iterable[Judgement]): The judgement of each post, from `judge`.
    RETURNS (Dict[Tuple[str, str], int]): The nonzero counts by (gold type, predicted
        type).

    Example:
        >>> from spacy_wnut.labels import Entity
        >>> from spacy_wnut.scoring.mistakes import confusion, judge
        >>> gold = [Entity(0, 2, "person"), Entity(4, 5, "location")]
        >>> confusion([judge(gold, [Entity(0, 1, "group")])])
        {('person', 'group'): 1, ('location', 'O'): 1}
    """
    counts: Counter[tuple[str, str]] = Counter()
    for judged in judgements:
        counts.update(
            (one.entity.label, one.partner.label if one.partner else OUTSIDE)
            for one in judged.gold
        )
        counts.update(
            (OUTSIDE, one.entity.label)
            for one in judged.predicted
            if one.kind is Kind.spurious
        )
    return dict(counts)


def _judge(entity: Entity, others: Iterable[Entity], alone: Kind) -> JudgedEntity:
    partner, most = None, 0
    for other in sorted(others):
        shared = min(entity.end, other.end) - max(entity.start, other.start)
        if shared > most:
            partner, most = other, shared
    if partner is None:
        return JudgedEntity(entity, alone, None)
    if (partner.start, partner.end) != (entity.start, entity.end):
        return JudgedEntity(entity, Kind.wrong_border, partner)
    is_right = partner.label == entity.label
    return JudgedEntity(entity, Kind.right if is_right else Kind.wrong_type, partner)
