"""The labels of a checkpoint, as BIO tags of our chain."""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from ..errors import WnutError
from ..labels import OUTSIDE, LabelScheme
from ..schemes import Notation, TagError, infer_label_notation

# Labels that are not tags of words: of padding, special tokens and word pieces.
EXTRA = re.compile(
    r"\[.*\]|<.*>|X|PAD|CLS|SEP|BOS|EOS|UNK|MASK|SPECIAL|-|_|-100|IGNORE", re.IGNORECASE
)
PREFIXED = re.compile("[BIESLUMW][-_].+|.+[-_][BIESLUMW]", re.IGNORECASE)


class LabelMap(NamedTuple):
    """The labels of a checkpoint, as BIO tags.

    scheme (LabelScheme): The tags, with the types in the order of the checkpoint.
    labels (List[List[int]]): The indices of the labels of each tag. Empty if the
        checkpoint lacks the tag, as I-x of a type that has only B-x.
    joins (bool): Whether entities of the same type are never adjacent, as in IO.
    notation (Notation): The notation of the labels, without the extra ones.
    extra (FrozenSet[int]): The indices of labels that are not tags of words.
    lost (List[str]): The differences from the checkpoint, one sentence each.
    """

    scheme: LabelScheme
    labels: list[list[int]]
    joins: bool
    notation: Notation
    extra: frozenset[int]
    lost: list[str]


def read_labels(id2label: Mapping[int, str], scheme: str | None = None) -> LabelMap:
    """Map the labels of a checkpoint to BIO tags.

    - BIO: one label per tag.
    - IO and IOB1: all labels of a type belong to B-x and to I-x, and B-x never follows
      an entity of its type.
    - IOBES and BILOU: B-x and S-x belong to B-x, I-x and E-x to I-x.

    Labels without prefixes are types, as in IO. Labels that are not tags of words, such
    as X and [PAD], belong to no tag.

    id2label (Mapping[int, str]): The labels of the checkpoint by their index.
    scheme (Optional[str]): The scheme, one of `schemes.SCHEMES`. If None, it is inferred
        from the labels: IO without any B-x, and IOB1 if a type has I-x but no B-x.
        Checkpoints that were trained on IOB1 but have all labels look like BIO.
    RETURNS (LabelMap): The tags and their labels.

    Raises WnutError if a label is there twice or has no name, if the labels have no
    common scheme, if O or entity types are missing, or a type is not valid.

    >>> label_map = read_labels({0: "O", 1: "B-person", 2: "I-person", 3: "[PAD]"})
    >>> label_map.scheme.tags, label_map.labels
    (('O', 'B-person', 'I-person'), [[0], [1], [2]])
    """
    names = {i: str(id2label[i]) for i in sorted(id2label)}
    listed = ", ".join(names.values())
    if len(set(names.values())) < len(names):
        raise WnutError(f"a label of the checkpoint is there twice: {listed}")
    if all(re.fullmatch(r"LABEL_\d+", label) for label in names.values()):
        raise WnutError(
            f"the checkpoint doesn't name its labels ({listed}). Write BIO tags into "
            "id2label and label2id of its config.json"
        )
    tags = {i: name for i, name in names.items() if not EXTRA.fullmatch(name)}
    notation = _find_notation(tags.values(), scheme)
    parts = {i: notation.split(tag) for i, tag in tags.items()}
    outside = [i for i, (prefix, _) in parts.items() if prefix == OUTSIDE]
    types = tuple(dict.fromkeys(label for _, label in parts.values() if label))
    if len(outside) != 1:
        raise WnutError(f"the checkpoint has no label O: {listed}")
    if not types:
        raise WnutError(f"the checkpoint has no labels of entity types: {listed}")
    try:
        bio = LabelScheme(types)
    except ValueError as err:
        raise WnutError(f"the checkpoint's labels can't be used: {err}") from err
    name, lost = notation.scheme, []
    starts: list[list[int]] = []
    insides: list[list[int]] = []
    for label in types:
        own = {i: prefix for i, (prefix, x) in parts.items() if x == label}
        roles = {i: notation.prefixes[prefix] for i, prefix in own.items()}
        starts.append([i for i, role in roles.items() if role.starts])
        insides.append([i for i, role in roles.items() if not role.starts])
    without_start = [x for x, found in zip(types, starts, strict=True) if not found]
    if (without_start and name in ("iobes", "bilou")) or (
        scheme == "bio" and without_start
    ):
        raise WnutError(
            f"the checkpoint has no labels that begin {', '.join(without_start)}: "
            f"{listed}. In IOB1 and IO an entity begins with I-x: set --scheme iob1 or io"
        )
    joins = name in ("iob1", "io") or bool(without_start)
    if joins:
        if any(starts):
            lost.append(
                "Adjacent entities of the same type become one. In IOB1 only B-x "
                "separates them, and our tags have B-x for each first word."
            )
        starts = insides = [sorted(a + b) for a, b in zip(starts, insides, strict=True)]
    elif name in ("iobes", "bilou"):
        lost.append(
            f"The labels of last and single words ({name.upper()}) are read as I-x and "
            "B-x. Only sequences of labels that are illegal there give other entities."
        )
    extra = [names[i] for i in names if i not in tags]
    if extra:
        lost.append(
            f"The labels {', '.join(extra)} are left out: they are not tags of words. A "
            "word with such a label gets the most probable one of the others."
        )
    if notation.form == "prefix only":
        lost.append(f"The labels name no type. It is called {types[0]!r}.")
    pairs = zip(starts, insides, strict=True)
    return LabelMap(
        bio,
        [outside, *(labels for pair in pairs for labels in pair)],
        joins,
        notation,
        frozenset(names) - frozenset(tags),
        lost,
    )


def _find_notation(tags: Collection[str], scheme: str | None) -> Notation:
    # Labels of IO may be types without prefixes.
    are_types = not any(PREFIXED.fullmatch(tag) for tag in tags)
    attempts = [scheme, "io"] if scheme is None and are_types else [scheme]
    errors = []
    for attempt in attempts:
        try:
            return infer_label_notation(tags, attempt)
        except TagError as err:
            errors.append(err)
    raise WnutError(
        f"the checkpoint's labels can't be used: {errors[0]}. Its labels are "
        f"{', '.join(tags)}. If they are types without prefixes, set --scheme io"
    )
