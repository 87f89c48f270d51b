from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from spacy_wnut.labels import (
    WNUT_17,
    Entity,
    LabelScheme,
    entities_to_tags,
    split_tag,
    tags_to_entities,
)

TYPES = ("a", "b", "creative-work")
SCHEME = LabelScheme(TYPES)


def is_legal_move(previous, tag):
    """By the strings, where the package goes by indices."""
    return not tag.startswith("I-") or previous[1:] == tag[1:]


def test_wnut_tags_are_in_the_published_order():
    assert WNUT_17.tags == (
        "O",
        "B-corporation",
        "I-corporation",
        "B-creative-work",
        "I-creative-work",
        "B-group",
        "I-group",
        "B-location",
        "I-location",
        "B-person",
        "I-person",
        "B-product",
        "I-product",
    )


def test_legal_moves():
    for i, previous in enumerate(SCHEME.tags):
        for j, tag in enumerate(SCHEME.tags):
            assert SCHEME.is_legal(i, j) == is_legal_move(previous, tag), (
                previous,
                tag,
            )


def test_legal_starts():
    legal = [tag for i, tag in enumerate(SCHEME.tags) if SCHEME.is_legal_start(i)]
    assert legal == ["O", "B-a", "B-b", "B-creative-work"]


def test_types_of_tags_keep_their_order_of_appearance():
    tags = ["O", "I-b", "B-a", "I-b", "B-creative-work"]
    assert LabelScheme.from_tags(tags) == LabelScheme(("b", "a", "creative-work"))


def test_no_types_leave_the_outside_tag():
    assert LabelScheme.from_tags(["O", "O"]).tags == ("O",)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a ",
        " a",
        "a\u00a0",
        "\u00a0",
        "a,b",
        "a\tb",
        "a\nb",
        "a\r",
        "a\u2028b",
        "a\u0085b",
        "a\x0bb",
        "a\x1cb",
    ],
)
def test_refuses_a_type_that_separates_or_is_cut(name):
    with pytest.raises(ValueError, match="can't be an entity type: it has to be text"):
        LabelScheme(("fine", name))


@pytest.mark.parametrize(
    "name", ["geo place", "a  b", "a\u00a0b", "O", "B-x", "a\u200cb"]
)
def test_blanks_may_stand_inside_a_type(name):
    assert LabelScheme(("fine", name)).tags[3:] == (f"B-{name}", f"I-{name}")
    assert tags_to_entities(["O", f"B-{name}", f"I-{name}"]) == [Entity(1, 3, name)]


def test_refuses_a_type_that_is_there_twice():
    with pytest.raises(ValueError, match=r"^duplicate entity type in a, b, a$"):
        LabelScheme(("a", "b", "a"))


@pytest.mark.parametrize(
    "tag, expected",
    [("O", ("O", "")), ("B-a", ("B", "a")), ("I-a-b", ("I", "a-b"))],
)
def test_splits_at_the_first_dash(tag, expected):
    assert split_tag(tag) == expected


@pytest.mark.parametrize("tag", ["", "B", "B-", "-a", "S-a", "b-a", "o", "O-a", "Ba"])
def test_refuses_what_is_no_bio_tag(tag):
    message = f"^{tag!r} is not a BIO tag: expected O, B-type or I-type$"
    with pytest.raises(ValueError, match=message):
        split_tag(tag)
    with pytest.raises(ValueError, match=message):
        tags_to_entities(["O", tag])
    with pytest.raises(ValueError, match=message):
        LabelScheme.from_tags(["B-x", tag])


# Legal or not: orphans are half of what a random sequence holds.
@given(st.lists(st.sampled_from(SCHEME.tags), max_size=12))
def test_entities_are_those_of_seqeval(tags):
    # seqeval counts the end in.
    expected = [(start, end + 1, label) for label, start, end in get_entities(tags)]
    assert tags_to_entities(tags) == expected


@st.composite
def entities(draw):
    bounds = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
    found = [
        Entity(start, end, draw(st.sampled_from(TYPES)))
        for start, end in pairwise(bounds)
        if draw(st.booleans())
    ]
    length = draw(st.integers(bounds[-1] if bounds else 0, 14))
    return found, length


@given(entities())
def test_entities_come_back_from_their_tags(given_entities):
    found, length = given_entities
    tags = entities_to_tags(found, length)
    assert len(tags) == length
    assert tags_to_entities(tags) == found
    assert all(map(is_legal_move, ["O", *tags], tags))


def test_order_of_entities_does_not_matter():
    first, second = Entity(0, 1, "a"), Entity(1, 3, "b")
    assert entities_to_tags([second, first], 4) == ["B-a", "B-b", "I-b", "O"]


@pytest.mark.parametrize("start, end", [(-1, 1), (1, 1), (2, 1), (2, 4)])
def test_refuses_an_entity_outside_of_the_sequence(start, end):
    with pytest.raises(
        ValueError, match=rf"\({start}, {end}, 'a'\) is outside of 0..3"
    ):
        entities_to_tags([Entity(start, end, "a")], 3)


@pytest.mark.parametrize("other", [(0, 2), (1, 2), (2, 4), (0, 5)])
def test_refuses_entities_that_overlap(other):
    with pytest.raises(ValueError, match=r"^entity .* overlaps another one$"):
        entities_to_tags([Entity(1, 3, "a"), Entity(*other, "b")], 5)
