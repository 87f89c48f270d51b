"""Reading CoNLL files: WNUT 17, the output of its systems, and users' own data."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from ..errors import WnutError
from ..labels import OUTSIDE, LabelScheme, split_tag, type_problem

T = TypeVar("T")
BOM = b"\xef\xbb\xbf"
# Separates documents in CoNLL 2003, and begins each file of some converters.
DOCSTART = "-DOCSTART-"
# How many lines the layout of a file is inferred from.
SAMPLE = 1000
# Longer numbers count no words, and Python refuses to read very long ones.
NUMBER = re.compile("[0-9]{1,9}")
# A multiword token (1-2) or an empty node (2.1) of CoNLL-U: no word of its own.
PART = re.compile("[0-9]+[-.][0-9]+")


class Post(NamedTuple):
    """A post: `tokens` and their BIO `tags`, as many, and the `line` of the file
    (from 1) on which its first token stands.
    """

    tokens: list[str]
    tags: list[str]
    line: int


@dataclass(frozen=True)
class Columns:
    """The columns of a CoNLL file that the user names.

    token (int | None): The column of the token. 1 is the first column, -1 the last.
        None to infer it.
    tag (int | None): The column of the tag, likewise.

    Raises WnutError if one is 0 or both are the same.
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
                f"--token-column and --tag-column are both {self.token}: a token and "
                "its tag stand in two columns"
            )


class Gap(Enum):
    """A line without a word: one that ends a post, or one that is skipped."""

    separator = auto()
    skipped = auto()


class Layout(NamedTuple):
    """Where the words and tags of a CoNLL file are.

    token, tag (int): The indices of both columns, from 0, or from -1 at the end. The
        tag's is None if it isn't known.
    is_numbered (bool): Whether the first column counts the words.
    shapes (frozenset[tuple[bool, int]]): The lines that occur: whether they are
        separated by tabs, and how many columns they have.
    tags (frozenset[str]): The tags that occur.
    """

    token: int = 0
    tag: int | None = -1
    is_numbered: bool = False
    shapes: frozenset[tuple[bool, int]] = frozenset()
    tags: frozenset[str] = frozenset()

    def split(self, line: str, is_first: bool) -> list[str] | Gap:
        """The columns of a line, or the kind of line without a word.

        line (str): The line, without its end.
        is_first (bool): Whether no word of its post precedes it.
        """
        if not line or line.isspace():
            return Gap.separator
        columns = split_columns(line)
        if DOCSTART in (columns[0], _get(columns, self.token)):
            return Gap.separator
        if self._is_comment(line, columns, is_first):
            return Gap.skipped
        if self.is_numbered and PART.fullmatch(columns[0]):
            return Gap.skipped
        return columns

    def token_of(self, columns: Sequence[str]) -> str:
        """The token of a line. Raises ValueError if there is none."""
        if self.is_numbered and not NUMBER.fullmatch(columns[0]):
            raise ValueError(
                f"the first column is {columns[0]!r}, but up to here it counts the "
                "words: correct it, or split the file where its columns change"
            )
        token = _get(columns, self.token)
        if not token:
            missing = "is missing" if token is None else "is empty"
            raise ValueError(f"{_name(self.token)} {missing}: expected a token there")
        if " " in token:
            raise ValueError(
                f"the token {token!r} holds a space: give each word a line, or separate "
                "all columns by tabs"
            )
        return token

    def tag_of(self, columns: Sequence[str]) -> str | None:
        """The tag of a line, None if there is no such column beside the token's."""
        if self.tag is None or _same(self.tag, self.token, len(columns)):
            return None
        return _get(columns, self.tag)

    def _is_comment(self, line: str, columns: list[str], is_first: bool) -> bool:
        if not line.startswith("#"):
            return False
        if self.is_numbered:
            return True
        if line[1:2] not in ("\t", " "):
            return False
        is_tabbed = "\t" in line
        # A token holds no space, so "# id 1<tab>domain=en" is none either.
        if columns[0] != "#" or _is_pair(columns, is_tabbed):
            return True
        # "#" may be a word, and none may be lost.
        if len(columns) == 1:
            return False
        tag = self.tag_of(columns)
        has_tag = tag is not None and (tag in self.tags or _is_bio(tag))
        is_known = not self.shapes or (is_tabbed, len(columns)) in self.shapes
        if is_tabbed:
            return is_first and not is_known and not has_tag
        if is_known:
            return is_first and not has_tag
        return not has_tag or (is_first and len(columns) > 2)


