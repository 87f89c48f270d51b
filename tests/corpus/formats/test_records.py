import pytest

from spacy_wnut.corpus.formats.records import (
    RawSpan,
    RecordError,
    get_field,
    get_id,
    get_text,
    make_spans,
    make_words,
)
from spacy_wnut.corpus.posts import LabelledSpan, Word

TEXT = "Ada is in Oslo"


@pytest.mark.parametrize(
    "span, reason",
    [
        (
            (10, 15, "place"),
            "the span 10 to 15 (place) is outside of the text, which has 14 characters",
        ),
        ((14, 18, "place"), "outside of the text"),
        ((14, 18, "\x1b[31m"), "the span 14 to 18 ('\\x1b[31m') is outside"),
        ((-4, 14, "place"), "outside of the text"),
        ((10, 10, "place"), "is empty"),
        ((14, 10, "place"), "is empty"),
        ((3, 4, "place"), "is only white space"),
        (("10", 14, "place"), "the start of a span is text, not an integer"),
        ((10, 14.0, "place"), "the end of a span is 14.0, not an integer"),
        (
            (False, True, "place"),
            "the start of a span is true or false, not an integer",
        ),
        ((None, 14, "place"), "the start of a span is null, not an integer"),
        ((10, [14], "place"), "the end of a span is a list, not an integer"),
        ((10, 14, None), "the label of the span 10 to 14 is null, not text"),
        ((10, 14, 3), "the label of the span 10 to 14 is a number, not text"),
        ((10, 14, ""), "'' can't be an entity type"),
        ((10, 14, "a,b"), "'a,b' can't be an entity type"),
        ((10, 14, " place"), "' place' can't be an entity type"),
        ((10, 14, "a\nb"), "can't be an entity type"),
        ((10, 14, "a\0"), "holds a NUL character"),
        ((10, 14, "place", 3), "the text of the span 10 to 14 is a number, not text"),
        (
            (9, 13, "place", "Oslo"),
            "has the text 'Oslo', but at its offsets the text is ' Osl'",
        ),
        ((10, 14, "place", ""), "has the text '', but"),
    ],
)
def test_faulty_spans(span, reason):
    with pytest.raises(RecordError) as caught:
        make_spans(TEXT, [RawSpan(0, 3, "person"), RawSpan(*span)])
    assert reason in str(caught.value)


def test_white_space_is_cut_off_and_equal_spans_are_one():
    spans = [RawSpan(9, 14, "place"), RawSpan(10, 14, "place"), RawSpan(10, 14, "x")]
    assert make_spans(TEXT, spans) == (
        LabelledSpan(10, 14, "place"),
        LabelledSpan(10, 14, "x"),
    )
    # A zero-width space is not white space.
    assert make_spans("\u200bAda", [RawSpan(0, 4, "person")]) == ((0, 4, "person"),)


@pytest.mark.parametrize(
    "text, quoted",
    [
        ("Berlin,  Germany", "Berlin, Germany"),
        ("New\nYork", "New\\nYork"),
        ("New\r\nYork", "New\nYork"),
        ("New York", "New\u00a0York"),
        ("a\\nb", "a\\nb"),
    ],
)
def test_differences_in_white_space_are_none(text, quoted):
    [span] = make_spans(text, [RawSpan(0, len(text), "place", quoted)])
    assert span == (0, len(text), "place")


def test_the_unit_is_that_of_all_spans_of_a_record():
    # In code points, the first span alone would be "aa" as well.
    text = "🎉aaa 🎉 Oslo"
    spans = [RawSpan(2, 4, "x", "aa"), RawSpan(9, 13, "place", "Oslo")]
    assert make_spans(text, spans) == ((1, 3, "x"), (7, 11, "place"))
    # A span without a text has the unit of the others.
    spans = [RawSpan(2, 4, "x"), RawSpan(9, 13, "place", "Oslo")]
    assert make_spans(text, spans) == ((1, 3, "x"), (7, 11, "place"))
    assert make_spans(text, [RawSpan(2, 4, "x")]) == ((2, 4, "x"),)


def test_units_may_be_mixed_if_the_texts_prove_it():
    text = "🎉 Ada in Oslo"
    spans = [RawSpan(3, 6, "person", "Ada"), RawSpan(9, 13, "place", "Oslo")]
    assert make_spans(text, spans) == ((2, 5, "person"), (9, 13, "place"))


def test_half_a_character_is_no_offset():
    with pytest.raises(RecordError, match="has the text '🎉'"):
        make_spans("🎉Ada", [RawSpan(1, 2, "x", "🎉")])


@pytest.mark.parametrize(
    "record, name, reason",
    [
        ({"body": "x"}, "text", "has no field 'text' (its fields: 'body')"),
        ({}, "text", "has no field 'text' (its fields: none)"),
        ({"data": "x"}, "data.text", "has no field 'text' in 'data', which is text"),
        ({"text": None}, "text", "the field 'text' is missing (null)"),
        ({"text": 3}, "text", "the field 'text' is a number, not text"),
        ({"text": ["x"]}, "text", "the field 'text' is a list, not text"),
        ({"text": ""}, "text", "the field 'text' is empty"),
        ({"text": " \n\u00a0"}, "text", "the field 'text' is empty"),
        ({"text": "a\0"}, "text", "the text holds a NUL character"),
    ],
)
def test_records_without_text(record, name, reason):
    with pytest.raises(RecordError) as caught:
        get_text(record, name)
    assert str(caught.value).startswith(reason)


def test_dots_name_a_field_inside_of_a_field():
    assert get_field({"a": {"b": {"c": 1}}}, "a.b.c") == 1
    assert get_field({"a": {"b": 1}, "a.b": 2}, "a.b") == 2


@pytest.mark.parametrize(
    "value, found",
    [(7, "7"), ("x-7", "x-7"), (0, "0"), (None, ""), (True, ""), ([], "")],
)
def test_ids(value, found):
    assert get_id({"id": value}) == found


def test_words():
    assert make_words("in Oslo ", [(0, 0), (0, 2), (3, 7), (8, 8)]) == (
        Word(0, 2),
        Word(3, 7),
    )


@pytest.mark.parametrize(
    "places, reason",
    [
        (
            [(0, 2), (2, 8)],
            "the word 2 to 8 overlaps the word before it, or is outside",
        ),
        ([(0, 4), (3, 7)], "the word 3 to 7 overlaps"),
        ([(3, 7), (0, 2)], "'in' is in no word"),
        ([(0, 2), (4, 7)], "'O' is in no word"),
        ([(0, 2)], "'Oslo' is in no word"),
        ([(0, "2")], "the end of a word is text, not an integer"),
        ([(2, 0)], "the word 2 to 0"),
    ],
)
def test_faulty_words(places, reason):
    with pytest.raises(RecordError) as caught:
        make_words("in Oslo", places)
    assert str(caught.value).startswith(reason)
