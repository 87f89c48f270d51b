"""Rows in the schema of the hub's `wnut_17`, for data from any source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import WnutError
from ..labels import OUTSIDE, WNUT_17, LabelScheme, split_tag

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

SPLITS = ("train", "validation", "test")
COLUMNS = (
    "tokens (a list of strings) and ner_tags (a list of ClassLabel or of strings such "
    "as B-person)"
)


class Row(NamedTuple):
    """A post of a dataset.

    id (str): The id.
    tokens (list[str]): The tokens.
    tags (list[str]): The BIO tag of each token.
    """

    id: str
    tokens: list[str]
    tags: list[str]


def parse_labels(labels: Sequence[str]) -> LabelScheme:
    """Create the label scheme of a user's list of entity types.

    labels (Sequence[str]): The entity types, in the order of the tags.
    RETURNS (LabelScheme): The scheme.

    Raises WnutError if there are no labels, if one is not a valid entity type, or if one
    occurs twice.

    Example:
        >>> from spacy_wnut.corpus.rows import parse_labels
        >>> parse_labels(["film", "actor"]).tags
        ('O', 'B-film', 'I-film', 'B-actor', 'I-actor')
    """
    if not labels:
        raise WnutError(
            "No labels were set: give at least one, or leave the setting out"
        )
    try:
        return LabelScheme(tuple(labels))
    except ValueError as err:
        raise WnutError(f"The labels that were set can't be used: {err}") from None


def infer_scheme(tags: Iterable[str]) -> LabelScheme:
    """Infer the label scheme of tags.

    tags (Iterable[str]): The BIO tags.
    RETURNS (LabelScheme): WNUT 17's scheme if it has all types of the tags. Otherwise
        the scheme of these types in alphabetical order, so that the order of the tags
        does not matter.

    Raises ValueError if a tag is not a BIO tag, or its type is not a valid entity type.

    Example:
        >>> from spacy_wnut.corpus.rows import infer_scheme
        >>> infer_scheme(["O", "B-verb", "I-noun"]).types
        ('noun', 'verb')
    """
    types = {split_tag(tag)[1] for tag in tags if tag != OUTSIDE}
    return WNUT_17 if types <= set(WNUT_17.types) else LabelScheme(tuple(sorted(types)))


def build_rows(
    splits: Mapping[str, Sequence[Row]], scheme: LabelScheme, origin: str
) -> DatasetDict:
    """Create a `datasets.DatasetDict` from rows in memory.

    splits (Mapping[str, Sequence[Row]]): The rows of "train", "validation" and "test".
        All their tags are in the scheme.
    scheme (LabelScheme): The label scheme. Its tags become the class names of ner_tags.
    origin (str): The source of the rows, stored as `info.description` of each split.
    RETURNS (DatasetDict): The splits, with the features id, tokens and ner_tags.
    """
    import datasets

    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=list(scheme.tags))),
        }
    )
    # From lists, since `datasets` caches the result of a generator and would not notice
    # changes of its file.
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {
                    "id": [row.id for row in rows],
                    "tokens": [row.tokens for row in rows],
                    "ner_tags": [row.tags for row in rows],
                },
                info=datasets.DatasetInfo(description=origin, features=features),
            )
            for split, rows in splits.items()
        }
    )


def adopt_rows(
    loaded: Mapping[str, Dataset], scheme: LabelScheme | None, origin: str
) -> DatasetDict:
    """Check a dataset, and convert it to the features of `build_rows`.

    loaded (Mapping[str, Dataset]): The splits of the dataset. "dev" and "valid" are
        accepted as names of "validation". Other splits are ignored.
    scheme (LabelScheme | None): The allowed labels. If None, they are the class names of
        the dataset or, if its tags are strings, the labels that occur.
    origin (str): The source of the dataset, for messages and `build_rows`.
    RETURNS (DatasetDict): The splits train, validation and test.

    Raises WnutError if a split or a column is missing, if a column has another type, if
    a row has missing values, or different numbers of tokens and tags, or if a tag is not
    allowed.
    """
    named = {
        {"dev": "validation", "valid": "validation"}.get(name, name): split
        for name, split in loaded.items()
    }
    if missing := [split for split in SPLITS if split not in named]:
        raise WnutError(
            f"{origin} has no split {' and no split '.join(missing)}: it has "
            f"{', '.join(loaded)}, expected {', '.join(SPLITS)}"
        )
    splits: dict[str, list[Row]] = {}
    declared: dict[str, None] = {}
    for split in SPLITS:
        names = _check_columns(named[split], f"{origin}, split {split}")
        splits[split] = [
            _adopt_row(row, i, names, f"{origin}, split {split}, row {i}")
            for i, row in enumerate(named[split])
        ]
        declared.update(dict.fromkeys(names or _distinct(splits[split])))
    try:
        scheme = scheme or infer_scheme(declared)
    except ValueError as err:
        raise WnutError(f"{origin}: {err}") from None
    known = set(scheme.tags)
    for split, rows in splits.items():
        for tag in _distinct(rows):
            if tag not in known:
                raise WnutError(
                    f"{origin}, split {split}: {tag!r} is an unknown tag: the known "
                    f"labels are {', '.join(scheme.types)}. Set the labels to those of "
                    "the dataset with --labels"
                )
    return build_rows(splits, scheme, origin)


def _distinct(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(tag for row in rows for tag in row.tags))


def _check_columns(split: Dataset, where: str) -> list[str] | None:
    """Return the class names of ner_tags, or None if its values are strings."""
    columns = {
        name: getattr(split.features.get(name), "feature", None)
        for name in ("tokens", "ner_tags")
    }
    tags = columns["ner_tags"]
    names = getattr(tags, "names", None)
    if not _is_string(columns["tokens"]) or not (names or _is_string(tags)):
        raise WnutError(
            f"{where} has the columns {dict(split.features)}: expected {COLUMNS}"
        )
    return names


def _is_string(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string")


def _adopt_row(
    row: Mapping[str, Any], i: int, names: list[str] | None, where: str
) -> Row:
    tokens, tags = row["tokens"], row["ner_tags"]
    if tokens is None or tags is None or None in tokens or None in tags:
        raise WnutError(f"{where}: a value is missing: fill it in or leave the row out")
    if len(tokens) != len(tags):
        raise WnutError(
            f"{where} has {len(tokens)} tokens and {len(tags)} ner_tags: each token "
            "needs one tag"
        )
    if names is not None:
        # Masked positions have the tag -100 by convention, which is no class index.
        if any(not 0 <= tag < len(names) for tag in tags):
            raise WnutError(f"{where} has a tag outside of 0..{len(names) - 1}: {tags}")
        tags = [names[tag] for tag in tags]
    identity = row.get("id")
    return Row(str(i) if identity is None else str(identity), list(tokens), list(tags))
