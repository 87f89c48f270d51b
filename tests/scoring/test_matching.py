import pytest

from spacy_wnut.corpus.conll import Columns
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity
from spacy_wnut.scoring.matching import read_posts

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
