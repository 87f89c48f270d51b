"""From two CoNLL files, the right one and a system's, to scored posts."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from ..corpus.conll import Columns, Post, read_conll
from ..errors import WnutError
from .measures import ScoredPost


def read_posts(
    gold: Path, predicted: Path, columns: Columns | None = None
) -> Iterator[ScoredPost]:
    """Match the posts of two CoNLL files by position.

    The words are gold's: a system may have altered them.

    gold (Path): The file with the right tags.
    predicted (Path): The system's file, of any system.
    columns (Columns | None): The columns of the tokens and tags in both files, None
        to infer them. What `predicted` lacks of them is ignored if it has just two.
    YIELDS (ScoredPost): The posts.

    Raises WnutError, with file and line, if a file can't be read, or if the
    numbers of posts or the numbers of tokens of a post differ.
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
                f"{given.line}): posts are matched by position, so give every token "
                "of the first file a line in the second"
            )
        words = [f"{token} " for token in right.tokens]
        yield ScoredPost(words, right.tags, given.tags)


def _extra_posts(
    longer: Path, post: Post, shorter: Path, number: int, extra: int
) -> WnutError:
    return WnutError(
        f"{longer} has {number - 1 + extra} posts, but {shorter} has {number - 1}: "
        f"post {number} ({longer}, line {post.line}) is the first without a "
        "counterpart. Posts are matched by position, so both files need all of them, "
        "with blank lines between"
    )
