import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score

from spacy_wnut.corpus.layout import Columns
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity
from spacy_wnut.scoring.matching import TwoColumns, read_posts, read_posts_of_one_file
from spacy_wnut.scoring.measures import entity_scores

GOLD = "Ann\tB-person\nLee\tI-person\nrocks\tO\n\nin\tO\nParis\tB-location\n"


@pytest.fixture
def gold(tmp_path):
    path = tmp_path / "gold.conll"
    path.write_text(GOLD)
    return path


def write_predicted(tmp_path, data: bytes):
    path = tmp_path / "predicted.conll"
    path.write_bytes(data)
    return path


def test_words_come_from_gold_and_tags_from_the_last_column(tmp_path, gold):
    # Altered words, blanks, a third column, CRLF, an orphan I-, no final newline.
    predicted = write_predicted(
        tmp_path,
        b"ann NNP B-person\r\nlee NNP O\r\n<unk> VB O\r\n \r\n"
        b"in IN O\r\nparis NNP I-location",
    )
    first, second = read_posts(gold, predicted)
    assert first.words == ["Ann ", "Lee ", "rocks "]
    assert first.gold == {Entity(0, 2, "person")}
    assert first.predicted == {Entity(0, 1, "person")}
    assert second.words == ["in ", "Paris "]
    assert second.predicted_tags == ["O", "I-location"]
    assert second.predicted == second.gold == {Entity(1, 2, "location")}


def test_different_numbers_of_tokens_are_rejected(tmp_path, gold):
    predicted = write_predicted(tmp_path, b"Ann O\nLee O\nrocks O\n\nParis O\n")
    with pytest.raises(WnutError) as error:
        list(read_posts(gold, predicted))
    assert (
        f"post 2 has 2 tokens in {gold} (from line 5), but 1 in {predicted} "
        "(from line 5)"
    ) in str(error.value)


def test_fewer_predicted_posts_are_rejected(tmp_path, gold):
    predicted = write_predicted(tmp_path, b"Ann O\nLee O\nrocks O\n")
    with pytest.raises(WnutError) as error:
        list(read_posts(gold, predicted))
    assert (
        f"{gold} has 2 posts, but {predicted} has 1: post 2 ({gold}, line 5) is the "
        "first without a counterpart"
    ) in str(error.value)


def test_more_predicted_posts_are_rejected(tmp_path, gold):
    more = GOLD + "\nmore\tO\n\nand\tO\nmore\tO\n"
    predicted = write_predicted(tmp_path, more.encode())
    with pytest.raises(WnutError) as error:
        list(read_posts(gold, predicted))
    assert (
        f"{predicted} has 4 posts, but {gold} has 2: post 3 ({predicted}, line 8) is "
        "the first without a counterpart"
    ) in str(error.value)


GERMEVAL = (
    "#\thttp://x.io/ [2009]\n1\tAnn\tB-person\tO\n2\tLee\tI-person\tB-geo place\n"
    "3\trocks\tO\tO\n\n1\tin\tO\tO\n2\tParis\tB-location\tO\n"
)


@pytest.mark.parametrize(
    "predicted",
    [
        GOLD,
        GERMEVAL,
        "-DOCSTART-\tO\n" + GOLD.replace("\n\n", "\n-DOCSTART-\tO\n"),
        "# sent_id = 1\n" + GOLD.replace("\n\n", "\n\n# sent_id = 2\n"),
    ],
)
def test_named_columns_are_ignored_for_a_prediction_of_words_and_tags(
    tmp_path, predicted
):
    gold = tmp_path / "gold.conll"
    gold.write_text(GERMEVAL)
    given = write_predicted(tmp_path, predicted.encode())
    for post in read_posts(gold, given, Columns(tag=3)):
        assert post.gold_tags == post.predicted_tags
        assert post.gold
    with pytest.raises(WnutError, match=r"gold\.conll, line 2: .* --tag-column"):
        list(read_posts(gold, given))
    # They are never ignored for the gold file.
    with pytest.raises(WnutError, match=r"no column 3, which --tag-column names"):
        list(read_posts(write_predicted(tmp_path, GOLD.encode()), gold, Columns(tag=3)))


# The example of conlleval's documentation has this form: words, parts of speech, chunks,
# gold tags and predicted tags.
CONLLEVAL = """\
Boston NNP B-NP B-loc B-loc
's POS B-NP I-loc O
Dukakis NNP I-NP B-per I-per

in IN B-PP O O
Ann NNP B-NP B-per B-per
Lee NNP I-NP I-per I-per
"""


def read_one(tmp_path, text, *columns, scheme=None):
    path = tmp_path / "both.txt"
    path.write_text(text)
    return list(read_posts_of_one_file(path, TwoColumns(*columns), scheme))


