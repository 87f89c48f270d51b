import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spacy_wnut.corpus.conll import SAMPLE, read_conll
from spacy_wnut.corpus.layout import Columns, split_columns
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import WNUT_17, LabelScheme


def write(tmp_path, data):
    path = tmp_path / "posts.conll"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf8"))
    return path


def read(path, scheme=None, columns=None, **options):
    posts = read_conll(path, scheme, columns, **options)
    return [(post.tokens, post.tags) for post in posts]


# Any token without white space that separates columns or lines. U+0085 and U+2028 are
# included because str.splitlines() splits at them.
tokens = st.text(
    st.characters(exclude_characters=" \t\n\r", exclude_categories=("Cs",))
    | st.sampled_from("\u200b\ufeff\u0085\u2028"),
    min_size=1,
    # Hypothesis also draws string constants of the tested code.
).filter(lambda token: token != "-DOCSTART-") | st.sampled_from(
    ["#", "#tag", "##", "-docstart-", "DOCSTART", "1", "2", "1-2", "O"]
)
tags = st.sampled_from([*WNUT_17.tags, "B-a", "I-other-thing"])
NUMBER = re.compile("[0-9]+([-.][0-9]+)?")
posts = st.lists(
    st.lists(st.tuples(tokens, tags), min_size=1, max_size=5), min_size=1, max_size=5
)


@settings(deadline=None)
@given(
    posts=posts,
    separator=st.sampled_from(["\t", " ", "\tNN\t", " NNP I-NP "]),
    newline=st.sampled_from(["\n", "\r\n"]),
    blank=st.sampled_from(["", "\t", " ", " \t ", "\u00a0"]),
    blanks=st.integers(1, 3),
    bom=st.booleans(),
    ends=st.booleans(),
)
def test_every_legal_file_is_read_back(
    tmp_path_factory, posts, separator, newline, blank, blanks, bom, ends
):
    # With many numbers, the first column could be taken for word numbers.
    numbers = [NUMBER.fullmatch(token) for post in posts for token, _ in post]
    assume(not separator.strip() or 2 * sum(map(bool, numbers)) < len(numbers))
    lines = []
    for post in posts:
        lines += [token + separator + tag for token, tag in post]
        lines += [blank] * blanks
    text = newline.join(lines if ends else lines[:-blanks])
    # A first token with U+FEFF looks like a BOM, unless a BOM precedes it.
    has_bom = bom or text.startswith("\ufeff")
    path = tmp_path_factory.mktemp("conll") / "posts.conll"
    path.write_bytes((b"\xef\xbb\xbf" if has_bom else b"") + text.encode("utf8"))

    assert read(path) == [
        ([token for token, _ in post], [tag for _, tag in post]) for post in posts
    ]


def test_line_of_a_post_is_that_of_its_first_token(tmp_path):
    path = write(tmp_path, "\n\t\na\tO\nb\tO\n \nc\tO")
    assert [post.line for post in read_conll(path, None)] == [3, 6]


def test_only_the_bom_at_the_start_of_the_file_is_dropped(tmp_path):
    path = write(tmp_path, "\ufeff\ufeffa\tO\n\n\ufeffb\u200b\tO\n")
    assert read(path) == [(["\ufeffa"], ["O"]), (["\ufeffb\u200b"], ["O"])]


def test_orphan_inside_tags_are_kept(tmp_path):
    path = write(tmp_path, "a\tI-person\nb\tI-group\n")
    assert read(path, WNUT_17) == [(["a", "b"], ["I-person", "I-group"])]


def test_file_is_read_lazily(tmp_path):
    path = write(tmp_path, "a\tO\n\nb\tO\n\nno tab, no tag here\n")
    posts = read_conll(path, None)
    assert next(posts).tokens == ["a"]
    assert next(posts).tokens == ["b"]
    with pytest.raises(WnutError, match="line 5"):
        next(posts)


ONE_COLUMN = (
    "'b' is one column: expected a token and its tag, with a tab or a single space "
    "between them"
)


