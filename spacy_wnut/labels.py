"""Label scheme: entity types, BIO tags, legal transitions, tags to entities.

All readers, decoders and scorers use these functions, so that tags have one meaning for
any label set. The label set of WNUT 17 is a constant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from unicodedata import category

OUTSIDE = "O"


class Entity(NamedTuple):
    """Entity in a sequence of words.

    start (int): Index of the first word.
    end (int): Index of the last word plus 1.
    label (str): The entity type.
    """

    start: int
    end: int
    label: str


def type_problem(name: str) -> str:
    """Check whether a name can be an entity type.

    Spaces are allowed inside a type ("geo place"), but not at its ends, where columns
    and lists of labels lose them. Tabs and line breaks separate columns and lines.
    Commas separate the labels in a list, and in CoNLL files the labels that annotators
    disagree on.

    name (str): The name.
    RETURNS (str): The error message, or "" if the name is valid.

    Example:
        >>> type_problem("geo place")
        ''
        >>> type_problem("a,b").startswith("'a,b' can't be an entity type")
        True
    """
    is_plain = name and name == name.strip() and "," not in name
    # Characters of category Zs, such as U+00A0, separate neither columns nor lines. All
    # other white space does.
    if is_plain and all(category(char) == "Zs" for char in name if char.isspace()):
        return ""
    return (
        f"{name!r} can't be an entity type: it has to be text without commas, tabs and "
        "line breaks, and without spaces at its ends"
    )


@dataclass(frozen=True)
class LabelScheme:
    """BIO tags of a set of entity types.

    types (Tuple[str, ...]): The entity types, in a fixed order.

    Raises ValueError if a type is invalid (see `type_problem`) or duplicate.

    Example:
        >>> LabelScheme(("person", "product")).tags
        ('O', 'B-person', 'I-person', 'B-product', 'I-product')
    """

    types: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", tuple(self.types))
        for name in self.types:
            if problem := type_problem(name):
                raise ValueError(problem)
        if len(set(self.types)) != len(self.types):
            raise ValueError(f"duplicate entity type in {', '.join(self.types)}")

    @classmethod
    def from_tags(cls, tags: Iterable[str]) -> "LabelScheme":
        """Create the scheme of the types that occur in tags.

        tags (Iterable[str]): The BIO tags.
        RETURNS (LabelScheme): The types in order of their first occurrence.

        Raises ValueError if a tag is not O, B-x or I-x, or a type is invalid.

        Example:
            >>> LabelScheme.from_tags(["O", "B-product", "I-product", "B-person"]).types
            ('product', 'person')
        """
        types = {split_tag(tag)[1]: None for tag in tags if tag != OUTSIDE}
        return cls(tuple(types))

    @property
    def tags(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): O, then B-x and I-x for each type x:
        2 * len(types) + 1 tags.
        """
        return (OUTSIDE, *(f"{p}-{x}" for x in self.types for p in "BI"))

    def is_legal(self, previous: int, tag: int) -> bool:
        """Check whether a tag may follow another one. I-x follows only B-x and I-x.

        previous (int): Index of the previous tag in `tags`.
        tag (int): Index of the tag in `tags`.
        RETURNS (bool): Whether the transition is legal.
        """
        is_inside = tag > 0 and tag % 2 == 0
        return not is_inside or previous in (tag, tag - 1)

    def is_legal_start(self, tag: int) -> bool:
        """Check whether a sequence may start with a tag. All tags but I-x may.

        tag (int): Index of the tag in `tags`.
        RETURNS (bool): Whether the start is legal.
        """
        return tag % 2 == 1 or tag == 0


WNUT_17 = LabelScheme(
    ("corporation", "creative-work", "group", "location", "person", "product")
)


def split_tag(tag: str) -> tuple[str, str]:
    """Split a BIO tag into prefix and type.

    tag (str): The tag.
    RETURNS (Tuple[str, str]): The prefix ("O", "B" or "I") and the type ("" for O).

    Raises ValueError if the tag is not O, B-x or I-x.

    Example:
        >>> split_tag("B-creative-work"), split_tag("O")
        (('B', 'creative-work'), ('O', ''))
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, label = tag.partition("-")
    if prefix not in ("B", "I") or not dash or not label:
        raise ValueError(f"{tag!r} is not a BIO tag: expected O, B-type or I-type")
    return prefix, label


def tags_to_entities(tags: Sequence[str]) -> list[Entity]:
    """Convert a sequence of BIO tags to entities.

    An I-x after any other tag than B-x or I-x starts an entity, as in the script of
    CoNLL and in the default mode of seqeval.

    tags (Sequence[str]): The tags, one per word.
    RETURNS (List[Entity]): The entities, sorted by start.

    Raises ValueError if a tag is not O, B-x or I-x.

    Example:
        >>> for entity in tags_to_entities(["B-person", "I-person", "O", "I-group"]):
        ...     print(entity)
        Entity(start=0, end=2, label='person')
        Entity(start=3, end=4, label='group')
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
    """Convert entities to a sequence of BIO tags.

    entities (Iterable[Entity]): The entities, in any order.
    length (int): Number of words.
    RETURNS (List[str]): The tags, one per word.

    Raises ValueError if entities overlap, are empty or reach beyond the sequence.

    Example:
        >>> entities_to_tags([Entity(1, 3, "person")], length=4)
        ['O', 'B-person', 'I-person', 'O']
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
