import io
import json
import math
import re
from datetime import datetime, timezone
from decimal import Decimal

import pyarrow.json
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spacy_wnut.bulk.annotator import Found
from spacy_wnut.bulk.formats.conll import parse_post
from spacy_wnut.bulk.formats.jsonl import JsonlWriter, parse_json
from spacy_wnut.bulk.formats.txt import parse_text
from spacy_wnut.bulk.records import (
    Chunk,
    RawLine,
    Record,
    count_nulls,
    rejection,
    to_json,
)
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.bulk.sources import Input
from spacy_wnut.corpus.json_values import find_field

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def parse(line, text_field="text"):
    raw = line if isinstance(line, bytes) else line.encode("utf8")
    return parse_json(RawLine(3, raw), Input("a.jsonl", text_field))


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON), st.text().filter(lambda t: "\0" not in t))
def test_any_object_with_a_text_is_read_and_written_as_it_is(others, text):
    others.pop("entities", None)
    fields = {**others, "text": text}
    for line in (to_json(fields), json.dumps(fields)):
        assert parse(line) == Record(3, text, fields=fields)
    assert "\n" not in to_json(fields)


@settings(deadline=None)
@given(st.binary())
@example(b"\0")
def test_any_bytes_are_a_record_or_say_why_not(line):
    record = parse(line)
    assert record is None or record.problem
    json.loads(rejection(Chunk([record or Record(1)]), 0, "why"))
    text = parse_text(RawLine(1, line))
    is_post = text.text.encode("utf8") == line and b"\0" not in line
    assert bool(text.problem) != is_post


@pytest.mark.parametrize(
    "line, problem",
    [
        (b"\xff", "isn't UTF-8: the byte 0xff"),
        ("{", "isn't JSON: Expecting"),
        ("[" * 100_000, "isn't JSON: maximum recursion"),
        ("9" * 5000, "isn't JSON: Exceeds the limit"),
        ('["a"]', "is a list, not an object"),
        ('"a"', "is text, not an object"),
        ('{"id": 1}', r"has no field 'text' \(its fields: 'id'\)"),
        ("{}", r"has no field 'text' \(its fields: none\)"),
        ('{"text": null}', r"the field 'text' is missing \(null\)"),
        ('{"text": 5}', "the field 'text' is a number, not text"),
        ('{"text": true}', "the field 'text' is true or false, not text"),
        ('{"text": ["a"]}', "the field 'text' is a list, not text"),
        ('{"text": "a\\u0000"}', "the text holds a NUL"),
        ('{"text": "a\0"}', "isn't JSON: Invalid control character"),
        ('{"text": "\\ud800"}', "holds half a character"),
        ('{"text": "a", "b": ["\\uDE00"]}', "holds half a character"),
        ('{"text": "a", "entities": []}', "has a field 'entities' already"),
    ],
)
def test_what_is_no_post_says_why(line, problem):
    assert re.match(problem, parse(line).problem)


def test_escapes_of_a_whole_character_are_fine():
    assert parse('{"text": "\\ud83c\\udf89"}').text == "🎉"


def test_the_field_of_the_text_can_be_another():
    record = parse('{"text": 5, "body": "hi"}', "body")
    assert (record.text, record.problem) == ("hi", "")


@pytest.mark.parametrize("line", ["", "  ", "\t"])
def test_blank_lines_are_no_records_in_json(line):
    assert parse(line) is None


def test_a_post_has_its_words_and_tags():
    lines = [RawLine(4, b"Ada\tx\tB-person"), RawLine(5, b"ran\tx\tO")]
    record = parse_post(lines)
    assert (record.line, record.text, record.words) == (4, "Ada ran", ["Ada", "ran"])
    assert record.fields == {
        "text": "Ada ran",
        "tokens": ["Ada", "ran"],
        "tags": ["B-person", "O"],
    }


def test_a_post_without_tags_has_none():
    record = parse_post([RawLine(1, b"Ada"), RawLine(2, b"ran")])
    assert record.fields == {"text": "Ada ran", "tokens": ["Ada", "ran"]}


@pytest.mark.parametrize(
    "line, problem",
    [
        (b"\xff\tO", "line 2 isn't UTF-8"),
        (b"\tO", "line 2 has no word"),
        (b"a b\tO", "line 2 has no word"),
        ("\u00a0\tO".encode(), "line 2 has no word"),
    ],
)
def test_a_post_with_a_bad_line_is_rejected_as_a_whole(line, problem):
    record = parse_post([RawLine(1, b"Ada\tO"), RawLine(2, line)])
    assert record.problem.startswith(problem)
    assert record.line == 1
    assert record.raw.startswith("Ada\tO\n")


def test_a_rejection_holds_the_record_and_its_place():
    record = Record(7, fields={"id": "ü"}, file="a.jsonl")
    assert json.loads(rejection(Chunk([record]), 0, "why")) == {
        "file": "a.jsonl",
        "line": 7,
        "reason": "why",
        "record": {"id": "ü"},
    }
    assert json.loads(rejection(Chunk([Record(None, raw="\\xff")]), 0, "why")) == {
        "reason": "why",
        "record": "\\xff",
    }