@pytest.mark.parametrize(
    "data, line, message",
    [
        (
            "a\tO\nb\tB-persn\n",
            2,
            "'persn' is an unknown label: the known ones are corporation, "
            "creative-work, group, location, person, product. Correct it, or set the "
            "labels to those of the file (--labels)",
        ),
        ("a\tO\n\nb\tPER\n", 3, "'PER' is not a BIO tag: expected O, B-type or I-type"),
        ("a\tB-\n", 1, "'B-' is not a BIO tag: expected O, B-type or I-type"),
        (
            "a\tS-person\n",
            1,
            "'S-person' is not a BIO tag: expected O, B-type or I-type",
        ),
        (
            "a\tB-person,B-group\n",
            1,
            "'B-person,B-group' are several labels joined by commas: the labels of "
            "several annotators, not merged. For WNUT 17, use emerging.test.annotated "
            "instead of emerging.test.conll",
        ),
        ("a\tO\nb\n", 2, ONE_COLUMN),
        ("a\tO\nb\t\n", 2, ONE_COLUMN),
        ("a\tO\n\tO\n", 2, "the first column is empty: expected a token there"),
        (
            "New York\tB-location\n",
            1,
            "the token 'New York' holds a space: give each word a line, or separate all "
            "columns by tabs",
        ),
        (
            b"a\tO\ncaf\xe9\tO\n",
            2,
            "the byte 0xe9 isn't UTF-8: save the file as UTF-8",
        ),
    ],
)
def test_bad_line_is_rejected_with_a_reason(tmp_path, data, line, message):
    path = write(tmp_path, data)
    with pytest.raises(WnutError) as err:
        read(path, WNUT_17)
    assert str(err.value) == f"{path}, line {line}: {message}"


def test_labels_outside_wnut_17_are_allowed_by_another_scheme(tmp_path):
    path = write(tmp_path, "a\tB-film\n")
    assert read(path, LabelScheme(("film",))) == [(["a"], ["B-film"])]
    assert read(path, None) == [(["a"], ["B-film"])]


@pytest.mark.parametrize("data", ["", "\n\n", "\t\r\n \r\n", "\ufeff"])
def test_empty_file_is_rejected(tmp_path, data):
    path = write(tmp_path, data)
    with pytest.raises(WnutError) as err:
        read(path)
    assert str(err.value) == (
        f"{path} is empty: expected a token and its tag on each line, and blank lines "
        "between posts. If it was downloaded, download it again"
    )


def test_missing_file_and_folder_are_rejected(tmp_path):
    with pytest.raises(WnutError, match=r"gone\.conll isn't there: give a CoNLL file$"):
        read(tmp_path / "gone.conll")
    with pytest.raises(WnutError, match=r"is a folder: give a CoNLL file in it$"):
        read(tmp_path)


CONLL_2003 = """\
-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

-DOCSTART- -X- O O

# SYM B-NP O
1 CD I-NP O
"""
# From the converter of Label Studio: no blank line after -DOCSTART-, fewer columns.
LABEL_STUDIO = """\
-DOCSTART- -X- O
EU -X- _ B-ORG
rejects -X- _ O

# -X- _ O
1 -X- _ O
"""
GERMEVAL = """\
#\thttp://de.wikipedia.org/wiki/Manfred_Korfmann [2009-10-17]
1\tEU\tB-ORG\tO
2\trejects\tO\tO

#\thttp://de.wikipedia.org/wiki/O [2009-10-17]
1\t#\tO\tO
2\t1\tO\tO
"""
CONLL_U = """\
# newdoc id = O
# sent_id = 1
# text = EU rejects
1\tEU\tEU\tPROPN\tNNP\tCase=Nom\t2\tnsubj\t_\tB-ORG
2-3\trejects\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\trejects\treject\tVERB\tVBZ\t_\t0\troot\t_\tO
2.1\tit\tit\tPRON\t_\t_\t_\t_\t_\t_

# sent_id = 2
1\t#\t#\tSYM\tNN\t_\t2\tdep\t_\tO
2\t1\t1\tNUM\tCD\t_\t0\troot\t_\tO
"""
# From Universal NER: the tag is not in the last column.
UNER = """\
# sent_id = 1
# text = EU rejects
1\tEU\tB-ORG\t-\tann
2\trejects\tO\t-\tann

1\t#\tO\t-\tann
2\t1\tO\t-\tann
"""
# From MultiCoNER: comments contain tabs, other lines are separated by blanks.
MULTICONER = """\
# id 5239d808-f300-46ea-aa3b-5093040213a3\tdomain=en
EU _ _ B-ORG
rejects _ _ O

# id 5239d808-f300-46ea-aa3b-5093040213a4\tdomain=en
# _ _ O
1 _ _ O
"""
SAME = [(["EU", "rejects"], ["B-ORG", "O"]), (["#", "1"], ["O", "O"])]