def read_conll(
    path: Path,
    scheme: LabelScheme | None,
    columns: Columns | None = None,
    is_output: bool = False,
) -> Iterator[Post]:
    """Read the posts of a CoNLL file, one at a time.

    A line is a token and its BIO tag, and columns that nobody reads. A line that
    holds a tab is separated by tabs, and its type may hold blanks then; any other is
    separated by blanks. Lines that are empty or hold white space alone separate
    posts, and so do lines whose token is -DOCSTART-. Comments (`# text = ...`),
    and the multiword tokens (1-2) and empty nodes (2.1) of CoNLL-U are skipped.

    The token is in the first column and the tag in the last. If there are three
    columns or more and the first one counts the words of each post, the token is
    in the second column, and the tag in the one other column of BIO tags. An I- tag
    that continues nothing is left as it is: the output of many systems holds some.

    path (Path): The file, in UTF-8.
    scheme (LabelScheme | None): The labels that may occur, or None for any.
    columns (Columns | None): The columns of tokens and tags, None to infer both.
    is_output (bool): Whether it is a system's output, which may be tokens and tags
        alone: then columns that a file of two columns lacks are ignored.
    YIELDS (Post): The posts, none of them empty.

    Raises WnutError, with the line, for a file that can't be read, holds no
    post, isn't UTF-8, has columns that are ambiguous, or has a line that isn't as
    said above.
    """
    lines = _read_lines(path)
    sample = list(islice(lines, SAMPLE))
    layout = find_layout(sample, str(path), columns or Columns(), is_output=is_output)
    tokens: list[str] = []
    tags: list[str] = []
    first = 0
    is_empty = True
    for number, line in chain(sample, lines):
        found = layout.split(line, not tokens)
        if found is Gap.separator and tokens:
            yield Post(tokens, tags, first)
            tokens, tags = [], []
        if isinstance(found, Gap):
            continue
        if not tokens:
            first = number
            is_empty = False
        try:
            _check_utf8(line)
            token, tag = _read_word(layout, found)
            _check_tag(tag, scheme, len(found))
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


