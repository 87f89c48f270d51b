import csv
import gc
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.bulk.formats import csv as csv_format
from spacy_wnut.bulk.formats.csv import read_csv
from spacy_wnut.bulk.sources import Input
from spacy_wnut.errors import WnutError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def write(path, content):
    path.write_bytes(content)
    return path


def buffered(content):
    return io.BufferedReader(io.BytesIO(content))


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_any_csv_comes_back(rows):
    buffer = io.StringIO(newline="")
    out = csv.writer(buffer)
    out.writerow(["id", "text"])
    out.writerows(rows)
    file = buffered(buffer.getvalue().encode("utf8"))
    records = list(read_csv(file, Input("x.csv")))
    assert [record.fields for record in records] == [
        {"id": id_, "text": text} for id_, text in rows
    ]
    assert not any(record.problem for record in records)


# Rows without quotes, and rows on which a quote begins a field that never ends.
PLAIN = st.text("ab é;", min_size=1).map(lambda text: (text, False))
STRAY = st.text("ab é;", min_size=1).map(lambda text: (f'"{text}', True))


@settings(deadline=None)
@given(st.lists(PLAIN | STRAY), st.sampled_from(["\n", "\r\n"]))
def test_a_stray_quote_costs_its_own_line_alone(rows, end):
    lines = ["id,text", *(f"{i},{text}" for i, (text, _) in enumerate(rows))]
    file = buffered("".join(line + end for line in lines).encode("utf8"))
    records = list(read_csv(file, Input("x.csv")))
    assert [record.line for record in records] == list(range(2, len(rows) + 2))
    for record, (text, is_stray) in zip(records, rows, strict=True):
        assert bool(record.problem) == is_stray
        assert record.text == ("" if is_stray else text)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1), st.integers(0))
def test_rows_before_and_after_a_stray_quote(rows, place):
    """Rows as the csv module writes them, with any quotes and line breaks."""
    buffer = io.StringIO(newline="")
    out = csv.writer(buffer)
    out.writerow(["id", "text"])
    place %= len(rows)
    for i, row in enumerate(rows):
        if i == place:
            buffer.write('9,"stray\r\n8,good\r\n')
        out.writerow(row)
    file = buffered(buffer.getvalue().encode("utf8"))
    records = list(read_csv(file, Input("x.csv")))
    read = [tuple(r.fields.values()) for r in records if not r.problem]
    assert read[:place] == rows[:place]
    # Unless the quote of the next row that has one is at the end of a field, and so
    # ends that of the stray one.
    if records[place].problem:
        assert read == [*rows[:place], ("8", "good"), *rows[place:]]
        assert sum(bool(record.problem) for record in records) == 1


def test_thousands_of_rows_after_a_stray_quote_are_read(read, tmp_path):
    for last in ('14999,"open', '14999,end"', '14999,a",b', "14999,"):
        rows = [f"{i},post" for i in range(20_000)]
        rows[4], rows[14_999] = '4,"open', last
        content = "\n".join(["id,text", *rows]).encode()
        records = read(write(tmp_path / "a.csv", content), "csv", 1000)
        assert [record.line for record in records] == list(range(2, 20_002))
        bad = {record.line: record.raw for record in records if record.problem}
        assert bad[6] == '4,"open\n'
        is_bad = "open" in last or "b" in last
        assert set(bad) == ({6, 15_001} if is_bad else {6})


def test_a_short_field_with_rows_in_it_has_the_wrong_columns(read, tmp_path):
    content = b'id,text\n1,"open\n2,a\n3,b\n4,c",d\n5,e\n'
    records = read(write(tmp_path / "a.csv", content), "csv")
    assert [(r.line, r.text) for r in records] == [
        (2, ""),
        (3, "a"),
        (4, "b"),
        (5, ""),
        (6, "e"),
    ]
    assert "up to line 5: 3 columns" in records[0].problem


def test_a_field_of_many_lines_is_one_field(read, tmp_path):
    text = "\n".join(f"line {i}" + ", and more" * (i % 3) for i in range(5000))
    content = f'id,text\n1,"{text}"\n2,b\n'.encode()
    records = read(write(tmp_path / "a.csv", content), "csv")
    assert [(r.line, r.text) for r in records] == [(2, text), (5002, "b")]


def test_a_row_without_end_is_given_up(read, tmp_path, monkeypatch):
    monkeypatch.setattr(csv_format, "LONGEST", 1000)
    content = 'id,text\n1,"open\n' + "2, a, b\n" * 200 + "3," + "x" * 3000 + "\n4,b\n"
    records = read(write(tmp_path / "a.csv", content.encode()), "csv")
    assert [r.line for r in records] == list(range(2, 205))
    assert "over 1000 characters" in records[0].problem
    assert "has 3 columns" in records[1].problem
    assert "over 1000 characters" in records[-2].problem
    assert records[-1].text == "b"


