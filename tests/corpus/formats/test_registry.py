import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.formats.registry import FORMATS, find_format
from spacy_wnut.corpus.posts import Post, Rejection
from spacy_wnut.errors import WnutError

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
SPAN = {"start": 3, "end": 7, "label": "a"}
REGION = {"start": 3, "end": 7, "text": "Oslo", "labels": ["a"]}
RESULT = {"type": "labels", "from_name": "label", "to_name": "text", "value": REGION}
# Records in the forms of each format.
EXAMPLES = {
    "doccano": [
        {"id": 1, "text": "in Oslo", "label": [[3, 7, "a"]], "Comments": []},
        {"text": "in Oslo", "labels": [[3, 7, "a"]]},
        {"data": "in Oslo", "label": [[3, 7, "a"]]},
        {"id": 1, "text": "lol", "label": []},
        {
            "text": "in Oslo",
            "entities": [{"id": 1, "start_offset": 3, "end_offset": 7, "label": "a"}],
            "relations": [],
        },
        {"id": 1, "text": "lol", "entities": [], "relations": [], "Comments": []},
    ],
    "datasets": [
        {"tokens": ["in", "Oslo"], "ner_tags": ["O", "B-a"]},
        {"id": "0", "tokens": ["in", "Oslo"], "ner_tags": [0, 1]},
    ],
    "label-studio": [
        {"id": 1, "data": {"text": "in Oslo"}, "annotations": [{"result": [RESULT]}]},
        {"id": 1, "data": {"text": "in Oslo"}, "completions": [{"result": [RESULT]}]},
        {"id": 1, "data": {"text": "in Oslo"}, "annotations": [], "predictions": []},
        {"data": {"text": "in Oslo"}, "predictions": [{"result": [RESULT]}]},
        {"id": 1, "text": "in Oslo", "label": [REGION], "annotation_id": 1},
        {"id": 1, "tweet": "in Oslo", "ner": [REGION]},
        {"id": 1, "text": "lol", "annotator": 1, "annotation_id": 1, "lead_time": 1.5},
        {"id": 1, "text": "lol", "label": [], "annotation_id": 1},
    ],
    "prodigy": [
        {"text": "in Oslo", "spans": [SPAN], "answer": "accept"},
        {"text": "in Oslo", "spans": [SPAN]},
        {"text": "in Oslo", "spans": []},
        {"text": "lol", "answer": "reject"},
        {"text": "lol", "_input_hash": 1, "_task_hash": 2, "tokens": []},
        {"text": "lol", "label": "spam", "answer": "accept"},
    ],
    "spacy-json": [
        ["in Oslo", {"entities": [[3, 7, "a"]]}],
        ["lol", {"entities": []}],
        ["lol", {"words": ["lol"], "entities": ["O"]}],
    ],
    "gliner": [
        {"tokenized_text": ["in", "Oslo"], "ner": [[1, 1, "a"]]},
        {"tokenized_text": ["lol"], "ner": []},
    ],
    "annotated": [
        {"text": "in Oslo", "entities": [{**SPAN, "text": "Oslo", "confidence": 0.9}]},
        {"text": "in Oslo", "entities": [SPAN]},
        {"text": "lol", "entities": []},
        {"data": {"text": "in Oslo"}, "entities": [SPAN]},
    ],
}
RECORDS = [(name, record) for name, records in EXAMPLES.items() for record in records]


@pytest.mark.parametrize("name, record", RECORDS)
@pytest.mark.parametrize("file", ["posts.jsonl", "posts.json", "posts.txt", "posts"])
def test_each_record_has_one_format(tmp_path, name, record, file):
    path = tmp_path / file
    for content in (json.dumps(record), json.dumps([record], indent=2)):
        path.write_text(content)
        assert find_format(path).name == name
    matching = [
        one.name for one in FORMATS.values() if one.matches and one.matches(record)
    ]
    assert matching == [name]


@pytest.mark.parametrize("value", [None, 3, "lol", [], ["a", "b"], {}, {"text": "lol"}])
def test_other_values_have_no_format(value):
    assert not any(one.matches and one.matches(value) for one in FORMATS.values())


def test_the_forms_in_messages_are_of_their_format():
    for one in FORMATS.values():
        if one.matches:
            assert one.matches(json.loads(one.form)), one.name


def test_names_are_keys():
    assert list(FORMATS) == [one.name for one in FORMATS.values()]
    assert set(EXAMPLES) == {one.name for one in FORMATS.values() if one.matches}


def test_a_format_by_name(tmp_path):
    path = tmp_path / "posts.spacy"
    assert find_format(path, "prodigy").name == "prodigy"
    with pytest.raises(
        WnutError, match="--format 'docano' is unknown: give one of col"
    ):
        find_format(path, "docano")


@pytest.mark.parametrize(
    "file, name",
    [
        ("a.conll", "columns"),
        ("a.IOB2", "columns"),
        ("a.spacy", "spacy"),
    ],
)
def test_suffixes_decide_without_the_content(tmp_path, file, name):
    assert find_format(tmp_path / file).name == name


@pytest.mark.parametrize(
    "content",
    [
        "Oslo B-location\n",
        "{ O\n",
        "[ O\n} O\n",
        "[\tO\n1 O\n",
        "7\n8\n",
        "# id\n\nOslo\tB-location\n",
        "-DOCSTART- -X- O\n",
        "\ufeffOslo O\n",
    ],
)
def test_other_texts_are_columns(tmp_path, content):
    path = tmp_path / "emerging.test.annotated"
    path.write_text(content)
    assert find_format(path).name == "columns"


