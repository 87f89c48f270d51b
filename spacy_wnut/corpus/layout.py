"""Layout of column files: the columns of words, tags and spaces."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import NamedTuple, TypeVar, cast

from ..errors import WnutError
from ..labels import OUTSIDE
from ..schemes import MISSING, Notation, TagError, infer_notation

T = TypeVar("T")
# Separates documents in CoNLL 2003. Some converters write it at the start of a file.
DOCSTART = "-DOCSTART-"
# Longer numbers are not word numbers, and Python refuses to parse very long ones.
NUMBER = re.compile("[0-9]{1,9}")
# The number of a multiword token (1-2) or an empty node (2.1) of CoNLL-U, which are not
# words.
PART = re.compile("[0-9]+[-.][0-9]+")
# In MISC of CoNLL-U: no space follows the word.
NO_SPACE = "SpaceAfter=No"
MISC = re.compile(r"_|[^=|]+=[^|]*(\|[^=|]+=[^|]*)*")


@dataclass(frozen=True)
class Columns:
    """The columns of tokens and tags in a CoNLL file, as specified by the user.

    token (int | None): The column of the token: 1 is the first column, -1 the last one.
        None to infer it.
    tag (int | None): The column of the tag, counted in the same way. None to infer it.

    Raises WnutError if a column is 0, or if both columns are the same.
    """

    token: int | None = None
    tag: int | None = None

    def __post_init__(self) -> None:
        for option, column in (("token", self.token), ("tag", self.tag)):
            if column == 0:
                raise WnutError(
                    f"--{option}-column is 0: columns are counted from 1, or from -1, "
                    "which is the last"
                )
        if self.token is not None and self.token == self.tag:
            raise WnutError(
                f"--token-column and --tag-column are both {self.token}: the token and "
                "the tag need different columns"
            )


class Gap(Enum):
    """A line without a word: a separator of posts, or a line to skip."""

    separator = auto()
    skipped = auto()


class Layout(NamedTuple):
    """The layout of a CoNLL file.

    token (int): The index of the token's column: from 0, or from -1 backwards.
    tag (int | None): The index of the tag's column, or None if it is unknown.
    is_numbered (bool): Whether the first column numbers the words of each post.
    shapes (frozenset[tuple[bool, int]]): The shapes of the lines in the sample: whether
        columns are separated by tabs, and the number of columns.
    tags (frozenset[str]): The tags in the sample.
    notation (Notation): The notation of the tags in the sample. BIO if it is unknown.
    space (int | None): The index of the column that says whether a space follows, if
        there is one.
    """

    token: int = 0
    tag: int | None = -1
    is_numbered: bool = False
    shapes: frozenset[tuple[bool, int]] = frozenset()
    tags: frozenset[str] = frozenset()
    notation: Notation = Notation()
    space: int | None = None

    def split(self, line: str, is_first: bool) -> list[str] | Gap:
        """Split a line into columns.

        line (str): The line, without its line break.
        is_first (bool): Whether the line precedes all words of its post.
        RETURNS (list[str] | Gap): The columns, or the kind of a line without a word.

        Example:
            >>> from spacy_wnut.corpus.layout import Layout
            >>> Layout().split("Oslo\\tB-location", is_first=True)
            ['Oslo', 'B-location']
            >>> Layout().split("# text = Oslo", is_first=True)
            <Gap.skipped: 2>
        """
        if not line or line.isspace():
            return Gap.separator
        columns = split_columns(line)
        if DOCSTART in (columns[0], get_column(columns, self.token)):
            return Gap.separator
        if self._is_comment(line, columns, is_first):
            return Gap.skipped
        if self.is_numbered and PART.fullmatch(columns[0]):
            return Gap.skipped
        return columns

    def token_of(self, columns: Sequence[str]) -> str:
        """Return the token of a line.

        columns (Sequence[str]): The columns of the line.
        RETURNS (str): The token.

        Raises ValueError if the token is missing, is empty or contains a space, or if
        the first column does not contain the number of the word as in the lines before.
        """
        if self.is_numbered and not NUMBER.fullmatch(columns[0]):
            raise ValueError(
                f"the first column is {columns[0]!r}, but in the lines before it "
                "numbers the words: correct it, or split the file where its columns "
                "change"
            )
        token = get_column(columns, self.token)
        if not token:
            missing = "is missing" if token is None else "is empty"
            raise ValueError(
                f"{name_column(self.token)} {missing}: expected a token there"
            )
        if " " in token:
            raise ValueError(
                f"the token {token!r} holds a space: give each word a line, or separate "
                "all columns by tabs"
            )
        return token

    def tag_of(self, columns: Sequence[str]) -> str | None:
        """Return the tag of a line.

        columns (Sequence[str]): The columns of the line.
        RETURNS (str | None): The tag, or None if the line has no separate column for it.
        """
        if self.tag is None or is_same_column(self.tag, self.token, len(columns)):
            return None
        return get_column(columns, self.tag)

    def has_space(self, columns: Sequence[str]) -> bool:
        """Return whether a space follows the word of a line. True if it is unknown.

        columns (Sequence[str]): The columns of the line.
        """
        cell = None if self.space is None else get_column(columns, self.space)
        return NO_SPACE not in (cell or "").split("|")

    def _is_comment(self, line: str, columns: list[str], is_first: bool) -> bool:
        if not line.startswith("#"):
            return False
        if self.is_numbered:
            return True
        if line[1:2] not in ("\t", " "):
            return False
        is_tabbed = "\t" in line
        # "# id 1<tab>domain=en" is a comment too, because tokens contain no spaces.
        if columns[0] != "#" or _is_pair(columns, is_tabbed):
            return True
        # "#" may also be a word, and no word may be lost.
        if len(columns) == 1:
            return False
        tag = self.tag_of(columns)
        has_tag = tag is not None and (tag in self.tags or self.notation.fits(tag))
        is_known = not self.shapes or (is_tabbed, len(columns)) in self.shapes
        if is_tabbed:
            return is_first and not is_known and not has_tag
        if is_known:
            return is_first and not has_tag
        return not has_tag or (is_first and len(columns) > 2)


def split_columns(line: str) -> list[str]:
    """Split a nonblank line into columns, by tabs if it has any, else by blanks.

    line (str): The line.
    RETURNS (List[str]): The columns, without empty ones at the end of the line.

    Example:
        >>> from spacy_wnut.corpus.layout import split_columns
        >>> split_columns("New York\\tB-location\\t")
        ['New York', 'B-location']
        >>> split_columns("Oslo  B-location")
        ['Oslo', 'B-location']
    """
    line = line.rstrip(" \t")
    # Not by other white space: a token may contain U+00A0, for example.
    return line.split("\t") if "\t" in line else re.split(" +", line)


def find_layout(
    lines: Iterable[tuple[int, str]],
    name: str,
    columns: Columns,
    *,
    needs_tags: bool = True,
    is_output: bool = False,
) -> Layout:
    """Infer the layout of a CoNLL file.

    lines (Iterable[tuple[int, str]]): The first lines of the file with their numbers.
    name (str): The name of the file, for messages.
    columns (Columns): The columns specified by the user.
    needs_tags (bool): Whether the file needs a column of tags.
    is_output (bool): Whether the file is the output of a system, as for `read_conll`.
    RETURNS (Layout): The layout.

    Raises WnutError, with the line, if the layout is ambiguous, or if a specified column
    does not exist.
    """
    posts = _sample_posts(lines)
    rows = list(chain.from_iterable(posts))
    if not rows:
        return Layout(index_of(columns.token, 0), index_of(columns.tag, -1))
    widest = max(rows, key=lambda row: len(row.columns))
    named = max(columns.token or 0, columns.tag or 0)
    if is_output and len(widest.columns) <= 2 < named:
        columns = Columns()
    token = index_of(columns.token, 0)
    is_numbered = False
    if columns.token is None:
        is_numbered = _is_numbered(posts, name, needs_tags)
        token = int(is_numbered)
    elif token != 0:
        starts = [row.columns[0] for row in rows if not PART.fullmatch(row.columns[0])]
        is_numbered = bool(starts) and all(map(NUMBER.fullmatch, starts))
    space = _find_spaces(rows, token)
    tag: int | None = index_of(columns.tag, -1)
    if is_numbered and columns.tag is None:
        tag = _find_tags(rows, token, space, name, needs_tags)
    elif columns.tag is None and space == len(widest.columns) - 1:
        tag = -2
    layout = Layout(
        token,
        tag,
        is_numbered,
        frozenset(row.shape for row in rows),
        space=space,
    )
    for option, column in (("token", columns.token), ("tag", columns.tag)):
        if (
            column is not None
            and get_column(widest.columns, index_of(column, 0)) is None
        ):
            raise WnutError(
                f"{name}, line {widest.line}: there is no column {column}, which "
                f"--{option}-column names. The columns are {describe(widest.columns)}"
            )
    words = (row.columns for row in rows if row.columns[0] != "#")
    found = frozenset(map(layout.tag_of, words)) - {None}
    tags = cast("frozenset[str]", found)
    return layout._replace(tags=tags, notation=_notation_of(tags) or Notation())


class _WordLine(NamedTuple):
    line: int
    columns: list[str]
    is_tabbed: bool

    @property
    def shape(self) -> tuple[bool, int]:
        return self.is_tabbed, len(self.columns)


def _sample_posts(lines: Iterable[tuple[int, str]]) -> list[list[_WordLine]]:
    """Split lines into posts, without lines that may be comments."""
    posts: list[list[_WordLine]] = [[]]
    for number, line in lines:
        if not line or line.isspace():
            posts.append([])
            continue
        row = _WordLine(number, split_columns(line), "\t" in line)
        if DOCSTART in row.columns[:2]:
            posts.append([])
        elif not _is_pair(row.columns, row.is_tabbed):
            posts[-1].append(row)
    return [words for post in posts if (words := list(_words(post)))]


def _words(post: list[_WordLine]) -> Iterator[_WordLine]:
    """Yield the lines of a post, without lines that start with "#" unless they have the
    columns and the tag of a word.
    """
    body = next((row for row in post if not row.columns[0].startswith("#")), None)
    for row in post:
        is_like = body is None or row.shape == body.shape
        if not row.columns[0].startswith("#") or (is_like and _is_bio(row.columns[-1])):
            yield row


def _is_numbered(posts: list[list[_WordLine]], name: str, needs_tags: bool) -> bool:
    """Return whether the first column numbers the words of each post.

    Raises WnutError if the column contains numbers but this is ambiguous.
    """
    rows = list(chain.from_iterable(posts))
    starts = [
        [row.columns[0] for row in post if not PART.fullmatch(row.columns[0])]
        for post in posts
    ]
    longest = max(map(len, starts))
    # If every post is the single word "0", the column holds words.
    does_count = (longest > 0 and _count_on(starts, 1)) or (
        longest > 1 and _count_on(starts, 0)
    )
    # Numbered words and tags need at least three columns.
    if 2 * sum(len(row.columns) > 2 for row in rows) > len(rows):
        if does_count:
            return True
        counting = sum(
            len(post)
            for post in starts
            if len(post) > 1 and (_count_on([post], 0) or _count_on([post], 1))
        )
        cells = {row.columns[0] for row in rows}
        are_numbers = all(NUMBER.fullmatch(c) or PART.fullmatch(c) for c in cells)
        if 2 * counting > len(rows) or (are_numbers and len(cells) > 1):
            row = _first_off(posts)
            raise WnutError(
                f"{name}, line {row.line}: the first column holds numbers, but they "
                "don't number the words of this post, so the column of the tokens is "
                "unknown: set it with --token-column. The columns are "
                f"{describe(row.columns)}"
            )
    elif does_count and not needs_tags and longest > 1:
        row = rows[0]
        last = [row.columns[-1] for row in rows]
        has_tags = any(map(_is_bio, last)) or _hold_tags(last)
        if len(row.columns) == 2 and not has_tags:
            raise WnutError(
                f"{name}, line {row.line}: the first column counts from 1, and the "
                "second one holds no BIO tags, so the column of the tokens is unknown: "
                f"set it with --token-column. The columns are {describe(row.columns)}"
            )
    return False


def _count_on(posts: list[list[str]], base: int) -> bool:
    """Return whether the numbers of each post are consecutive, and start at `base` or
    continue those of the post before.
    """
    last = base - 1
    for post in posts:
        if not all(map(NUMBER.fullmatch, post)):
            return False
        if not post:
            continue
        numbers = [int(cell) for cell in post]
        if numbers[0] not in (base, last + 1):
            return False
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            return False
        last = numbers[-1]
    return True


def _first_off(posts: list[list[_WordLine]]) -> _WordLine:
    """Return the first line of the first post whose words are not numbered."""
    for post in posts:
        starts = [row.columns[0] for row in post if not PART.fullmatch(row.columns[0])]
        if not (_count_on([starts], 0) or _count_on([starts], 1)):
            return post[0]
    return posts[0][0]


def _find_tags(
    rows: list[_WordLine], token: int, space: int | None, name: str, needs_tags: bool
) -> int | None:
    """Return the index of the column of tags in a file whose first column numbers the
    words.

    Raises WnutError if a column of tags is needed, and there are none or several.
    """
    words = [row for row in rows if not PART.fullmatch(row.columns[0])]
    [(width, _)] = Counter(len(row.columns) for row in words).most_common(1)
    others = [
        i for i in range(1, width) if not is_same_column(i, token, width) and i != space
    ]
    cells = {i: [get_column(row.columns, i) or "" for row in words] for i in others}
    found = [i for i in others if 2 * sum(map(_is_bio, cells[i])) > len(words)]
    # A column of BIO tags is that of the entities, even if chunks are tagged in another
    # scheme. A column of O alone may be that of nested entities.
    if len(found) != 1 or not any(cell[:2] in ("B-", "I-") for cell in cells[found[0]]):
        found = [i for i in others if i in found or _hold_tags(cells[i])]
    if len(found) == 1:
        return found[0]
    if len(others) == 1:
        return others[0]
    if not needs_tags:
        return None
    row = next(row for row in words if len(row.columns) == width)
    several = f"the columns {' and '.join(str(i + 1) for i in found)} hold BIO tags"
    raise WnutError(
        f"{name}, line {row.line}: {several if found else 'no column holds BIO tags'}: "
        f"set the column of the tags with --tag-column. The columns are "
        f"{describe(row.columns)}"
    )


def _find_spaces(rows: list[_WordLine], token: int) -> int | None:
    """Return the index of the column that says where no space follows, as MISC of
    CoNLL-U does: its cells are "_" or attributes. None if there is none.
    """
    width = max(len(row.columns) for row in rows)
    for i in range(width):
        cells = [
            cell for row in rows if (cell := get_column(row.columns, i)) is not None
        ]
        if not is_same_column(i, token, width) and all(map(MISC.fullmatch, cells)):
            if any(NO_SPACE in cell.split("|") for cell in cells):
                return i
    return None


def _notation_of(cells: Iterable[str]) -> Notation | None:
    """Return the notation of tags, or None if they are not tags."""
    try:
        return infer_notation([[cell] for cell in dict.fromkeys(cells)])
    except TagError:
        return None


def _hold_tags(cells: Sequence[str]) -> bool:
    """Return whether cells are tags of any scheme. Single letters may also be parts of
    speech or words, so they need an O. Marks of missing annotation are not enough.
    """
    tags = {cell for cell in cells if cell not in MISSING}
    notation = _notation_of(tags)
    if not tags or notation is None:
        return False
    return notation.form != "prefix only" or any(map(notation.is_outside, tags))


def index_of(column: int | None, default: int) -> int:
    """Convert a column number (from 1, or from -1 backwards) to an index."""
    if column is None:
        return default
    return column - 1 if column > 0 else column


def get_column(columns: Sequence[T], index: int) -> T | None:
    return columns[index] if -len(columns) <= index < len(columns) else None


def name_column(index: int) -> str:
    names = {0: "the first column", -1: "the last column"}
    return names.get(index, f"column {index + 1 if index >= 0 else index}")


def is_same_column(one: int, other: int, width: int) -> bool:
    """Return whether two indices refer to the same one of `width` columns."""
    columns = range(width)
    return get_column(columns, one) is not None and get_column(
        columns, one
    ) == get_column(columns, other)


def describe(columns: Sequence[str]) -> str:
    return ", ".join(f"{i} {cell!r}" for i, cell in enumerate(columns, 1))


def _is_pair(columns: Sequence[str], is_tabbed: bool) -> bool:
    """Return whether the columns are a comment of CoNLL-U: "# key = value"."""
    return columns[0] == "#" and not is_tabbed and columns[2:3] == ["="]


def _is_bio(tag: str) -> bool:
    return tag == OUTSIDE or (tag[:2] in ("B-", "I-") and len(tag) > 2)