def test_quotes_of_every_kind(read, tmp_path):
    content = (
        b'id,text\n1,a "quoted" word\n2,5" long\n3,"a ""b"" c"\n4,"",x\n5,""\n'
        b'6,"two\nlines",x\n7,ok\n8,"never\n9,ok\n10,"fine, too"\n'
    )
    records = read(write(tmp_path / "a.csv", content), "csv")
    assert [(r.line, r.text) for r in records if not r.problem] == [
        (2, 'a "quoted" word'),
        (3, '5" long'),
        (4, 'a "b" c'),
        (6, ""),
        (9, "ok"),
        (11, "ok"),
        (12, "fine, too"),
    ]
    assert [(r.line, r.raw) for r in records if r.problem] == [
        (5, '4,"",x\n'),
        (7, '6,"two\nlines",x\n'),
        (10, '8,"never\n'),
    ]
    problems = [record.problem for record in records if record.problem]
    assert problems[1] == "has 3 columns, and the first row 2 (lines 7 to 8)"


@pytest.mark.parametrize(
    "format_, delimiter, content",
    [
        ("csv", ";", b"id;text\n1;a,b\n"),
        ("tsv", None, b'id\ttext\n1\t"a,b"\n'),
        ("tsv", "|", b"id|text\n1|a,b\n"),
    ],
)
def test_columns_are_separated_as_told(read, tmp_path, format_, delimiter, content):
    path = write(tmp_path / "a.tsv", content)
    [record] = read(path, format_, delimiter=delimiter)
    assert record.fields == {"id": "1", "text": "a,b"}


@pytest.mark.parametrize(
    "content, delimiter",
    [
        (b"id;text\n", "';'"),
        (b'"id";"text"\n', "';'"),
        (b"id\ttext\n", r"'\t'"),
        (b"id;name,x;text\n", "';'"),
        (b"id|body\n", "'|'"),
        # The first row is no CSV if a comma is expected.
        (b'"id"x;body\n', "';'"),
    ],
)
def test_another_delimiter_is_found(read, tmp_path, content, delimiter):
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(WnutError) as err:
        read(path, "csv")
    assert str(err.value) == (
        f"{path} has no column 'text', and its columns seem to be separated by "
        f"{delimiter}: give --delimiter {delimiter}"
    )


def test_a_first_row_that_is_no_csv_is_refused(read, tmp_path):
    path = write(tmp_path / "a.csv", b'"text"x,id\n1,2\n')
    with pytest.raises(WnutError) as err:
        read(path, "csv")
    assert str(err.value) == (
        f"the row of {path} that names the columns: ',' expected after '\"'"
    )


def test_lines_of_csv_are_counted_and_bad_rows_say_why(read, tmp_path):
    content = (
        b'id,text\r\n1,"two\r\nlines"\r\n\r\n2\r\n3,\xff\r\n\xff,fine\r\n'
        b'4,ok\r\n5,"a"b\r\n6,ok\r\n7,"open'
    )
    records = read(write(tmp_path / "a.csv", content), "csv")
    assert [(r.line, r.text if not r.problem else r.problem) for r in records] == [
        (2, "two\r\nlines"),
        (5, "has 1 columns, and the first row 2"),
        (6, "the text isn't UTF-8"),
        (7, "isn't UTF-8"),
        (8, "ok"),
        (9, "isn't CSV: ',' expected after '\"'"),
        (10, "ok"),
        (11, "isn't CSV: unexpected end of data"),
    ]
    assert [record.raw for record in records if record.raw] == [
        "2\r\n",
        '5,"a"b\r\n',
        '7,"open',
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", r"a\.csv has no row that names the columns$"),
        (
            b"id,body\n",
            r"a\.csv has no column 'text' \(it has 'id', 'body'\): .* --text-field",
        ),
        # More columns with another delimiter, but none for the text.
        (b"id,name;x;y\n", r"no column 'text' \(it has 'id', 'name;x;y'\)"),
        # The second column is not valid with another delimiter.
        (b'id,"my\ntext"\n', r"no column 'text' \(it has 'id', 'my\\ntext'\)"),
        (b"text,entities\n", "a column 'entities' already"),
        (b"text,id,id\n", "two columns of one name"),
    ],
)
def test_a_csv_without_the_right_columns_is_refused(read, tmp_path, content, message):
    with pytest.raises(WnutError, match=message):
        read(write(tmp_path / "a.csv", content), "csv")


@pytest.mark.parametrize("length", [131_072, 131_073, 1_000_000])
def test_long_field_is_read(read, tmp_path, length):
    # The default limit of the csv module is 131,072 characters.
    text = "x" * length
    [record] = read(write(tmp_path / "a.csv", f"text\n{text}\n".encode()), "csv")
    assert (record.text, record.problem) == (text, "")