def test_one_file_has_both_tags_in_its_last_columns(tmp_path):
    first, second = read_one(tmp_path, CONLLEVAL)
    assert first.words == ["Boston ", "'s ", "Dukakis "]
    assert first.gold_tags == ["B-loc", "I-loc", "B-per"]
    assert first.predicted_tags == ["B-loc", "O", "I-per"]
    assert second.gold == second.predicted == {Entity(1, 3, "per")}
    lines = CONLLEVAL.replace(" ", "\t").splitlines()
    swapped = "\n".join("\t".join(line.split("\t")[::-1]) for line in lines)
    assert read_one(tmp_path, swapped, -1, 2, 1) == [first, second]
    numbered = "1 a x B-x O\n2 b x I-x O\n"
    [post] = read_one(tmp_path, numbered)
    assert post.words == ["a ", "b "]
    assert (post.gold, post.predicted) == ({Entity(0, 2, "x")}, set())


tags = st.sampled_from(["O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b", "S-b"])


@given(st.lists(st.lists(st.tuples(tags, tags), min_size=1), min_size=1), st.booleans())
def test_one_file_is_scored_as_by_seqeval(tmp_path_factory, posts, is_bio):
    """conlleval's measure is that of seqeval's default mode."""
    if is_bio:
        bio = {"E": "I", "S": "B"}
        posts = [
            [[bio.get(t[0], t[0]) + t[1:] for t in pair] for pair in post]
            for post in posts
        ]
    text = "\n\n".join("\n".join(f"a {g} {p}" for g, p in post) for post in posts)
    folder = tmp_path_factory.mktemp("score")
    actual = entity_scores(read_one(folder, text))
    gold, predicted = (
        [[pair[side] for pair in post] for post in posts] for side in (0, 1)
    )
    for name, score in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
    ):
        expected = score(gold, predicted, zero_division=0)
        assert actual[name] == pytest.approx(expected)


@pytest.mark.parametrize(
    "column",
    [
        "O B-x I-x B-x O B-y",
        "O I-x I-x B-x O I-y",
        "O B-x E-x S-x O S-y",
        "O B-x L-x U-x O U-y",
        "O x_B x_I x_B O y_B",
        "o b-x i-x b-x o b-y",
    ],
)
def test_sides_may_have_different_schemes(tmp_path, gold, column):
    """All measures, strict ones too, are those of BIO."""
    bio = "O B-x I-x B-x O B-y".split()
    rows = [f"a {g} {p}" for g, p in zip(column.split(), bio, strict=True)]
    for flip in (False, True):
        text = "\n".join(
            " ".join([*row.split()[:1], *row.split()[1:][:: -1 if flip else 1]])
            for row in rows
        )
        [post] = read_one(tmp_path, text)
        assert post.gold_tags == post.predicted_tags == bio
    gold.write_text("\n".join(f"a\t{tag}" for tag in bio))
    given = write_predicted(
        tmp_path, "\n".join(f"b {tag}" for tag in column.split()).encode()
    )
    [post] = read_posts(gold, given)
    assert post.gold_tags == post.predicted_tags == bio


def test_types_without_prefixes_need_the_scheme(tmp_path):
    text = "a PER PER\nb PER O\nc O O\n"
    with pytest.raises(WnutError, match=r"line 1: 'PER' is not a BIO .* --scheme io"):
        read_one(tmp_path, text)
    [post] = read_one(tmp_path, text, scheme="io")
    assert post.gold_tags == ["B-PER", "I-PER", "O"]
    assert post.predicted_tags == ["B-PER", "O", "O"]


def test_words_without_gold_annotation_are_left_out(tmp_path):
    text = "a B-x B-x\nb - I-x\nc B-x B-x\nd O O\ne _ B-x\nf I-x -\n"
    [post] = read_one(tmp_path, text)
    assert post.words == ["a ", "c ", "d ", "f "]
    assert post.gold_tags == ["B-x", "B-x", "O", "B-x"]
    assert post.predicted_tags == ["O", "B-x", "O", "O"]


@pytest.mark.parametrize(
    "text, columns, message",
    [
        ("a O\n", (), r"both\.txt, line 1: expected a token, its gold tag and its "),
        ("a O O\nb O\n", (), r"line 2: .* 1 'b', 2 'O': .* with --gold-column"),
        ("a O O\n", (None, 4), r"line 1: .* --gold-column"),
        ("a O O\n", (None, 2, 1), r"line 1: .* --predicted-column"),
        ("a O O\n", (None, 3), r"line 1: .* with --gold-column"),
        ("a O X\n", (), r"line 1: 'X' is not a BIO tag: .* --predicted-column"),
        ("a E-x L-x\nb U-x O\n", (), r"line 2: 'U-x' is not an IOBES tag"),
        ("", (), r"both\.txt is empty"),
    ],
)
def test_file_without_two_columns_of_tags(tmp_path, text, columns, message):
    with pytest.raises(WnutError, match=message):
        read_one(tmp_path, text, *columns)


@pytest.mark.parametrize(
    "columns, message",
    [
        ((0,), "--token-column is 0: columns are counted from 1"),
        ((1, 0), "--gold-column is 0"),
        ((1, 2, 0), "--predicted-column is 0"),
        ((1, 2, 2), "--gold-column and --predicted-column are both 2"),
        ((-1, 2), "--token-column and --predicted-column are both -1"),
    ],
)
def test_impossible_columns(columns, message):
    with pytest.raises(WnutError, match=message):
        TwoColumns(*columns)
