"""Rows in the schema of the hub's `wnut_17`, for data from any source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import WnutError
from ..labels import (
    OUTSIDE,
    WNUT_17,
    LabelScheme,
    split_tag,
    type_problem,
)
from ..schemes import TagError, infer_notation, read_tags
from .formats.options import ReadOptions
from .posts import Post, make_post

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
    if missing := [split for split in SPLITS if split not in _by_split(loaded)]:
        raise WnutError(
            f"{origin} has no split {' and no split '.join(missing)}: it has "
            f"{', '.join(loaded)}, expected {', '.join(SPLITS)}"
        )
    splits, declared = read_dataset(loaded, origin, ReadOptions())
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


def read_dataset(
    loaded: Mapping[str, Dataset], origin: str, options: ReadOptions
) -> tuple[dict[str, list[Row]], list[str]]:
    """Check a dataset, and read its rows.

    loaded (Mapping[str, Dataset]): The splits of the dataset, as for `adopt_rows`.
    origin (str): The source of the dataset, for messages.
    options (ReadOptions): The columns of tokens and tags, and the names of integer tags.
    RETURNS (Tuple[Dict[str, List[Row]], List[str]]): The rows of the splits, in the order
        of `SPLITS`, and the tags: those with names or, if tags are strings, those that
        occur.

    Raises WnutError if a column is missing or has another type, or if a row has missing
    values, or different numbers of tokens and tags.
    """
    named = _by_split(loaded)
    splits: dict[str, list[Row]] = {}
    declared: dict[str, None] = {}
    for split in SPLITS:
        if split not in named:
            continue
        names = _check_columns(named[split], f"{origin}, split {split}", options)
        splits[split] = [
            _adopt_row(row, i, names, f"{origin}, split {split}, row {i}", options)
            for i, row in enumerate(named[split])
        ]
        declared.update(dict.fromkeys(names or _distinct(splits[split])))
    return splits, list(declared)


def decode_rows(data: Dataset) -> Iterator[Row]:
    """Convert the integer tags of a dataset to strings.

    data (Dataset): A split from `build_rows`.
    YIELDS (Row): The rows.
    """
    names = data.features["ner_tags"].feature.names
    for row in data:
        yield Row(row["id"], row["tokens"], [names[tag] for tag in row["ner_tags"]])


def rows_to_posts(
    rows: Iterable[Row], where: str, scheme: str | None = None
) -> Iterator[Post]:
    """Convert rows to posts.

    rows (Iterable[Row]): The rows. Their tags may have any notation of `schemes`.
    where (str): Their place, such as "Split train".
    scheme (str | None): The scheme of the tags, or None to infer it.
    YIELDS (Post): The posts, with unknown spaces.

    Raises WnutError if a token is empty or contains white space, if the tags have no
    common notation, or if an entity type is not valid.
    """
    rows = list(rows)
    try:
        notation = infer_notation([row.tags for row in rows], scheme)
    except TagError as err:
        first = next(i for i, row in enumerate(rows) if err.tag in row.tags)
        raise WnutError(f"{where}, row {first}: {err}") from None
    for i, row in enumerate(rows):
        for token in row.tokens:
            # The text joins the tokens with single spaces, so the alignment would take
            # white space inside a token for a token boundary.
            if problem := word_problem(token):
                raise WnutError(
                    f"{where}, row {i}: the token {token!r} {problem}. Remove it from "
                    "the data, or replace the white space by another character"
                )
        entities, missing = read_tags(row.tags, notation)
        for entity in entities:
            if problem := type_problem(entity.label):
                raise WnutError(f"{where}, row {i}: {problem}")
        place = f"{where}, row {i}"
        yield make_post(row.tokens, entities, missing, id=row.id, where=place)


def word_problem(word: str) -> str:
    """Return why a word can't be in a text whose spaces are unknown, or ""."""
    if not word or any(char.isspace() for char in word):
        return "is empty or holds white space"
    return ""


def post_problem(post: Post) -> str:
    """Return why the words of a post can't be tokens, or "". Any words can if the spaces
    between them are known.
    """
    if post.words is None or post.has_spaces:
        return ""
    for start, end in post.words:
        word = post.text[start:end]
        if problem := word_problem(word):
            return f"the word {word!r} {problem}"
    return ""


def _by_split(loaded: Mapping[str, Dataset]) -> dict[str, Dataset]:
    names = {"dev": "validation", "valid": "validation"}
    return {names.get(name, name): split for name, split in loaded.items()}


def _distinct(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(tag for row in rows for tag in row.tags))


def _check_columns(
    split: Dataset, where: str, options: ReadOptions
) -> list[str] | None:
    """Return the names of integer tags, or None if the tags are strings."""
    tokens, tags = (
        getattr(split.features.get(name), "feature", None)
        for name in column_names(options)
    )
    names = getattr(tags, "names", None)
    is_integer = str(getattr(tags, "dtype", "")).startswith(("int", "uint"))
    if is_integer and options.label_names is not None:
        names = list(options.label_names)
    if not _is_string(tokens) or not (names or _is_string(tags)):
        raise WnutError(
            f"{where} has the columns {dict(split.features)}: expected {COLUMNS}. Name "
            "other columns with --tokens-column and --tags-column, and the names of "
            "integer tags with --label-names"
        )
    return names


def column_names(options: ReadOptions) -> tuple[str, str]:
    return options.tokens_column or "tokens", options.tags_column or "ner_tags"


def _is_string(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string")


def _adopt_row(
    row: Mapping[str, Any],
    i: int,
    names: list[str] | None,
    where: str,
    options: ReadOptions,
) -> Row:
    tokens_column, tags_column = column_names(options)
    tokens, tags = row[tokens_column], row[tags_column]
    if tokens is None or tags is None or None in tokens or None in tags:
        raise WnutError(f"{where}: a value is missing: fill it in or leave the row out")
    if len(tokens) != len(tags):
        raise WnutError(
            f"{where} has {len(tokens)} {tokens_column} and {len(tags)} {tags_column}: "
            "each token needs one tag"
        )
    if names is not None:
        # Masked positions have the tag -100 by convention, which is no class index.
        if any(not 0 <= tag < len(names) for tag in tags):
            raise WnutError(f"{where} has a tag outside of 0..{len(names) - 1}: {tags}")
        tags = [names[tag] for tag in tags]
    identity = row.get("id")
    return Row(str(i) if identity is None else str(identity), list(tokens), list(tags))
