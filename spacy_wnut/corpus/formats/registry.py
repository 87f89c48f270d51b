"""The formats of annotated data, and the format of a file by its content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..posts import Post, Rejection
from .options import ReadOptions

Reader = Callable[[Path, ReadOptions], Iterator[Post | Rejection]]


@dataclass(frozen=True)
class Format:
    """A format of annotated data.

    name (str): The name for --format.
    read (Reader): Reads the posts of a file lazily, in the order of the file. Yields a
        `Rejection` for a record that cannot be converted. Raises WnutError if the file
        as a whole cannot be read.
    matches (Optional[Callable[[Any], bool]]): For formats of JSON: whether a record has
        the form of this format. No record matches two formats.
    suffixes (Tuple[str, ...]): The suffixes that determine the format without a look at
        the content, in lower case.
    """

    name: str
    read: Reader
    matches: Callable[[Any], bool] | None = None
    suffixes: tuple[str, ...] = ()
