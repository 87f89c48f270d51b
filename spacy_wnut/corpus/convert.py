"""Rows to spaCy's binary training format, a DocBin a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from ..errors import WnutError
from ..files import replacing
from ..labels import Entity, tags_to_entities

if TYPE_CHECKING:
    from datasets import DatasetDict  # type: ignore[import-untyped]

Protocol = Literal["gold", "spacy"]

# spaCy's name of the file of each split.
FILES = {
    "train": "train.spacy",
    "validation": "dev.spacy",
    "test": "test.spacy",
}


class SplitCounts(NamedTuple):
    """How many posts and tokens a split has, and entities by type, those types
    left out that it has none of.
    """

    posts: int
    tokens: int
    entities: dict[str, int]


class _Post(NamedTuple):
    tokens: list[str]
    entities: list[Entity]


def convert(
    rows: DatasetDict, out_dir: Path, tokens: Protocol
) -> dict[str, SplitCounts]:
    """Write train.spacy, dev.spacy and test.spacy: all of them, or none and
    `out_dir` is as it was. The same rows give the same bytes.

    rows (DatasetDict): train, validation and test, as `load_rows` gives them.
    out_dir (Path): A folder for these files alone. It is made if it isn't there;
        what an earlier run wrote is replaced.
    tokens (Literal["gold", "spacy"]): Which tokens `spacy.training.Corpus` shows
        a pipeline: the file's, or those that the pipeline's tokenizer finds in
        the text. The DocBins hold the file's tokens and entities either way.
    RETURNS (dict[str, SplitCounts]): What was written of "train", "validation" and
        "test".

    Raises WnutError if a token is empty or holds white space, if `out_dir` holds
    anything else, or if a post, a token or an entity was lost on the way.
    """
    out_dir = out_dir.resolve()
    _check_out_dir(out_dir)
    counts = {}
    with replacing(out_dir) as beside:
        beside.mkdir()
        for split, name in FILES.items():
            vocab = Vocab()
            read = _Counter()
            docs = DocBin(attrs=["ENT_IOB", "ENT_TYPE"])
            for post in read.count(_read_rows(rows[split], split)):
                docs.add(_make_doc(vocab, post, tokens))
            docs.to_disk(beside / name)
            written = _Counter()
            for _ in written.count(_read_docs(beside / name)):
                pass
            if written.counts() != read.counts():
                raise WnutError(
                    f"Split {split}: {read.counts()} were read, but {name} holds "
                    f"{written.counts()}. Nothing was written. This is a fault of the "
                    "conversion: please report it with the rows"
                )
            counts[split] = written.counts()
    return counts


class _Counter:
    """Counts posts while they pass."""

    def __init__(self) -> None:
        self.posts = 0
        self.tokens = 0
        self.entities: Counter[str] = Counter()

    def count(self, posts: Iterable[_Post]) -> Iterator[_Post]:
        for post in posts:
            self.posts += 1
            self.tokens += len(post.tokens)
            self.entities.update(entity.label for entity in post.entities)
            yield post

    def counts(self) -> SplitCounts:
        return SplitCounts(self.posts, self.tokens, dict(sorted(self.entities.items())))


def _check_out_dir(out_dir: Path) -> None:
    if out_dir.exists() and not out_dir.is_dir():
        raise WnutError(f"{out_dir} is a file: give a folder to write to")
    # The folder is replaced as a whole, and a shell must not lose its own.
    others = {path.name for path in out_dir.glob("*")} - set(FILES.values())
    if others or Path.cwd().is_relative_to(out_dir):
        raise WnutError(
            f"{out_dir} is not for {', '.join(FILES.values())} alone"
            + (f" (it holds {', '.join(sorted(others)[:3])})" if others else "")
            + f": give a folder of their own, such as {out_dir / 'gold'}"
        )


def _read_rows(rows: Iterable[Mapping[str, Any]], split: str) -> Iterator[_Post]:
    names = rows.features["ner_tags"].feature.names  # type: ignore[attr-defined]
    for i, row in enumerate(rows):
        for token in row["tokens"]:
            # The text is the tokens with single spaces between them, so white
            # space in one would be taken for a border when aligning.
            if not token or any(char.isspace() for char in token):
                raise WnutError(
                    f"Split {split}, row {i}: the token {token!r} is empty or holds "
                    "white space. Take that out of the data, or put another "
                    "character for it"
                )
        yield _Post(
            row["tokens"], tags_to_entities([names[j] for j in row["ner_tags"]])
        )


def _make_doc(vocab: Vocab, post: _Post, tokens: Protocol) -> Doc:
    if tokens == "gold":
        # Without `spaces`, the Doc has unknown spaces, and for such Docs
        # spaCy's Corpus keeps the tokens instead of tokenizing the text.
        doc = Doc(vocab, words=post.tokens)
    else:
        # With them it has a text, which Corpus gives to the pipeline's
        # tokenizer, aligning what comes out with these tokens.
        spaces = [i + 1 < len(post.tokens) for i in range(len(post.tokens))]
        doc = Doc(vocab, words=post.tokens, spaces=spaces)
    entities = [Span(doc, start, end, label) for start, end, label in post.entities]
    # Tokens outside of entities are known to be so, not missing annotation.
    doc.set_ents(entities, default="outside")
    return doc


def _read_docs(path: Path) -> Iterator[_Post]:
    for doc in DocBin().from_disk(path).get_docs(Vocab()):
        yield _Post(
            [token.text for token in doc],
            [Entity(ent.start, ent.end, ent.label_) for ent in doc.ents],
        )
