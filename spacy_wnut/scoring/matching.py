"""Scored posts from two CoNLL files: the gold file and the output of a system."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from ..corpus.conll import Columns, Post, read_conll
from ..corpus.type_map import TypeMap
from ..errors import WnutError
from ..labels import split_tag
from .measures import ScoredPost


def read_posts(
    gold: Path, predicted: Path, columns: Columns | None = None
) -> Iterator[ScoredPost]:
    """Match the posts of two CoNLL files by position.

    The words of the posts come from the gold file, because systems may alter words.

    gold (Path): The file with the gold tags.
    predicted (Path): The output of a system.
    columns (Columns | None): The columns of tokens and tags in both files, or None to
        infer them. They are ignored for `predicted` if it has only two columns, and one
        of them is beyond these.
    YIELDS (ScoredPost): The posts.

    Raises WnutError, with file and line, if a file can't be read, if the files have
    different numbers of posts, or if two matched posts have different numbers of tokens.
    """
    pairs = zip_longest(
        read_conll(gold, None, columns),
        read_conll(predicted, None, columns, is_output=True),
    )
    for number, (right, given) in enumerate(pairs, 1):
        if right is None:
            raise _extra_posts(
                predicted, given, gold, number, 1 + sum(1 for _ in pairs)
            )
        if given is None:
            raise _extra_posts(
                gold, right, predicted, number, 1 + sum(1 for _ in pairs)
            )
        if len(right.tokens) != len(given.tokens):
            raise WnutError(
                f"post {number} has {len(right.tokens)} tokens in {gold} (from line "
                f"{right.line}), but {len(given.tokens)} in {predicted} (from line "
                f"{given.line}): posts are matched by position, so the second file "
                "needs one line for each token of the first"
            )
        words = [f"{token} " for token in right.tokens]
        yield ScoredPost(words, right.tags, given.tags)


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


def _extra_posts(
    longer: Path, post: Post, shorter: Path, number: int, extra: int
) -> WnutError:
    return WnutError(
        f"{longer} has {number - 1 + extra} posts, but {shorter} has {number - 1}: "
        f"post {number} ({longer}, line {post.line}) is the first without a "
        "counterpart. Posts are matched by position, so both files need all posts, "
        "separated by blank lines"
    )
