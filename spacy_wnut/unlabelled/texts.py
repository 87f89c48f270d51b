"""Reading unlabelled posts."""

import gzip
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import WnutError


def read_texts(paths: Iterable[Path]) -> Iterator[str]:
    """Read posts, one a line, from text files in UTF-8, gzipped if the name says so.

    paths (Iterable[Path]): The files, in order.
    YIELDS (str): The posts, white space around them taken off. Empty ones are left
        out.

    Raises WnutError, with the line, for a file that can't be read or isn't UTF-8.
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
        # EOFError: a gzipped file that was cut off.
        except (OSError, EOFError) as err:
            raise WnutError(f"{path}, line {number + 1}: can't be read: {err}") from err


def sample_texts(
    names: Iterable[str], per_file: int | None = None, seed: int = 0
) -> list[str]:
    """Posts of text files in random order, each once.

    names (Iterable[str]): The files, or folders of such files. Empty names are passed
        over, so that project.yml can give variables.
    per_file (Optional[int]): How many posts to draw from each file at the most, so
        that a large one doesn't drown the others. None for all.
    seed (int): Seed of the draw and the order.

    Raises WnutError as `read_texts` does, for a folder without text files, and if
    all names are empty.
    """
    draw = random.Random(seed)
    posts: dict[str, None] = {}
    paths = [Path(name) for name in names if name]
    if not paths:
        raise WnutError(
            "No unlabelled posts are named: set --vars.unlabelled or "
            "SPACY_WNUT_UNLABELLED to a file with a post a line, or a folder of such"
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
            raise WnutError(f"the folder {path} has no files .txt or .gz in it")
        yield from files
