"""Columns: one word with its tag per line."""

from collections.abc import Iterator
from pathlib import Path

from ...labels import tags_to_entities
from ..conll import read_conll
from ..posts import Post, Rejection, make_post
from .options import ReadOptions


def read_columns(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read the posts of a CoNLL file.

    path (Path): The file.
    options (ReadOptions): The columns of words and tags.
    YIELDS (Post): The posts.

    Raises WnutError as `read_conll` does.
    """
    for post in read_conll(path, None, options.columns):
        where = f"line {post.line}"
        yield make_post(post.tokens, tags_to_entities(post.tags), where=where)
