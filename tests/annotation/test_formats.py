import pytest

from spacy_wnut.annotation.formats import (
    Format,
    check_names,
    input_format,
    output_format,
)
from spacy_wnut.errors import WnutError


@pytest.mark.parametrize(
    "path, given, expected",
    [
        ("a.jsonl", None, ("jsonl", "")),
        ("b/a.v2.JSONL.GZ", None, ("jsonl", "gzip")),
        ("a.ndjson", None, ("jsonl", "")),
        ("a.csv", None, ("csv", "")),
        ("a.txt.gz", None, ("txt", "gzip")),
        ("a.conll", None, ("conll", "")),
        ("a.parquet", None, ("parquet", "")),
        ("-", None, ("jsonl", "")),
        ("-", "txt", ("txt", "")),
        ("a.dat", "csv", ("csv", "")),
        ("a.jsonl.gz", "txt", ("txt", "gzip")),
    ],
)
def test_the_format_of_an_input(path, given, expected):
    assert input_format(path, given) == expected


def test_the_format_of_an_output():
    assert output_format("a.spacy", None) == ("docbin", "")
    assert output_format("a.jsonl.gz", None) == ("jsonl", "gzip")


@pytest.mark.parametrize("path", ["a", "a.xml", "a.gz", "jsonl", "a.spacy"])
def test_a_name_that_tells_no_format_is_refused(path):
    with pytest.raises(WnutError, match=r"\.jsonl, \.ndjson, \.csv.*--input-format"):
        input_format(path, None)


def test_an_unknown_format_is_refused():
    with pytest.raises(WnutError, match=r"--output-format 'csv' is unknown: .* docbin"):
        output_format("a.csv", "csv")


@pytest.mark.parametrize(
    "format_, taken", [("txt", "text"), ("conll", "tags"), ("csv", "body")]
)
def test_entities_take_no_place_of_something_else(format_, taken):
    format_ = Format(format_)
    check_names(format_, "body", "entities")
    for name in (taken, "other_fields"):
        with pytest.raises(WnutError, match="--entities-field"):
            check_names(format_, "body", name)
