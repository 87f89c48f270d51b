import gzip

import pytest

from spacy_wnut.errors import WnutError
from spacy_wnut.unlabelled.texts import read_texts, sample_texts


def test_posts_are_read_in_the_order_of_files_and_lines(tmp_path):
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt.gz"
    plain.write_text(" so  Oslo \n\n \u3000\nrocks\u2028here", encoding="utf8")
    packed.write_bytes(gzip.compress("caf\u00e9\r\n".encode()))
    assert list(read_texts([plain, packed])) == [
        "so  Oslo",
        "rocks\u2028here",
        "caf\u00e9",
    ]


def test_error_names_the_unreadable_line(tmp_path):
    latin = tmp_path / "latin.txt"
    latin.write_bytes("one\ncaf\u00e9\n".encode("latin1"))
    with pytest.raises(WnutError, match=r"latin\.txt, line 2: the byte 0xe9"):
        list(read_texts([latin]))
    with pytest.raises(WnutError, match=r"none\.txt, line 1: can't be read"):
        list(read_texts([tmp_path / "none.txt"]))
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"one\n" * 10_000)[:-20])
    with pytest.raises(WnutError, match=r"cut\.gz, line \d+: can't be read"):
        list(read_texts([cut]))
    plain = tmp_path / "plain.gz"
    plain.write_bytes(b"one\n")
    with pytest.raises(WnutError, match=r"plain\.gz, line 1: can't be read"):
        list(read_texts([plain]))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\none\nthree\n", encoding="utf8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"four\ntwo\n"))
    (tmp_path / "notes.md").write_text("five\n", encoding="utf8")
    return tmp_path


def test_sample_has_each_post_once_in_a_seeded_order(folder):
    texts = sample_texts([str(folder), ""])
    assert sorted(texts) == ["four", "one", "three", "two"]
    assert sample_texts([str(folder), ""]) == texts
    assert (
        len({tuple(sample_texts([str(folder), ""], seed=seed)) for seed in range(20)})
        > 1
    )


def test_number_of_posts_per_file_is_limited(folder):
    drawn = [
        sample_texts([str(folder), ""], per_file=1, seed=seed) for seed in range(20)
    ]
    assert all(1 <= len(texts) <= 2 for texts in drawn)
    assert {text for texts in drawn for text in texts} > {"one", "four"}


def test_folder_without_texts_is_rejected(tmp_path):
    with pytest.raises(WnutError, match="has no files"):
        sample_texts([str(tmp_path)])
    with pytest.raises(WnutError, match="No unlabelled posts are named"):
        sample_texts(["", ""])
