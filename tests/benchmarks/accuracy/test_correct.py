"""The scores of the page "Correct and retrain"."""

import shutil

import pytest
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from benchmarks.accuracy import correct
from benchmarks.common.results import read_results


@pytest.fixture
def project(trained_folder, posts_corpus, tmp_path):
    """A project in which the page's commands were run. The pipeline knows the posts."""
    for path in correct.PIPELINES.values():
        shutil.copytree(trained_folder, tmp_path / path)
    for path in correct.TEST_SPLITS.values():
        (tmp_path / path).parent.mkdir(parents=True)
        shutil.copy(posts_corpus, tmp_path / path)
    # A split in which none of the found entities is right.
    docs = DocBin().from_disk(posts_corpus)
    path = tmp_path / correct.TEST_SPLITS["sample"]
    wrong = list(docs.get_docs(Vocab()))
    for doc in wrong:
        doc.set_ents([], default="outside")
    DocBin(docs=wrong).to_disk(path)
    return tmp_path


def test_results_are_measured_and_written(project, tmp_path, monkeypatch):
    page = tmp_path / "correct.md"
    page.write_text(f"<!-- {correct.BLOCK} -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(correct, "RESULTS", tmp_path / "correct.json")
    monkeypatch.setattr(correct, "PAGE", page)
    correct.run(project)
    correct.table()
    results = read_results(correct.RESULTS)
    assert results["posts"] == {"cycling": 4, "sample": 4}
    assert results["f1"]["after"] == {"cycling": 1.0, "sample": 0.0}
    assert "| after | 100.0 | 0.0 |\n" in page.read_text()
