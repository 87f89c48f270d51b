import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import WNUT_17, LabelScheme


def write(tmp_path, data):
    path = tmp_path / "posts.conll"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf8"))
    return path


def read(path, scheme=None):
    return [(post.tokens, post.tags) for post in read_conll(path, scheme)]


# All that a token may hold: no white space that separates columns or lines.
# U+0085 and U+2028 are there on purpose, Python's splitlines() breaks at them.
tokens = st.text(
    st.characters(exclude_characters=" \t\n\r", exclude_categories=("Cs",))
    | st.sampled_from("\u200b\ufeff\u0085\u2028"),
    min_size=1,
)
tags = st.sampled_from([*WNUT_17.tags, "B-a", "I-other-thing"])
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
    lines = []
    for post in posts:
        lines += [token + separator + tag for token, tag in post]
        lines += [blank] * blanks
    text = newline.join(lines if ends else lines[:-blanks])
    # A token that starts with U+FEFF is only told from a BOM behind a BOM.
    has_bom = bom or text.startswith("\ufeff")
    path = tmp_path_factory.mktemp("conll") / "posts.conll"
    path.write_bytes((b"\xef\xbb\xbf" if has_bom else b"") + text.encode("utf8"))

    assert read(path) == [
        ([token for token, _ in post], [tag for _, tag in post]) for post in posts
    ]


def test_line_is_that_of_the_first_token(tmp_path):
    path = write(tmp_path, "\n\t\na\tO\nb\tO\n \nc\tO")
    assert [post.line for post in read_conll(path, None)] == [3, 6]


def test_only_the_bom_at_the_start_is_dropped(tmp_path):
    path = write(tmp_path, "\ufeff\ufeffa\tO\n\n\ufeffb\u200b\tO\n")
    assert read(path) == [(["\ufeffa"], ["O"]), (["\ufeffb\u200b"], ["O"])]


def test_orphan_inside_tags_are_left_as_they_are(tmp_path):
    path = write(tmp_path, "a\tI-person\nb\tI-group\n")
    assert read(path, WNUT_17) == [(["a", "b"], ["I-person", "I-group"])]


def test_streams(tmp_path):
    path = write(tmp_path, "a\tO\n\nb\tO\n\nno tab, no tag here\n")
    posts = read_conll(path, None)
    assert next(posts).tokens == ["a"]
    assert next(posts).tokens == ["b"]
    with pytest.raises(WnutError, match="line 5"):
        next(posts)


@pytest.mark.parametrize(
    "data, line, message",
    [
        (
            "a\tO\nb\tB-persn\n",
            2,
            "'persn' is an unknown label: .*corporation, .*--labels",
        ),
        ("a\tO\n\nb\tPER\n", 3, "'PER' is not a BIO tag: expected O, B-type or I-type"),
        ("a\tB-\n", 1, "'B-' is not a BIO tag"),
        ("a\tS-person\n", 1, "'S-person' is not a BIO tag"),
        (
            "a\tB-person,B-group\n",
            1,
            "joined by commas.*emerging.test.annotated instead of emerging.test.conll",
        ),
        ("a\tO\nb\n", 2, "'b' is one column: expected a token and its tag"),
        ("a\tO\nb\t\n", 2, "'b' is one column"),
        ("a\tO\n\tO\n", 2, "the first column is empty"),
        (
            "New York\tB-location\n",
            1,
            "'New York' holds a space: give each word a line",
        ),
        (b"a\tO\ncaf\xe9\tO\n", 2, "byte 0xe9 isn't UTF-8: save the file as UTF-8"),
    ],
)
def test_refuses_a_line_and_says_why(tmp_path, data, line, message):
    path = write(tmp_path, data)
    with pytest.raises(WnutError, match=message) as err:
        read(path, WNUT_17)
    assert str(err.value).startswith(f"{path}, line {line}: ")


def test_labels_are_those_of_the_scheme(tmp_path):
    path = write(tmp_path, "a\tB-film\n")
    assert read(path, LabelScheme(("film",))) == [(["a"], ["B-film"])]
    assert read(path, None) == [(["a"], ["B-film"])]


@pytest.mark.parametrize("data", ["", "\n\n", "\t\r\n \r\n", "\ufeff"])
def test_refuses_an_empty_file(tmp_path, data):
    path = write(tmp_path, data)
    with pytest.raises(WnutError, match="is empty: expected a token and its tag"):
        read(path)


def test_refuses_what_is_no_file(tmp_path):
    with pytest.raises(WnutError, match=r"gone\.conll isn't there: give a CoNLL file"):
        read(tmp_path / "gone.conll")
    with pytest.raises(WnutError, match="is a folder: give a CoNLL file in it"):
        read(tmp_path)
