"""Schemes of tags in the data of other tools: BIO, IOB1, IO, IOBES and BILOU.

All schemes are read by one rule, that of CoNLL's script and of seqeval's default mode.
An entity starts at a prefix that starts one (B, S, U), and at any other prefix that
does not continue an entity of its type. It ends before such a tag, before O and before a
word without annotation, and after a prefix that ends one (E, S, L, U). This rule gives
the same entities for BIO, IOB1 and IO, so that these need not be told apart.

The notation of the tags is that which fits all tags of a file: B-type, B_type, type-B or
type_B, or B alone if there is only one type; in upper or in lower case.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from .labels import OUTSIDE, Entity

# Words without annotation.
MISSING = ("-", "_")
# The type of tags without types: B, I and O alone.
ONLY_TYPE = "entity"


class Role(NamedTuple):
    """The role of a prefix.

    starts (bool): Whether it always starts an entity.
    ends (bool): Whether it always ends an entity.
    """

    starts: bool
    ends: bool


BEGIN, INSIDE = Role(True, False), Role(False, False)
END, SINGLE = Role(False, True), Role(True, True)

# The prefixes of each scheme.
SCHEMES: dict[str, dict[str, Role]] = {
    "bio": {"B": BEGIN, "I": INSIDE},
    "iob1": {"B": BEGIN, "I": INSIDE},
    "io": {"I": INSIDE},
    "iobes": {"B": BEGIN, "I": INSIDE, "E": END, "S": SINGLE, "M": INSIDE, "W": SINGLE},
    "bilou": {"B": BEGIN, "I": INSIDE, "L": END, "U": SINGLE},
}
# BMES and BMEWO are IOBES with other prefixes.
ALIASES = {"M": "I", "W": "S"}
# The schemes that are inferred from prefixes. The first one that has all of them counts.
INFERRED = ("bio", "iobes", "bilou")
Form = Literal["prefix", "suffix", "prefix only", "type only"]


class TagError(ValueError):
    """A tag that cannot be read.

    tag (str): The tag.
    """

    def __init__(self, tag: str, message: str) -> None:
        super().__init__(message)
        self.tag = tag


@dataclass(frozen=True)
class Notation:
    """A scheme, and the way in which its tags are written.

    scheme (str): The scheme, one of SCHEMES.
    form (Form): Whether the prefix precedes or follows the type, or is the whole tag, or
        whether there are only types, as in IO without prefixes.
    separator (str): The character between prefix and type, or "".
    is_lower (bool): Whether prefixes are in lower case.

    Example:
        >>> Notation("iobes", "suffix", "_").split("geo_loc_S")
        ('S', 'geo_loc')
    """

    scheme: str = "bio"
    form: Form = "prefix"
    separator: str = "-"
    is_lower: bool = False

    @property
    def prefixes(self) -> dict[str, Role]:
        """The prefixes of the scheme, in upper case, with their roles."""
        return SCHEMES[self.scheme]

    def is_outside(self, tag: str) -> bool:
        """Return whether a tag is outside of entities."""
        return tag == OUTSIDE or (self.is_lower and tag == OUTSIDE.lower())

    def fits(self, tag: str) -> bool:
        """Return whether a tag has this notation. Marks of missing annotation have none."""
        return self.is_outside(tag) or self._split(tag) is not None

    def split(self, tag: str) -> tuple[str, str]:
        """Split a tag of a word with annotation into its prefix and type.

        tag (str): The tag.
        RETURNS (Tuple[str, str]): The prefix in upper case, and the type. "O" and "" for
            a tag outside of entities.

        Raises TagError if the tag does not have this notation.
        """
        if self.is_outside(tag):
            return OUTSIDE, ""
        parts = self._split(tag)
        if parts is None:
            article = "an" if self.scheme.startswith("i") else "a"
            *most, last = self._expected()
            raise TagError(
                tag,
                f"{tag!r} is not {article} {self.scheme.upper()} tag: expected "
                f"{', '.join(most)} or {last}",
            )
        return parts

    def _split(self, tag: str) -> tuple[str, str] | None:
        n = 1 + len(self.separator)
        if self.form == "type only":
            return ("I", tag) if tag else None
        if self.form == "prefix only":
            letter, separator, label = tag, "", ONLY_TYPE
        elif self.form == "prefix":
            letter, separator, label = tag[:1], tag[1:n], tag[n:]
        else:
            letter, separator, label = tag[-1:], tag[-n:-1], tag[:-n]
        prefix = letter.upper()
        is_cased = letter == (letter.lower() if self.is_lower else prefix)
        if not is_cased or separator != self.separator or not label:
            return None
        return (prefix, label) if prefix in self.prefixes else None

    def _expected(self) -> list[str]:
        if self.form == "type only":
            return [OUTSIDE, "a type"]
        letters = [OUTSIDE, *(p for p in self.prefixes if p not in ALIASES)]
        if self.is_lower:
            letters = [letter.lower() for letter in letters]
        outside, *others = letters
        if self.form == "prefix":
            others = [f"{letter}{self.separator}type" for letter in others]
        elif self.form == "suffix":
            others = [f"type{self.separator}{letter}" for letter in others]
        return [outside, *others]


FORMS: tuple[tuple[Form, str], ...] = (
    ("prefix", "-"),
    ("prefix", "_"),
    ("suffix", "-"),
    ("suffix", "_"),
    ("prefix only", ""),
)


def infer_notation(
    posts: Sequence[Sequence[str]], scheme: str | None = None
) -> Notation:
    """Infer the notation of the tags of a file.

    It is B-type, I-type and O if these are all tags. Otherwise it is the notation that
    fits all tags. If several do (S-B, for example), prefixes in upper case take
    precedence, then the notation in which fewer tags are illegal in their places, then
    that with fewer types.

    The scheme is BIO, IOBES or BILOU by the prefixes. If the prefixes are only B and I,
    it is IO without any B, and IOB1 if each B directly follows an entity of its type.

    posts (Sequence[Sequence[str]]): The tags of each post.
    scheme (Optional[str]): The scheme, one of SCHEMES. None to infer it. Only "io" reads
        types without prefixes.
    RETURNS (Notation): The notation.

    Raises TagError if no notation fits all tags, with the first tag that does not fit
    the notation of most; or if several notations fit equally well. Raises ValueError for
    an unknown scheme.

    Example:
        >>> infer_notation([["geo_loc_B", "geo_loc_I", "O", "-"]])
        Notation(scheme='bio', form='suffix', separator='_', is_lower=False)
    """
    counts = Counter(tag for tags in posts for tag in tags if tag not in MISSING)
    notation = _infer(counts, posts, scheme)
    if scheme is None and notation.scheme == "bio":
        return replace(notation, scheme=_name_bio(posts, notation))
    return notation


def infer_label_notation(labels: Iterable[str], scheme: str | None = None) -> Notation:
    """Infer the notation of a list of labels, as of a model, which are in no sequence.

    labels (Iterable[str]): The labels.
    scheme (Optional[str]): The scheme, as for `infer_notation`.
    RETURNS (Notation): The notation. The scheme of the prefixes B and I is "bio".

    Raises TagError as `infer_notation` does.

    Example:
        >>> infer_label_notation(["O", "U-a", "B-a", "I-a", "L-a"]).scheme
        'bilou'
    """
    return _infer(Counter(labels), [], scheme)


def read_tags(
    tags: Sequence[str], notation: Notation
) -> tuple[list[Entity], list[int]]:
    """Convert the tags of a post to entities.

    tags (Sequence[str]): The tags, one per word.
    notation (Notation): Their notation.
    RETURNS (Tuple[List[Entity], List[int]]): The entities, sorted by start, and the
        indices of the words without annotation.

    Raises TagError if a tag does not have this notation.

    Example:
        >>> read_tags(["S-a", "B-a", "E-a", "O", "-"], Notation("iobes"))
        ([Entity(start=0, end=1, label='a'), Entity(start=1, end=3, label='a')], [4])
    """
    entities: list[Entity] = []
    missing = []
    start, open_label = 0, ""
    for i, tag in enumerate(tags):
        prefix, label = ("", "") if tag in MISSING else notation.split(tag)
        if not prefix:
            missing.append(i)
        role = notation.prefixes.get(prefix, SINGLE)
        if open_label and (role.starts or label != open_label):
            entities.append(Entity(start, i, open_label))
            open_label = ""
        if label and not open_label:
            start, open_label = i, label
        if label and role.ends:
            entities.append(Entity(start, i + 1, label))
            open_label = ""
    if open_label:
        entities.append(Entity(start, len(tags), open_label))
    return entities, missing


def _infer(
    counts: Counter[str], posts: Sequence[Sequence[str]], scheme: str | None
) -> Notation:
    if scheme not in (None, *SCHEMES):
        raise ValueError(f"unknown scheme {scheme!r}: expected {', '.join(SCHEMES)}")
    schemes = INFERRED if scheme is None else (scheme,)
    candidates = [
        Notation(name, form, separator, is_lower)
        for form, separator in FORMS
        for is_lower in (False, True)
        for name in schemes
    ]
    if scheme == "io":
        candidates.append(Notation("io", "type only", ""))
    fitting: list[Notation] = []
    for one in candidates:
        ways = [(found.form, found.separator, found.is_lower) for found in fitting]
        # IOBES and BILOU have all prefixes of BIO.
        is_new = (one.form, one.separator, one.is_lower) not in ways
        if is_new and all(map(one.fits, counts)):
            fitting.append(one)
    if not fitting:
        raise _misfit(candidates, counts)
    if fitting[0] == candidates[0] or all(map(fitting[0].is_outside, counts)):
        fitting = fitting[:1]
    # A type is taken for the whole tag only if nothing else fits.
    elif len(fitting) > 1:
        fitting = [one for one in fitting if one.form != "type only"]
    return fitting[0] if len(fitting) == 1 else _choose(posts, fitting, counts)


def _misfit(candidates: Sequence[Notation], counts: Counter[str]) -> TagError:
    """Return the error of the first tag that does not have the notation of most tags."""

    def n_fitting(one: Notation) -> int:
        return sum(n for tag, n in counts.items() if one.fits(tag))

    # The first one of equal candidates.
    best = max(candidates, key=n_fitting)
    tag = next(tag for tag in counts if not best.fits(tag))
    try:
        best.split(tag)
    except TagError as err:
        return err
    raise AssertionError(tag)


def _choose(
    posts: Sequence[Sequence[str]], fitting: Sequence[Notation], tags: Iterable[str]
) -> Notation:
    """Choose one of several notations that fit all tags."""
    ranks = [
        (
            # Types in lower case are more frequent than prefixes in lower case.
            one.is_lower,
            _count_illegal(posts, one),
            len({one.split(tag)[1] for tag in tags}),
        )
        for one in fitting
    ]
    best = [one for one, rank in zip(fitting, ranks, strict=True) if rank == min(ranks)]
    for tag in tags:
        if len({one.split(tag) for one in best}) > 1:
            ways = " and as ".join(", ".join(one._expected()) for one in best)
            raise TagError(
                tag,
                f"{tag!r} is ambiguous: the tags of the file can be read as {ways}. "
                "Write them as B-type, I-type and O",
            )
    return best[0]


def _parts(
    posts: Iterable[Sequence[str]], notation: Notation
) -> Iterator[tuple[Role | None, str, Role | None, str]]:
    """Yield the role and type of each tag, and those of the tag before it. The end of a
    post is a tag outside of entities. A role is None outside of entities.
    """
    for tags in posts:
        before: tuple[Role | None, str] = (None, "")
        for tag in [*tags, OUTSIDE]:
            prefix, label = ("", "") if tag in MISSING else notation.split(tag)
            role = notation.prefixes.get(prefix)
            yield (role, label, *before)
            before = (role, label)


def _count_illegal(posts: Sequence[Sequence[str]], notation: Notation) -> int:
    """Count the tags that are illegal in their places. For BIO and IOB1, it is the
    smaller number of both.
    """
    bio = iob1 = others = 0
    for role, label, before, label_before in _parts(posts, notation):
        continues = role is not None and not role.starts
        is_after_same = before is not None and label == label_before
        bio += continues and not is_after_same
        iob1 += role == BEGIN and not is_after_same
        is_open = before is not None and not before.ends
        others += continues != is_open or (is_open and label != label_before)
    if notation.scheme in ("iobes", "bilou"):
        return others
    return min(bio, iob1)


def _name_bio(posts: Sequence[Sequence[str]], notation: Notation) -> str:
    begins = [
        before is not None and label == label_before
        for role, label, before, label_before in _parts(posts, notation)
        if role == BEGIN
    ]
    if begins:
        return "iob1" if all(begins) else "bio"
    is_used = any(role for role, *_ in _parts(posts, notation))
    return "io" if is_used else "bio"
