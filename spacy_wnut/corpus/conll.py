"""Reader of CoNLL files with BIO tags: WNUT 17, the output of systems, and other data."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import WnutError
from ..labels import LabelScheme, split_tag, type_problem
from .layout import (
    Columns,
    Gap,
    Layout,
    describe,
    find_layout,
    is_same_column,
    name_column,
)

T = TypeVar("T")
BOM = b"\xef\xbb\xbf"
# The number of lines from which the layout of a file is inferred.
SAMPLE = 1000


class TaggedPost(NamedTuple):
    """A post of a CoNLL file.

    tokens (List[str]): The tokens.
    tags (List[str]): The BIO tag of each token.
    line (int): The line number of the first token, counted from 1.
    """

    tokens: list[str]
    tags: list[str]
    line: int


def read_conll(
    path: Path,
    scheme: LabelScheme | None,
    columns: Columns | None = None,
    is_output: bool = False,
) -> Iterator[TaggedPost]:
    """Read the posts of a CoNLL file lazily.

    Each line has a token, a BIO tag and possibly other columns, which are ignored. In a
    line with a tab, columns are separated by tabs, and entity types may contain blanks.
    In any other line, columns are separated by blanks. Empty lines, lines of white space
    and lines with the token -DOCSTART- separate posts. Comments (`# text = ...`) and the
    multiword tokens (1-2) and empty nodes (2.1) of CoNLL-U are skipped.

    By default the token is in the first column and the tag in the last. If there are
    three or more columns and the first one numbers the words of each post, the token is
    in the second column, and the tag is in the only other column of BIO tags. An I- tag
    that continues no entity is kept: the output of many systems contains such tags.

    path (Path): The file, in UTF-8.
    scheme (LabelScheme | None): The allowed labels, or None to allow any.
    columns (Columns | None): The columns of tokens and tags, or None to infer both.
    is_output (bool): Whether the file is the output of a system, which may consist of
        tokens and tags. If it has at most two columns, and `columns` names a column
        beyond these, `columns` is ignored.
    YIELDS (TaggedPost): The posts. None of them is empty.

    Raises WnutError, with the line, if the file can't be read, has no posts, isn't
    UTF-8, or if a line has no valid token and tag. Raises WnutError if the columns are
    ambiguous.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from spacy_wnut.corpus.conll import read_conll
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "posts.conll"
        ...     _ = path.write_text("in O\\nOslo B-location\\n\\nlol O\\n")
        ...     for post in read_conll(path, None):
        ...         print(post.line, post.tokens, post.tags)
        1 ['in', 'Oslo'] ['O', 'B-location']
        4 ['lol'] ['O']
    """
    lines = read_lines(path)
    sample = list(islice(lines, SAMPLE))
    layout = find_layout(sample, str(path), columns or Columns(), is_output=is_output)

    def parse(columns: list[str]) -> tuple[str, str]:
        token, tag = read_word(layout, columns)
        _check_bio(tag, scheme, len(columns))
        return token, tag

    for post in read_words(path, chain(sample, lines), layout, parse):
        tokens, tags = zip(*(word for _, word in post), strict=True)
        yield TaggedPost(list(tokens), list(tags), post[0][0])


def read_words(
    path: Path,
    lines: Iterable[tuple[int, str]],
    layout: Layout,
    parse: Callable[[list[str]], T],
) -> Iterator[list[tuple[int, T]]]:
    """Read the posts of a column file lazily.

    path (Path): The file, for messages.
    lines (Iterable[Tuple[int, str]]): Its lines with their numbers, from `read_lines`.
    layout (Layout): Its layout.
    parse (Callable[[List[str]], T]): Makes a word of the columns of its line. Raises
        ValueError if it cannot.
    YIELDS (List[Tuple[int, T]]): The words of a post with their line numbers, at least
        one.

    Raises WnutError, with the line, if `parse` fails or a line is not UTF-8, and if the
    file has no posts.
    """
    post: list[tuple[int, T]] = []
    is_empty = True
    for number, line in lines:
        found = layout.split(line, not post)
        if found is Gap.separator and post:
            yield post
            post = []
        if isinstance(found, Gap):
            continue
        is_empty = False
        try:
            _check_utf8(line)
            post.append((number, parse(found)))
        except ValueError as err:
            raise WnutError(f"{path}, line {number}: {err}") from None
    if post:
        yield post
    if is_empty:
        raise WnutError(
            f"{path} is empty: expected a token and its tag on each line, and blank "
            "lines between posts. If it was downloaded, download it again"
        )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a file lazily.

    path (Path): The file.
    YIELDS (Tuple[int, str]): The number of each line, from 1, and the line without its
        line break. Bytes that are not valid UTF-8 become lone surrogates.

    Raises WnutError if the file can't be read.
    """
    if path.is_dir():
        raise WnutError(f"{path} is a folder: give a CoNLL file in it")
    try:
        # Bytes are split only at "\n". Python's other line breaks in text (U+0085,
        # U+2028) may be part of a token.
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


def read_word(layout: Layout, columns: list[str]) -> tuple[str, str]:
    """Read the token and the tag of a line.

    layout (Layout): The layout of the file.
    columns (List[str]): The columns of the line.
    RETURNS (Tuple[str, str]): The token and the tag, in any scheme.

    Raises ValueError if one of them is missing, the token contains a space, or the tag
    contains a comma.
    """
    if len(columns) == 1:
        raise ValueError(
            f"{columns[0]!r} is one column: expected a token and its tag, with a tab "
            "or a single space between them"
        )
    return layout.token_of(columns), read_tag(layout, columns)


def read_tag(layout: Layout, columns: list[str]) -> str:
    """Read the tag of a line, as `read_word` does."""
    tag = layout.tag_of(columns)
    if tag is None:
        index = -1 if layout.tag is None else layout.tag
        is_token = is_same_column(index, layout.token, len(columns))
        raise ValueError(
            f"{name_column(index)} is {'the token' if is_token else 'missing'}: expected "
            f"the tag there. The columns are {describe(columns)}: set the column of the "
            "tags with --tag-column"
        )
    if "," in tag:
        raise ValueError(
            f"{tag!r} are several labels joined by commas: the labels of several "
            "annotators, not merged. For WNUT 17, use emerging.test.annotated instead "
            "of emerging.test.conll"
        )
    return tag


def hint_of(n_columns: int) -> str:
    """Return the advice after the message about a tag of no scheme, or ""."""
    hint = ". Set the column of the tags with --tag-column, if it is another"
    return hint if n_columns > 2 else ""


def _check_bio(tag: str, scheme: LabelScheme | None, n_columns: int) -> None:
    try:
        label = split_tag(tag)[1]
    except ValueError as err:
        raise ValueError(f"{err}{hint_of(n_columns)}") from None
    if label and (problem := type_problem(label)):
        raise ValueError(problem)
    if label and scheme is not None and label not in scheme.types:
        raise ValueError(
            f"{label!r} is an unknown label: the known ones are "
            f"{', '.join(scheme.types)}. Correct it, or set the labels to those of "
            "the file (--labels)"
        )
