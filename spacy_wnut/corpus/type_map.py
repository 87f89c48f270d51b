"""Renaming and dropping of entity types: the option --map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..errors import WnutError
from ..labels import OUTSIDE, split_tag, type_problem
from .posts import LabelledSpan, Post


@dataclass(frozen=True)
class TypeMap:
    """New names of entity types. Types that it does not name keep their names.

    names (Dict[str, str]): The new name of each type, or "" for a type whose entities
        become words outside of entities.
    """

    names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> TypeMap:
        """Parse the value of --map.

        text (str): Pairs of types, separated by commas.
        RETURNS (TypeMap): The map.

        Raises WnutError if a part is not a pair, if a new name can't be an entity type,
        or if a type is named twice.

        Example:
            >>> from spacy_wnut.corpus.type_map import TypeMap
            >>> TypeMap.parse("PER=person,MISC=").names
            {'PER': 'person', 'MISC': ''}
        """
        names: dict[str, str] = {}
        for part in text.split(","):
            old, sign, new = (piece.strip() for piece in part.partition("="))
            if not sign or not old:
                raise WnutError(
                    f"--map {text!r}: {part!r} is no pair of types: write it as "
                    "PER=person, or as PER= to drop a type"
                )
            if new and (problem := type_problem(new)):
                raise WnutError(f"--map {text!r}: {problem}")
            if old in names:
                raise WnutError(f"--map {text!r} names the type {old} twice")
            names[old] = new
        return cls(names)

    def check(self, types: Iterable[str]) -> None:
        """Check that the data has all types of the map.

        types (Iterable[str]): The types of the data.

        Raises WnutError if a type is missing.
        """
        known = sorted(set(types))
        if unknown := [name for name in self.names if name not in known]:
            raise WnutError(
                f"--map names the type {', '.join(unknown)}, but the data has "
                f"{'the types ' + ', '.join(known) if known else 'no entities'}. "
                "Correct the map"
            )

    def rename(self, label: str) -> str:
        """Return the new name of a type, or "" if its entities are dropped.

        label (str): The type.
        RETURNS (str): Its new name.
        """
        return self.names.get(label, label)

    def map_post(self, post: Post) -> Post:
        """Rename and drop the types of a post.

        post (Post): The post.
        RETURNS (Post): The post with the new types.
        """
        spans, incorrect = map(self._map_spans, (post.spans, post.incorrect))
        return replace(post, spans=spans, incorrect=incorrect)

    def map_tags(self, tags: Sequence[str]) -> list[str]:
        """Rename and drop the types of BIO tags. Entities stay separate.

        tags (Sequence[str]): The tags of the words of a post.
        RETURNS (List[str]): The tags with the new types.

        Example:
            >>> from spacy_wnut.corpus.type_map import TypeMap
            >>> both = TypeMap({"PER": "name", "ORG": "name", "MISC": ""})
            >>> both.map_tags(["B-PER", "I-ORG", "B-MISC", "O"])
            ['B-name', 'B-name', 'O', 'O']
        """
        mapped: list[str] = []
        before = new_before = ""
        for tag in tags:
            prefix, label = split_tag(tag)
            new = self.rename(label)
            # An I- tag after another type starts an entity. It may not continue the
            # entity before if both get the same type.
            if prefix == "I" and label != before and new == new_before:
                prefix = "B"
            mapped.append(f"{prefix}-{new}" if new else OUTSIDE)
            before, new_before = label, new
        return mapped

    def _map_spans(self, spans: Iterable[LabelledSpan]) -> tuple[LabelledSpan, ...]:
        named = (span._replace(label=self.rename(span.label)) for span in spans)
        return tuple(span for span in named if span.label)


def types_of(posts: Iterable[Post]) -> set[str]:
    """Return the entity types that occur in posts.

    posts (Iterable[Post]): The posts.
    RETURNS (Set[str]): The types of their entities and of their incorrect spans.
    """
    return {span.label for post in posts for span in (*post.spans, *post.incorrect)}
