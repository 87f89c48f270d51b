import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.bulk import sources
from spacy_wnut.bulk.annotator import Found
from spacy_wnut.bulk.formats.conll import ConllWriter
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.corpus.layout import Columns
from spacy_wnut.errors import WnutError


def write(path, content):
    path.write_bytes(content)
    return path


def test_posts_of_conll_are_separated_by_blank_lines(read, tmp_path):
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
def test_lines_of_conll_without_words_are_no_posts(
    read, tmp_path, content, columns, pack
):
    path = write(tmp_path / "a.conll", pack(content))
    records = read(path, "conll", columns=columns or Columns())
    assert [record.words for record in records] == [["Ada", "#"], ["Oslo"]]
    assert not any(record.problem for record in records)
    if columns is not None:
        assert [record.fields["tags"] for record in records] == [["B-x", "O"], ["O"]]


def test_tags_are_left_out_if_their_column_is_not_known(read, tmp_path):
    [first, _] = read(write(tmp_path / "a.conll", NUMBERED), "conll")
    assert first.fields == {"text": "Ada #", "tokens": ["Ada", "#"]}
    assert first.line == 2


@pytest.mark.parametrize("word", ["\0", "A\0da", "Ada\0"])
def test_post_with_a_nul_in_a_word_is_rejected(read, tmp_path, word):
    content = f"Ada\tO\n\nin\tO\n{word}\tO\n\nOslo\tO\n".encode()
    records = read(write(tmp_path / "a.conll", content), "conll")
    assert [record.words for record in records] == [["Ada"], None, ["Oslo"]]
    assert records[1].problem == f"line 4 has no word, but {word!r}"
    assert records[1].raw == f"in\tO\n{word}\tO"


@pytest.mark.parametrize("content", [b"1\tAda\n2\tran\n", b"1 Ada X\n1 ran X\n2 a X\n"])
def test_numbers_that_may_be_words_are_refused(read, tmp_path, content):
    path = write(tmp_path / "a.conll", content)
    with pytest.raises(
        WnutError, match=r"a\.conll, line 1: .* --token-column.* 2 'Ada'"
    ) as err:
        read(path, "conll")
    if b"X" not in content:
        assert str(err.value) == (
            f"{path}, line 1: the first column counts from 1, and the second one holds "
            "no BIO tags, so the column of the tokens is unknown: set it with "
            "--token-column. The columns are 1 '1', 2 'Ada'"
        )
    [first, *_] = read(path, "conll", columns=Columns(token=2))
    assert first.words[:2] == ["Ada", "ran"]


def test_a_post_whose_number_is_missing_is_rejected(read, tmp_path):
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
def test_words_are_those_that_training_reads(read, tmp_path_factory, lines, numbered):
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


@pytest.mark.parametrize(
    "content, words", [(b"1 Ada\n", ["1"]), (b"a X\nb Y\n", ["a", "b"])]
)
def test_two_columns_are_words_and_tags(read, tmp_path, content, words):
    [record] = read(write(tmp_path / "a.conll", content), "conll")
    assert (record.words, record.problem) == (words, "")


@pytest.mark.parametrize("end", [b"", b" O"])
def test_numbers_without_words_beside_them_are_words(read, tmp_path, end):
    content = b"".join(b"%d%s\n" % (number, end) for number in (1, 2, 3))
    [record] = read(write(tmp_path / "a.conll", content), "conll")
    assert record.words == ["1", "2", "3"]


def test_missing_columns_are_refused(read, tmp_path):
    path = write(tmp_path / "a.conll", b"Ada B-x\n")
    with pytest.raises(
        WnutError, match="there is no column 3, which --tag-column names"
    ):
        read(path, "conll", columns=Columns(2, 3))


def test_lines_that_are_too_long_take_no_other_with_them(read, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST", 20)
    content = b"Ada\tO\n\n" + b"x" * 50 + b"\nran\tO\n\nOslo\tO\n"
    records = read(write(tmp_path / "a.conll", content), "conll")
    assert [(r.line, r.words) for r in records] == [
        (1, ["Ada"]),
        (3, None),
        (4, ["ran"]),
        (6, ["Oslo"]),
    ]


def test_post_that_is_not_utf_8_is_rejected_alone(read, tmp_path):
    content = b"in\tO\ncaf\xe9\tO\n\nOslo\tO\n"
    first, second = read(write(tmp_path / "a.conll", content), "conll")
    assert first.problem == "line 2 isn't UTF-8: the byte 0xe9"
    assert (first.line, first.raw) == (1, "in\tO\ncaf\\xe9\tO")
    assert second.words == ["Oslo"]


@pytest.mark.parametrize(
    "content, words",
    [
        # A comment before the words, and a word among them.
        (b"# x\nAda O\n", ["Ada"]),
        (b"Ada O\n# x\n", ["Ada", "#"]),
        (b"#\tx\ty\nAda\tO\n", ["Ada"]),
        (b"# x O\nAda O\n", ["Ada"]),
        (b"# B-\nAda O\n", ["Ada"]),
        # Its last column is that of other words.
        (b"# NN\nAda NN\n", ["#", "Ada"]),
    ],
)
def test_number_sign_is_a_word_or_begins_a_comment(read, tmp_path, content, words):
    [record] = read(write(tmp_path / "a.conll", content), "conll")
    assert (record.words, record.problem) == (words, "")


def test_only_other_column_of_numbered_words_has_their_tags(read, tmp_path):
    content = b"1\tAda\tNNP\n2\tran\tVBD\n"
    [record] = read(write(tmp_path / "a.conll", content), "conll")
    assert record.fields["tags"] == ["NNP", "VBD"]


def test_post_without_words_is_no_post_of_conll():
    writer = ConllWriter(Settings("m"))
    assert writer.objection(Found([], [" ", "\n"], [False] * 2, [])) == (
        "the text has no words, and CoNLL can't hold an empty post"
    )
    assert writer.objection(Found([], ["Oslo"], [False], [])) == ""