def test_file_stays_open_for_the_caller():
    file = buffered(b"id,text\n1,a\n2,b\n")
    assert len(list(read_csv(file, Input("x.csv")))) == 2
    gc.collect()
    assert not file.closed


def test_reader_of_a_closed_file_can_be_closed():
    file = buffered(b"id,text\n1,a\n2,b\n")
    records = read_csv(file, Input("x.csv"))
    assert next(records).text == "a"
    file.close()
    records.close()


def test_field_around_a_single_row_has_the_wrong_columns(read, tmp_path):
    content = b'id,text\n1,"open\n2,a\n3,b",c\n4,d\n'
    records = read(write(tmp_path / "a.csv", content), "csv")
    assert [(r.line, r.text) for r in records] == [(2, ""), (3, "a"), (4, ""), (5, "d")]
    assert records[0].problem == (
        "isn't CSV: the quote that begins a field here has no fitting end (up to line "
        "4: 3 columns)"
    )


def test_stray_quote_between_other_delimiters_costs_its_own_line_alone(read, tmp_path):
    content = b'id;text\n1;"open\n2;a\n3;b";c\n4;d\n'
    records = read(write(tmp_path / "a.csv", content), "csv", delimiter=";")
    assert [(r.line, r.text) for r in records] == [(2, ""), (3, "a"), (4, ""), (5, "d")]


def test_rejected_row_at_the_end_is_kept_whole(read, tmp_path):
    row = "1," + "x" * 2000 + ",y"
    [record] = read(write(tmp_path / "a.csv", f"id,text\n{row}".encode()), "csv")
    assert record.problem == "has 3 columns, and the first row 2"
    assert record.raw == row


def test_row_of_the_names_may_be_too_long(read, tmp_path, monkeypatch):
    monkeypatch.setattr(csv_format, "LONGEST", 100)
    path = write(tmp_path / "a.csv", b"x" * 300 + b"\n1\n")
    with pytest.raises(
        WnutError, match="names the columns: it has over 100 characters"
    ):
        read(path, "csv")


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_row_that_is_too_long_takes_no_other_with_it(read, tmp_path, monkeypatch, end):
    monkeypatch.setattr(csv_format, "LONGEST", 2000)
    rows = ["id,text", "1," + "a" * 1997, "2,b", "3," + "c" * 5000, "4,d", ""]
    records = read(write(tmp_path / "a.csv", end.join(rows).encode()), "csv")
    assert [(r.line, r.text) for r in records] == [(2, ""), (3, "b"), (4, ""), (5, "d")]
    assert [r.raw for r in records] == [rows[1] + end, "", rows[3][:1000], ""]
    assert {r.problem for r in records if r.problem} == {
        "isn't CSV: it has over 2000 characters"
    }


@pytest.mark.parametrize("n_extra", [0, 1])
def test_row_of_several_lines_has_a_limit(read, tmp_path, monkeypatch, n_extra):
    monkeypatch.setattr(csv_format, "LONGEST", 40)
    text = "a" * 15 + "\n" + "b" * (19 + n_extra)
    content = f'id,text\n1,"{text}"\n2,c\n'
    # Characters of the row, with its last line break.
    assert len(f'1,"{text}"\n') == 40 + n_extra
    first, *_, last = read(write(tmp_path / "a.csv", content.encode()), "csv")
    assert last.text == "c"
    if n_extra:
        assert "over 40 characters" in first.problem
    else:
        assert first.text == text


def test_stray_quote_before_many_rows_is_found_after_a_hundred_lines(read, tmp_path):
    rows = ["id,text", '1,"open', *(f"{i},post" for i in range(2, 200))]
    records = read(write(tmp_path / "a.csv", "\n".join(rows).encode()), "csv")
    assert [record.line for record in records] == list(range(2, 201))
    assert [record.problem for record in records if record.problem] == [
        "isn't CSV: the quote that begins a field here has no fitting end (up to line "
        "101: the lines after it are rows)"
    ]


def test_blank_lines_before_the_names_of_the_columns_are_skipped(read, tmp_path):
    [record] = read(write(tmp_path / "a.csv", b"\n\r\nid,text\n1,a\n"), "csv")
    assert (record.line, record.text) == (4, "a")


def test_names_that_fit_no_other_delimiter(read, tmp_path):
    path = write(tmp_path / "a.csv", b'id^"my\ntext"\n1^a\n')
    with pytest.raises(WnutError) as err:
        read(path, "csv", delimiter="^")
    assert str(err.value) == (
        f"{path} has no column 'text' (it has 'id', 'my\\ntext'): name the column of "
        "the text with --text-field"
    )
