import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.bulk import readers
from spacy_wnut.bulk.compression import plain
from spacy_wnut.bulk.readers import (
    DamagedInput,
    open_source,
    read_lines,
    read_text,
)
from spacy_wnut.corpus.conll import Columns, read_conll
from spacy_wnut.errors import WnutError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def read(path, format_, size=2, text_field="text", **options):
    with open_source(str(path), format_, text_field, "entities", **options) as source:
        return [record for chunk in source.chunks(size) for record in chunk.records]


def write(path, content):
    path.write_bytes(content)
    return path


def buffered(content):
    return io.BufferedReader(io.BytesIO(content))


@settings(deadline=None)
@given(st.lists(TEXT.filter(lambda t: "\n" not in t and not t.endswith("\r"))))
def test_a_text_a_line_comes_back_with_its_number(texts):
    file = buffered("".join(f"{text}\n" for text in texts).encode("utf8"))
    records = list(read_text(file))
    if texts:
        texts[0] = texts[0].removeprefix("\ufeff")
    assert [record.text for record in records] == texts
    assert [record.line for record in records] == list(range(1, len(texts) + 1))


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_any_csv_comes_back(rows):
    buffer = io.StringIO(newline="")
    out = csv.writer(buffer)
    out.writerow(["id", "text"])
    out.writerows(rows)
    file = buffered(buffer.getvalue().encode("utf8"))
    records = list(readers.read_csv(file, "x.csv", "text", "entities"))
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
    records = list(readers.read_csv(file, "x.csv", "text", "entities"))
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
    records = list(readers.read_csv(file, "x.csv", "text", "entities"))
    read = [tuple(r.fields.values()) for r in records if not r.problem]
    assert read[:place] == rows[:place]
    # Unless the quote of the next row that has one is at the end of a field, and so
    # ends that of the stray one.
    if records[place].problem:
        assert read == [*rows[:place], ("8", "good"), *rows[place:]]
        assert sum(bool(record.problem) for record in records) == 1


def test_thousands_of_rows_after_a_stray_quote_are_read(tmp_path):
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


def test_a_short_field_with_rows_in_it_has_the_wrong_columns(tmp_path):
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


def test_a_field_of_many_lines_is_one_field(tmp_path):
    text = "\n".join(f"line {i}" + ", and more" * (i % 3) for i in range(5000))
    content = f'id,text\n1,"{text}"\n2,b\n'.encode()
    records = read(write(tmp_path / "a.csv", content), "csv")
    assert [(r.line, r.text) for r in records] == [(2, text), (5002, "b")]


def test_a_row_without_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LONGEST", 1000)
    content = 'id,text\n1,"open\n' + "2, a, b\n" * 200 + "3," + "x" * 3000 + "\n4,b\n"
    records = read(write(tmp_path / "a.csv", content.encode()), "csv")
    assert [r.line for r in records] == list(range(2, 205))
    assert "over 1000 characters" in records[0].problem
    assert "has 3 columns" in records[1].problem
    assert "over 1000 characters" in records[-2].problem
    assert records[-1].text == "b"


def test_quotes_of_every_kind(tmp_path):
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
def test_columns_are_separated_as_told(tmp_path, format_, delimiter, content):
    path = write(tmp_path / "a.tsv", content)
    [record] = read(path, format_, delimiter=delimiter)
    assert record.fields == {"id": "1", "text": "a,b"}


@pytest.mark.parametrize(
    "content, delimiter",
    [
        (b"id;text\n", "';'"),
        (b'"id";"text"\n', "';'"),
        (b"id\ttext\n", r"'\\t'"),
        (b"id;name,x;text\n", "';'"),
        (b"id|body\n", r"'\|'"),
    ],
)
def test_another_delimiter_is_found(tmp_path, content, delimiter):
    with pytest.raises(WnutError, match=f"give --delimiter {delimiter}$"):
        read(write(tmp_path / "a.csv", content), "csv")


def test_a_first_row_that_is_no_csv_is_refused(tmp_path):
    with pytest.raises(WnutError, match="names the columns: ',' expected"):
        read(write(tmp_path / "a.csv", b'"text"x,id\n1,2\n'), "csv")