def test_what_json_does_not_have_becomes_text():
    when = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
    fields = {"a": when, "b": Decimal("1.50"), "c": b"\xff"}
    assert json.loads(to_json(fields)) == {
        "a": "2026-11-25T12:00:00+00:00",
        "b": "1.50",
        "c": "/w==",
    }


def strict(text):
    """As a parser reads JSON that knows the standard alone."""

    def refuse(constant):
        raise AssertionError(f"{constant} isn't JSON")

    return json.loads(text, parse_constant=refuse)


NUMBERS = st.recursive(
    st.integers() | st.floats() | st.none() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(max_size=3), NUMBERS, max_size=4))
def test_any_number_is_valid_json_or_null(fields):
    def expected(value):
        if isinstance(value, float) and not math.isfinite(value):
            nulls.append(value)
            return None
        if isinstance(value, dict):
            return {name: expected(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [expected(part) for part in value]
        return value

    nulls = []
    # Texts with halves of characters come out as escapes.
    assert strict(to_json(fields)) == expected(fields)
    assert count_nulls(fields) == len(nulls)


@pytest.mark.parametrize(
    "number, written",
    [
        ("1e400", "null"),
        ("-1e400", "null"),
        ("NaN", "null"),
        ("-Infinity", "null"),
        ("1e308", "1e+308"),
        ("-0.0", "-0.0"),
        ("1.0", "1.0"),
        ("1", "1"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ],
)
def test_numbers_of_the_input_in_the_output(number, written):
    record = parse(f'{{"text": "a", "x": [{number}]}}')
    assert record.problem == ""
    assert to_json(record.fields) == f'{{"text": "a", "x": [{written}]}}'
    assert pyarrow.json.read_json(io.BytesIO(to_json(record.fields).encode()))


def test_records_that_are_too_deep_are_rejected():
    def nested(n, inner="NaN"):
        return '{"text": "a", "x": ' + '[{"y": ' * n + inner + "}]" * n + "}"

    record = parse(nested(90))
    assert record.problem == "" and "null" in to_json(record.fields)
    assert "levels deep" in parse(nested(150)).problem
    # Wide isn't deep.
    assert parse(nested(1, "[" + "[]," * 1000 + "[]]")).problem == ""


def test_record_without_the_text_names_its_first_fields():
    line = json.dumps({str(i): i for i in range(11)})
    names = ", ".join(repr(str(i)) for i in range(10))
    assert parse(line).problem == f"has no field 'text' (its fields: {names})"
    assert parse("{}").problem == "has no field 'text' (its fields: none)"
    assert parse("{}").text == ""
    assert parse('{"text": "a", "entities": 1}').problem == (
        "has a field 'entities' already: name another one for the entities with "
        "--entities-field"
    )


def test_numbers_that_are_written_as_null_are_counted():
    numbers = [{"x": math.nan}, {"x": [math.inf, 1.0, math.nan]}, {"x": 1.0}]
    chunk = Chunk([Record(i, fields=fields) for i, fields in enumerate(numbers)])
    writer = JsonlWriter(Settings("m"))
    found = Found([], [], [], [])
    assert writer.count_nulls(chunk, {0: found, 1: found, 2: found}) == 3
    assert writer.count_nulls(chunk, {1: found, 2: found}) == 2
    assert writer.count_nulls(chunk, {}) == 0


@pytest.mark.parametrize(
    "fields, field, expected",
    [
        ({"data": {"text": "a"}}, "data.text", "a"),
        ({"data.text": "b", "data": {"text": "a"}}, "data.text", "b"),
        ({"a": {"b": {"c": None}}}, "a.b.c", None),
        ({"text.": "a"}, "text.", "a"),
        ({"": {"": "a"}}, ".", "a"),
    ],
)
def test_path_to_the_text(fields, field, expected):
    assert find_field(fields, field) == expected


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"id": 1}, "has no field 'a' for 'a.b.c' (its fields: 'id')"),
        ({"a": {"x": 1}}, "has no field 'b' in 'a' (its fields: 'x')"),
        ({"a": {"b": {}}}, "has no field 'c' in 'a.b' (its fields: none)"),
        ({"a": "b"}, "has no field 'b' in 'a', which is text, not an object"),
        ({"a": None}, "has no field 'b' in 'a', which is null, not an object"),
        (
            {"a": {"b": [1]}},
            "has no field 'c' in 'a.b', which is a list, not an object",
        ),
    ],
)
def test_missing_part_of_a_path_is_named(fields, message):
    with pytest.raises(LookupError) as err:
        find_field(fields, "a.b.c")
    assert err.value.args == (message,)
    assert parse(json.dumps(fields), "a.b.c").problem == message


def test_value_at_the_end_of_a_path_is_checked():
    assert parse('{"a": {"b": "in Oslo"}}', "a.b").text == "in Oslo"
    assert parse('{"a": {"b": 5}}', "a.b").problem == (
        "the field 'a.b' is a number, not text"
    )
