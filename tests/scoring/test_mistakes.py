from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.labels import Entity, tags_to_entities
from spacy_wnut.scoring.mistakes import Kind, confusion, judge

TAGS = ["O", "B-person", "I-person", "B-location", "I-location"]
sides = st.integers(0, 12).flatmap(
    lambda n: st.tuples(
        *2 * [st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)]
    ).map(lambda tags: tuple(map(tags_to_entities, tags)))
)


def place(start, end):
    return Entity(start, end, "location")


@pytest.mark.parametrize(
    "gold, predicted, gold_kinds, predicted_kinds",
    [
        ([], [], [], []),
        ([place(0, 2)], [place(0, 2)], ["right"], ["right"]),
        (
            [place(0, 2)],
            [Entity(0, 2, "person")],
            ["wrong_type"],
            ["wrong_type"],
        ),
        ([place(0, 2)], [place(0, 1)], ["wrong_border"], ["wrong_border"]),
        # Both border and type are wrong: the border counts.
        (
            [place(0, 2)],
            [Entity(1, 3, "person")],
            ["wrong_border"],
            ["wrong_border"],
        ),
        ([place(0, 2)], [], ["missed"], []),
        ([], [place(0, 2)], [], ["spurious"]),
        # Adjacent entities do not overlap.
        ([place(0, 2)], [place(2, 3)], ["missed"], ["spurious"]),
        # One predicted entity for two gold entities, and vice versa.
        (
            [place(0, 2), place(2, 4)],
            [place(0, 4)],
            ["wrong_border", "wrong_border"],
            ["wrong_border"],
        ),
        (
            [place(0, 4)],
            [place(0, 1), place(1, 4)],
            ["wrong_border"],
            ["wrong_border", "wrong_border"],
        ),
    ],
)
def test_kind_of_each_entity(gold, predicted, gold_kinds, predicted_kinds):
    judged = judge(gold, predicted)
    assert [one.kind.value for one in judged.gold] == gold_kinds
    assert [one.kind.value for one in judged.predicted] == predicted_kinds


def test_partner_has_the_largest_overlap():
    [one] = judge([place(0, 5)], [place(0, 2), Entity(2, 5, "person")]).gold
    assert one.partner == Entity(2, 5, "person")
    # The first one of a tie.
    [one] = judge([place(0, 4)], [Entity(2, 4, "person"), place(0, 2)]).gold
    assert one.partner == place(0, 2)


@given(sides)
def test_exactly_one_definition_of_a_kind_holds(sides):
    gold, predicted = sides
    judged = judge(gold, predicted)
    assert [one.entity for one in judged.gold] == sorted(gold)
    assert [one.entity for one in judged.predicted] == sorted(predicted)
    for ones, others, alone in (
        (judged.gold, predicted, Kind.missed),
        (judged.predicted, gold, Kind.spurious),
    ):
        for entity, kind, partner in ones:
            touching = [
                other
                for other in others
                if set(range(*entity[:2])) & set(range(*other[:2]))
            ]
            holds = {
                Kind.right: entity in touching,
                Kind.wrong_type: entity not in touching
                and entity[:2] in [other[:2] for other in touching],
                Kind.wrong_border: bool(touching)
                and entity[:2] not in [other[:2] for other in touching],
                alone: not touching,
            }
            assert [name for name, does in holds.items() if does] == [kind]
            assert partner in touching if touching else partner is None


@given(sides)
def test_kinds_of_both_sides_are_consistent(sides):
    gold, predicted = judge(*sides)
    gold_kinds = Counter(one.kind for one in gold)
    predicted_kinds = Counter(one.kind for one in predicted)
    for kind in (Kind.right, Kind.wrong_type):
        assert gold_kinds[kind] == predicted_kinds[kind]
    assert bool(gold_kinds[Kind.wrong_border]) == bool(
        predicted_kinds[Kind.wrong_border]
    )
    assert not gold_kinds[Kind.spurious] and not predicted_kinds[Kind.missed]


@given(sides)
def test_confusion_counts_each_gold_entity_once(sides):
    judged = judge(*sides)
    counts = confusion([judged, judged])
    by_gold = Counter()
    for (gold, _), n in counts.items():
        by_gold[gold] += n
    spurious = sum(one.kind is Kind.spurious for one in judged.predicted)
    expected = Counter(one.entity.label for one in judged.gold)
    expected["O"] += spurious
    assert by_gold == Counter({k: 2 * n for k, n in expected.items() if n})
    assert ("O", "O") not in counts and 0 not in counts.values()


def test_hand_computed_confusion():
    judged = judge(
        [place(0, 1), place(2, 4), place(6, 7)],
        [Entity(0, 1, "person"), place(2, 3), Entity(8, 9, "person")],
    )
    assert confusion([judged]) == {
        ("location", "person"): 1,
        ("location", "location"): 1,
        ("location", "O"): 1,
        ("O", "person"): 1,
    }