@pytest.mark.parametrize(
    "format_, content",
    [
        ("jsonl", '{"text": "café"}\n'),
        ("csv", "id,text\n1,café\n"),
        ("txt", "café\n"),
        ("conll", "café\tO\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-be"])
def test_every_format_of_text_has_an_encoding(tmp_path, format_, content, encoding):
    path = write(tmp_path / "a", gzip.compress(content.encode(encoding)))
    [record] = read(path, format_, encoding=encoding)
    assert (record.text, record.problem) == ("café", "")


def test_lines_that_are_not_in_the_encoding_say_so(tmp_path):
    path = write(tmp_path / "a.txt", b"caf\xe9\n\x81\nend\n")
    records = read(path, "txt", encoding="cp1252")
    assert [(r.line, r.text, r.problem) for r in records] == [
        (1, "café", ""),
        (2, "", "isn't cp1252"),
        (3, "end", ""),
    ]
    assert records[1].raw == r"\xff\x81"


def test_utf_16_needs_its_mark_or_its_order(tmp_path):
    path = write(tmp_path / "a.txt", "café".encode("utf-16-le"))
    with pytest.raises(WnutError, match=r"as utf-16: .*BOM.* utf-16-le"):
        read(path, "txt", encoding="utf-16")


def test_a_damaged_file_tells_the_way_to_what_is_left(tmp_path):
    path = write(tmp_path / "a b.jsonl.gz", gzip.compress(b'{"text": "a"}\n') + b"x")
    with pytest.raises(DamagedInput, match="other bytes follow") as raised:
        read(path, "jsonl")
    assert raised.value.rescue == f"gzip -cd '{path}'"


def test_lines_of_csv_are_counted_and_bad_rows_say_why(tmp_path):
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
        (b"", "no row that names the columns"),
        (b"id,body\n", r"no column 'text' \(it has 'id', 'body'\): .* --text-field"),
        (b"text,entities\n", "a column 'entities' already"),
        (b"text,id,id\n", "two columns of one name"),
    ],
)
def test_a_csv_without_the_right_columns_is_refused(tmp_path, content, message):
    with pytest.raises(WnutError, match=message):
        read(write(tmp_path / "a.csv", content), "csv")


def test_posts_of_conll_are_separated_by_blank_lines(tmp_path):
    content = b"\n\nAda\tB-person\nran\tO\n  \n\nOslo\tB-location\r\n\n\ta\n\nlast"
    records = read(write(tmp_path / "a.conll", content), "conll")
    assert [(r.line, r.words) for r in records] == [
        (3, ["Ada", "ran"]),
        (7, ["Oslo"]),
        (9, None),
        (11, ["last"]),
    ]
    assert [bool(r.problem) for r in records] == [False, False, True, False]


NUMBERED = (
    b"#\thttp://x.io/ [2009]\n1\tAda\tB-x\tO\n2\t#\tO\tO\n\n# c = 1\n1\tOslo\tO\tO\n"
)


