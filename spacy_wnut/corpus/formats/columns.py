"""Column files: one word per line, with its tag, and blank lines between posts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ...errors import WnutError
from ...labels import type_problem
from ...schemes import MISSING, Notation, TagError, infer_notation, read_tags
from ..conll import hint_of, read_lines, read_word, read_words
from ..layout import Gap, Layout, find_layout, split_columns
from ..posts import Post, make_post
from .options import ReadOptions

# The number of a multiword token in CoNLL-U.
RANGE = re.compile("([0-9]{1,9})-([0-9]{1,9})")


def read_columns(path: Path, options: ReadOptions) -> Iterator[Post]:
    """Read the posts of a column file.

    The columns are inferred, and comments skipped, as `corpus.conll.read_conll` does.
    The tags may have any scheme and notation of `schemes`. "-" and "_" mark words
    without annotation. If a column says where no space follows a word (SpaceAfter=No, as
    MISC of CoNLL-U), the text of the posts has the spaces of the original text.

    The whole file is read first, because the notation is that of all its tags.

    path (Path): The file, in UTF-8.
    options (ReadOptions): `columns` and `scheme` are used.
    YIELDS (Post): The posts. `where` is the line of their first word.

    Raises WnutError, with the line, if the file can't be read, has no posts, isn't
    UTF-8, if a line has no valid token and tag, or if the tags have no common notation.
    """
    lines = list(read_lines(path))
    layout = find_layout(lines, str(path), options.columns)
    n_columns = max((width for _, width in layout.shapes), default=0)

    def parse(columns: list[str]) -> tuple[str, str, bool]:
        return *read_word(layout, columns), layout.has_space(columns)

    posts = list(read_words(path, lines, layout, parse))
    tags = [[(number, tag) for number, (_, tag, _) in post] for post in posts]
    if options.columns.tag is None and n_columns > 2:
        _check_annotated(path, tags)
    notation = find_notation(path, tags, options.scheme, hint_of(n_columns))
    ranges = {} if layout.space is None else _read_ranges(lines, layout)
    for post in posts:
        words = [word for _, (word, _, _) in post]
        entities, missing = read_tags([tag for _, (_, tag, _) in post], notation)
        spaces = None
        if layout.space is not None:
            spaces = [has_space for _, (_, _, has_space) in post]
            _apply_ranges(spaces, words, [number for number, _ in post], ranges)
            spaces[-1] = False
        yield make_post(
            words, entities, missing, spaces=spaces, where=f"line {post[0][0]}"
        )


def find_notation(
    path: Path,
    posts: Sequence[Sequence[tuple[int, str]]],
    scheme: str | None = None,
    hint: str = "",
) -> Notation:
    """Find the notation of the tags of a file, and check their types.

    path (Path): The file, for messages.
    posts (Sequence[Sequence[Tuple[int, str]]]): The tags of each post, with the numbers
        of their lines.
    scheme (Optional[str]): The scheme, or None to infer it.
    hint (str): The advice after the message about a tag of no scheme.
    RETURNS (Notation): The notation.

    Raises WnutError, with the line, if the tags have no common notation, or if a type is
    not valid.
    """
    lines: dict[str, int] = {}
    for post in posts:
        for number, tag in post:
            lines.setdefault(tag, number)
    try:
        notation = infer_notation([[tag for _, tag in post] for post in posts], scheme)
    except TagError as err:
        if scheme is None and not re.search("[-_]", err.tag):
            hint += ". If the tags are types without prefixes, set --scheme io"
        raise WnutError(f"{path}, line {lines[err.tag]}: {err}{hint}") from None
    for tag, number in lines.items():
        label = "" if tag in MISSING else notation.split(tag)[1]
        if label and (problem := type_problem(label)):
            raise WnutError(f"{path}, line {number}: {problem}")
    return notation


def _check_annotated(path: Path, posts: Iterable[Sequence[tuple[int, str]]]) -> None:
    cells = [cell for post in posts for cell in post]
    if all(tag in MISSING for _, tag in cells):
        number, tag = cells[0]
        raise WnutError(
            f"{path}, line {number}: the column of the tags holds only {tag!r}, which "
            "marks words without annotation. Set the column of the tags with "
            "--tag-column"
        )


def _read_ranges(
    lines: Iterable[tuple[int, str]], layout: Layout
) -> dict[int, tuple[int, str, bool]]:
    """Read the multiword tokens of CoNLL-U.

    RETURNS (Dict[int, Tuple[int, str, bool]]): By the number of its line: the number of
        words, the token, and whether a space follows it.
    """
    ranges = {}
    for number, line in lines:
        if layout.is_numbered and layout.split(line, False) is Gap.skipped:
            columns = split_columns(line)
            found = RANGE.fullmatch(columns[0])
            if found and len(columns) > layout.token:
                n_words = int(found[2]) - int(found[1]) + 1
                token = columns[layout.token]
                ranges[number] = (n_words, token, layout.has_space(columns))
    return ranges


def _apply_ranges(
    spaces: list[bool],
    words: Sequence[str],
    numbers: Sequence[int],
    ranges: dict[int, tuple[int, str, bool]],
) -> None:
    """Set the spaces after the words of multiword tokens. Words that make up the token
    ("do" and "n't") are joined.
    """
    for i, number in enumerate(numbers):
        n_words, token, has_space = ranges.get(number - 1, (0, "", False))
        end = min(i + n_words, len(words))
        if n_words > 0:
            if "".join(words[i:end]) == token:
                spaces[i:end] = [False] * (end - i)
            spaces[end - 1] = has_space