def split_columns(line: str) -> list[str]:
    """The columns of a line that isn't blank. Empty ones at its end don't count."""
    line = line.rstrip(" \t")
    # Not by any white space: a token may hold U+00A0 and the like.
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

    lines (Iterable[tuple[int, str]]): Its first lines with their numbers.
    name (str): The name of the file, for messages.
    columns (Columns): The columns that the user names.
    needs_tags (bool): Whether there has to be a column of BIO tags.
    is_output (bool): As for `read_conll`.
    RETURNS (Layout): The layout.

    Raises WnutError, with the line, if it is ambiguous.
    """
    posts = _sample_posts(lines)
    rows = list(chain.from_iterable(posts))
    if not rows:
        return Layout(_index(columns.token, 0), _index(columns.tag, -1))
    widest = max(rows, key=lambda row: len(row.columns))
    named = max(columns.token or 0, columns.tag or 0)
    if is_output and len(widest.columns) <= 2 < named:
        columns = Columns()
    token = _index(columns.token, 0)
    is_numbered = False
    if columns.token is None:
        is_numbered = _is_numbered(posts, name, needs_tags)
        token = int(is_numbered)
    elif token != 0:
        starts = [row.columns[0] for row in rows if not PART.fullmatch(row.columns[0])]
        is_numbered = bool(starts) and all(map(NUMBER.fullmatch, starts))
    tag: int | None = _index(columns.tag, -1)
    if is_numbered and columns.tag is None:
        tag = _find_tags(rows, token, name, needs_tags)
    layout = Layout(
        token,
        tag,
        is_numbered,
        frozenset(row.shape for row in rows),
    )
    for option, column in (("token", columns.token), ("tag", columns.tag)):
        if column is not None and _get(widest.columns, _index(column, 0)) is None:
            raise WnutError(
                f"{name}, line {widest.line}: there is no column {column}, which "
                f"--{option}-column names. The columns are {_describe(widest.columns)}"
            )
    words = (row.columns for row in rows if row.columns[0] != "#")
    tags = frozenset(map(layout.tag_of, words)) - {None}
    return layout._replace(tags=cast("frozenset[str]", tags))


class _Row(NamedTuple):
    line: int
    columns: list[str]
    is_tabbed: bool

    @property
    def shape(self) -> tuple[bool, int]:
        return self.is_tabbed, len(self.columns)


def _sample_posts(lines: Iterable[tuple[int, str]]) -> list[list[_Row]]:
    """The posts of the first lines, without what may be comments."""
    posts: list[list[_Row]] = [[]]
    for number, line in lines:
        if not line or line.isspace():
            posts.append([])
            continue
        row = _Row(number, split_columns(line), "\t" in line)
        if DOCSTART in row.columns[:2]:
            posts.append([])
        elif not _is_pair(row.columns, row.is_tabbed):
            posts[-1].append(row)
    return [words for post in posts if (words := list(_words(post)))]


def _words(post: list[_Row]) -> Iterator[_Row]:
    """The rows of a post, without those with "#" that aren't like the others."""
    body = next((row for row in post if not row.columns[0].startswith("#")), None)
    for row in post:
        is_like = body is None or row.shape == body.shape
        if not row.columns[0].startswith("#") or (is_like and _is_bio(row.columns[-1])):
            yield row


def _is_numbered(posts: list[list[_Row]], name: str, needs_tags: bool) -> bool:
    """Whether the first column counts the words.

    Raises WnutError if it holds numbers and that isn't clear.
    """
    rows = list(chain.from_iterable(posts))
    starts = [
        [row.columns[0] for row in post if not PART.fullmatch(row.columns[0])]
        for post in posts
    ]
    longest = max(map(len, starts))
    # A file of nothing but posts of the one word "0" counts nothing.
    does_count = (longest > 0 and _count_on(starts, 1)) or (
        longest > 1 and _count_on(starts, 0)
    )
    # A file of two columns has no room for numbers beside words and tags.
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
            row = _first_off(posts) if counting else rows[0]
            raise WnutError(
                f"{name}, line {row.line}: the first column holds numbers, but they "
                "don't count the words of this post, so the column of the words isn't "
                "known: set it with --token-column. The columns are "
                f"{_describe(row.columns)}"
            )
    elif does_count and not needs_tags and longest > 1:
        row = rows[0]
        if len(row.columns) == 2 and not any(_is_bio(r.columns[-1]) for r in rows):
            raise WnutError(
                f"{name}, line {row.line}: the first column counts from 1, and the "
                "second one holds no BIO tags, so the column of the words isn't known: "
                f"set it with --token-column. The columns are {_describe(row.columns)}"
            )
    return False


def _count_on(posts: list[list[str]], base: int) -> bool:
    """Whether each post counts by one, from `base` or on from the post before."""
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


def _first_off(posts: list[list[_Row]]) -> _Row:
    """The first row of the first post of several words that doesn't count them."""
    for post in posts:
        starts = [row.columns[0] for row in post if not PART.fullmatch(row.columns[0])]
        if not (_count_on([starts], 0) or _count_on([starts], 1)):
            return post[0]
    return posts[0][0]


def _find_tags(rows: list[_Row], token: int, name: str, needs_tags: bool) -> int | None:
    """The index of the column of tags where the first column counts the words.

    Raises WnutError if there are several such columns, or none, and one is needed.
    """
    words = [row for row in rows if not PART.fullmatch(row.columns[0])]
    [(width, _)] = Counter(len(row.columns) for row in words).most_common(1)
    others = [i for i in range(1, width) if not _same(i, token, width)]
    found = [
        i
        for i in others
        if 2 * sum(_is_bio(_get(row.columns, i) or "") for row in words) > len(words)
    ]
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
        f"{_describe(row.columns)}"
    )


