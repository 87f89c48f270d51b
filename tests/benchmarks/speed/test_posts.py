import pytest
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from benchmarks.speed.posts import (
    AnnotatedPost,
    count_words,
    entity_f1,
    make_texts,
    read_posts,
    sample_evenly,
)
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity


def numbered(n):
    """Posts of two words each."""
    return [AnnotatedPost(f"post {i}", 2, []) for i in range(n)]


def write(path, **spaces):
    words = ["in", "New", "York", "."]
    doc = Doc(Vocab(), words=words, **spaces)
    doc.set_ents([Span(doc, 1, 3, "location")])
    DocBin(docs=[doc]).to_disk(path)


def test_posts_have_a_text_and_entities_by_characters(tmp_path):
    write(tmp_path / "a.spacy", spaces=[True, True, True, False])
    assert read_posts(tmp_path / "a.spacy") == [
        AnnotatedPost("in New York .", 4, [Entity(3, 11, "location")])
    ]


def test_posts_of_the_other_protocol_have_no_text(tmp_path):
    write(tmp_path / "a.spacy")
    with pytest.raises(WnutError, match="--tokens spacy"):
        read_posts(tmp_path / "a.spacy")


def test_posts_that_are_not_there(tmp_path):
    with pytest.raises(WnutError, match="convert"):
        read_posts(tmp_path / "a.spacy")


def test_texts_of_any_size_cover_the_posts():
    posts = numbered(12)
    for words in (2, 6, 24):
        texts = make_texts(posts, words)
        assert [count_words([text]) for text in texts] == [words] * (24 // words)
        assert sorted(post for text in texts for post in text) == sorted(posts)


def test_posts_are_repeated_to_a_greater_size():
    posts = numbered(12)
    [text] = make_texts(posts, 61)
    assert count_words([text]) == 62
    assert sorted(text[:12]) == sorted(posts) and text[12:24] == text[:12]


def test_sample_starts_with_the_first_post():
    assert [post.text for post in sample_evenly(numbered(10), 3)] == [
        "post 0",
        "post 3",
        "post 6",
    ]
    assert len(sample_evenly(numbered(2), 5)) == 2


def test_entities_count_by_characters_and_type():
    posts = [
        AnnotatedPost("in New York", 3, [Entity(3, 11, "location")]),
        AnnotatedPost(
            "Ada met Bob", 3, [Entity(0, 3, "person"), Entity(8, 11, "person")]
        ),
    ]
    # One of three is correct, one is too short, and one has another type.
    found = [[[3, 6, "location"]], [[0, 3, "person"], [8, 11, "group"]]]
    assert entity_f1(posts, found) == pytest.approx(1 / 3)
