"""Scored posts from two CoNLL files: the gold file and the output of a system."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from ..corpus.conll import Columns, TaggedPost, read_conll
from ..errors import WnutError
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


def _extra_posts(
    longer: Path, post: TaggedPost, shorter: Path, number: int, extra: int
) -> WnutError:
    return WnutError(
        f"{longer} has {number - 1 + extra} posts, but {shorter} has {number - 1}: "
        f"post {number} ({longer}, line {post.line}) is the first without a "
        "counterpart. Posts are matched by position, so both files need all posts, "
        "separated by blank lines"
    )
