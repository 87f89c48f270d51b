import datetime
import decimal
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin

from spacy_wnut.bulk.annotator import Found
from spacy_wnut.bulk.formats import parquet
from spacy_wnut.bulk.formats.parquet import (
    ENTITIES,
    ParquetWriter,
    check_table,
    infer_schema,
    plain_schema,
    row_chunk,
    to_table,
    without_views,
)
from spacy_wnut.bulk.records import OTHER_FIELDS, Chunk, Record
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.bulk.sources import DamagedInput, Input
from spacy_wnut.errors import WnutError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
NAME = st.sampled_from(["a", "b", "c", OTHER_FIELDS])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(NAME, inner, max_size=2)
    ),
    max_leaves=4,
)
RECORDS = st.lists(st.dictionaries(NAME, JSON), max_size=5)


def without_nulls(value):
    """Columns don't tell a field that is null from one that isn't there."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def restore(table):
    for row in table.to_pylist():
        others = json.loads(row.pop(OTHER_FIELDS) or "{}")
        yield without_nulls({**row, **others})


@settings(deadline=None)
@given(sample=RECORDS, records=RECORDS)
def test_no_value_is_lost_or_changed(sample, records):
    schema = infer_schema(sample)
    assert schema.names[-1] == OTHER_FIELDS
    table = to_table(records, schema)
    assert table.schema == schema
    restored = list(restore(table))
    assert restored == [without_nulls(record) for record in records]
    # Equal is not enough: True == 1.
    for one, other in zip(restored, records, strict=True):
        for name, value in one.items():
            if isinstance(other[name], bool):
                assert isinstance(value, bool)


def test_columns_are_the_fields_of_one_kind():
    sample = [
        {"id": 1, "score": 1, "tags": ["a"], "user": {"id": 1}, "mixed": 1, "no": None},
        {"id": 2, "score": 0.5, "tags": [], "user": {"name": "x"}, "mixed": "a"},
    ]
    schema = infer_schema([*sample, {"empty": []}])
    assert {field.name: str(field.type) for field in schema} == {
        "id": "int64",
        "score": "double",
        "tags": "list<item: string>",
        "user": "struct<id: int64, name: string>",
        "no": "string",
        OTHER_FIELDS: "string",
    }
    [row] = to_table([{"id": "x", "user": {"id": 1, "new": 2}}], schema).to_pylist()
    assert json.loads(row[OTHER_FIELDS]) == {"id": "x", "user": {"id": 1, "new": 2}}
    assert row["id"] is None and row["user"] is None


def test_large_numbers_stay_exact():
    schema = infer_schema([{"a": 0.5, "b": 1}])
    record = {"a": 2**53 + 1, "b": 2**63}
    [row] = to_table([record], schema).to_pylist()
    assert json.loads(row[OTHER_FIELDS]) == record


def write(path, columns):
    table = pa.table(columns)
    pq.write_table(table, path, row_group_size=3)
    return table


def test_rows_are_read_in_chunks_with_their_numbers(open_source, tmp_path):
    path = tmp_path / "a.parquet"
    write(path, {"text": ["a", "b", None, "d\0", "e"], "id": [1, 2, 3, 4, 5]})
    with open_source(path, "parquet") as source:
        assert source.total == 5
        chunks = list(source.chunks(2))
        assert source.fraction() == 1.0
    records = [record for chunk in chunks for record in chunk.records]
    assert [(r.line, r.text) for r in records] == [
        (1, "a"),
        (2, "b"),
        (3, ""),
        (4, ""),
        (5, "e"),
    ]
    assert records[2].problem == "the field 'text' is missing (null)"
    assert "NUL" in records[3].problem
    assert [row["id"] for chunk in chunks for row in chunk.fields()] == [1, 2, 3, 4, 5]


def test_texts_may_be_large_or_in_a_dictionary(open_source, tmp_path):
    for type_ in (pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        table = pa.table({"text": pa.array(["a", "b", "a"], type=type_)})
        chunk = row_chunk(table, table.schema, "text", None)
        assert [record.text for record in chunk.records] == ["a", "b", "a"]
        pq.write_table(table, tmp_path / "a.parquet")
        open_source(tmp_path / "a.parquet", "parquet")


TEXTS = ["in Oslo", None, "", "c", "é🎉"]
TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
    pa.dictionary(pa.int32(), pa.binary()),
]


@pytest.mark.parametrize("type_", TYPES, ids=str)
@pytest.mark.parametrize("target", ["b.parquet", "b.jsonl", "b.spacy"])
def test_texts_of_any_type(tmp_path, annotate, ruler, type_, target, read_jsonl):
    is_binary = "binary" in str(type_)
    texts = [t.encode() if is_binary and t is not None else t for t in TEXTS]
    column = pa.array(texts, type=type_)
    pq.write_table(pa.table({"text": column, "other": column}), tmp_path / "a.parquet")
    annotate(ruler, tmp_path / "a.parquet", tmp_path / target, chunk_size=2)
    [rejected] = read_jsonl(tmp_path / f"{target}.rejected.jsonl")
    assert (rejected["line"], rejected["record"]["text"]) == (2, None)
    good = [text for text in TEXTS if text is not None]
    if target == "b.jsonl":
        assert [post["text"] for post in read_jsonl(tmp_path / target)] == good
    elif target == "b.parquet":
        rows = pq.read_table(tmp_path / target)
        assert rows.column("text").to_pylist() == good
        others = [text for text in texts if text is not None]
        assert rows.column("other").to_pylist() == others
        if not is_binary and type_ != pa.string_view():
            source = pq.read_table(tmp_path / "a.parquet")
            assert rows.schema.field("text").type == source.schema.field("text").type
    else:
        docs = DocBin().from_disk(tmp_path / target)
        vocab = spacy.blank("en").vocab
        assert [doc.text for doc in docs.get_docs(vocab)] == good


@pytest.mark.parametrize(
    "type_, values",
    [
        (pa.list_(pa.string_view()), [["a"], None, []]),
        (pa.large_list(pa.binary_view()), [[b"a"], None, []]),
        (pa.list_(pa.string_view(), 1), [["a"], None, ["b"]]),
        (pa.struct([("x", pa.string_view())]), [{"x": "a"}, None, {"x": None}]),
        (pa.map_(pa.string(), pa.string_view()), [[("a", "b")], None, []]),
    ],
    ids=str,
)
def test_views_in_other_columns(tmp_path, annotate, ruler, type_, values):
    table = pa.table({"text": ["a", "b", "c"], "x": pa.array(values, type=type_)})
    pq.write_table(table, tmp_path / "a.parquet")
    annotate(ruler, tmp_path / "a.parquet", tmp_path / "b.parquet", chunk_size=2)
    rows = pq.read_table(tmp_path / "b.parquet")
    assert rows.column("x").to_pylist() == values


@pytest.mark.parametrize("name", ["text", "other"])
@pytest.mark.parametrize("type_", [pa.binary(), pa.string()], ids=str)
def test_bytes_that_are_no_text_are_rejected_alone(
    tmp_path, annotate, ruler, read_jsonl, name, type_
):
    bad = pa.array([b"in Oslo", b"caf\xe9", b"c"])
    # As a writer does it that doesn't look at its texts.
    bad = pa.Array.from_buffers(type_, 3, bad.buffers())
    table = pa.table({"text": ["x"] * 3, name: bad})
    pq.write_table(table, tmp_path / "a.parquet")
    annotate(ruler, tmp_path / "a.parquet", tmp_path / "b.jsonl")
    posts = read_jsonl(tmp_path / "b.jsonl")
    if name == "other" and type_ == pa.binary():
        assert len(posts) == 3
        return
    assert [post[name] for post in posts] == ["in Oslo", "c"]
    [rejected] = read_jsonl(tmp_path / "b.jsonl.rejected.jsonl")
    assert "isn't UTF-8: the byte 0xe9" in rejected["reason"]
    assert (rejected["line"], rejected["record"][name]) == (2, r"caf\xe9")


def test_nan_in_a_table_is_null_in_json(tmp_path, annotate, ruler, read_jsonl):
    values = [math.nan, math.inf, 0.5]
    pq.write_table(pa.table({"text": ["a"] * 3, "x": values}), tmp_path / "a.parquet")
    summary = annotate(ruler, tmp_path / "a.parquet", tmp_path / "b.jsonl")
    assert [post["x"] for post in read_jsonl(tmp_path / "b.jsonl")] == [None, None, 0.5]
    assert summary.nulls == 2
    summary = annotate(ruler, tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert summary.nulls == 0
    after = pq.read_table(tmp_path / "b.parquet").column("x").to_pylist()
    assert math.isnan(after[0]) and after[1:] == [math.inf, 0.5]


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"body": ["a"]}, r"a\.parquet has no column 'text'"),
        (
            {"text": [1]},
            r"the column 'text' of .*a\.parquet is of type int64, not of texts: name "
            "another one with --text-field$",
        ),
        ({"text": ["a"], "entities": ["b"]}, "'entities' already"),
    ],
)
def test_a_table_without_the_right_columns_is_refused(
    open_source, tmp_path, columns, message
):
    write(tmp_path / "a.parquet", columns)
    with pytest.raises(WnutError, match=message):
        open_source(tmp_path / "a.parquet", "parquet")


def test_what_is_no_parquet_is_refused(open_source, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but no more")
    for name in (str(tmp_path / "a.parquet"), str(tmp_path / "gone.parquet")):
        with pytest.raises(WnutError) as err:
            open_source(name, "parquet")
        assert str(err.value).startswith(f"{name} can't be read as parquet: ")
    with pytest.raises(WnutError) as err:
        open_source("-", "parquet")
    assert str(err.value) == ("parquet can't be read from standard input: name a file")


def test_a_damaged_table_is_never_taken_for_whole(open_source, tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"post {i}" for i in range(10_000)]})
    pq.write_table(table, path, row_group_size=1000, compression="gzip")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 500] = b"\0" * 500
    path.write_bytes(whole)
    with open_source(path, "parquet") as source:
        with pytest.raises(
            DamagedInput, match=r"a\.parquet can't be read to its end: .*after row \d+"
        ):
            list(source.chunks(1000))


def test_the_identity_tells_tables_apart(open_source, tmp_path):
    def identity(values):
        write(tmp_path / "a.parquet", {"text": ["a", "b"], "id": values})
        path = str(tmp_path / "a.parquet")
        with open_source(path, "parquet") as source:
            return source.identity()

    assert identity([1, 2]) == identity([1, 2]) != identity([1, 3])


def test_columns_of_parquet_go_through_unchanged(tmp_path, annotate, ruler):
    day = datetime.datetime(2026, 11, 25, 1, 2, 3, 4)
    table = pa.table(
        {
            "when": pa.array([day.replace(microsecond=i) for i in range(4)]),
            "nano": pa.array([1, 2, 3, 4], type=pa.timestamp("ns")),
            "price": pa.array([decimal.Decimal("1.50")] * 4),
            "raw": pa.array([b"\xff"] * 4),
            "map": pa.array([[("a", 1)]] * 4, type=pa.map_(pa.string(), pa.int32())),
            "kind": pa.array(["x", "y", "x", "x"]).dictionary_encode(),
            "text": ["in Oslo", None, "b", "c"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    annotate(ruler, tmp_path / "a.parquet", tmp_path / "b.parquet", chunk_size=3)
    after = pq.read_table(tmp_path / "b.parquet")
    assert after.drop_columns(["entities"]) == table.take([0, 2, 3])
    assert [len(entities) for entities in after.column("entities").to_pylist()] == [
        1,
        0,
        0,
    ]
    annotate(ruler, tmp_path / "a.parquet", tmp_path / "b.jsonl", chunk_size=3)
    first = json.loads((tmp_path / "b.jsonl").read_text().splitlines()[0])
    assert first["when"] == "2026-11-25T01:02:03" and first["price"] == "1.50"


VIEW, TEXT_TYPE = pa.string_view(), pa.large_string()


@pytest.mark.parametrize(
    "type_, expected",
    [
        (pa.int8(), pa.int8()),
        (VIEW, TEXT_TYPE),
        (pa.binary_view(), pa.large_binary()),
        (pa.list_(VIEW), pa.list_(TEXT_TYPE)),
        (pa.list_(VIEW, 3), pa.list_(TEXT_TYPE, 3)),
        (pa.large_list(VIEW), pa.large_list(TEXT_TYPE)),
        (pa.list_view(pa.int8()), pa.list_(pa.int8())),
        (pa.large_list_view(VIEW), pa.large_list(TEXT_TYPE)),
        (pa.map_(VIEW, pa.int8()), pa.map_(TEXT_TYPE, pa.int8())),
        (
            pa.map_(pa.string(), pa.binary_view()),
            pa.map_(pa.string(), pa.large_binary()),
        ),
        (
            pa.dictionary(pa.int8(), VIEW, True),
            pa.dictionary(pa.int8(), TEXT_TYPE, True),
        ),
        (pa.dictionary(pa.int16(), VIEW), pa.dictionary(pa.int16(), TEXT_TYPE)),
        (
            pa.struct([pa.field("x", pa.list_(VIEW)), pa.field("y", VIEW, False)]),
            pa.struct(
                [pa.field("x", pa.list_(TEXT_TYPE)), pa.field("y", TEXT_TYPE, False)]
            ),
        ),
    ],
    ids=str,
)
def test_types_without_views(type_, expected):
    schema = pa.schema([pa.field("a", type_, False)], {"key": "value"})
    plain = without_views(schema)
    assert plain.field("a").type == expected
    assert str(plain.field("a").type) == str(expected)
    assert not plain.field("a").nullable and plain.metadata == {b"key": b"value"}


def test_list_whose_parts_do_not_fit_is_another_field():
    schema = infer_schema([{"a": [1, 2]}])
    table = to_table([{"a": [1, "b"]}, {"a": [3]}], schema)
    assert table.column("a").to_pylist() == [None, [3]]
    assert table.column(OTHER_FIELDS).to_pylist() == ['{"a": [1, "b"]}', None]


VALUES = {
    "null": None,
    "bool": True,
    "int64": 2**63 - 1,
    "double": 0.5,
    "string": "a",
    "list<item: string>": ["a"],
    "struct<x: int64>": {"x": 1},
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("column", [kind for kind in VALUES if kind != "null"])
def test_values_of_other_types_are_other_fields(column, kind):
    schema = infer_schema([{"a": VALUES[column]}])
    assert str(schema.field("a").type) == column
    value = VALUES[kind]
    [row] = to_table([{"a": value}], schema).to_pylist()
    fits = kind in (column, "null")
    assert row["a"] == (value if fits else None)
    assert row[OTHER_FIELDS] == (None if fits else json.dumps({"a": value}))


@pytest.mark.parametrize(
    "value, column",
    [
        (2**63, "int64"),
        (-(2**63) - 1, "int64"),
        (2**53 + 1, "double"),
        ([1], "list<item: string>"),
        (["a", 1], "list<item: string>"),
        ({"x": "a"}, "struct<x: int64>"),
        ({"x": 1, "y": 1}, "struct<x: int64>"),
    ],
)
def test_values_out_of_range_are_other_fields(value, column):
    schema = infer_schema([{"a": VALUES[column]}])
    [row] = to_table([{"a": value}], schema).to_pylist()
    assert (row["a"], json.loads(row[OTHER_FIELDS])) == (None, {"a": value})


@pytest.mark.parametrize("value", [2**53, -(2**53), 3])
def test_integers_that_are_exact_go_into_a_column_of_floats(value):
    [row] = to_table([{"a": value}], infer_schema([{"a": 0.5}])).to_pylist()
    assert (row["a"], row[OTHER_FIELDS]) == (value, None)


def test_invalid_texts_inside_of_a_column_are_an_error(open_source, tmp_path):
    bad = pa.array([b"ok", b"caf\xe9"])
    bad = pa.Array.from_buffers(pa.string(), 2, bad.buffers())
    nested = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), bad)
    pq.write_table(pa.table({"text": ["a", "b"], "x": nested}), tmp_path / "a.parquet")
    with open_source(tmp_path / "a.parquet", "parquet") as source:
        with pytest.raises(DamagedInput, match=r"UTF8.*\(after row 0\)"):
            list(source.chunks(2))


ENTITY = {"start": 0, "end": 4, "label": "location", "text": "Oslo", "confidence": 0.5}


def annotated(n_records, as_rows, entities_of=(0,)):
    """A chunk of records with an id, and the entities of some of them."""
    ids = list(range(n_records))
    records = [Record(i, "Oslo", fields={"text": "Oslo", "id": i}) for i in ids]
    found = {
        i: Found([ENTITY] * (i in entities_of), ["Oslo"], [False], []) for i in ids
    }
    rows = pa.table({"text": ["Oslo"] * n_records, "id": ids}) if as_rows else None
    return Chunk(records, rows), found


@pytest.mark.parametrize("as_rows", [False, True])
@pytest.mark.parametrize("row_group, sizes", [(4, [4, 4]), (100, [8])])
def test_records_and_entities_in_a_table(
    tmp_path, monkeypatch, as_rows, row_group, sizes
):
    monkeypatch.setattr(parquet, "ROW_GROUP", row_group)
    chunk, found = annotated(3, as_rows)
    if as_rows:
        schema = chunk.rows.schema
    else:
        schema = infer_schema([{"text": "a", "id": 1}])
    writer = ParquetWriter(Settings("m", entities_field="names"), schema=schema)
    # The second record is rejected.
    del found[1]
    segments = [writer.encode(chunk, found)] * 4
    path = tmp_path / "a.parquet"
    writer.assemble(iter(segments), path)
    assert writer.count(path) == 8
    table = pq.read_table(path)
    assert table.schema.field("names").type == ENTITIES
    assert table.column("id").to_pylist() == [0, 2] * 4
    assert table.column("names").to_pylist() == [[ENTITY], []] * 4
    groups = pq.ParquetFile(path).metadata
    counts = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
    assert [n for n in counts if n] == sizes


def test_table_of_no_records_has_its_columns(tmp_path):
    writer = ParquetWriter(
        Settings("m", entities_field="names"), schema=pa.schema([("text", pa.string())])
    )
    writer.assemble(iter([]), tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["text", "names"] and table.num_rows == 0


def test_empty_table_has_no_fraction(open_source, tmp_path):
    pq.write_table(
        pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet"
    )
    with open_source(tmp_path / "a.parquet", "parquet") as source:
        assert (source.total, source.fraction(), list(source.chunks(2))) == (
            0,
            None,
            [],
        )


def test_table_without_found_records_is_empty():
    chunk, _ = annotated(3, as_rows=True)
    table = ParquetWriter(
        Settings("m", entities_field="names"), schema=chunk.rows.schema
    ).table(chunk, {})
    assert table.column_names == ["text", "id", "names"] and table.num_rows == 0


def test_rows_are_read_without_views_and_bytes():
    table = pa.table(
        {
            "text": pa.array([b"Oslo", b"caf\xe9", None]),
            "x": pa.array([["a"], None, []], pa.list_(pa.string_view())),
            "raw": pa.array([b"\xff", b"", None]),
        }
    )
    schema = plain_schema(table.schema, "text")
    [rows] = table.to_batches()
    chunk = row_chunk(rows, schema, "text", 5)
    assert chunk.rows.schema == schema
    assert [str(type_) for type_ in schema.types] == [
        "large_string",
        "list<item: large_string>",
        "binary",
    ]
    assert [(r.line, r.text, r.problem) for r in chunk.records] == [
        (5, "Oslo", ""),
        (6, "", "the text isn't UTF-8: the byte 0xe9"),
        (7, "", "the field 'text' is missing (null)"),
    ]
    assert chunk.fields() == [
        {"text": "Oslo", "x": ["a"], "raw": b"\xff"},
        {"text": "caf\\xe9", "x": None, "raw": b""},
        {"text": None, "x": [], "raw": None},
    ]


def test_other_columns_that_are_not_utf_8_are_named():
    bad = pa.array([b"ok", b"caf\xe9\xff", b"\xe8", None])
    bad = pa.Array.from_buffers(pa.string(), 4, bad.buffers())
    columns = {"one": bad, "text": pa.array(["a", "b", None, "d"]), "two": bad}
    table = pa.table(columns)
    chunk = row_chunk(table, table.schema, "text", None)
    # The first problem of each row.
    assert [(r.line, r.text, r.problem) for r in chunk.records] == [
        (None, "a", ""),
        (None, "", "the column 'one' isn't UTF-8: the byte 0xe9"),
        (None, "", "the column 'one' isn't UTF-8: the byte 0xe8"),
        (None, "d", ""),
    ]
    assert chunk.rows.column("two").to_pylist() == ["ok", r"caf\xe9\xff", r"\xe8", None]


def nested_table():
    texts = ["in Oslo", None, "b\0", "🎉 Oslo"]
    data = [{"text": text, "n": i} for i, text in enumerate(texts)]
    type_ = pa.struct([("text", pa.string_view()), ("n", pa.int64())])
    return pa.table(
        {"id": range(5), "data": pa.array([*data, None], type=type_), "x": ["a"] * 5}
    )


def test_nested_text(tmp_path, annotate, ruler, read):
    pq.write_table(nested_table(), tmp_path / "a.parquet")
    records = read(tmp_path / "a.parquet", "parquet", text_field="data.text")
    assert [(r.text, r.problem[:40]) for r in records] == [
        ("in Oslo", ""),
        ("", "the field 'data.text' is missing (null)"),
        ("", "the text holds a NUL character: it isn't"),
        ("🎉 Oslo", ""),
        ("", "the field 'data.text' is missing (null)"),
    ]
    out = tmp_path / "out.parquet"
    annotate(ruler, tmp_path / "a.parquet", out, text_field="data.text")
    rows = pq.read_table(out).to_pylist()
    assert [(row["id"], row["data"]["n"], row["x"]) for row in rows] == [
        (0, 0, "a"),
        (3, 3, "a"),
    ]
    assert [row["entities"][0]["start"] for row in rows] == [3, 2]


def test_column_of_the_name_of_a_path_is_the_text(tmp_path, read):
    table = pa.table({"data.text": ["b"], "data": [{"text": "a"}]})
    pq.write_table(table, tmp_path / "a.parquet")
    [record] = read(tmp_path / "a.parquet", "parquet", text_field="data.text")
    assert record.text == "b"


@pytest.mark.parametrize(
    "field, message",
    [
        (
            "data.body",
            r"the column 'data' of .* has no field 'body' \(it has 'text', 'n'",
        ),
        ("data.n", "the column 'data.n' of .* is of type int64, not of texts"),
        (
            "data.text.x",
            "'data.text' of .* of type string_view, which has no field 'x'",
        ),
        ("x.text", "'x' of .* is of type string, which has no field 'text'"),
        ("gone.text", r"has no column 'gone.text' \(it has 'id', 'data', 'x'\)"),
        ("data", "the column 'data' of .* is of type struct.*, not of texts"),
    ],
)
def test_missing_part_of_a_path_is_named(field, message):
    with pytest.raises(WnutError, match=message):
        check_table("a.parquet", nested_table().schema, Input("a.parquet", field))


@pytest.mark.parametrize("unit", ["codepoints", "utf16"])
def test_schema_names_the_unit_of_the_offsets(tmp_path, annotate, ruler, unit):
    (tmp_path / "in.jsonl").write_text('{"text": "🎉 in Oslo"}', encoding="utf8")
    annotate(ruler, tmp_path / "in.jsonl", tmp_path / "o.parquet", offsets=unit)
    table = pq.read_table(tmp_path / "o.parquet")
    assert table.schema.field("entities").metadata[b"offsets"] == unit.encode()
    [[entity]] = table.column("entities").to_pylist()
    assert (entity["start"], entity["end"]) == ((6, 10) if unit == "utf16" else (5, 9))
