"""The posts that systems are run on, cut and repeated to texts of any size."""

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


class Post(NamedTuple):
    """A `text`, its number of `words` in the data, and its `entities` by characters."""

    text: str
    words: int
    entities: list[Entity]


def read_posts(corpus: Path) -> list[Post]:
    """The posts of a DocBin on spaCy's protocol: words joined by single spaces.

    Raises WnutError if there is no such DocBin, or its docs don't know their spaces.
    """
    try:
        docs = list(DocBin().from_disk(corpus).get_docs(Vocab()))
    except (OSError, ValueError) as err:
        raise WnutError(
            f"{corpus} can't be read as a DocBin ({err}): make it with "
            "`spacy-wnut convert --tokens spacy`"
        ) from err
    if not docs or any(doc.has_unknown_spaces for doc in docs):
        raise WnutError(
            f"{corpus} has no posts, or posts without a text of their own: make it "
            "with `spacy-wnut convert --tokens spacy`"
        )
    return [
        Post(
            doc.text,
            len(doc),
            [Entity(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents],
        )
        for doc in docs
    ]


def cut(posts: Sequence[Post], words: int) -> list[list[Post]]:
    """Cut posts into texts of a number of words, or repeat them to one such text.

    Each text ends with the post that reaches the number. The posts are shuffled, the
    same way each time: different parts of a corpus have words of different lengths,
    and a text must not differ from another by more than its size.

    posts (Sequence[Post]): The posts, at least one.
    words (int): How many words a text has.
    RETURNS (List[List[Post]]): The texts. What is left over at the end is left out.
    """
    shuffled = random.Random(0).sample(posts, len(posts))
    total = sum(post.words for post in posts)
    texts: list[list[Post]] = []
    text: list[Post] = []
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


def count_words(texts: Iterable[Iterable[Post]]) -> int:
    """The words of some texts."""
    return sum(post.words for text in texts for post in text)


def evenly(posts: Sequence[Post], number: int) -> list[Post]:
    """Some of the posts, evenly from the first to the last."""
    step = max(len(posts) // number, 1)
    return list(posts[::step][:number])


def entity_f1(posts: Sequence[Post], found: Sequence[Sequence[list[Any]]]) -> float:
    """The F1 of entities by their characters and types: spaCy's protocol.

    posts (Sequence[Post]): The posts with the right entities.
    found (Sequence[Sequence[List]]): A system's entities of each: first character,
        last (exclusive) and type.
    """
    scored = [
        # A character is a position: then an exact span is one of characters.
        ScoredPost(
            post.text,
            entities_to_tags(post.entities, len(post.text)),
            entities_to_tags((Entity(*entity) for entity in entities), len(post.text)),
        )
        for post, entities in zip(posts, found, strict=True)
    ]
    return entity_scores(scored)["f1"]
