import pytest

from spacy_wnut.corpus.formats.doccano import is_doccano
from spacy_wnut.corpus.posts import LabelledSpan, Post

# The forms of the documentation and of exports of several versions.
LABELLED = {
    "id": 1,
    "text": "EU rejects German call to boycott British lamb.",
    "label": [[0, 2, "ORG"], [11, 17, "MISC"], [34, 41, "MISC"]],
    "Comments": [],
}
OLD = {
    "data": "President Obama",
    "labels": [[10, 15, "PERSON"]],
    "annotation_approver": None,
}
RELATIONS = {
    "id": 6400,
    "text": "Google was founded by Larry Page",
    "Comments": [],
    "entities": [
        {"id": 0, "label": "ORG", "start_offset": 0, "end_offset": 6},
        {"id": 1, "label": "PERSON", "start_offset": 22, "end_offset": 32},
    ],
    "relations": [{"id": 0, "from_id": 0, "to_id": 1, "type": "foundedBy"}],
}


def test_the_forms_of_exports(read):
    posts = read([LABELLED, OLD, RELATIONS])
    assert posts == [
        Post(
            LABELLED["text"],
            (
                LabelledSpan(0, 2, "ORG"),
                LabelledSpan(11, 17, "MISC"),
                LabelledSpan(34, 41, "MISC"),
            ),
            id="1",
            where="line 1",
        ),
        Post("President Obama", (LabelledSpan(10, 15, "PERSON"),), where="line 2"),
        Post(
            RELATIONS["text"],
            (LabelledSpan(0, 6, "ORG"), LabelledSpan(22, 32, "PERSON")),
            id="6400",
            where="line 3",
        ),
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"text": "lol", "label": []},
        {"text": "lol", "labels": []},
        {"text": "lol", "entities": [], "relations": []},
    ],
)
def test_a_post_without_entities(read, record):
    assert is_doccano(record)
    assert read([record]) == [Post("lol", where="line 1")]


def test_offsets_are_in_code_points(read):
    [post] = read([{"text": "🎉👩‍🚀 in Oslo", "label": [[8, 12, "place"]]}])
    assert post.text[slice(*post.spans[0][:2])] == "Oslo"


def test_overlapping_spans_are_kept(read):
    [post] = read([{"text": "New York City", "label": [[0, 8, "a"], [4, 13, "b"]]}])
    assert post.spans == ((0, 8, "a"), (4, 13, "b"))


def test_another_field_of_the_text(read):
    record = {"text": "x", "meta": {"tweet": "in Oslo"}, "label": [[3, 7, "place"]]}
    [post] = read([record], text_field="meta.tweet")
    assert post.text == "in Oslo"


@pytest.mark.parametrize(
    "record, reason",
    [
        ({"text": "in Oslo", "label": [[3, 8, "a"]]}, "the span 3 to 8 (a) is outside"),
        ({"text": "in Oslo", "label": [[3, 3, "a"]]}, "the span 3 to 3 (a) is empty"),
        (
            {"text": "in Oslo", "label": [[2, 3, "a"]]},
            "the span 2 to 3 (a) is only white",
        ),
        ({"text": "in Oslo", "label": [[3, 7]]}, "the field 'label' holds a list"),
        ({"text": "in Oslo", "label": ["news"]}, "the field 'label' holds text"),
        ({"text": "in Oslo", "label": "news"}, "the field 'label' is text, not a list"),
        ({"text": "in Oslo", "labels": None}, "the field 'labels' is null, not a list"),
        ({"text": "in Oslo"}, "has no field 'label', 'labels' or 'entities'"),
        (
            {"text": "in Oslo", "label": [[3, 7, 12]]},
            "the label of the span 3 to 7 is a",
        ),
        ({"label": []}, "has no field 'text' (its fields: 'label')"),
        ({"text": "", "label": []}, "the field 'text' is empty"),
        (
            {"text": "in Oslo", "entities": [{"label": "a", "start_offset": 3}]},
            "the end of a span is null, not an integer",
        ),
        ("in Oslo", "is text, not an object with fields"),
    ],
)
def test_faulty_records_are_rejected_with_their_line(read, record, reason):
    first, rejected, last = read([LABELLED, record, OLD])
    assert isinstance(first, Post) and isinstance(last, Post)
    assert rejected.where == "line 2"
    assert rejected.reason.startswith(reason)
    assert rejected.record == record
