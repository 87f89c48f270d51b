import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.corpus.formats.columns import read_columns
from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.layout import Columns
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity, entities_to_tags


def read(tmp_path, text, **options):
    path = tmp_path / "posts.conll"
    path.write_bytes(text.encode())
    return list(read_columns(path, ReadOptions(**options)))


def found(post):
    """The entities by their texts, and the words without annotation."""
    return (
        [(post.text[start:end], label) for start, end, label in post.spans],
        [post.text[start:end] for start, end in post.missing],
    )


# "New York" and "Oslo" are adjacent.
NAMES = ["in", "New", "York", "Oslo", "or", "Rome", "?"]
CITIES = ["New York", "Oslo", "Rome"]


@pytest.mark.parametrize(
    "tags, type_",
    [
        ("O B-loc I-loc B-loc O B-loc -", "loc"),
        ("O I-loc I-loc B-loc O I-loc _", "loc"),
        ("O B-loc E-loc S-loc O S-loc -", "loc"),
        ("O B-loc E-loc W-loc O W-loc -", "loc"),
        ("O B-loc L-loc U-loc O U-loc -", "loc"),
        ("O B_geo_loc I_geo_loc B_geo_loc O B_geo_loc -", "geo_loc"),
        ("O geo-loc-B geo-loc-I geo-loc-B O geo-loc-B -", "geo-loc"),
        ("O geo_loc_B geo_loc_E geo_loc_S O geo_loc_S -", "geo_loc"),
        ("O B I B O B -", "entity"),
        ("O B E S O S -", "entity"),
        ("o b-loc i-loc b-loc o b-loc -", "loc"),
        ("o b i b o b _", "entity"),
        ("O B-B I-B B-B O B-B -", "B"),
    ],
)
@pytest.mark.parametrize("separator", ["\t", " ", "\tNN\t", " NN B-NP "])
def test_all_schemes_are_read(tmp_path, tags, type_, separator):
    lines = [f"{w}{separator}{t}" for w, t in zip(NAMES, tags.split(), strict=True)]
    text = "# a comment\n\n-DOCSTART- O\n" + "\n".join(lines)
    [post] = read(tmp_path, text)
    assert found(post) == ([(city, type_) for city in CITIES], ["?"])
    assert post.text == " ".join(NAMES)
    assert [post.text[s:e] for s, e in post.words] == NAMES
    assert (post.has_spaces, post.where) == (False, "line 4")


def test_io_joins_adjacent_entities(tmp_path):
    text = "New I-loc\nYork I-loc\nOslo I-loc\nAda I-per\n"
    [post] = read(tmp_path, text)
    assert found(post)[0] == [("New York Oslo", "loc"), ("Ada", "per")]
    [post] = read(tmp_path, text.replace("I-", ""), scheme="io")
    assert found(post)[0] == [("New York Oslo", "loc"), ("Ada", "per")]


def test_types_with_blanks_between_tabs(tmp_path):
    [post] = read(tmp_path, "New\tgeo place-B\nYork\tgeo place-E\nOslo\tgeo place-S\n")
    assert found(post)[0] == [("New York", "geo place"), ("Oslo", "geo place")]


def test_notation_is_that_of_all_posts(tmp_path):
    """The first post alone would be the types B and I."""
    first, second = read(tmp_path, "a S-B\nb S-I\n\nc O\nd S-B\ne x-B\n")
    assert found(first)[0] == [("a b", "S")]
    assert found(second)[0] == [("d", "S"), ("e", "x")]


NUMBERED = """\
# text = (I don't like Rome.)
1\t(\t(\t{0}\tO\tSpaceAfter=No
2\tI\tI\t{0}\tO\t_
3-4\tdon't\t_\t_\t_\t_
3\tdo\tdo\t{0}\tO\t_
4\tn't\tnot\t{0}\tO\t_
5\tlike\tlike\t{0}\t-\tGloss=a
6\tRome\tRome\t{0}\tB_loc\tSpaceAfter=No|Gloss=b
7\t.\t.\t{0}\tO\tGloss=c|SpaceAfter=No
8\t)\t)\t{0}\tO\t_
"""


@pytest.mark.parametrize("other", ["_", "-", "I", "B", "NN", "S", "x=y", "1"])
def test_columns_of_conll_u(tmp_path, other):
    [post] = read(tmp_path, NUMBERED.format(other))
    assert post.text == "(I don't like Rome.)"
    assert found(post) == ([("Rome", "loc")], ["like"])
    assert (post.has_spaces, post.where) == (True, "line 2")


def test_words_of_a_contraction_that_are_not_its_parts(tmp_path):
    text = (
        "1\tva\t_\tO\t_\n2-3\tal\t_\t_\tSpaceAfter=No\n2\ta\t_\tO\t_\n"
        "3\til\t_\tB-x\t_\n4\t!\t_\tO\t_\n"
    )
    [post] = read(tmp_path, text)
    assert post.text == "va a il!"
    assert found(post)[0] == [("il", "x")]


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_column_of_spaces(tmp_path, separator, order):
    rows = [("Rome", "S-loc", "SpaceAfter=No"), (".", "O", "_"), ("Ok", "O", "_")]
    lines = [separator.join(row[i] for i in order) for row in rows]
    [post] = read(tmp_path, "\n".join(lines))
    assert (post.text, post.has_spaces) == ("Rome. Ok", True)
    assert found(post) == ([("Rome", "loc")], [])


