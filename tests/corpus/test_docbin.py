import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_wnut.corpus.docbin import read_corpus, read_surface_forms
from spacy_wnut.errors import WnutError

NLP = spacy.blank("de")


@pytest.fixture
def save(tmp_path):
    def save_docs(*docs):
        path = tmp_path / "train.spacy"
        DocBin(docs=docs).to_disk(path)
        return path

    return save_docs


def make_doc(text, ents):
    return Doc(NLP.vocab, words=text.split(), ents=ents.split())


def test_surface_forms_are_casefolded_names_of_any_type(save):
    path = save(
        make_doc("die Straße in New York", "O B-x O B-y I-y"),
        make_doc("STRASSE oder straße", "B-x O B-z"),
    )
    # "straße".lower() would be another form than "strasse".
    assert read_surface_forms(path) == {"strasse", "new york"}


def test_surface_forms_of_a_corpus_without_entities_are_none(save):
    assert read_surface_forms(save(make_doc("so what", "O O"))) == frozenset()


def test_examples_have_references_and_no_predictions(save):
    [example] = read_corpus(save(make_doc("in Oslo", "O B-x")), NLP)
    assert [ent.text for ent in example.reference.ents] == ["Oslo"]
    assert not example.predicted.has_annotation("ENT_IOB")
    # The spaces are unknown, so the tokens of the corpus are kept.
    assert [token.text for token in example.predicted] == ["in", "Oslo"]


def test_corpus_without_annotation_is_rejected(save):
    path = save(Doc(NLP.vocab, words=["in", "Oslo"]))
    with pytest.raises(WnutError, match=r"no docs with entity annotation \(1 docs\)"):
        read_surface_forms(path)
