import gzip
import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.bulk import sources
from spacy_wnut.bulk.formats.txt import read_txt
from spacy_wnut.bulk.sources import DamagedInput, Input, open_file, read_lines
from spacy_wnut.compression import decompress
from spacy_wnut.errors import WnutError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def write(path, content):
    path.write_bytes(content)
    return path


def buffered(content):
    return io.BufferedReader(io.BytesIO(content))


@settings(deadline=None)
@given(st.lists(TEXT.filter(lambda t: "\n" not in t and not t.endswith("\r"))))
def test_a_text_a_line_comes_back_with_its_number(texts):
    file = buffered("".join(f"{text}\n" for text in texts).encode("utf8"))
    records = list(read_txt(file, Input("x.txt")))
    if texts:
        texts[0] = texts[0].removeprefix("\ufeff")
    assert [record.text for record in records] == texts
    assert [record.line for record in records] == list(range(1, len(texts) + 1))


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
def test_every_format_of_text_has_an_encoding(
    read, tmp_path, format_, content, encoding
):
    path = write(tmp_path / "a", gzip.compress(content.encode(encoding)))
    [record] = read(path, format_, encoding=encoding)
    assert (record.text, record.problem) == ("café", "")


def test_lines_that_are_not_in_the_encoding_say_so(read, tmp_path):
    path = write(tmp_path / "a.txt", b"caf\xe9\n\x81\nend\n")
    records = read(path, "txt", encoding="cp1252")
    assert [(r.line, r.text, r.problem) for r in records] == [
        (1, "café", ""),
        (2, "", "isn't cp1252"),
        (3, "end", ""),
    ]
    assert records[1].raw == r"\xff\x81"


def test_utf_16_needs_its_mark_or_its_order(read, tmp_path):
    path = write(tmp_path / "a.txt", "café".encode("utf-16-le"))
    with pytest.raises(WnutError) as err:
        read(path, "txt", encoding="utf-16")
    assert str(err.value) == (
        f"{path} can't be read as utf-16: UTF-16 stream does not start with BOM. Give "
        "another --encoding (without a byte order mark, utf-16-le or utf-16-be)"
    )


def test_a_damaged_file_tells_the_way_to_what_is_left(read, tmp_path):
    path = write(tmp_path / "a b.jsonl.gz", gzip.compress(b'{"text": "a"}\n') + b"x")
    with pytest.raises(DamagedInput, match="other bytes follow") as raised:
        read(path, "jsonl")
    assert raised.value.rescue == f"gzip -cd '{path}'"


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_gzip_is_known_by_its_content(read, tmp_path, name):
    path = write(tmp_path / name, gzip.compress(b"one\ntwo\n"))
    assert [record.text for record in read(path, "txt")] == ["one", "two"]


def test_a_mark_of_order_at_the_start_is_no_text(read, tmp_path):
    path = write(tmp_path / "a.txt", "\ufeffone\n\ufefftwo".encode())
    assert [record.text for record in read(path, "txt")] == ["one", "\ufefftwo"]
    path = write(tmp_path / "a.csv", "\ufefftext\none\n".encode())
    assert [record.text for record in read(path, "csv")] == ["one"]


def test_lines_without_end_are_cut_and_rejected(monkeypatch):
    monkeypatch.setattr(sources, "LONGEST", 10)
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


def test_chunks_are_of_a_size_and_the_fraction_grows(open_source, tmp_path):
    path = write(tmp_path / "a.txt", b"post\n" * 50_000)
    with open_source(path, "txt") as source:
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
def test_how_much_was_read_can_be_told_at_the_end(
    open_source, tmp_path, format_, content, pack
):
    path = write(tmp_path / "posts", pack(content))
    with open_source(path, format_) as source:
        [chunk] = source.chunks(10)
        assert len(chunk.records) == 1 and source.fraction() == 1.0


@pytest.mark.parametrize("cut", [-1, -9, 30])
def test_a_gzip_that_is_cut_off_is_never_taken_for_whole(read, tmp_path, cut):
    lines = b"".join(b"post %d\n" % i for i in range(1000))
    path = write(tmp_path / "a.txt.gz", gzip.compress(lines)[:cut])
    with pytest.raises(DamagedInput, match=r"can't be read to its end.*after line \d"):
        read(path, "txt")


def test_what_is_not_there_or_a_folder_is_refused(read, tmp_path):
    with pytest.raises(WnutError, match="isn't there: give a file of posts"):
        read(tmp_path / "gone.txt", "txt")
    with pytest.raises(WnutError, match="is a folder: give a file in it"):
        open_file(str(tmp_path))


def test_plain_leaves_what_is_not_packed():
    assert decompress(buffered(b"")).read() == b""
    assert decompress(buffered(b"a")).read() == b"a"


@pytest.mark.parametrize("place", range(0, 1000, 37))
def test_flipped_byte_in_a_gzip_file_is_found(read, tmp_path, place):
    # Incompressible, so that each byte of the stream decides about the content.
    lines = [hashlib.sha256(bytes([i])).hexdigest() for i in range(100)]
    whole = bytearray(gzip.compress("\n".join(lines).encode(), mtime=0))
    # After the header, which has a free byte or two.
    whole[10 + place % (len(whole) - 10)] ^= 0x10
    path = write(tmp_path / "a.txt.gz", bytes(whole))
    with pytest.raises(DamagedInput, match=r"can't be read to its end: .*line \d+"):
        read(path, "txt")


