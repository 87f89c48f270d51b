"""Conversion of rows to spaCy's binary training format: one DocBin per split."""

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

# The file names that spaCy's projects use.
FILES = {
    "train": "train.spacy",
    "validation": "dev.spacy",
    "test": "test.spacy",
}


class SplitCounts(NamedTuple):
    """The contents of a split.

    posts (int): The number of posts.
    tokens (int): The number of tokens.
    entities (dict[str, int]): The number of entities of each type that occurs.
    """

    posts: int
    tokens: int
    entities: dict[str, int]


class _TokenizedPost(NamedTuple):
    tokens: list[str]
    entities: list[Entity]


def convert(
    rows: DatasetDict, out_dir: Path, tokens: Protocol
) -> dict[str, SplitCounts]:
    """Write train.spacy, dev.spacy and test.spacy to a folder.

    The files are written atomically: if an error occurs, `out_dir` does not change. The
    same rows give the same bytes.

    rows (DatasetDict): The splits train, validation and test, from `load_rows`.
    out_dir (Path): A folder for these files only. It is created if it does not exist.
        Files of an earlier conversion are replaced.
    tokens (Literal["gold", "spacy"]): The tokens that a pipeline gets from
        `spacy.training.Corpus`: those of the file, or those of the pipeline's tokenizer.
        In both cases the DocBins contain the tokens and entities of the file.
    RETURNS (dict[str, SplitCounts]): The number of posts, tokens and entities of
        "train", "validation" and "test".

    Raises WnutError if a token is empty or contains white space, if `out_dir` contains
    other files, or if the files lack a post, a token or an entity.
    """
    out_dir = out_dir.resolve()
    _check_out_dir(out_dir)
    counts = {}
    with replacing(out_dir) as beside:
        beside.mkdir()
        for split, name in FILES.items():
            vocab = Vocab()
            read = _PostCounter()
            docs = DocBin(attrs=["ENT_IOB", "ENT_TYPE"])
            for post in read.count(_read_rows(rows[split], split)):
                docs.add(_make_doc(vocab, post, tokens))
            docs.to_disk(beside / name)
            written = _PostCounter()
            for _ in written.count(_read_docs(beside / name)):
                pass
            if written.counts() != read.counts():
                raise WnutError(
                    f"Split {split}: {read.counts()} were read, but {name} holds "
                    f"{written.counts()}. Nothing was written. This is a bug: please "
                    "report it with the rows"
                )
            counts[split] = written.counts()
    return counts


class _PostCounter:
    """Counter of the posts, tokens and entities of an iterator."""

    def __init__(self) -> None:
        self.posts = 0
        self.tokens = 0
        self.entities: Counter[str] = Counter()

    def count(self, posts: Iterable[_TokenizedPost]) -> Iterator[_TokenizedPost]:
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
    # The folder is replaced as a whole, so it can't be the working directory.
    others = {path.name for path in out_dir.glob("*")} - set(FILES.values())
    if others or Path.cwd().is_relative_to(out_dir):
        raise WnutError(
            f"{out_dir} is not for {', '.join(FILES.values())} alone"
            + (f" (it holds {', '.join(sorted(others)[:3])})" if others else "")
            + f": give a folder of their own, such as {out_dir / 'gold'}"
        )


def _read_rows(
    rows: Iterable[Mapping[str, Any]], split: str
) -> Iterator[_TokenizedPost]:
    names = rows.features["ner_tags"].feature.names  # type: ignore[attr-defined]
    for i, row in enumerate(rows):
        for token in row["tokens"]:
            # The text joins the tokens with single spaces, so the alignment would take
            # white space inside a token for a token boundary.
            if not token or any(char.isspace() for char in token):
                raise WnutError(
                    f"Split {split}, row {i}: the token {token!r} is empty or holds "
                    "white space. Remove it from the data, or replace the white space "
                    "by another character"
                )
        yield _TokenizedPost(
            row["tokens"], tags_to_entities([names[j] for j in row["ner_tags"]])
        )


def _make_doc(vocab: Vocab, post: _TokenizedPost, tokens: Protocol) -> Doc:
    if tokens == "gold":
        # Without `spaces`, the Doc has unknown spaces. spaCy's Corpus then keeps the
        # tokens instead of tokenizing the text.
        doc = Doc(vocab, words=post.tokens)
    else:
        # With `spaces`, Corpus tokenizes the text with the pipeline's tokenizer, and
        # aligns the result with these tokens.
        spaces = [i + 1 < len(post.tokens) for i in range(len(post.tokens))]
        doc = Doc(vocab, words=post.tokens, spaces=spaces)
    entities = [Span(doc, start, end, label) for start, end, label in post.entities]
    # Tokens outside of entities are annotated as O, not unannotated.
    doc.set_ents(entities, default="outside")
    return doc


def _read_docs(path: Path) -> Iterator[_TokenizedPost]:
    for doc in DocBin().from_disk(path).get_docs(Vocab()):
        yield _TokenizedPost(
            [token.text for token in doc],
            [Entity(ent.start, ent.end, ent.label_) for ent in doc.ents],
        )
