"""Scored posts from the output of a system: two column files, or one with the gold tags
and the predicted tags.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from ..corpus.conll import read_lines, read_word, read_words
from ..corpus.formats.columns import find_notation
from ..corpus.layout import (
    Columns,
    describe,
    find_layout,
    get_column,
    index_of,
    is_same_column,
)
from ..corpus.type_map import TypeMap
from ..errors import WnutError
from ..labels import entities_to_tags, split_tag, tags_to_entities
from ..schemes import read_tags
from .measures import ScoredPost


@dataclass(frozen=True)
class TwoColumns:
    """The columns of a file with gold and predicted tags, as specified by the user.

    token (Optional[int]): The column of the token: 1 is the first column, -1 the last
        one. None to infer it.
    gold (Optional[int]): The column of the gold tag. None for the last but one.
    predicted (Optional[int]): The column of the predicted tag. None for the last.

    Raises WnutError if a column is 0, or if two of them are the same.
    """

    token: int | None = None
    gold: int | None = None
    predicted: int | None = None

    def __post_init__(self) -> None:
        Columns(self.token)
        given = {"--token-column": self.token, **self.tags}
        for option, column in given.items():
            if column == 0:
                raise WnutError(
                    f"{option} is 0: columns are counted from 1, or from -1, which is "
                    "the last"
                )
            same = [other for other in given if given[other] == column is not None]
            if len(same) > 1:
                raise WnutError(
                    f"{' and '.join(same)} are both {column}: the token and the tags "
                    "need different columns"
                )

    @property
    def tags(self) -> dict[str, int]:
        """The columns of the tags by the names of their options."""
        return {
            "--gold-column": -2 if self.gold is None else self.gold,
            "--predicted-column": -1 if self.predicted is None else self.predicted,
        }


def read_posts(
    gold: Path,
    predicted: Path,
    columns: Columns | None = None,
    scheme: str | None = None,
) -> Iterator[ScoredPost]:
    """Match the posts of two column files by position.

    The words of the posts come from the gold file, because systems may alter words. Tags
    may have any scheme of `schemes`, and another one in each file. Words whose gold
    annotation is missing are left out, and predicted entities that overlap them are
    ignored.

    gold (Path): The file with the gold tags.
    predicted (Path): The output of a system.
    columns (Columns | None): The columns of tokens and tags in both files, or None to
        infer them. They are ignored for `predicted` if it has only two columns, and one
        of them is beyond these.
    scheme (Optional[str]): The scheme of the tags, or None to infer it for each file.
    YIELDS (ScoredPost): The posts.

    Raises WnutError, with file and line, if a file can't be read, if its tags have no
    common scheme, if the files have different numbers of posts, or if two matched posts
    have different numbers of tokens.
    """
    rights = _read_file(gold, columns or Columns())
    givens = _read_file(predicted, columns or Columns(), is_output=True)
    tags = [_Tags(gold, rights, scheme), _Tags(predicted, givens, scheme)]
    for number, (right, given) in enumerate(zip_longest(rights, givens), 1):
        if right is None:
            raise _extra_post(predicted, givens, gold, number)
        if given is None:
            raise _extra_post(gold, rights, predicted, number)
        if len(right) != len(given):
            raise WnutError(
                f"post {number} has {len(right)} tokens in {gold} (from line "
                f"{right[0].line}), but {len(given)} in {predicted} (from line "
                f"{given[0].line}): posts are matched by position, so the second file "
                "needs one line for each token of the first"
            )
        yield _make_post(right, *(one.of_post(number - 1) for one in tags))


def map_types(posts: Sequence[ScoredPost], types: TypeMap) -> list[ScoredPost]:
    """Rename and drop the gold and the predicted entity types of posts.

    posts (Sequence[ScoredPost]): The posts, without confidences.
    types (TypeMap): The new names.
    RETURNS (List[ScoredPost]): The posts with the new types.

    Raises WnutError if neither side has a type that `types` renames.
    """
    tags = {tag for post in posts for tag in (*post.gold_tags, *post.predicted_tags)}
    types.check({split_tag(tag)[1] for tag in tags} - {""})
    return [
        ScoredPost(
            post.words,
            types.map_tags(post.gold_tags),
            types.map_tags(post.predicted_tags),
        )
        for post in posts
    ]


def read_posts_of_one_file(
    path: Path, columns: TwoColumns, scheme: str | None = None
) -> Iterator[ScoredPost]:
    """Read the posts of a column file with gold and predicted tags, as for conlleval.

    Both columns of tags may have any scheme of `schemes`. Words whose gold annotation is
    missing are left out, as in `read_posts`.

    path (Path): The file.
    columns (TwoColumns): Its columns.
    scheme (Optional[str]): The scheme of the tags, or None to infer it for each column.
    YIELDS (ScoredPost): The posts.

    Raises WnutError, with the line, if the file can't be read, if a line has no token or
    no two tags, or if the tags of a column have no common scheme.
    """
    lines = list(read_lines(path))
    layout = find_layout(lines, str(path), Columns(columns.token), needs_tags=False)
    places = {option: index_of(n, -1) for option, n in columns.tags.items()}
    layout = layout._replace(tag=places["--predicted-column"])

    def parse(cells: list[str]) -> tuple[str, list[str]]:
        token, tags = layout.token_of(cells), []
        for option, index in places.items():
            tag = get_column(cells, index)
            others = [layout.token, *(i for i in places.values() if i != index)]
            if tag is None or any(is_same_column(index, i, len(cells)) for i in others):
                raise ValueError(
                    "expected a token, its gold tag and its predicted tag. The columns "
                    f"are {describe(cells)}: set the column of the tag with {option}, "
                    "or give the file of the predicted tags, too"
                )
            tags.append(tag)
        return token, tags

    posts = list(read_words(path, lines, layout, parse))
    sides = [
        [[_Word(n, token, tags[i]) for n, (token, tags) in post] for post in posts]
        for i in range(2)
    ]
    hint = ". Set the columns of the tags with --gold-column and --predicted-column"
    gold, predicted = (_Tags(path, side, scheme, hint) for side in sides)
    for i, post in enumerate(sides[0]):
        yield _make_post(post, gold.of_post(i), predicted.of_post(i))


class _Word(NamedTuple):
    line: int
    token: str
    tag: str


class _Tags:
    """The tags of a file in their notation."""

    def __init__(
        self,
        path: Path,
        posts: Sequence[Sequence[_Word]],
        scheme: str | None,
        hint: str = "",
    ) -> None:
        self.posts = [[word.tag for word in post] for post in posts]
        places = [[(word.line, word.tag) for word in post] for post in posts]
        self.notation = find_notation(path, places, scheme, hint)

    def of_post(self, i: int) -> tuple[list[str], list[int]]:
        """Return the BIO tags of a post, and its words without annotation.

        BIO tags stay as they are: an I-x that continues no entity is wrong in seqeval's
        strict mode.
        """
        tags = self.posts[i]
        entities, missing = read_tags(tags, self.notation)
        if self.notation.scheme == "bio" and not missing:
            return ["-".join(filter(None, self.notation.split(t))) for t in tags], []
        return entities_to_tags(entities, len(tags)), missing


def _read_file(
    path: Path, columns: Columns, is_output: bool = False
) -> list[list[_Word]]:
    lines = list(read_lines(path))
    layout = find_layout(lines, str(path), columns, is_output=is_output)
    posts = read_words(path, lines, layout, partial(read_word, layout))
    return [[_Word(number, *word) for number, word in post] for post in posts]


def _make_post(
    words: Sequence[_Word],
    gold: tuple[list[str], list[int]],
    predicted: tuple[list[str], list[int]],
) -> ScoredPost:
    (gold_tags, missing), (predicted_tags, _) = gold, predicted
    if missing:
        judged = [
            entity
            for entity in tags_to_entities(predicted_tags)
            if not set(missing).intersection(range(entity.start, entity.end))
        ]
        predicted_tags = entities_to_tags(judged, len(words))
    kept = [i for i in range(len(words)) if i not in missing]
    return ScoredPost(
        [f"{words[i].token} " for i in kept],
        [gold_tags[i] for i in kept],
        [predicted_tags[i] for i in kept],
    )


def _extra_post(
    longer: Path, posts: Sequence[Sequence[_Word]], shorter: Path, number: int
) -> WnutError:
    return WnutError(
        f"{longer} has {len(posts)} posts, but {shorter} has {number - 1}: post "
        f"{number} ({longer}, line {posts[number - 1][0].line}) is the first without a "
        "counterpart. Posts are matched by position, so both files need all posts, "
        "separated by blank lines"
    )
