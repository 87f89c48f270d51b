"""Readers of unlabelled posts."""

import gzip
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import WnutError


def read_texts(paths: Iterable[Path]) -> Iterator[str]:
    """Read posts from UTF-8 text files with one post per line.

    paths (Iterable[Path]): The files, in order. Files with the suffix .gz are
        decompressed.
    YIELDS (str): The posts, without surrounding white space. Blank lines are skipped.

    Raises WnutError, with the line, if a file can't be read or isn't UTF-8.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from spacy_wnut.unlabelled.texts import read_texts
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "posts.txt"
        ...     _ = path.write_text("so Oslo rocks\\n\\n lol\\n", encoding="utf8")
        ...     list(read_texts([path]))
        ['so Oslo rocks', 'lol']
    """
    for path in paths:
        opened = gzip.open if path.suffix == ".gz" else open
        number = 0
        try:
            with opened(path, "rb") as lines:
                for line in lines:
                    number += 1
                    if text := line.decode("utf8").strip():
                        yield text
        except UnicodeDecodeError as err:
            raise WnutError(
                f"{path}, line {number}: the byte {err.object[err.start]:#04x} isn't "
                "UTF-8: save the file as UTF-8"
            ) from None
        # EOFError: a truncated gzip file.
        except (OSError, EOFError) as err:
            raise WnutError(f"{path}, line {number + 1}: can't be read: {err}") from err


def sample_texts(
    names: Iterable[str], per_file: int | None = None, seed: int = 0
) -> list[str]:
    """Read the distinct posts of text files, in random order.

    names (Iterable[str]): The files, or folders with .txt and .gz files. Empty names are
        skipped, so that project.yml can pass empty variables.
    per_file (Optional[int]): The maximum number of posts to draw from each file, so that
        a large file does not dominate. None for no limit.
    seed (int): The seed of the draw and the order.
    RETURNS (List[str]): The posts.

    Raises WnutError, with the line, if a file can't be read or isn't UTF-8. Raises
    WnutError if a folder has no text files, or if all names are empty.
    """
    draw = random.Random(seed)
    posts: dict[str, None] = {}
    paths = [Path(name) for name in names if name]
    if not paths:
        raise WnutError(
            "No unlabelled posts are named: set --vars.unlabelled or "
            "SPACY_WNUT_UNLABELLED to a file with one post per line, or to a folder of "
            "such files"
        )
    for path in _files(paths):
        texts = list(dict.fromkeys(read_texts([path])))
        draw.shuffle(texts)
        posts.update(dict.fromkeys(texts[:per_file]))
    mixed = list(posts)
    draw.shuffle(mixed)
    return mixed


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        files = sorted(p for p in path.iterdir() if p.suffix in (".txt", ".gz"))
        if not files:
            raise WnutError(
                f"the folder {path} has no files .txt or .gz: put the posts into one, "
                "with one post per line"
            )
        yield from files
