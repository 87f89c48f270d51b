from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.errors import WnutError
from spacy_wnut.inputs import check_corpus, check_inputs, check_pipeline


@pytest.mark.parametrize("name", ["blank:xx", "spacy-wnut", "spacy_wnut", "."])
def test_pipeline_that_may_be_loaded(name):
    check_pipeline(name)


@pytest.mark.parametrize(
    "name", ["en_nowhere", "", "a/b", "x" * 5000, "a\0b", "blank", "..."]
)
def test_pipeline_that_is_missing(name):
    with pytest.raises((OSError, ValueError)):
        spacy.load(name)
    with pytest.raises(WnutError, match="can't be loaded: give the name of an install"):
        check_pipeline(name)


@given(st.text())
def test_any_name_is_found_or_refused(name):
    try:
        check_pipeline(name)
    except WnutError as err:
        assert name in str(err)
    try:
        check_corpus(Path(f"{name}.spacy"))
    except WnutError as err:
        assert "there is no file" in str(err) or "is a folder" in str(err)


def test_none_is_ignored_and_all_others_are_checked(tmp_path):
    corpus = tmp_path / "dev.spacy"
    corpus.touch()
    check_inputs([None, str(tmp_path)], [None, corpus])
    check_inputs()
    with pytest.raises(WnutError, match="en_nowhere"):
        check_inputs([str(tmp_path), "en_nowhere"], [corpus])
    with pytest.raises(WnutError, match="there is no file"):
        check_inputs([str(tmp_path)], [corpus, tmp_path / "test.spacy"])


def test_corpus_has_to_be_a_file(tmp_path):
    (tmp_path / "folder.spacy").mkdir()
    with pytest.raises(WnutError, match="is a folder: give one file"):
        check_corpus(tmp_path / "folder.spacy")
    with pytest.raises(WnutError, match="there is no file"):
        check_corpus(tmp_path / "dev.conll")
    (tmp_path / "dev.conll").touch()
    check_corpus(tmp_path / "dev.conll")
