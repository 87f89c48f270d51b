"""Scores of names that training has seen, and of those that are new."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypedDict

import spacy

from ..labels import Entity
from .evaluation import read_corpus
from .measures import PRF, ScoredPost, prf_of_counts


class SeenScores(TypedDict):
    """PRF of the names that occur as entities in training, and of the others."""

    seen: PRF
    unseen: PRF
    gold_seen: int
    gold_unseen: int


def read_forms(corpus: Path) -> frozenset[str]:
    """The names in the entities of a corpus, as `seen_scores` compares them.

    corpus (Path): A DocBin file as `convert` writes it.

    Raises WnutError if it can't be read, or holds no annotation of entities.
    """
    examples = read_corpus(corpus, spacy.blank("xx"))
    return frozenset(
        _form(ent.text) for example in examples for ent in example.reference.ents
    )


def seen_scores(posts: Iterable[ScoredPost], forms: Collection[str]) -> SeenScores:
    """Scores of entities whose form, of whatever type, is among some, and of those
    whose form is new. Upper and lower case are the same form here.

    posts (Iterable[ScoredPost]): The posts.
    forms (Collection[str]): What `read_forms` read of the training data.
    """
    # For seen and unseen: right, predicted, gold.
    counts = {True: [0, 0, 0], False: [0, 0, 0]}
    for post in posts:
        for i, entities in enumerate(
            (post.gold & post.predicted, post.predicted, post.gold)
        ):
            for entity in entities:
                counts[_text(post, entity) in forms][i] += 1
    return {
        "seen": prf_of_counts(*counts[True]),
        "unseen": prf_of_counts(*counts[False]),
        "gold_seen": counts[True][2],
        "gold_unseen": counts[False][2],
    }


def _text(post: ScoredPost, entity: Entity) -> str:
    return _form("".join(post.words[entity.start : entity.end]))


def _form(text: str) -> str:
    return " ".join(text.casefold().split())
