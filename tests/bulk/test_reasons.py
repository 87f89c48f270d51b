import json

import pytest

from spacy_wnut.bulk.reasons import LONGEST, Reasons, shorten


def rejected(reason, record=None):
    return json.dumps({"line": 1, "reason": reason, "record": record})


def test_reasons_of_one_kind_are_counted_together():
    reasons = Reasons([rejected("isn't JSON: char 5")])
    reasons.add([rejected("isn't JSON: char 17"), rejected("isn't UTF-8: byte 0xe9")])
    reasons.add([rejected("has 3 columns, and the first row 2")] * 3)
    assert reasons.most_common(5) == [
        ("has 3 columns, and the first row 2", 3),
        ("isn't JSON: char 5", 2),
        ("isn't UTF-8: byte 0xe9", 1),
    ]
    assert len(reasons.most_common(2)) == 2
    assert "--delimiter" in reasons.hint()


@pytest.mark.parametrize(
    "reason, option",
    [
        ("has no field 'text' (its fields: 'id')", "--text-field"),
        ("the field 'text' is a number, not text", "--text-field"),
        ("the text isn't UTF-8", "--encoding cp1252"),
        ("the text holds a NUL character: it isn't text", "--encoding utf-16"),
        ("isn't JSON: Expecting value", "--input-format"),
    ],
)
def test_hints(reason, option):
    assert option in Reasons([rejected(reason)]).hint()


def test_a_verdict_names_the_fields_of_the_records():
    lines = [rejected("has no field 'text' (its fields: 'id')", {"id": 1})]
    lines += [rejected("has no field 'text' (its fields: 'a')", {"a": 1, "b\0": 2})]
    verdict = Reasons(lines).verdict(0, "posts.jsonl")
    assert verdict.startswith("Nothing of posts.jsonl can be annotated: 2 records")
    assert "has no field 'text'. The fields of these records: 'id', 'a'" in verdict
    assert "--text-field" in verdict and "\0" not in verdict
    assert Reasons(lines).verdict(1, "posts.jsonl") == ""
    assert Reasons([*lines, rejected("isn't JSON")]).verdict(0, "a") == ""
    assert Reasons().verdict(0, "a") == ""


def test_a_terminal_gets_no_control_characters():
    assert shorten("a\0\x1b[31m\x9b\tü🎉") == r"a\x00\x1b[31m\x9b\tü🎉"
    assert len(shorten("a" * 1000)) == LONGEST + 1
