"""Reading the CoNLL files of WNUT 17, of its systems and of users."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import WnutError
from ..labels import LabelScheme, split_tag

BOM = b"\xef\xbb\xbf"


class Post(NamedTuple):
    """A post: `tokens` and their BIO `tags`, as many, and the `line` of the file
    (from 1) on which its first token stands.
    """

    tokens: list[str]
    tags: list[str]
    line: int


def read_conll(path: Path, scheme: LabelScheme | None) -> Iterator[Post]:
    """Read the posts of a CoNLL file, one at a time.

    A line is a token, columns between that nobody reads, and the token's BIO
    tag, separated by tabs or by single spaces. Lines that are empty or hold
    white space alone separate posts. An I- tag with nothing before it to go on
    with is left as it is: the output of many systems holds some.

    path (Path): The file, in UTF-8.
    scheme (LabelScheme | None): The labels that may occur, or None for any.
    YIELDS (Post): The posts, none of them empty.

    Raises WnutError, with the line, for a file that can't be read, holds no
    post, isn't UTF-8, or has a line that isn't as said above.
    """
    tokens: list[str] = []
    tags: list[str] = []
    first = 0
    is_empty = True
    for number, line in _read_lines(path):
        if not line or line.isspace():
            if tokens:
                yield Post(tokens, tags, first)
                tokens, tags = [], []
            continue
        if not tokens:
            first = number
            is_empty = False
        try:
            token, tag = _split_line(line)
            _check_tag(tag, scheme)
        except ValueError as err:
            raise WnutError(f"{path}, line {number}: {err}") from None
        tokens.append(token)
        tags.append(tag)
    if tokens:
        yield Post(tokens, tags, first)
    if is_empty:
        raise WnutError(
            f"{path} is empty: expected a token and its tag a line, and blank lines "
            "between posts. If it was downloaded, download it again"
        )


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    if path.is_dir():
        raise WnutError(f"{path} is a folder: give a CoNLL file in it")
    try:
        # In bytes, since these split on "\n" alone: what Python takes for a
        # line's end in text (U+0085, U+2028) may stand within a token.
        with path.open("rb") as file_:
            for number, line in enumerate(file_, 1):
                if number == 1:
                    line = line.removeprefix(BOM)
                try:
                    yield number, line.decode("utf8").rstrip("\r\n")
                except UnicodeDecodeError as err:
                    raise WnutError(
                        f"{path}, line {number}: the byte {line[err.start]:#04x} isn't "
                        "UTF-8: save the file as UTF-8"
                    ) from None
    except FileNotFoundError:
        raise WnutError(f"{path} isn't there: give a CoNLL file") from None
    except OSError as err:
        raise WnutError(f"{path} can't be read: {err.strerror}") from None


def _split_line(line: str) -> tuple[str, str]:
    # A token never holds a space, so a line with a tab is separated by tabs.
    columns = line.rstrip(" \t").split("\t" if "\t" in line else " ")
    token, tag = columns[0], columns[-1]
    if len(columns) == 1:
        raise ValueError(
            f"{token!r} is one column: expected a token and its tag, with a tab or a "
            "single space between them"
        )
    if not token:
        raise ValueError(
            "the first column is empty: expected a token there and its tag in the last"
        )
    if " " in token:
        raise ValueError(
            f"the token {token!r} holds a space: give each word a line, or separate "
            "all columns by tabs"
        )
    return token, tag


def _check_tag(tag: str, scheme: LabelScheme | None) -> None:
    if "," in tag:
        raise ValueError(
            f"{tag!r} are several labels joined by commas: this file's annotators were "
            "not brought to agree. For WNUT 17, use emerging.test.annotated instead "
            "of emerging.test.conll"
        )
    label = split_tag(tag)[1]
    if label and scheme is not None and label not in scheme.types:
        raise ValueError(
            f"{label!r} is an unknown label: the known ones are "
            f"{', '.join(scheme.types)}. Correct it, or set the labels to those of "
            "the file (--labels)"
        )