def _index(column: int | None, default: int) -> int:
    """A column that is counted from 1 or -1 as an index."""
    if column is None:
        return default
    return column - 1 if column > 0 else column


def _get(columns: Sequence[T], index: int) -> T | None:
    return columns[index] if -len(columns) <= index < len(columns) else None


def _name(index: int) -> str:
    names = {0: "the first column", -1: "the last column"}
    return names.get(index, f"column {index + 1 if index >= 0 else index}")


def _same(one: int, other: int, width: int) -> bool:
    """Whether two indices are those of the same column, of so many."""
    columns = range(width)
    return _get(columns, one) is not None and _get(columns, one) == _get(columns, other)


def _describe(columns: Sequence[str]) -> str:
    return ", ".join(f"{i} {cell!r}" for i, cell in enumerate(columns, 1))


def _is_pair(columns: Sequence[str], is_tabbed: bool) -> bool:
    """Whether columns are those of a comment of CoNLL-U, "# key = value"."""
    return columns[0] == "#" and not is_tabbed and columns[2:3] == ["="]


def _is_bio(tag: str) -> bool:
    return tag == OUTSIDE or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers. Bytes that aren't UTF-8 become lone
    surrogates.
    """
    if path.is_dir():
        raise WnutError(f"{path} is a folder: give a CoNLL file in it")
    try:
        # In bytes, since these split on "\n" alone: what Python takes for a
        # line's end in text (U+0085, U+2028) may stand within a token.
        with path.open("rb") as file_:
            for number, line in enumerate(file_, 1):
                if number == 1:
                    line = line.removeprefix(BOM)
                yield number, line.decode("utf8", "surrogateescape").rstrip("\r\n")
    except FileNotFoundError:
        raise WnutError(f"{path} isn't there: give a CoNLL file") from None
    except OSError as err:
        raise WnutError(f"{path} can't be read: {err.strerror}") from None


def _check_utf8(line: str) -> None:
    try:
        line.encode("utf8")
    except UnicodeEncodeError as err:
        byte = ord(line[err.start]) - 0xDC00
        raise ValueError(
            f"the byte {byte:#04x} isn't UTF-8: save the file as UTF-8"
        ) from None


def _read_word(layout: Layout, columns: list[str]) -> tuple[str, str]:
    if len(columns) == 1:
        raise ValueError(
            f"{columns[0]!r} is one column: expected a token and its tag, with a tab "
            "or a single space between them"
        )
    token, tag = layout.token_of(columns), layout.tag_of(columns)
    if tag is None:
        index = -1 if layout.tag is None else layout.tag
        is_token = _same(index, layout.token, len(columns))
        raise ValueError(
            f"{_name(index)} is {'the token' if is_token else 'missing'}: expected the "
            f"tag there. The columns are {_describe(columns)}: set the tag's with "
            "--tag-column"
        )
    return token, tag


def _check_tag(tag: str, scheme: LabelScheme | None, n_columns: int) -> None:
    if "," in tag:
        raise ValueError(
            f"{tag!r} are several labels joined by commas: this file's annotators were "
            "not brought to agree. For WNUT 17, use emerging.test.annotated instead "
            "of emerging.test.conll"
        )
    try:
        label = split_tag(tag)[1]
    except ValueError as err:
        hint = " Set the column of the tags with --tag-column, if it is another"
        raise ValueError(f"{err}{'.' + hint if n_columns > 2 else ''}") from None
    if label and (problem := type_problem(label)):
        raise ValueError(problem)
    if label and scheme is not None and label not in scheme.types:
        raise ValueError(
            f"{label!r} is an unknown label: the known ones are "
            f"{', '.join(scheme.types)}. Correct it, or set the labels to those of "
            "the file (--labels)"
        )