def test_line_without_end_is_rejected_as_a_text(monkeypatch):
    monkeypatch.setattr(sources, "LONGEST", 10)
    records = list(
        read_txt(buffered(b"\xff" + b"x" * 35 + b"\nmore\n"), Input("x.txt"))
    )
    assert [(r.line, r.text, r.problem, r.raw) for r in records] == [
        (1, "", "is over 10 bytes long", r"\xff" + "x" * 9),
        (2, "more", "", ""),
    ]


def test_standard_input_is_read_as_bytes(open_source, monkeypatch):
    stdin = io.TextIOWrapper(buffered(b"a\nb\n"))
    monkeypatch.setattr("sys.stdin", stdin)
    with open_source("-", "txt") as source:
        assert [r.text for chunk in source.chunks(9) for r in chunk.records] == [
            "a",
            "b",
        ]
        assert source.fraction() is None
    assert not stdin.buffer.closed


def test_file_that_can_not_be_read_at_all_has_no_rescue(read, tmp_path, monkeypatch):
    def fail(file, name):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(sources, "detect", fail)
    path = write(tmp_path / "a.txt", b"a\n")
    with pytest.raises(DamagedInput, match=r"to its end: .*\(after line 0\)") as raised:
        read(path, "txt")
    assert raised.value.rescue == ""


def test_file_is_closed_at_the_end(open_source, tmp_path):
    path = write(tmp_path / "a.txt", b"a\n")
    with open_source(path, "txt") as source:
        [_] = source.chunks(9)
    with pytest.raises(ValueError, match="closed"):
        source.fraction()


@pytest.mark.parametrize(
    "columns, message",
    [
        (
            [],
            "has no column 'text' (it has none): name the column of the text with "
            "--text-field",
        ),
        (
            ["id", "x" * 300],
            "has no column 'text' (it has 'id', '"
            + "x" * 199
            + "…): name the column of "
            "the text with --text-field",
        ),
        (
            ["text", "entities"],
            "has a column 'entities' already: name another one for the entities with "
            "--entities-field",
        ),
        (
            ["text", "id", "id"],
            "has two columns of one name, 'id': rename one of them",
        ),
    ],
)
def test_messages_on_columns_name_the_option_to_set(columns, message):
    with pytest.raises(WnutError) as err:
        sources.check_columns("a.csv", iter(columns), Input("a.csv"))
    assert str(err.value) == f"a.csv {message}"


def test_names_of_many_columns_are_cut():
    with pytest.raises(WnutError) as err:
        sources.check_columns("a.csv", map(str, range(99)), Input("a.csv"))
    names = ", ".join(repr(str(i)) for i in range(20))
    assert f"(it has {names}): name" in str(err.value)


def test_file_that_may_not_be_read_says_why(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sources.Path, "open", refuse)
    with pytest.raises(WnutError) as err:
        open_file(str(tmp_path / "a.txt"))
    assert str(err.value) == f"{tmp_path / 'a.txt'} can't be read: Permission denied"


def test_only_line_breaks_are_no_part_of_a_text():
    file = buffered(b"a\r\n\rb\n \r\r\nc\r")
    records = list(read_txt(file, Input("x.txt")))
    assert [record.text for record in records] == ["a", "\rb", " \r", "c"]
    assert [record.fields for record in records] == [
        {"text": record.text} for record in records
    ]


def test_record_with_entities_is_rejected(read, tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"text": "a", "entities": []}\n')
    [record] = read(path, "jsonl")
    assert record.problem.startswith("has a field 'entities' already")
    [record] = read(path, "jsonl", entities_field="found")
    assert (record.text, record.problem) == ("a", "")


def test_damage_has_no_rescue_by_default():
    assert DamagedInput("why").rescue == ""


def test_text_file_needs_no_identity(open_source, tmp_path):
    with open_source(write(tmp_path / "a.txt", b"a\n"), "txt") as source:
        assert source.identity() == ""


def test_long_lines_are_shown_up_to_a_thousand_bytes(read, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST", 2000)
    path = write(tmp_path / "a.jsonl", b"x" * 5000 + b'\n{"text": "a"}\n')
    first, second = read(path, "jsonl")
    assert (first.problem, first.raw) == ("is over 2000 bytes long", "x" * 1000)
    assert (second.line, second.text) == (2, "a")


def test_file_in_utf_16_is_named(read, tmp_path):
    path = write(tmp_path / "a.txt", "some text\n".encode("utf-16"))
    with pytest.raises(WnutError) as err:
        read(path, "txt")
    assert str(err.value) == (
        f"{path} isn't in UTF-8, but seems to be in UTF-16: give --encoding utf-16"
    )


def test_file_whose_end_is_unknown_has_no_fraction(open_source, monkeypatch):
    class Endless(io.BytesIO):
        def seek(self, offset, whence=0):
            if whence == io.SEEK_END:
                raise OSError(22, "Invalid argument")
            return super().seek(offset, whence)

    content = Endless(b"a\n")
    monkeypatch.setattr(sources, "open_file", lambda name: io.BufferedReader(content))
    with open_source("a.txt", "txt") as source:
        [chunk] = source.chunks(9)
        assert [record.text for record in chunk.records] == ["a"]
        assert source.fraction() is None
