import os

import pytest

from spacy_wnut.bulk.formats.registry import (
    FORMATS,
    check_names,
    find_delimiter,
    input_type,
    is_stream,
    output_type,
)
from spacy_wnut.errors import WnutError

BY_NAME = {format_.name: format_ for format_ in FORMATS}


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
        ("a.tsv.zst", None, ("tsv", "zstd")),
        ("a.csv.BZ2", None, ("csv", "bz2")),
        ("/dev/stdin", None, ("jsonl", "")),
    ],
)
def test_the_format_of_an_input(path, given, expected):
    found = input_type(path, given)
    assert (found.format.name, found.codec) == expected


def test_the_format_of_an_output():
    for path, *expected in (("a.spacy", "docbin", ""), ("a.jsonl.gz", "jsonl", "gzip")):
        found = output_type(path, None)
        assert [found.format.name, found.codec] == expected


@pytest.mark.parametrize("path", ["a", "a.xml", "a.gz", ".gz", "jsonl", "a.spacy"])
def test_a_name_that_tells_no_format_is_refused(path):
    with pytest.raises(WnutError, match=r"\.jsonl, \.ndjson, \.csv.*--input-format"):
        input_type(path, None)


def test_an_unknown_format_is_refused():
    with pytest.raises(WnutError, match=r"--output-format 'csv' is unknown: .* docbin"):
        output_type("a.csv", "csv")


@pytest.mark.parametrize(
    "format_, taken", [("txt", "text"), ("conll", "tags"), ("csv", "body")]
)
def test_entities_take_no_place_of_something_else(format_, taken):
    format_ = BY_NAME[format_]
    check_names(format_, "body", "entities")
    for name in (taken, "other_fields"):
        with pytest.raises(WnutError, match="--entities-field"):
            check_names(format_, "body", name)


def test_other_files_have_a_way_in(tmp_path):
    for name, advice in (
        ("a.zip", "unzip -p a.zip"),
        ("a.tar.gz", "tar -xO -f a.tar.gz"),
        ("a.json", "jq -c"),
        ("a.xlsx", r"\.csv"),
        ("a.parquet.gz", "gzip -cd a.parquet.gz"),
        (str(tmp_path), "one by one.*--engine ray"),
    ):
        with pytest.raises(WnutError, match=advice):
            input_type(name, None)


def test_compressed_formats_are_not_compressed_again():
    for name in ("a.parquet.gz", "a.spacy.zst"):
        with pytest.raises(WnutError, match=r"compressed already: .* without \."):
            output_type(name, None)


def test_delimiters():
    assert find_delimiter(BY_NAME["csv"], None) == ","
    assert find_delimiter(BY_NAME["csv"], ";") == ";"
    assert find_delimiter(BY_NAME["tsv"], "\\t") == "\t"
    for bad in ("", ";;", '"', "\n"):
        with pytest.raises(WnutError, match="give one character"):
            find_delimiter(BY_NAME["csv"], bad)
    with pytest.raises(WnutError, match="--delimiter is for csv and tsv"):
        find_delimiter(BY_NAME["jsonl"], ";")


@pytest.mark.posix
def test_streams_have_no_place_of_their_own(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path in ("-", "/dev/null", "/dev/stdout", tmp_path / "pipe"):
        assert is_stream(str(path))
    for path in (tmp_path, tmp_path / "file", tmp_path / "none"):
        assert not is_stream(str(path))
