"""Annotated posts as input of the systems, and texts of any size made of them."""

import random
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity, entities_to_tags
from spacy_wnut.scoring.measures import ScoredPost, entity_scores


class AnnotatedPost(NamedTuple):
    """A post: its text, number of words in the corpus, and gold entities by characters."""

    text: str
    words: int
    entities: list[Entity]


def read_posts(corpus: Path) -> list[AnnotatedPost]:
    """Read a DocBin on spaCy's protocol, where words are joined by single spaces.

    Raises WnutError if it can't be read, is empty, or has docs with unknown spaces.
    """
    try:
        docs = list(DocBin().from_disk(corpus).get_docs(Vocab()))
    except (OSError, ValueError) as err:
        raise WnutError(
            f"{corpus} can't be read as a DocBin ({err}): create it with "
            "`spacy-wnut convert --tokens spacy`"
        ) from err
    if not docs or any(doc.has_unknown_spaces for doc in docs):
        raise WnutError(
            f"{corpus} has no posts, or posts with unknown spaces: create it with "
            "`spacy-wnut convert --tokens spacy`"
        )
    return [
        AnnotatedPost(
            doc.text,
            len(doc),
            [Entity(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents],
        )
        for doc in docs
    ]


def make_texts(posts: Sequence[AnnotatedPost], words: int) -> list[list[AnnotatedPost]]:
    """Group posts into texts of a given length, or repeat them to one such text.

    A text ends with the post that reaches the length. The posts are shuffled with a
    fixed seed: word lengths differ between parts of a corpus, and texts should differ
    in size only.

    posts (Sequence[AnnotatedPost]): At least one post.
    words (int): Words per text.
    RETURNS (List[List[AnnotatedPost]]): The texts, without an incomplete last one.
    """
    shuffled = random.Random(0).sample(posts, len(posts))
    total = sum(post.words for post in posts)
    texts: list[list[AnnotatedPost]] = []
    text: list[AnnotatedPost] = []
    n = 0
    for post in cycle(shuffled) if words > total else shuffled:
        text.append(post)
        n += post.words
        if n >= words:
            texts.append(text)
            text, n = [], 0
            if words > total:
                break
    return texts


def count_words(texts: Iterable[Iterable[AnnotatedPost]]) -> int:
    """Number of words of texts."""
    return sum(post.words for text in texts for post in text)


def sample_evenly(posts: Sequence[AnnotatedPost], number: int) -> list[AnnotatedPost]:
    """Select up to a number of posts at equal distances, starting with the first."""
    step = max(len(posts) // number, 1)
    return list(posts[::step][:number])


def entity_f1(
    posts: Sequence[AnnotatedPost], found: Sequence[Sequence[list[Any]]]
) -> float:
    """Entity F1 by characters and types, as on spaCy's protocol.

    posts (Sequence[AnnotatedPost]): Posts with gold entities.
    found (Sequence[Sequence[List]]): Predicted entities of each post: start, end
        (exclusive), and type.
    """
    scored = [
        # One tag per character instead of per word.
        ScoredPost(
            post.text,
            entities_to_tags(post.entities, len(post.text)),
            entities_to_tags((Entity(*entity) for entity in entities), len(post.text)),
        )
        for post, entities in zip(posts, found, strict=True)
    ]
    return entity_scores(scored)["f1"]
