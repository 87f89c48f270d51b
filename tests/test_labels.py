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


def is_legal_transition(previous, tag):
    """Check by the strings of the tags. The package uses their indices."""
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


def test_legal_transitions():
    for i, previous in enumerate(SCHEME.tags):
        for j, tag in enumerate(SCHEME.tags):
            assert SCHEME.is_legal(i, j) == is_legal_transition(previous, tag), (
                previous,
                tag,
            )


def test_legal_starts():
    legal = [tag for i, tag in enumerate(SCHEME.tags) if SCHEME.is_legal_start(i)]
    assert legal == ["O", "B-a", "B-b", "B-creative-work"]


def test_types_have_the_order_of_their_first_occurrence():
    tags = ["O", "I-b", "B-a", "I-b", "B-creative-work"]
    assert LabelScheme.from_tags(tags) == LabelScheme(("b", "a", "creative-work"))


def test_a_scheme_without_types_has_the_tag_o():
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
def test_types_with_separators_or_outer_spaces_are_refused(name):
    with pytest.raises(ValueError, match="can't be an entity type: it has to be text"):
        LabelScheme(("fine", name))


@pytest.mark.parametrize(
    "name", ["geo place", "a  b", "a\u00a0b", "O", "B-x", "a\u200cb"]
)
def test_types_may_contain_spaces(name):
    assert LabelScheme(("fine", name)).tags[3:] == (f"B-{name}", f"I-{name}")
    assert tags_to_entities(["O", f"B-{name}", f"I-{name}"]) == [Entity(1, 3, name)]


def test_duplicate_types_are_refused():
    with pytest.raises(ValueError, match=r"^duplicate entity type in a, b, a$"):
        LabelScheme(("a", "b", "a"))


@pytest.mark.parametrize(
    "tag, expected",
    [("O", ("O", "")), ("B-a", ("B", "a")), ("I-a-b", ("I", "a-b"))],
)
def test_tags_are_split_at_the_first_dash(tag, expected):
    assert split_tag(tag) == expected


@pytest.mark.parametrize("tag", ["", "B", "B-", "-a", "S-a", "b-a", "o", "O-a", "Ba"])
def test_other_strings_than_bio_tags_are_refused(tag):
    message = f"^{tag!r} is not a BIO tag: expected O, B-type or I-type$"
    with pytest.raises(ValueError, match=message):
        split_tag(tag)
    with pytest.raises(ValueError, match=message):
        tags_to_entities(["O", tag])
    with pytest.raises(ValueError, match=message):
        LabelScheme.from_tags(["B-x", tag])


# Illegal sequences as well: about half of the random tags are I-x without B-x.
@given(st.lists(st.sampled_from(SCHEME.tags), max_size=12))
def test_entities_are_those_of_seqeval(tags):
    # seqeval's ends are inclusive.
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
def test_entities_survive_the_conversion_to_tags_and_back(given_entities):
    found, length = given_entities
    tags = entities_to_tags(found, length)
    assert len(tags) == length
    assert tags_to_entities(tags) == found
    assert all(map(is_legal_transition, ["O", *tags], tags))


def test_entities_may_have_any_order():
    first, second = Entity(0, 1, "a"), Entity(1, 3, "b")
    assert entities_to_tags([second, first], 4) == ["B-a", "B-b", "I-b", "O"]


@pytest.mark.parametrize("start, end", [(-1, 1), (1, 1), (2, 1), (2, 4)])
def test_entities_outside_of_the_sequence_are_refused(start, end):
    with pytest.raises(
        ValueError, match=rf"\({start}, {end}, 'a'\) is outside of 0..3"
    ):
        entities_to_tags([Entity(start, end, "a")], 3)


@pytest.mark.parametrize("other", [(0, 2), (1, 2), (2, 4), (0, 5)])
def test_overlapping_entities_are_refused(other):
    with pytest.raises(ValueError, match=r"^entity .* overlaps another one$"):
        entities_to_tags([Entity(1, 3, "a"), Entity(*other, "b")], 5)