@pytest.mark.parametrize("name", ["datasets", "annotated"])
def test_the_columns_of_parquet_decide(tmp_path, name):
    path = tmp_path / "train-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(EXAMPLES[name][:1]), path)
    assert find_format(path).name == name
    pq.write_table(pa.table({"text": ["lol"]}), path)
    with pytest.raises(
        WnutError, match="is in no known format: the fields of its first"
    ):
        find_format(path)


def test_a_faulty_record_does_not_hide_the_format(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_text('{bad}\n{"text": "lol"}\n{"text": "lol", "label": []}\n')
    assert find_format(path).name == "doccano"


def test_compressed_files(tmp_path):
    path = tmp_path / "posts.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "lol", "label": []}\n'))
    assert find_format(path).name == "doccano"
    path.write_bytes(gzip.compress(b"Oslo B-location\n"))
    with pytest.raises(WnutError, match=r"holds no JSON: its line 1 isn't JSON"):
        find_format(path)
    path = tmp_path / "posts.txt.gz"
    path.write_bytes(gzip.compress(b"Oslo B-location\n"))
    with pytest.raises(WnutError, match=r"posts.txt.gz is compressed: decompress it"):
        find_format(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty: expected annotated posts"),
        (b"\n \n", "is empty: expected annotated posts"),
        (b"\x7fELF\x02\x01\x01\0\0", "is a binary file of no known format"),
        ('{"text": "x"}'.encode("utf-16"), "is in UTF-16 or UTF-32"),
        (
            b'{"text": "lol"}',
            "is in no known format: the fields of its first record are 'text'",
        ),
        (b"{}", "the fields of its first record are none"),
        (b'["a", "b"]', "is in no known format: its first record is text"),
        (b"Oslo B-location", "holds no JSON: its line 1 isn't JSON"),
        (b'[{"a": 1},]', "line 1, column 11: isn't JSON"),
        (
            json.dumps({**EXAMPLES["prodigy"][0], **EXAMPLES["annotated"][0]}).encode(),
            "has the form of Prodigy and that of `spacy-wnut annotate`: choose one with "
            "--format prodigy or --format annotated",
        ),
    ],
)
def test_files_without_a_known_format(tmp_path, content, message):
    path = tmp_path / "posts.json"
    path.write_bytes(content)
    with pytest.raises(WnutError) as caught:
        find_format(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_the_error_shows_the_known_forms(tmp_path):
    path = tmp_path / "posts.json"
    path.write_text('{"text": "lol"}')
    with pytest.raises(WnutError) as caught:
        find_format(path)
    for one in FORMATS.values():
        assert f"{one.name}: {one.form}" in str(caught.value)
    assert "--format" in str(caught.value)


def test_missing_files(tmp_path):
    with pytest.raises(WnutError, match="isn't there"):
        find_format(tmp_path / "gone.json")
    with pytest.raises(WnutError, match="is a folder"):
        find_format(tmp_path)


def test_the_page_has_each_format_and_its_examples_are_read(tmp_path):
    text = PAGE.read_text(encoding="utf8")
    rows = re.findall(r"^\| \[`([\w-]+)`\]\(#", text, re.MULTILINE)
    assert rows == list(FORMATS)
    path = tmp_path / "posts.json"
    names = []
    for example in re.findall(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        path.write_text(example, encoding="utf8")
        found = find_format(path)
        names.append(found.name)
        posts = list(found.read(path, ReadOptions()))
        assert all(isinstance(post, Post) for post in posts)
        words = {
            post.text[start:end]
            for post in posts
            for start, end, _ in (*post.spans, *post.incorrect)
        }
        assert words <= {"Ada", "Ada Lovelace", "Oslo", "lol"} and "Oslo" in words
    assert set(names) == set(EXAMPLES)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["start", "end", "labels"]), inner, max_size=3
        )
    ),
    max_leaves=4,
)


def change(value, data):
    """Replace a part of a JSON value, at any depth, by another value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = data.draw(st.sampled_from(list(keys)))
    part = value[key]
    if isinstance(part, dict | list) and part and data.draw(st.booleans()):
        change(part, data)
    elif isinstance(value, dict) and data.draw(st.booleans()):
        del value[key]
    else:
        value[key] = data.draw(VALUES)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from(RECORDS), st.data())
def test_a_changed_record_is_read_or_rejected(tmp_path, named, data):
    name, record = named
    changed = json.loads(json.dumps(record))
    change(changed, data)
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps(changed) + "\n" + json.dumps(record))
    try:
        posts = list(FORMATS[name].read(path, ReadOptions()))
    except WnutError as err:
        assert str(path) in str(err)
        return
    for post in posts:
        assert isinstance(post, Post | Rejection)
        if isinstance(post, Post):
            assert post.text.strip()
            for start, end, label in (*post.spans, *post.incorrect):
                assert type(start) is type(end) is int
                assert post.text[start:end].strip() and label
        else:
            assert post.reason and post.where in ("line 1", "line 2")


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.binary(max_size=6)
        | st.sampled_from([json.dumps(record).encode() for _, record in RECORDS])
        | st.sampled_from(
            [b"[", b"{", b"]", b"}", b",", b"\n", b"\r\n", b" ", b'"', b"a O"]
        ),
        max_size=8,
    ).map(b"".join),
    st.sampled_from(["posts.json", "posts.txt", "posts.spacy", "posts.gz"]),
)
def test_any_bytes_are_read_or_an_error(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    try:
        found = list(find_format(path).read(path, ReadOptions()))
    except WnutError as err:
        assert str(path) in str(err)
    else:
        assert all(isinstance(one, Post | Rejection) for one in found)
