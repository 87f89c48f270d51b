"""Conversion of posts to spaCy's docs: alignment of spans with tokens."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans
from spacy.vocab import Vocab

from ..errors import WnutError
from .posts import LabelledSpan, Post, Rejection, Word

Misaligned = Literal["missing", "expand", "contract", "error"]
Overlaps = Literal["error", "longest"]

# The number of spans or records that a message lists.
LISTED = 10


@dataclass(frozen=True)
class Alignment:
    """The treatment of spans that a sequence of tokens cannot represent.

    misaligned (Literal["missing", "expand", "contract", "error"]): Spans whose
        boundaries are inside tokens. "missing": the annotation of the tokens that they
        touch is missing. "expand": they cover all tokens that they touch. "contract":
        they cover the tokens that are entirely inside them; if there are none, as
        "missing". "error": they are an error.
    overlaps (Literal["error", "longest"]): Overlapping entities. "error": they are an
        error. "longest": the longest one is kept, the first of several of one length.
    incorrect_spans_key (str): The key in `doc.spans` of the spans annotated as not
        entities.
    """

    misaligned: Misaligned = "missing"
    overlaps: Overlaps = "error"
    incorrect_spans_key: str = "incorrect_spans"


class MisalignedSpan(NamedTuple):
    """A span that does not match the boundaries of tokens.

    where (str): The place of the post.
    text (str): The text of the span.
    label (str): Its type.
    tokens (Tuple[str, ...]): The tokens that it touches.
    """

    where: str
    text: str
    label: str
    tokens: tuple[str, ...]

    def __str__(self) -> str:
        tokens = " ".join(map(repr, self.tokens))
        label = _show(self.label)
        return f"{self.where}: {self.text!r} ({label}) in the tokens {tokens}"


class AlignedPost(NamedTuple):
    """A doc made from a post.

    doc (Doc): The doc.
    misaligned (Tuple[MisalignedSpan, ...]): The spans that match no tokens.
    n_overlapping (int): The number of entities that were left out because they overlap a
        longer one.
    """

    doc: Doc
    misaligned: tuple[MisalignedSpan, ...]
    n_overlapping: int


def align_post(post: Post, doc: Doc, alignment: Alignment) -> AlignedPost | Rejection:
    """Set the annotation of a post on a doc.

    A span may begin or end with white space that belongs to no token.

    post (Post): The post.
    doc (Doc): Its tokens, from `make_tokens`.
    alignment (Alignment): The treatment of spans that the tokens cannot represent.
    RETURNS (Union[AlignedPost, Rejection]): The doc with entities, missing annotation
        and incorrect spans. A rejection if a span is annotated as an entity and as not
        an entity.

    Raises WnutError if entities overlap, unless `alignment.overlaps` is "longest".

    Example:
        >>> import spacy
        >>> from spacy_wnut.corpus.alignment import Alignment, align_post, make_tokens
        >>> from spacy_wnut.corpus.posts import LabelledSpan, Post
        >>> post = Post("New York!", (LabelledSpan(0, 7, "location"),))
        >>> nlp = spacy.blank("en")
        >>> doc = make_tokens(post, nlp.vocab, nlp)
        >>> aligned = align_post(post, doc, Alignment("expand"))
        >>> aligned.doc.ents, aligned.misaligned[0].text
        ((New York,), 'New Yor')
    """
    tokens = _Tokens(doc, post)
    misaligned: list[MisalignedSpan] = []
    missing: set[int] = set()
    sources: dict[tuple[int, int, str], LabelledSpan] = {}

    def align(span: LabelledSpan) -> Span | None:
        found, is_exact = tokens.find(span)
        if not is_exact:
            words = tuple(doc[i].text for i in found)
            text = post.text[span.start : span.end]
            misaligned.append(MisalignedSpan(post.where, text, span.label, words))
            if alignment.misaligned == "contract":
                found = tokens.inside(span, found)
            elif alignment.misaligned != "expand":
                return None
        return Span(doc, found[0], found[-1] + 1, span.label) if found else None

    entities: dict[tuple[int, int, str], Span] = {}
    for given in post.spans:
        entity = align(given)
        if entity is None:
            missing.update(tokens.touched(given))
            continue
        key = (entity.start, entity.end, given.label)
        # The first of several equal entities is kept.
        entities.setdefault(key, entity)
        sources.setdefault(key, given)
    kept = filter_spans(entities.values())
    if len(kept) < len(entities) and alignment.overlaps == "error":
        raise _overlap(post, sources)
    for part in post.missing:
        missing.update(tokens.touched(part))
    missing.difference_update(i for ent in kept for i in range(ent.start, ent.end))
    doc.set_ents(
        kept,
        missing=[Span(doc, start, end) for start, end in _runs(sorted(missing))],
        # Other tokens are annotated as O, not unannotated.
        default="outside",
    )
    incorrect: dict[tuple[int, int, str], Span] = {}
    for given in post.incorrect:
        if (span := align(given)) is not None:
            incorrect.setdefault((span.start, span.end, given.label), span)
    labelled = {(ent.start, ent.end, ent.label_) for ent in kept}
    for (start, end, label), span in incorrect.items():
        if (start, end, label) in labelled:
            name = _show(label)
            return Rejection(
                post.where,
                f"{span.text!r} is annotated as {name} and also as not {name}: remove "
                "one of these annotations",
                post_to_json(post),
            )
    if incorrect:
        doc.spans[alignment.incorrect_spans_key] = list(incorrect.values())
    return AlignedPost(doc, tuple(misaligned), len(entities) - len(kept))


def make_tokens(post: Post, vocab: Vocab, nlp: Language) -> Doc:
    """Make the doc of a post, without annotation.

    post (Post): The post.
    vocab (Vocab): The vocabulary of the doc.
    nlp (Language): Its tokenizer makes the tokens of a post without words.
    RETURNS (Doc): The tokens. Their offsets in `doc.text` are those in the text of the
        post. White space between words that is more than one space becomes a token, as in
        spaCy's tokenizer. If the spaces between the words of the post are unknown, those
        of the doc are unknown, too.
    """
    if post.words is None:
        tokens = nlp.make_doc(post.text)
        return Doc(
            vocab,
            words=[token.text for token in tokens],
            spaces=[bool(token.whitespace_) for token in tokens],
        )
    if not post.has_spaces:
        return Doc(vocab, words=[post.text[i:j] for i, j in post.words])
    words: list[str] = []
    spaces: list[bool] = []
    for part, is_word in _parts(post.text, post.words):
        if not is_word and part.startswith(" ") and words:
            spaces[-1] = True
            part = part[1:]
        if part:
            words.append(part)
            spaces.append(False)
    return Doc(vocab, words=words, spaces=spaces)


def split_tokens(post: Post, doc: Doc) -> Doc:
    """Split the tokens of a doc at the boundaries of the spans of its post.

    post (Post): The post.
    doc (Doc): Its tokens, from `make_tokens`.
    RETURNS (Doc): The tokens, or `doc` itself if all spans match its tokens.
    """
    tokens = _Tokens(doc, post)
    cuts = {
        offset
        for span in (*post.spans, *post.incorrect)
        for offset in tokens.trim(span)[:2]
        if not tokens.is_between(offset)
    }
    if not cuts:
        return doc
    words: list[str] = []
    spaces: list[bool] = []
    for token in doc:
        start, end = token.idx, token.idx + len(token)
        inside = sorted(cut for cut in cuts if start < cut < end)
        bounds = [start, *inside, end]
        pieces = [post.text[i:j] for i, j in pairwise(bounds)]
        words += pieces
        spaces += [False] * (len(pieces) - 1) + [bool(token.whitespace_)]
    return Doc(doc.vocab, words=words, spaces=spaces)


def post_to_json(post: Post) -> dict[str, object]:
    """Convert a post to values of JSON, for a file of rejected records.

    post (Post): The post.
    RETURNS (Dict[str, object]): Its text, spans and id.
    """
    record: dict[str, object] = {
        "text": post.text,
        "spans": list(map(list, post.spans)),
    }
    if post.incorrect:
        record["incorrect"] = list(map(list, post.incorrect))
    if post.missing:
        record["missing"] = list(map(list, post.missing))
    if post.id:
        record["id"] = post.id
    return record


def _show(label: str) -> str:
    """Return a label for a message. Control characters are escaped for the terminal."""
    return label if label.isprintable() else repr(label)


def list_first(items: Sequence[MisalignedSpan | Rejection]) -> str:
    """List the first spans or rejected records for a message, and count the others.

    items (Sequence[MisalignedSpan | Rejection]): At least one span or record.
    RETURNS (str): The list.
    """
    listed = "; ".join(map(str, items[:LISTED]))
    others = len(items) - LISTED
    return listed + (f"; and {others:,} others" if others > 0 else "")


class _Tokens:
    """The offsets of the tokens of a doc in the text of its post."""

    def __init__(self, doc: Doc, post: Post) -> None:
        self.text = post.text
        self.has_words = post.words is not None
        self.starts = [token.idx for token in doc]
        self.ends = [token.idx + len(token) for token in doc]

    def find(self, span: LabelledSpan) -> tuple[range, bool]:
        """Return the tokens that a span touches, and whether it matches them."""
        # Words of the file may be white space, and their entities stay as they are.
        # Tokens of white space that a tokenizer made are no part of an entity.
        if self.has_words and self._is_exact(span.start, span.end):
            return self.touched(span), True
        trimmed = self.trim(span)
        is_exact = self._is_exact(trimmed.start, trimmed.end)
        return self.touched(trimmed), is_exact

    def touched(self, span: LabelledSpan | Word) -> range:
        """Return the tokens that a span touches."""
        if span.start >= span.end:
            return range(0)
        first = bisect_right(self.ends, span.start)
        return range(first, max(first, bisect_left(self.starts, span.end)))

    def inside(self, span: LabelledSpan, touched: range) -> range:
        """Return the tokens that are entirely inside a span."""
        kept = [
            i
            for i in touched
            if span.start <= self.starts[i] and self.ends[i] <= span.end
        ]
        return range(kept[0], kept[-1] + 1) if kept else range(0)

    def trim(self, span: LabelledSpan) -> LabelledSpan:
        """Return a span without white space at its ends."""
        text = self.text[span.start : span.end]
        start = span.start + len(text) - len(text.lstrip())
        return span._replace(
            start=start, end=max(start, span.start + len(text.rstrip()))
        )

    def is_between(self, offset: int) -> bool:
        """Return whether an offset is not inside a token."""
        token = bisect_right(self.starts, offset) - 1
        return token < 0 or offset == self.starts[token] or offset >= self.ends[token]

    def _is_exact(self, start: int, end: int) -> bool:
        first, last = bisect_left(self.starts, start), bisect_left(self.ends, end)
        return (
            start < end
            and first < len(self.starts)
            and self.starts[first] == start
            and last < len(self.ends)
            and self.ends[last] == end
        )


def _parts(text: str, words: Sequence[Word]) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text, and whether they are words."""
    last = 0
    for start, end in words:
        yield text[last:start], False
        yield text[start:end], True
        last = end
    yield text[last:], False


def _runs(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each run of consecutive indices."""
    for _, run in groupby(enumerate(indices), lambda pair: pair[1] - pair[0]):
        members = [i for _, i in run]
        yield members[0], members[-1] + 1


def _overlap(
    post: Post, sources: dict[tuple[int, int, str], LabelledSpan]
) -> WnutError:
    """Return the error about the first two entities that overlap."""
    # Sorted by start: if any two entities overlap, two neighbours do.
    one, other = next(
        (one, other) for one, other in pairwise(sorted(sources)) if other[0] < one[1]
    )
    names = [
        f"{post.text[span.start : span.end]!r} ({span.start}-{span.end}, "
        f"{_show(span.label)})"
        for span in (sources[one], sources[other])
    ]
    return WnutError(
        f"{post.where}: the entities {names[0]} and {names[1]} overlap, but each word "
        "can be in one entity only. Remove one of them, or keep the longest with "
        "`spacy-wnut convert --overlaps longest`"
    )
