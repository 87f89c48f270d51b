import os

import pytest

from spacy_wnut.bulk.formats.registry import (
    FORMATS,
    check_names,
    check_output_options,
    check_unescape,
    find_delimiter,
    input_type,
    is_stream,
    output_type,
)
from spacy_wnut.bulk.settings import Settings
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


@pytest.mark.parametrize("name", ["jsonl", "parquet", "label-studio"])
def test_utf16_is_for_formats_with_offsets_in_any_unit(name):
    check_output_options(BY_NAME[name], Settings("m", offsets="utf16"))


@pytest.mark.parametrize(
    "name, why",
    [
        ("docbin", "has no character offsets"),
        ("conll", "has no character offsets"),
        ("doccano", "counts code points"),
        ("prodigy", "counts code points"),
    ],
)
def test_utf16_is_refused_elsewhere(name, why):
    check_output_options(BY_NAME[name], Settings("m"))
    with pytest.raises(WnutError, match=f"jsonl, parquet, label-studio, .* {why}"):
        check_output_options(BY_NAME[name], Settings("m", offsets="utf16"))


def test_fields_of_annotation_tools_have_fixed_names():
    settings = Settings("m", entities_field="found")
    check_output_options(BY_NAME["jsonl"], settings)
    with pytest.raises(WnutError, match="whose fields are text, label, confidences"):
        check_output_options(BY_NAME["doccano"], settings)


def test_words_are_not_unescaped():
    check_unescape(BY_NAME["txt"], Settings("m", unescape=True))
    check_unescape(BY_NAME["conll"], Settings("m"))
    with pytest.raises(WnutError, match="conll has words: leave it out"):
        check_unescape(BY_NAME["conll"], Settings("m", unescape=True))


def test_formats_of_annotation_tools_are_named_not_guessed():
    for name in ("doccano", "label-studio", "prodigy"):
        assert output_type("a.json.gz", name) == (BY_NAME[name], "gzip")
        with pytest.raises(WnutError, match=r"--input-format .* is unknown"):
            input_type("a.json", name)
