"""What is wrong with each entity: pure functions on two sets of entities."""

from collections import Counter
from collections.abc import Collection, Iterable
from enum import Enum
from typing import NamedTuple

from ..labels import OUTSIDE, Entity


class Kind(str, Enum):
    """What became of an entity. Each has exactly one, gold or predicted.

    right: the other side has the same span with the same type.
    wrong_type: the other side has the same span with another type.
    wrong_border: it overlaps entities of the other side, none of them with its span.
    missed: a gold entity that overlaps no predicted one.
    spurious: a predicted entity that overlaps no gold one.
    """

    right = "right"
    wrong_type = "wrong_type"
    wrong_border = "wrong_border"
    missed = "missed"
    spurious = "spurious"


class Judged(NamedTuple):
    """An entity with its `kind`, and the `partner` of the other side that it shares
    most positions with, the first of several; None if it overlaps none.
    """

    entity: Entity
    kind: Kind
    partner: Entity | None


class Judgement(NamedTuple):
    """The entities of both sides, judged, in order."""

    gold: list[Judged]
    predicted: list[Judged]


def judge(gold: Collection[Entity], predicted: Collection[Entity]) -> Judgement:
    """Judge the entities of a post.

    An entity whose span is also on the other side overlaps nothing else there, as
    entities of one side never overlap. So nothing has to be assigned: the kinds of
    both sides fit together, whatever the order.

    gold (Collection[Entity]): The right entities. None overlap.
    predicted (Collection[Entity]): A system's. None overlap.
    RETURNS (Judgement): Each of them with its kind.
    """
    return Judgement(
        [_judge(entity, predicted, Kind.missed) for entity in sorted(gold)],
        [_judge(entity, gold, Kind.spurious) for entity in sorted(predicted)],
    )


def confusion(judgements: Iterable[Judgement]) -> dict[tuple[str, str], int]:
    """How often a gold type was predicted as which type.

    Each gold entity counts once, under the type of its partner, or O if it was
    missed. Each spurious entity counts once as gold O.

    judgements (Iterable[Judgement]): Of the posts, as `judge` returns them.
    RETURNS (Dict[Tuple[str, str], int]): By (gold type, predicted type), no zeros.
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


def _judge(entity: Entity, others: Iterable[Entity], alone: Kind) -> Judged:
    partner, most = None, 0
    for other in sorted(others):
        shared = min(entity.end, other.end) - max(entity.start, other.start)
        if shared > most:
            partner, most = other, shared
    if partner is None:
        return Judged(entity, alone, None)
    if (partner.start, partner.end) != (entity.start, entity.end):
        return Judged(entity, Kind.wrong_border, partner)
    is_right = partner.label == entity.label
    return Judged(entity, Kind.right if is_right else Kind.wrong_type, partner)
