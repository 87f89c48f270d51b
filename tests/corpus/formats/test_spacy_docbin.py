import pytest
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.formats.registry import find_format
from spacy_wnut.corpus.posts import LabelledSpan, Post, Rejection, Word
from spacy_wnut.errors import WnutError

VOCAB = Vocab()


@pytest.fixture
def read(tmp_path):
    def read(*docs, attrs=("ENT_IOB", "ENT_TYPE")):
        path = tmp_path / "train.spacy"
        DocBin(docs=docs, attrs=attrs).to_disk(path)
        return list(find_format(path).read(path, ReadOptions()))

    return read


def make_doc(**settings):
    words = ["@Ada", "in", "New", "York", "!"]
    doc = Doc(VOCAB, words=words, spaces=[True, True, True, False, False])
    doc.set_ents([Span(doc, 2, 4, "location")], **settings)
    return doc


def test_words_spaces_and_entities(read):
    assert read(make_doc(default="outside")) == [
        Post(
            "@Ada in New York!",
            (LabelledSpan(8, 16, "location"),),
            (Word(0, 4), Word(5, 7), Word(8, 11), Word(12, 16), Word(16, 17)),
            where="doc 1",
        )
    ]


def test_missing_annotation_and_incorrect_spans(read):
    doc = make_doc(default="missing")
    doc.spans["incorrect_spans"] = [
        Span(doc, 0, 1, "person"),
        # spaCy ignores spans without a label.
        Span(doc, 1, 2),
    ]
    doc.spans["other"] = [Span(doc, 1, 2, "x")]
    [post] = read(doc)
    assert post.missing == (Word(0, 4), Word(5, 7), Word(16, 17))
    assert post.incorrect == (LabelledSpan(0, 4, "person"),)


def test_blocked_words_are_outside_of_entities(read):
    doc = make_doc(default="outside")
    doc.set_ents([], blocked=[doc[0:1]], default="unmodified")
    [post] = read(doc)
    assert post.missing == () and post.spans == ((8, 16, "location"),)


def test_unknown_spaces_stay_unknown(read):
    doc = Doc(VOCAB, words=["in", "Oslo"], ents=["O", "B-location"])
    assert read(doc) == [
        Post(
            "in Oslo",
            (LabelledSpan(3, 7, "location"),),
            (Word(0, 2), Word(3, 7)),
            has_spaces=False,
            where="doc 1",
        )
    ]


def test_words_of_white_space(read):
    doc = Doc(VOCAB, words=["in", "\n", "Oslo", " "], spaces=[True, False, True, False])
    doc.set_ents([Span(doc, 1, 4, "location")], default="outside")
    [post] = read(doc)
    assert post.text == "in \nOslo  "
    assert post.words == (Word(0, 2), Word(3, 4), Word(4, 8), Word(9, 10))
    # The entity keeps them.
    assert post.spans == (LabelledSpan(3, 10, "location"),)


def test_empty_docs_are_skipped_and_faulty_ones_rejected(read):
    blank = Doc(VOCAB, words=[" ", "\n"], ents=["O", "O"])
    white = Doc(VOCAB, words=["in", "\n"], ents=["O", "B-location"])
    comma = Doc(VOCAB, words=["in", "Oslo"], ents=["O", "B-a,b"])
    first, second, third, last = read(
        Doc(VOCAB), blank, white, comma, make_doc(default="outside")
    )
    assert all(isinstance(one, Rejection) for one in (first, second, third))
    assert [one.where for one in (first, second, third, last)] == [
        "doc 2",
        "doc 3",
        "doc 4",
        "doc 5",
    ]
    assert first.reason == "has no text: all its words are white space"
    assert "is only white space" in second.reason
    assert "'a,b' can't be an entity type" in third.reason
    assert third.record["text"] == comma.text


def test_docs_without_annotation_are_all_missing(read):
    plain = Doc(VOCAB, words=["lol"])
    post, _ = read(plain, make_doc(default="outside"))
    assert post.missing == (Word(0, 3),)
    with pytest.raises(WnutError, match=r"no docs with entity annotation \(1 docs\)"):
        read(plain)
    with pytest.raises(WnutError, match=r"no docs with entity annotation \(1 docs\)"):
        read(make_doc(default="outside"), attrs=("TAG",))
    with pytest.raises(WnutError, match=r"no docs with entity annotation \(0 docs\)"):
        read()


def test_files_that_are_no_docbin(tmp_path):
    path = tmp_path / "train.spacy"
    reader = find_format(path).read
    with pytest.raises(WnutError, match="isn't there"):
        list(reader(path, ReadOptions()))
    whole = DocBin(docs=[make_doc(default="outside")]).to_bytes()
    for content in (b"", b"lol", whole[:-20]):
        path.write_bytes(content)
        with pytest.raises(WnutError, match="can't be read as a DocBin"):
            list(reader(path, ReadOptions()))
