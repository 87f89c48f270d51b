import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.util import registry

NLP = spacy.blank("en")


@pytest.fixture
def paths(tmp_path):
    written = {}
    for name, texts in {
        "annotated": ["a b", "c"],
        "labelled": ["d", "e f", "g"],
    }.items():
        docs = [Doc(NLP.vocab, words=text.split()) for text in texts]
        written[name] = tmp_path / f"{name}.spacy"
        DocBin(docs=docs).to_disk(written[name])
    return written


def read(*args):
    make = registry.readers.get("spacy-wnut.MixedCorpus.v1")
    return [" ".join(t.text for t in eg.reference) for eg in make(*args)(NLP)]


def test_only_annotated_posts_are_repeated(paths):
    both = read(paths["annotated"], paths["labelled"], 2)
    assert sorted(both) == ["a b", "a b", "c", "c", "d", "e f", "g"]


def test_number_of_pseudo_labelled_posts_is_limited(paths):
    assert sorted(read(paths["annotated"], paths["labelled"], 1, 2)) == [
        "a b",
        "c",
        "d",
        "e f",
    ]


def test_annotated_posts_alone_are_not_repeated(paths):
    assert read(paths["annotated"], None, 7) == ["a b", "c"]