def test_tags_of_any_scheme_are_found_in_a_numbered_file(tmp_path):
    text = "1\tNew\tNN\tloc-B\tx\n2\tYork\tNN\tloc-E\tx\n3\t#\tX\tloc-S\tx\n"
    [post] = read(tmp_path, text)
    assert found(post)[0] == [("New York", "loc"), ("#", "loc")]
    with pytest.raises(WnutError, match="the columns 3 and 4 hold BIO tags"):
        read(tmp_path, "1\ta\tS-x\tO\n2\tb\tE-x\tO\n3\tc\tB-x\tS-y\n4\td\tE-x\tO\n")
    # Chunks in another scheme, beside BIO tags.
    [post] = read(tmp_path, "1\tNew\tB-NP\tB-x\n2\tYork\tE-NP\tI-x\n3\ta\tS-NP\tO\n")
    assert found(post)[0] == [("New York", "x")]


@pytest.mark.parametrize("tag", ["S-x", "x_S", "B", "b-x"])
def test_number_sign_with_a_tag_is_a_word(tmp_path, tag):
    outside = "o" if tag == "b-x" else "O"
    [post] = read(tmp_path, f"# {tag}\na {outside}\nb {tag}\n")
    assert [post.text[s:e] for s, e in post.words] == ["#", "a", "b"]


@pytest.mark.parametrize(
    "text, options, message",
    [
        (
            "a B-x\nb I-x\n\nc PER\n",
            {},
            "line 4: 'PER' is not a BIO tag: expected O, B-type or I-type. If the tags "
            "are types without prefixes, set --scheme io",
        ),
        (
            "a O\nb S-x\nc E-x\nd U-x\n",
            {},
            "line 4: 'U-x' is not an IOBES tag: expected O, B-type, I-type, E-type or "
            "S-type",
        ),
        (
            "a NN O\nb NN S-x\nc NN x-S\n",
            {},
            "line 3: 'x-S' is not an IOBES tag: expected O, B-type, I-type, E-type or "
            "S-type. Set the column of the tags with --tag-column, if it is another",
        ),
        (
            "a O\nb S-W\n",
            {},
            "line 2: 'S-W' is ambiguous: the tags of the file can be read as O, B-type",
        ),
        ("a E-x\n", {"scheme": "bio"}, "line 1: 'E-x' is not a BIO tag"),
        ("a\tB- x\n", {}, "line 1: ' x' can't be an entity type"),
        ("a B-x,B-y\n", {}, "line 1: 'B-x,B-y' are several labels joined by commas"),
        ("a O\nb\n", {}, "line 2: 'b' is one column: expected a token and its tag"),
        ("a\tO\n\tO\n", {}, "line 2: the first column is empty: expected a token"),
        ("a b\tO\n", {}, "line 1: the token 'a b' holds a space"),
        (
            "a B-x _\nb I-x _\n",
            {},
            "line 1: the column of the tags holds only '_', which marks words without "
            "annotation. Set the column of the tags with --tag-column",
        ),
        ("a B-x\n", {"columns": Columns(tag=3)}, "line 1: there is no column 3"),
        ("", {}, "is empty: expected a token and its tag on each line"),
    ],
)
def test_faulty_file_is_rejected_with_the_line(tmp_path, text, options, message):
    with pytest.raises(WnutError) as err:
        read(tmp_path, text, **options)
    place = str(tmp_path / "posts.conll")
    assert str(err.value).removeprefix(place).lstrip(", ").startswith(message)


def test_column_is_set(tmp_path):
    [post] = read(tmp_path, "B-x a\nI-x b\n", columns=Columns(2, 1))
    assert found(post)[0] == [("a b", "x")]
    [post] = read(tmp_path, "a B-x _\nb I-x _\n", columns=Columns(tag=3))
    assert found(post) == ([], ["a", "b"])


words = st.text(
    st.characters(exclude_characters=" \t\n\r", exclude_categories=("Cs",)), min_size=1
).filter(lambda word: word not in ("-DOCSTART-", "#"))


@settings(max_examples=50)
@given(data=st.data(), has_spaces=st.booleans())
def test_any_text_is_read_back(tmp_path_factory, data, has_spaces):
    posts, lines = [], ["# of no post", "", "ok\tO\tSpaceAfter=No", ""]
    for _ in range(data.draw(st.integers(1, 3))):
        tokens = data.draw(st.lists(words, min_size=1, max_size=6))
        start = data.draw(st.integers(0, len(tokens) - 1))
        end = data.draw(st.integers(start + 1, len(tokens)))
        spaces = data.draw(
            st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens))
        )
        tags = entities_to_tags([Entity(start, end, "x")], len(tokens))
        misc = ["_" if space else "SpaceAfter=No" for space in spaces]
        rows = zip(tokens, tags, misc, strict=True)
        lines += ["\t".join(row if has_spaces else row[:2]) for row in rows]
        lines.append("")
        pairs = zip(tokens, spaces if has_spaces else [True] * len(tokens), strict=True)
        text = "".join(token + " " * space for token, space in pairs)
        names = zip(tokens[start:end], [*spaces[start : end - 1], False], strict=True)
        name = "".join(token + " " * (s or not has_spaces) for token, s in names)
        posts.append((text.strip(" "), name.strip(" ")))
    path = tmp_path_factory.mktemp("columns") / "a.conll"
    if not has_spaces:
        lines[2] = "ok\tO"
    path.write_bytes("\n".join(lines).encode())
    _, *read_back = read_columns(path, ReadOptions())
    assert [
        (post.text, *(post.text[s:e] for s, e, _ in post.spans)) for post in read_back
    ] == posts
    assert {post.has_spaces for post in read_back} == {has_spaces}
