"""CoNLL: one word per line, with a column of BIO tags, and a blank line after each post."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO

from ...corpus.conll import SAMPLE
from ...corpus.layout import DOCSTART, Gap, Layout, find_layout, split_columns
from ...labels import Entity, entities_to_tags, type_problem
from ..records import Chunk, Found, RawLine, Record, unreadable
from ..sources import Input, read_lines
from ..writer import Writer


def read_conll_posts(file: BinaryIO, source: Input) -> Iterator[Record]:
    """Read the records of a file: its posts. Lines are as for `corpus.conll.read_conll`,
    but need no tags.

    Raises WnutError if the column of the words is ambiguous.
    """
    lines = read_lines(file)
    sample = list(islice(lines, SAMPLE))
    texts = ((raw.number, _decode(raw)) for raw in sample if isinstance(raw, RawLine))
    layout = find_layout(texts, source.name, source.columns, needs_tags=False)
    post: list[RawLine] = []
    for raw in chain(sample, lines):
        if isinstance(raw, Record):
            yield raw
            continue
        found = layout.split(_decode(raw), not post)
        if found is Gap.separator and post:
            yield parse_post(post, layout)
            post = []
        elif not isinstance(found, Gap):
            post.append(raw)
    if post:
        yield parse_post(post, layout)


def parse_post(lines: Sequence[RawLine], layout: Layout | None = None) -> Record:
    """Make the record of one post. Its fields are `text` (the words, joined by single
    spaces), `tokens` and, if there is a column of tags, `tags`.

    lines (Sequence[RawLine]): The lines of its words, at least one.
    layout (Optional[Layout]): The columns of words and tags; by default the first and
        the last.
    """
    layout = layout or Layout()
    first = lines[0].number
    words, tags = [], []
    for number, line in lines:
        try:
            columns = split_columns(line.decode("utf8"))
        except UnicodeDecodeError as err:
            reason = f"line {number} isn't UTF-8: the byte {line[err.start]:#04x}"
            return _unreadable_post(lines, reason)
        try:
            word = layout.token_of(columns)
        except ValueError as err:
            return _unreadable_post(lines, f"line {number} has no word: {err}")
        if word.isspace() or "\0" in word:
            return _unreadable_post(lines, f"line {number} has no word, but {word!r}")
        words.append(word)
        tag = layout.tag_of(columns)
        if tag is not None:
            tags.append(tag)
    text = " ".join(words)
    fields: dict[str, Any] = {"text": text, "tokens": words}
    if len(tags) == len(words):
        fields["tags"] = tags
    return Record(first, text, words=words, fields=fields)


class ConllWriter(Writer):
    """Writes one line per word, with its BIO tag, and a blank line after each post."""

    def objection(self, found: Found) -> str:
        """Return the reason why CoNLL cannot hold a post, or ""."""
        words = [part for word in found.words for part in word.split()]
        if not words:
            return "the text has no words, and CoNLL can't hold an empty post"
        if DOCSTART in words:
            return f"CoNLL can't hold the word {DOCSTART}, which separates documents"
        problems = (type_problem(entity["label"]) for entity in found.entities)
        return next(filter(None, problems), "")

    def _encode(self, chunk: Chunk, found: Mapping[int, Found]) -> str:
        lines = []
        for one in found.values():
            for word, tag in _tagged(one):
                lines.append(f"{word}\t{tag}\n")
            lines.append("\n")
        return "".join(lines)

    def _ends_record(self, line: bytes) -> bool:
        return line == b"\n"


def _tagged(found: Found) -> Iterator[tuple[str, str]]:
    """Return the words that CoNLL can hold, and their tags."""
    words: list[str] = []
    starts = []
    for word in found.words:
        starts.append(len(words))
        # A token of white space is no word in CoNLL. A token that contains white space
        # (a pipe may have merged tokens) becomes several words of the same entity.
        words.extend(word.split())
    starts.append(len(words))
    entities = [
        Entity(starts[start], starts[end], entity["label"])
        for (start, end), entity in zip(found.spans, found.entities, strict=True)
        if starts[start] < starts[end]
    ]
    return zip(words, entities_to_tags(entities, len(words)), strict=True)


def _decode(raw: RawLine) -> str:
    return raw.line.decode("utf8", "surrogateescape")


def _unreadable_post(lines: Sequence[RawLine], reason: str) -> Record:
    whole = RawLine(lines[0].number, b"\n".join(line for _, line in lines))
    return unreadable(whole, reason)
