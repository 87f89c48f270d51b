"""Annotated posts: the form into which all formats of annotated data are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..labels import Entity


class LabelledSpan(NamedTuple):
    """A span of a text, with its label.

    start (int): Offset of the first character, in code points as in Python.
    end (int): Offset after the last character.
    label (str): The entity type.
    """

    start: int
    end: int
    label: str


class Word(NamedTuple):
    """The place of a word in a text.

    start (int): Offset of the first character, in code points.
    end (int): Offset after the last character.
    """

    start: int
    end: int


@dataclass(frozen=True)
class Post:
    """An annotated post. Characters outside of `spans` and `missing` are annotated as
    outside of entities.

    text (str): The text.
    spans (Tuple[LabelledSpan, ...]): The entities, in any order. They may overlap, and
        their boundaries may be inside words.
    words (Optional[Tuple[Word, ...]]): The words, if the format has them.
    has_spaces (bool): Whether the white space between the words is known. If not, `text`
        consists of the words joined by single spaces.
    missing (Tuple[Word, ...]): The parts of the text that are not annotated. They may
        overlap `spans`, which take precedence.
    incorrect (Tuple[LabelledSpan, ...]): Spans annotated as not entities.
    id (str): The id of the post, or "".
    where (str): Its place in the file, such as "line 3" or "task 17", for messages.
    """

    text: str
    spans: tuple[LabelledSpan, ...] = ()
    words: tuple[Word, ...] | None = None
    has_spaces: bool = True
    missing: tuple[Word, ...] = ()
    incorrect: tuple[LabelledSpan, ...] = ()
    id: str = ""
    where: str = ""


class Rejection(NamedTuple):
    """A record that cannot be converted.

    where (str): Its place in the file, such as "line 3".
    reason (str): The reason, and how to correct the record.
    record (Any): The record as JSON values, or its line if it cannot be parsed.
    """

    where: str
    reason: str
    record: Any

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def make_post(
    words: Sequence[str],
    entities: Sequence[Entity] = (),
    missing: Sequence[int] = (),
    *,
    spaces: Sequence[bool] | None = None,
    id: str = "",
    where: str = "",
) -> Post:
    """Make a post from words, and entities given by words.

    words (Sequence[str]): The words, none of them empty.
    entities (Sequence[Entity]): The entities, by indices of words.
    missing (Sequence[int]): Indices of the words that are not annotated.
    spaces (Optional[Sequence[bool]]): Whether a space follows each word. None if it is
        unknown.
    id (str): The id of the post.
    where (str): Its place in the file.
    RETURNS (Post): The post.

    Example:
        >>> from spacy_wnut.corpus.posts import make_post
        >>> from spacy_wnut.labels import Entity
        >>> post = make_post(["in", "New", "York"], [Entity(1, 3, "location")])
        >>> post.text, post.spans
        ('in New York', (LabelledSpan(start=3, end=11, label='location'),))
    """
    text = ""
    places = []
    for i, word in enumerate(words):
        places.append(Word(len(text), len(text) + len(word)))
        is_last = i + 1 == len(words)
        has_space = not is_last if spaces is None else spaces[i]
        text += word + " " * has_space
    return Post(
        text,
        tuple(
            LabelledSpan(places[start].start, places[end - 1].end, label)
            for start, end, label in entities
        ),
        tuple(places),
        has_spaces=spaces is not None,
        missing=tuple(places[i] for i in missing),
        id=id,
        where=where,
    )
