import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.corpus.posts import LabelledSpan, Post
from spacy_wnut.corpus.type_map import TypeMap, types_of
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import entities_to_tags, tags_to_entities


@pytest.mark.parametrize(
    "text, names",
    [
        ("PER=person", {"PER": "person"}),
        ("PER=person,MISC=", {"PER": "person", "MISC": ""}),
        (" A = geo place , B=A", {"A": "geo place", "B": "A"}),
        ("A=b=c", {"A": "b=c"}),
    ],
)
def test_parse(text, names):
    assert TypeMap.parse(text).names == names


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is no pair of types"),
        ("PER", "'PER' is no pair of types"),
        ("PER=person,", "is no pair of types"),
        ("=person", "is no pair of types"),
        ("PER=a\tb", "can't be an entity type"),
        ("PER=a,PER=b", "names the type PER twice"),
    ],
)
def test_wrong_maps(text, message):
    with pytest.raises(WnutError, match=message):
        TypeMap.parse(text)


def test_unknown_types_name_those_of_the_data():
    types = TypeMap.parse("PER=person,PRE=person,LOC=")
    with pytest.raises(
        WnutError, match=r"the type PRE, but the data has the types LOC, ORG, PER\."
    ):
        types.check(["PER", "LOC", "ORG"])
    types.check(["PER", "LOC", "PRE"])
    with pytest.raises(WnutError, match="the data has no entities"):
        types.check([])


def test_spans_are_renamed_and_dropped():
    spans = (LabelledSpan(0, 1, "A"), LabelledSpan(1, 2, "B"), LabelledSpan(2, 3, "C"))
    post = Post("abc", spans, incorrect=spans[1:])
    assert types_of([post]) == {"A", "B", "C"}
    mapped = TypeMap({"A": "B", "B": ""}).map_post(post)
    # Names are not mapped twice.
    assert mapped.spans == (LabelledSpan(0, 1, "B"), spans[2])
    assert mapped.incorrect == (spans[2],)


tags = st.lists(st.sampled_from(["O", *(f"{p}-{x}" for p in "BI" for x in "abcd")]))
maps = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "a", "new"]))


@given(tags, maps)
def test_mapped_tags_are_those_of_the_mapped_entities(tags, names):
    types = TypeMap(names)
    expected = [
        entity._replace(label=label)
        for entity in tags_to_entities(tags)
        if (label := names.get(entity.label, entity.label))
    ]
    mapped = types.map_tags(tags)
    assert tags_to_entities(mapped) == expected
    if tags == entities_to_tags(tags_to_entities(tags), len(tags)):
        assert mapped == entities_to_tags(expected, len(tags))
