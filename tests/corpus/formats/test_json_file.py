import bz2
import gzip
import json
import lzma

import pytest

from spacy_wnut.corpus.formats.json_file import read_json
from spacy_wnut.corpus.posts import Rejection
from spacy_wnut.errors import WnutError

RECORDS = [{"text": "in Oslo"}, {"text": "Grüße 🎉", "n": [1, {"a": None}]}, {}]
PAIRS = [["in Oslo", {"entities": []}], ["lol", {"entities": []}]]
DEEP = "[" * 300 + "]" * 300


@pytest.fixture
def read(tmp_path):
    def read(content, name="posts.json"):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode("utf8")
        path.write_bytes(data)
        return list(read_json(path))

    return read


def lines(records, line_break="\n"):
    return line_break.join(json.dumps(one, ensure_ascii=False) for one in records)


@pytest.mark.parametrize(
    "content",
    [
        lines(RECORDS),
        lines(RECORDS) + "\n",
        "\n\n" + lines(RECORDS, "\n \n"),
        lines(RECORDS, "\r\n"),
        "\ufeff" + lines(RECORDS),
        json.dumps(RECORDS),
        "\ufeff \n" + json.dumps(RECORDS) + "\n\n",
        json.dumps(RECORDS, indent=2),
        json.dumps(RECORDS, indent=2).replace("\n", "\r\n"),
        "[" + lines(RECORDS, ",\n") + "\n]",
        "\n".join(json.dumps(one, indent=2) for one in RECORDS),
    ],
)
def test_layouts(read, content):
    assert [one.value for one in read(content)] == RECORDS


@pytest.mark.parametrize(
    "content", [json.dumps(PAIRS), lines(PAIRS), json.dumps(PAIRS, indent=1)]
)
def test_pairs_are_records(read, content):
    assert [one.value for one in read(content)] == PAIRS


def test_a_single_pair_is_not_a_list_of_records(read):
    assert [one.value for one in read(json.dumps(PAIRS[0]))] == PAIRS[:1]


def test_places(read):
    assert [one.where for one in read("\n" + lines(RECORDS, "\n\n"))] == [
        "line 2",
        "line 4",
        "line 6",
    ]
    assert [one.where for one in read("\n[{},\n\n{}, {}]")] == [
        "record 1, line 2",
        "record 2, line 4",
        "record 3, line 4",
    ]
    assert [one.where for one in read('{\n"a": 1\n}\n\n{}')] == ["line 1", "line 5"]


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0b"])
def test_other_line_breaks_are_text(read, separator):
    [record] = read(
        json.dumps({"text": f"a{separator}b"}, ensure_ascii=False).replace(
            "\x0b", "\\u000b"
        )
    )
    assert record.value == {"text": f"a{separator}b"}


@pytest.mark.parametrize(
    "line, reason",
    [
        ('{"text": ', "isn't JSON: Expecting value"),
        ('{"text": "a"} {}', "isn't JSON: Extra data"),
        ('{"text": "a\0"}', "isn't JSON: Invalid control character"),
        (b'{"text": "\xff"}', "isn't UTF-8: the byte 0xff"),
        ('{"text": "\\ud83d"}', "holds half a character (a lone surrogate)"),
        ('{"\\udc00": 1}', "holds half a character (a lone surrogate)"),
        ('{"a": ' + DEEP + "}", "is nested more than 200 levels deep"),
        ('{"a": ' + "9" * 5000 + "}", "isn't JSON: Exceeds the limit"),
        ("[" * 100_000, "isn't JSON: "),
    ],
)
def test_a_bad_line_is_rejected_and_others_are_read(read, line, reason):
    raw = line if isinstance(line, bytes) else line.encode("utf8")
    first, bad, last = read(b'{"n": 1}\n' + raw + b'\r\n{"n": 2}')
    assert (first.value, last.value) == ({"n": 1}, {"n": 2})
    assert isinstance(bad, Rejection)
    assert bad.where == "line 2" and bad.reason.startswith(reason)
    assert bad.record == raw.decode("utf8", "backslashreplace")


def test_a_bad_first_line_is_rejected(read):
    bad, good = read('{"text": "in Oslo", "label": [[}\n{"text": "lol"}')
    assert bad.where == "line 1" and "isn't JSON" in bad.reason
    assert good.value == {"text": "lol"}


def test_half_a_character_in_a_list_is_rejected(read):
    bad, good = read('[{"text": "\\ud83d"},\n{"text": "\\ud83c\\udf89"}]')
    assert bad == Rejection(
        "record 1, line 1",
        "holds half a character (a lone surrogate)",
        '{"text": "\\ud83d"}',
    )
    assert good.value == {"text": "🎉"}


def test_numbers_that_json_lacks_and_duplicate_keys_are_read(read):
    first, second = read('{"a": NaN, "b": Infinity}\n{"a": 1, "a": 2}')
    assert first.value["b"] == float("inf")
    assert second.value == {"a": 2}


@pytest.mark.parametrize(
    "content, message",
    [
        (
            '[\n{"a": 1},\n{"a" 2}\n]',
            "line 3, column 6: isn't JSON: Expecting ':' delimiter",
        ),
        (
            '[\n{"a": 1}\n{"a": 2}\n]',
            "line 3, column 1: isn't JSON: Expecting ',' or ']'",
        ),
        ('[\n{"a": 1},\n]', "line 3, column 1: isn't JSON: Expecting value"),
        ('[\n{"a": 1},', "line 2, column 10: isn't JSON: Expecting value"),
        ('[\n{"a": 1}', "line 2, column 9: isn't JSON: Expecting ',' or ']'"),
        ("[{}]\n\n x", "line 3, column 2: isn't JSON: Extra data"),
        ('{\n"a": 1,\n}', "line 3, column 1: isn't JSON: "),
        (b'[\n\n{"a": "\xff"}]', "line 3: isn't UTF-8: the byte 0xff"),
        ("[" * 100_000, "line 1, column 2: isn't JSON: "),
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("\ufeff", "is empty"),
        ("[]", "is an empty list"),
        ("[ \n ]\n", "is an empty list"),
        ('{"a": 1}'.encode("utf-16"), "is in UTF-16 or UTF-32: save it in UTF-8"),
        ('{"a": 1}'.encode("utf-32"), "is in UTF-16 or UTF-32: save it in UTF-8"),
    ],
)
def test_files_that_cannot_be_read(read, content, message):
    with pytest.raises(WnutError) as caught:
        read(content)
    assert "posts.json" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files(read, compress):
    assert [
        one.value for one in read(compress(json.dumps(RECORDS).encode()))
    ] == RECORDS
    with pytest.raises(WnutError, match=r"posts\.json can't be read to its end"):
        read(compress(json.dumps(RECORDS).encode())[:-10])


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(WnutError, match=r"gone\.json isn't there"):
        list(read_json(tmp_path / "gone.json"))
    with pytest.raises(WnutError, match="is a folder: give a file in it"):
        list(read_json(tmp_path))


def test_lines_are_read_lazily(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b'{"n": 1}\n' * 3 + b"\xff" * 100_000)
    records = read_json(path)
    assert next(records).value == {"n": 1}
    records.close()