@pytest.mark.parametrize(
    "content, columns",
    [
        (b"-DOCSTART- -X- O\nAda X B-x\n# X O\n-DOCSTART- -X- O\nOslo X O\n", None),
        (b"# sent_id = 1\nAda\tB-x\n#\tO\n\n# text = Oslo\nOslo\tO\n", None),
        (b"# sent_id = 1\nAda\n#\n\n# text = Oslo\nOslo\n-DOCSTART-\n", None),
        (NUMBERED, None),
        (NUMBERED, Columns(2, 3)),
        (b"B-x Ada\nO #\n \nO Oslo\n", Columns(2, 1)),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_of_conll_without_words_are_no_posts(tmp_path, content, columns, pack):
    path = write(tmp_path / "a.conll", pack(content))
    records = read(path, "conll", columns=columns)
    assert [record.words for record in records] == [["Ada", "#"], ["Oslo"]]
    assert not any(record.problem for record in records)
    if columns is not None:
        assert [record.fields["tags"] for record in records] == [["B-x", "O"], ["O"]]


def test_tags_are_left_out_if_their_column_is_not_known(tmp_path):
    [first, _] = read(write(tmp_path / "a.conll", NUMBERED), "conll")
    assert first.fields == {"text": "Ada #", "tokens": ["Ada", "#"]}
    assert first.line == 2


@pytest.mark.parametrize("content", [b"1\tAda\n2\tran\n", b"1 Ada X\n1 ran X\n2 a X\n"])
def test_numbers_that_may_be_words_are_refused(tmp_path, content):
    path = write(tmp_path / "a.conll", content)
    with pytest.raises(
        WnutError, match=r"a\.conll, line 1: .* --token-column.* 2 'Ada'"
    ):
        read(path, "conll")
    [first, *_] = read(path, "conll", columns=Columns(token=2))
    assert first.words[:2] == ["Ada", "ran"]


def test_a_post_whose_number_is_missing_is_rejected(tmp_path):
    lines = b"1\ta\tO\n2\tb\tO\n\n" * 1000
    path = write(tmp_path / "a.conll", lines + b"x\ta\tO\n\n1\tc\tO\n")
    *_, last_but_one, last = read(path, "conll")
    assert last_but_one.problem.startswith("line 3001 has no word: the first column is")
    assert last.words == ["c"]


WORD = st.text("#-1aO= \u00a0", min_size=1, max_size=4).filter(lambda w: " " not in w)
LINE = st.one_of(
    st.tuples(WORD, st.sampled_from([" O", "\tB-geo place", "\tX\tO", " X O", ""])).map(
        "".join
    ),
    st.sampled_from(["", " ", "\t", "-DOCSTART- -X- O", "# c = O", "# O", "1-2\tx\tO"]),
)


@settings(deadline=None)
@given(st.lists(LINE, max_size=12), st.booleans())
def test_words_are_those_that_training_reads(tmp_path_factory, lines, numbered):
    """One file of any lines is the same to `annotate` and to `convert`."""
    if numbered:
        lines = [
            f"{i}\tX{line}" if line.strip() else line for i, line in enumerate(lines)
        ]
    path = tmp_path_factory.mktemp("conll") / "a.conll"
    path.write_bytes("\n".join(lines).encode("utf8"))
    try:
        posts = list(read_conll(path, None))
    except WnutError:
        return
    records = read(path, "conll")
    for post, record in zip(posts, records, strict=True):
        assert post.line == record.line
        # White space alone is refused as a word by both, though not at the same point.
        if not record.problem:
            assert (post.tokens, post.tags) == (record.words, record.fields["tags"])
        else:
            assert any(token.isspace() for token in post.tokens)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_gzip_is_known_by_its_content(tmp_path, name):
    path = write(tmp_path / name, gzip.compress(b"one\ntwo\n"))
    assert [record.text for record in read(path, "txt")] == ["one", "two"]


def test_a_mark_of_order_at_the_start_is_no_text(tmp_path):
    path = write(tmp_path / "a.txt", "\ufeffone\n\ufefftwo".encode())
    assert [record.text for record in read(path, "txt")] == ["one", "\ufefftwo"]
    path = write(tmp_path / "a.csv", "\ufefftext\none\n".encode())
    assert [record.text for record in read(path, "csv")] == ["one"]


def test_lines_without_end_are_cut_and_rejected(monkeypatch):
    monkeypatch.setattr(readers, "LONGEST", 10)
    content = b"short\n" + b"x" * 35 + b"\nmore\n" + b"123456789\n" + b"y" * 10
    assert [
        (
            raw.line if hasattr(raw, "problem") else raw.number,
            getattr(raw, "problem", ""),
        )
        for raw in read_lines(io.BytesIO(content))
    ] == [
        (1, ""),
        (2, "is over 10 bytes long"),
        (3, ""),
        (4, ""),
        (5, "is over 10 bytes long"),
    ]


def test_chunks_are_of_a_size_and_the_fraction_grows(tmp_path):
    path = write(tmp_path / "a.txt", b"post\n" * 50_000)
    with open_source(str(path), "txt", "text", "entities") as source:
        fractions = []
        sizes = []
        for chunk in source.chunks(20_000):
            sizes.append(len(chunk.records))
            fractions.append(source.fraction())
    assert sizes == [20_000, 20_000, 10_000]
    assert 0.3 < fractions[0] < fractions[1] < fractions[2] == 1.0


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "format_, content",
    [
        ("jsonl", b'{"text": "post"}\n'),
        ("csv", b"text\npost\n"),
        ("txt", b"post\n"),
        ("conll", b"post O\n"),
    ],
)
def test_how_much_was_read_can_be_told_at_the_end(tmp_path, format_, content, pack):
    path = write(tmp_path / "posts", pack(content))
    with open_source(str(path), format_, "text", "entities") as source:
        [chunk] = source.chunks(10)
        assert len(chunk.records) == 1 and source.fraction() == 1.0


@pytest.mark.parametrize("cut", [-1, -9, 30])
def test_a_gzip_that_is_cut_off_is_never_taken_for_whole(tmp_path, cut):
    lines = b"".join(b"post %d\n" % i for i in range(1000))
    path = write(tmp_path / "a.txt.gz", gzip.compress(lines)[:cut])
    with pytest.raises(DamagedInput, match=r"can't be read to its end.*after line \d"):
        read(path, "txt")


def test_what_is_not_there_or_a_folder_is_refused(tmp_path):
    with pytest.raises(WnutError, match="isn't there: give a file of posts"):
        read(tmp_path / "gone.txt", "txt")
    with pytest.raises(WnutError, match="is a folder: give a file in it"):
        read(tmp_path, "txt")


def test_plain_leaves_what_is_not_packed():
    assert plain(buffered(b"")).read() == b""
    assert plain(buffered(b"a")).read() == b"a"
