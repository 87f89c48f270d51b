"""The label scheme as data: entity types, BIO tags and the legal moves.

Everything that reads, decodes or scores tags asks here what a tag means, so
that there is one answer for any label set. WNUT 17's is only a constant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from unicodedata import category

OUTSIDE = "O"


class Entity(NamedTuple):
    """An entity over a sequence: `start` and `end` (exclusive) are positions in
    it, `label` is the entity type.
    """

    start: int
    end: int
    label: str


def type_problem(name: str) -> str:
    """Why a name can't be an entity type, or "".

    Blanks may stand inside a type ("geo place"), but not at its ends, where columns
    and lists of labels lose them. Tabs and line breaks separate columns and lines.
    Commas separate the labels of a list, and in CoNLL files labels that annotators
    didn't agree on.
    """
    is_whole = name and name == name.strip() and "," not in name
    # Of all white space, blanks alone (U+00A0 is one) end no column and no line.
    if is_whole and all(category(char) == "Zs" for char in name if char.isspace()):
        return ""
    return (
        f"{name!r} can't be an entity type: it has to be text without commas, tabs and "
        "line breaks, and without blanks at its ends"
    )


@dataclass(frozen=True)
class LabelScheme:
    """The BIO tags of a set of entity types.

    types (Tuple[str, ...]): The entity types, in a fixed order.

    Raises ValueError if a type can't be one (see `type_problem`) or is there twice.
    """

    types: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", tuple(self.types))
        for name in self.types:
            if problem := type_problem(name):
                raise ValueError(problem)
        if len(set(self.types)) != len(self.types):
            raise ValueError(f"an entity type is there twice: {', '.join(self.types)}")

    @classmethod
    def from_tags(cls, tags: Iterable[str]) -> "LabelScheme":
        """The scheme whose types occur in the tags, in order of appearance.

        Raises ValueError for a tag that is neither O, B-x nor I-x.
        """
        types = {split_tag(tag)[1]: None for tag in tags if tag != OUTSIDE}
        return cls(tuple(types))

    @property
    def tags(self) -> tuple[str, ...]:
        """O, then B-x and I-x for every type x: 2 * len(types) + 1 tags."""
        return (OUTSIDE, *(f"{p}-{x}" for x in self.types for p in "BI"))

    def is_legal(self, previous: int, tag: int) -> bool:
        """Whether a tag may follow another: I-x only follows B-x or I-x."""
        is_inside = tag > 0 and tag % 2 == 0
        return not is_inside or previous in (tag, tag - 1)

    def is_legal_start(self, tag: int) -> bool:
        """Whether a sequence may start with a tag: all but I-x."""
        return tag % 2 == 1 or tag == 0


WNUT_17 = LabelScheme(
    ("corporation", "creative-work", "group", "location", "person", "product")
)


def split_tag(tag: str) -> tuple[str, str]:
    """Split a BIO tag in prefix and type: ("B", "person"), ("O", "").

    Raises ValueError for anything else.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, label = tag.partition("-")
    if prefix not in ("B", "I") or not dash or not label:
        raise ValueError(f"{tag!r} is not a BIO tag: expected O, B-type or I-type")
    return prefix, label


def tags_to_entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sequence of BIO tags.

    An I-x after anything but B-x or I-x starts an entity, as in CoNLL's script
    and seqeval's default mode.

    Raises ValueError for a tag that is neither O, B-x nor I-x.
    """
    entities: list[Entity] = []
    start, open_label = 0, ""
    for i, tag in enumerate(tags):
        prefix, label = split_tag(tag)
        if prefix == "I" and label == open_label:
            continue
        if open_label:
            entities.append(Entity(start, i, open_label))
        start, open_label = i, label
    if open_label:
        entities.append(Entity(start, len(tags), open_label))
    return entities


def entities_to_tags(entities: Iterable[Entity], length: int) -> list[str]:
    """The BIO tags of entities over a sequence of `length` positions.

    Raises ValueError if entities overlap or reach beyond the sequence.
    """
    tags = [OUTSIDE] * length
    for start, end, label in entities:
        if not 0 <= start < end <= length:
            raise ValueError(f"entity {(start, end, label)} is outside of 0..{length}")
        if any(tag != OUTSIDE for tag in tags[start:end]):
            raise ValueError(f"entity {(start, end, label)} overlaps another one")
        tags[start] = f"B-{label}"
        tags[start + 1 : end] = [f"I-{label}"] * (end - start - 1)
    return tags