@pytest.mark.parametrize(
    "text, columns",
    [
        (CONLL_2003, None),
        (CONLL_2003, Columns(1, 4)),
        (LABEL_STUDIO, None),
        (GERMEVAL, Columns(tag=3)),
        (GERMEVAL, Columns(2, -2)),
        (CONLL_U, None),
        (CONLL_U, Columns(2, 10)),
        (CONLL_U.replace("# ", "#"), None),
        (CONLL_U, Columns(token=2)),
        (UNER, None),
        (UNER, Columns(tag=3)),
        (MULTICONER, None),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_all_formats_are_read(tmp_path, text, columns, newline):
    path = write(tmp_path, text.replace("\n", newline))
    assert read(path, columns=columns) == SAME


def test_nested_tags_are_read_from_a_named_column(tmp_path):
    path = write(tmp_path, GERMEVAL.replace("tO\t", "t").replace("rejects\t", "b\t"))
    path = write(tmp_path, GERMEVAL.replace("B-ORG\tO", "B-ORG\tB-LOC"))
    assert read(path, columns=Columns(tag=4))[0][1] == ["B-LOC", "O"]


@pytest.mark.parametrize("end", ["", "\tO", " -X- O", " -X- O O O", "\t\t\tO", " (1)"])
@pytest.mark.parametrize("blank", ["", "\n"])
def test_docstart_separates_posts(tmp_path, end, blank):
    mark = f"-DOCSTART-{end}\n{blank}"
    path = write(tmp_path, f"{mark}a\tO\n{mark}b\tO\n{mark}{mark}")
    assert read(path) == [(["a"], ["O"]), (["b"], ["O"])]
    assert next(read_conll(path, None)).line == 2 + len(blank)


def test_docstart_separates_posts_in_the_token_column(tmp_path):
    path = write(tmp_path, "1\t-DOCSTART-\tO\n\n1\ta\tO\n2\tb\tB-x\n")
    assert read(path) == [(["a", "b"], ["O", "B-x"])]
    path = write(tmp_path, "O\t-DOCSTART-\nB-x\ta\nO\tb\n")
    assert read(path, columns=Columns(2, 1)) == [(["a", "b"], ["B-x", "O"])]


def test_file_of_separators_and_comments_is_empty(tmp_path):
    path = write(tmp_path, "-DOCSTART- -X- O\n\n# newdoc\n")
    with pytest.raises(WnutError, match="is empty: expected a token"):
        read(path)


@pytest.mark.parametrize(
    "comment",
    [
        "# sent_id = 1",
        "# text = a = O",
        "# newdoc",
        "# newpar id = p1",
        "# a b c d",
        "# x y O",
        "# id 1\tdomain=en",
    ],
)
@pytest.mark.parametrize("separator", ["\t", " ", "\tNN\tNN\t"])
def test_comments_are_skipped(tmp_path, comment, separator):
    lines = [
        comment,
        f"#{separator}O",
        f"a{separator}B-x",
        "",
        comment,
        f"b{separator}O",
    ]
    path = write(tmp_path, "\n".join(lines))
    assert read(path) == [(["#", "a"], ["O", "B-x"]), (["b"], ["O"])]
    assert [post.line for post in read_conll(path, None)] == [2, 6]


@pytest.mark.parametrize(
    "line", ["#", "# ", "#\t", "#tag", "#tag\tPER", "#\tPER", "#newdoc id = 1"]
)
def test_possible_word_is_not_taken_for_a_comment(tmp_path, line):
    path = write(tmp_path, f"{line}\na\tO\n")
    with pytest.raises(WnutError, match="line 1: "):
        read(path)
    path = write(tmp_path, f"a O\n{line}\n")
    with pytest.raises(WnutError, match="line 2: "):
        read(path)


@pytest.mark.parametrize("others", ["a\tO\n", "a O\n", "a\tX\tX\tO\n", ""])
@pytest.mark.parametrize("line", ["# O", "#\tO", "#\tB-x"])
def test_number_sign_with_a_tag_is_a_word(tmp_path, others, line):
    tag = line[2:]
    path = write(tmp_path, f"{line}\n{others}\n{others}{line}\n")
    words = ["#", "a"] if others else ["#"]
    tags = [tag, "O"] if others else [tag]
    assert read(path) == [(words, tags), (words[::-1], tags[::-1])]


def test_numbers_in_a_file_of_two_columns_are_words(tmp_path):
    path = write(tmp_path, "1 O\n2 B-x\n3 O\n\n1 O\n2 O\n")
    assert read(path) == [
        (["1", "2", "3"], ["O", "B-x", "O"]),
        (["1", "2"], ["O", "O"]),
    ]


def test_numbers_among_other_words_are_words(tmp_path):
    path = write(
        tmp_path, "1 CD O\n2 CD O\n\nAnn NN B-x\nis V O\n\nBo NN B-x\n1 CD O\n"
    )
    assert [tokens for tokens, _ in read(path)] == [
        ["1", "2"],
        ["Ann", "is"],
        ["Bo", "1"],
    ]


def test_number_sign_before_a_number_is_a_word(tmp_path):
    path = write(tmp_path, "# SYM O\n1 CD O\n\n#1 NN B-x\n1 CD O\n")
    assert [tokens for tokens, _ in read(path)] == [["#", "1"], ["#1", "1"]]


@pytest.mark.parametrize(
    "comment", ["# sent_id = 1", "# a 1", "#a b c", "# text = b O"]
)
def test_comments_are_skipped_in_a_numbered_file_with_blanks(tmp_path, comment):
    path = write(tmp_path, f"{comment}\n1 Ann B-x\n2 is O\n\n{comment}\n1 # O\n")
    assert [tokens for tokens, _ in read(path)] == [["Ann", "is"], ["#"]]


@pytest.mark.parametrize(
    "numbers",
    [
        ["1 2 3", "1 2", "1"],
        ["0 1 2", "0 1", "0"],
        ["0 1"],
        ["1 2 3", "4 5", "6"],
        ["0 1 2", "3 4", "5"],
        ["1-2 1 2 3", "0.1 1 1.1 2", "1"],
    ],
)
def test_word_numbers_are_not_words(tmp_path, numbers):
    lines = [[f"{n}\tw{n}\tX\tO" for n in post.split()] for post in numbers]
    path = write(tmp_path, "\n\n".join(map("\n".join, lines)))
    expected = [[f"w{n}" for n in post.split() if n.isdecimal()] for post in numbers]
    assert [tokens for tokens, _ in read(path)] == expected


@settings(deadline=None)
@given(posts=posts, separator=st.sampled_from(["\t", " "]), extra=st.booleans())
def test_any_numbered_posts_are_read_back(tmp_path_factory, posts, separator, extra):
    lines = []
    for post in posts:
        lines.append("# text = anything, O")
        for number, (token, tag) in enumerate(post, 1):
            columns = [str(number), token, *["_"] * extra, tag, *["x"] * extra]
            lines.append(separator.join(columns))
        lines.append("")
    path = tmp_path_factory.mktemp("conll") / "posts.conll"
    path.write_bytes("\n".join(lines).encode("utf8"))
    assert read(path) == [
        ([token for token, _ in post], [tag for _, tag in post]) for post in posts
    ]


NOT_NUMBERED = (
    "the first column holds numbers, but they don't number the words of this post, so "
    "the column of the tokens is unknown: set it with --token-column. The columns are "
)


@pytest.mark.parametrize(
    "text, line, message",
    [
        (
            GERMEVAL,
            2,
            "the columns 3 and 4 hold BIO tags: set the column of the tags with "
            "--tag-column. The columns are 1 '1', 2 'EU', 3 'B-ORG', 4 'O'",
        ),
        (
            "1 a b X\n2 c d X\n",
            1,
            "no column holds BIO tags: set the column of the tags with --tag-column. "
            "The columns are 1 '1', 2 'a', 3 'b', 4 'X'",
        ),
        (
            CONLL_U.replace("\tB-ORG", "\tNER=B-ORG").replace("\tO\n", "\tNER=O\n"),
            4,
            "no column holds BIO tags: set the column of the tags with --tag-column. "
            "The columns are 1 '1', 2 'EU', 3 'EU', 4 'PROPN', 5 'NNP', 6 'Case=Nom', "
            "7 '2', 8 'nsubj', 9 '_', 10 'NER=B-ORG'",
        ),
        (
            "1 a O\n2 b O\n\n1 a O\n3 b O\n\n1 c O\n2 d O\n",
            4,
            NOT_NUMBERED + "1 '1', 2 'a', 3 'O'",
        ),
        ("1 a O\n1 b O\n\n2 c O\n", 1, NOT_NUMBERED + "1 '1', 2 'a', 3 'O'"),
        (
            "1 a X\n2 b X\n",
            1,
            "'X' is not a BIO tag: expected O, B-type or I-type. Set the column of the "
            "tags with --tag-column, if it is another",
        ),
        ("1 a\n2 b\n", 1, "'a' is not a BIO tag: expected O, B-type or I-type"),
        ("a X\nb Y\n", 1, "'X' is not a BIO tag: expected O, B-type or I-type"),
        # Most words are in numbered posts.
        (
            "1 a O\n2 b O\n\nx c O\n",
            4,
            NOT_NUMBERED + "1 'x', 2 'c', 3 'O'",
        ),
        (
            "0 a O\n1 b O\n\nx c O\n",
            4,
            NOT_NUMBERED + "1 'x', 2 'c', 3 'O'",
        ),
        # The first post has no words.
        (
            "1-2\tx\tO\n\n1\ta\tO\n3\tb\tO\n",
            3,
            NOT_NUMBERED + "1 '1', 2 'a', 3 'O'",
        ),
        # The first post is numbered.
        ("1 a O\n\n5 b O\n7 c O\n", 3, NOT_NUMBERED + "1 '5', 2 'b', 3 'O'"),
        (
            "1-2\tab\t_\n1\ta\tO\n2\tb\tO\n\n1\tc\tO\n3\td\tO\n\n1\te\tO\n2\tf\tO\n",
            5,
            NOT_NUMBERED + "1 '1', 2 'c', 3 'O'",
        ),
        (
            "0 a O\n1 b O\n\n1 c O\n3 d O\n",
            4,
            NOT_NUMBERED + "1 '1', 2 'c', 3 'O'",
        ),
        # Each post is numbered, but they start with different numbers.
        (
            "0 a O\n1 b O\n\n1 c O\n2 d O\n",
            1,
            NOT_NUMBERED + "1 '0', 2 'a', 3 'O'",
        ),
        # Numbers start at 0 or 1.
        ("2 a O\n3 b O\n", 1, NOT_NUMBERED + "1 '2', 2 'a', 3 'O'"),
        ("3 a O\n4 b O\n", 1, NOT_NUMBERED + "1 '3', 2 'a', 3 'O'"),
        (
            "1-1\t0-3\tAnn\tB-x\n1-2\t4-6\tLee\tI-x\n",
            1,
            NOT_NUMBERED + "1 '1-1', 2 '0-3', 3 'Ann', 4 'B-x'",
        ),
        (
            "a NN B-x N\n",
            1,
            "'N' is not a BIO tag: expected O, B-type or I-type. Set the column of the "
            "tags with --tag-column, if it is another",
        ),
    ],
)
def test_ambiguous_file_is_rejected_with_the_option_to_set(
    tmp_path, text, line, message
):
    path = write(tmp_path, text)
    with pytest.raises(WnutError) as err:
        read(path)
    assert str(err.value) == f"{path}, line {line}: {message}"


def test_very_long_numbers_are_words(tmp_path):
    path = write(tmp_path, f"{'9' * 5000} CD O\n")
    assert read(path) == [(["9" * 5000], ["O"])]


def test_named_columns_are_not_inferred(tmp_path):
    path = write(tmp_path, "1 a O\n1 b O\n\n2 c O\n")
    assert [tokens for tokens, _ in read(path, columns=Columns(2))] == [
        ["a", "b"],
        ["c"],
    ]
    assert [tokens for tokens, _ in read(path, columns=Columns(1))] == [
        ["1", "1"],
        ["2"],
    ]
    path = write(tmp_path, "1-1 a O\n1-2 b O\n")
    assert read(path, columns=Columns(2)) == [(["a", "b"], ["O", "O"])]


@pytest.mark.parametrize(
    "columns, message",
    [
        (
            Columns(token=4),
            "line 1: there is no column 4, which --token-column names. "
            "The columns are 1 'a', 2 'X', 3 'O'",
        ),
        (
            Columns(tag=-4),
            "line 1: there is no column -4, which --tag-column names. "
            "The columns are 1 'a', 2 'X', 3 'O'",
        ),
        (
            Columns(token=3),
            "line 1: the last column is the token: expected the tag there. "
            "The columns are 1 'a', 2 'X', 3 'O': "
            "set the column of the tags with --tag-column",
        ),
        (
            Columns(tag=-3),
            "line 1: column -3 is the token: expected the tag there. "
            "The columns are 1 'a', 2 'X', 3 'O': "
            "set the column of the tags with --tag-column",
        ),
        (Columns(3, 1), "line 2: column 3 is missing: expected a token there"),
        (
            Columns(tag=3),
            "line 2: column 3 is missing: expected the tag there. "
            "The columns are 1 'b', 2 'B-y': "
            "set the column of the tags with --tag-column",
        ),
    ],
)
def test_missing_columns_are_rejected(tmp_path, columns, message):
    first = "O X a" if columns.tag == 1 else "a X O"
    path = write(tmp_path, f"{first}\nb B-y\n")
    with pytest.raises(WnutError) as err:
        read(path, columns=columns)
    assert str(err.value) == f"{path}, {message}"


@pytest.mark.parametrize("option", ["token", "tag"])
def test_impossible_columns_are_rejected(option):
    with pytest.raises(WnutError) as err:
        Columns(**{option: 0})
    assert str(err.value) == (
        f"--{option}-column is 0: columns are counted from 1, or from -1, which is the "
        "last"
    )
    with pytest.raises(WnutError) as err:
        Columns(2, 2)
    assert str(err.value) == (
        "--token-column and --tag-column are both 2: the token and the tag need "
        "different columns"
    )


def test_output_of_a_system_may_have_two_columns(tmp_path):
    path = write(tmp_path, "a O\nb B-y\n")
    expected = [(["a", "b"], ["O", "B-y"])]
    assert read(path, columns=Columns(2, 3), is_output=True) == expected
    with pytest.raises(WnutError, match="there is no column 3, which --tag-column"):
        read(path, columns=Columns(2, 3))
    path = write(tmp_path, "O a\nB-y b\n")
    assert read(path, columns=Columns(2, 1), is_output=True) == expected


def test_missing_word_number_after_the_sample_is_rejected(tmp_path):
    text = "1 a O\n2 b O\n\n" * SAMPLE
    assert len(read(write(tmp_path, text))) == SAMPLE
    path = write(tmp_path, f"{text}Ann NN B-x\n")
    with pytest.raises(WnutError) as err:
        read(path)
    assert str(err.value) == (
        f"{path}, line {3 * SAMPLE + 1}: the first column is 'Ann', but in the lines "
        "before it numbers the words: correct it, or split the file where its columns "
        "change"
    )


def test_types_with_blanks_need_tabs(tmp_path):
    path = write(tmp_path, "Oslo\tNN\tB-geo place\nis V O\n")
    assert read(path) == [(["Oslo", "is"], ["B-geo place", "O"])]
    assert read(path, LabelScheme(("geo place",)))
    path = write(tmp_path, "Oslo B-geo place\n")
    with pytest.raises(WnutError, match="line 1: 'place' is not a BIO tag"):
        read(path)
    path = write(tmp_path, "a\tO\nOslo\tB- place\n")
    with pytest.raises(WnutError, match="line 2: ' place' can't be an entity type"):
        read(path)


def test_columns_may_be_aligned_with_blanks(tmp_path):
    path = write(tmp_path, "1   a    NN  B-x\n10  bcd  NN  O\n".replace("10", "2 "))
    assert read(path) == [(["a", "bcd"], ["B-x", "O"])]


@pytest.mark.parametrize(
    "text, words",
    [
        ("7 CD O\n", [["7"]]),
        ("0 CD O\n\n0 CD B-x\n", [["0"], ["0"]]),
        # Half of the words, or fewer, are in numbered posts.
        ("1 CD O\n2 CD O\n\nAnn NN B-x\nis V O\n", [["1", "2"], ["Ann", "is"]]),
        (
            "1 CD O\n2 CD O\n\nAnn NN B-x\nis V O\nbig A O\n",
            [["1", "2"], ["Ann", "is", "big"]],
        ),
        ("2017 CD O\n\n2017 CD O\n", [["2017"], ["2017"]]),
        ("1 CD O\n\n1 CD O\n\nAnn NN B-x\n", [["1"], ["1"], ["Ann"]]),
    ],
)
def test_numbers_alone_in_their_posts_are_words(tmp_path, text, words):
    assert [tokens for tokens, _ in read(write(tmp_path, text))] == words


def test_named_columns_apply_after_a_sample_without_words(tmp_path):
    path = write(tmp_path, "\n" * SAMPLE + "O a\nB-x b\n")
    assert read(path, columns=Columns(2, 1)) == [(["a", "b"], ["O", "B-x"])]
    path = write(tmp_path, "\n" * SAMPLE + "a X O\n")
    assert read(path) == [(["a"], ["O"])]


def test_tags_between_word_numbers_and_tokens_are_found(tmp_path):
    path = write(tmp_path, "1\tB-x\tEU\n2\tO\trejects\n")
    assert read(path, columns=Columns(token=3)) == [(["EU", "rejects"], ["B-x", "O"])]


def test_only_blanks_and_tabs_are_cut_from_the_end_of_a_line():
    assert split_columns("Ada\u00a0 \t ") == ["Ada\u00a0"]
    assert split_columns("a\tb\u2003\t") == ["a", "b\u2003"]


def test_columns_are_counted_from_the_end(tmp_path):
    path = write(tmp_path, "O X a\u00a0\nB-x X b\n")
    expected = [(["a\u00a0", "b"], ["O", "B-x"])]
    assert read(path, columns=Columns(-1, -3)) == expected
    assert read(path, columns=Columns(3, 1)) == expected


def test_number_sign_before_an_equals_sign_is_a_word_between_tabs(tmp_path):
    path = write(tmp_path, "a\tX\t=\tO\n#\tSYM\t=\tO\n")
    assert read(path) == [(["a", "#"], ["O", "O"])]


def test_width_of_most_lines_decides_about_the_column_of_tags(tmp_path):
    path = write(tmp_path, "1\ta\tO\n2\tb\tO\tx\n3\tc\tB-x\n")
    assert read(path) == [(["a", "b", "c"], ["O", "O", "B-x"])]


def test_file_that_may_not_be_read_says_why(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, "a\tO\n")
    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(WnutError) as err:
        read(path)
    assert str(err.value) == f"{path} can't be read: Permission denied"


def test_numbers_are_words_if_half_of_the_lines_have_two_columns(tmp_path):
    path = write(tmp_path, "1 a O\n2 b B-x\n\n1 O\n2 O\n")
    assert read(path) == [(["1", "2"], ["O", "B-x"]), (["1", "2"], ["O", "O"])]


def test_column_whose_tags_are_half_bio_is_no_column_of_tags(tmp_path):
    path = write(tmp_path, "1\ta\tO\tO\n2\tb\tX\tB-x\n")
    assert read(path) == [(["a", "b"], ["O", "B-x"])]


def test_numbered_words_may_be_ranges(tmp_path):
    path = write(tmp_path, "1\t7-8\tO\n2\t9.10\tB-x\n")
    assert read(path) == [(["7-8", "9.10"], ["O", "B-x"])]
