"""Reading unlabelled posts."""

import gzip
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
