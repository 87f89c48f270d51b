"""Conversion of posts to spaCy's binary training format: one DocBin per split."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from spacy import blank
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..errors import WnutError
from ..files import replacing
from .alignment import (
    AlignedPost,
    Alignment,
    MisalignedSpan,
    align_post,
    list_first,
    make_tokens,
    post_to_json,
)
from .posts import Post, Rejection
from .rows import decode_rows, post_problem, rows_to_posts

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

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
    missing (int): The number of tokens whose annotation is missing.
    incorrect (int): The number of spans annotated as not entities.
    """

    posts: int
    tokens: int
    entities: dict[str, int]
    missing: int = 0
    incorrect: int = 0


class Conversion(dict[str, SplitCounts]):
    """The contents of the splits that `convert` wrote, by "train", "validation" and
    "test", and the annotation that it could not write.

    misaligned (list[MisalignedSpan]): The spans that match no tokens.
    overlapping (int): The number of entities that were left out because they overlap a
        longer one.
    rejected (list[Rejection]): The records that were rejected.
    """

    def __init__(self) -> None:
        super().__init__()
        self.misaligned: list[MisalignedSpan] = []
        self.overlapping = 0
        self.rejected: list[Rejection] = []


def convert(
    splits: Mapping[str, Iterable[Post | Rejection]] | DatasetDict,
    out_dir: Path,
    tokens: Protocol = "gold",
    *,
    alignment: Alignment = Alignment(),  # noqa: B008
    lang: str = "en",
) -> Conversion:
    """Write train.spacy, dev.spacy and test.spacy to a folder, and the rejected records
    to OUT_DIR.rejected.jsonl beside it.

    The files are written atomically: if an error occurs, `out_dir` does not change. The
    same posts give the same bytes.

    splits (Mapping[str, Iterable[Post | Rejection]] | DatasetDict): The splits train,
        validation and test, from `load_posts` or `load_rows`. A split that is not given
        is not written.
    out_dir (Path): A folder for these files only. It is created if it does not exist.
        Files of an earlier conversion are replaced.
    tokens (Literal["gold", "spacy"]): The tokens that a pipeline gets from
        `spacy.training.Corpus` if the spaces between the words of a post are unknown:
        the words, or the tokens of the pipeline's tokenizer. In both cases the DocBins
        contain the words and entities of the file.
    alignment (Alignment): The treatment of spans that the tokens cannot represent.
    lang (str): The language whose tokenizer makes the tokens of posts without words.
    RETURNS (Conversion): The number of posts, tokens and entities of each split, and the
        annotation that was not written.

    Raises WnutError if a token is empty or contains white space, if `out_dir` contains
    other files, if spans are misaligned or overlap and `alignment` makes this an error,
    if all records are rejected, or if the files lack a post, a token or an entity.
    """
    out_dir = out_dir.resolve()
    _check_out_dir(out_dir)
    nlp = _blank(lang)
    conversion = Conversion()
    with ExitStack() as stack:
        beside = stack.enter_context(replacing(out_dir))
        beside.mkdir()
        for split, name in FILES.items():
            if split not in splits:
                continue
            read = _DocCounter()
            key = alignment.incorrect_spans_key
            docs = DocBin(attrs=["ENT_IOB", "ENT_TYPE"])
            posts = _read_posts(splits[split], split)
            made = _make_docs(posts, nlp, tokens, alignment, conversion)
            for doc in read.count(made, key):
                docs.add(doc)
            docs.to_disk(beside / name)
            written = _DocCounter()
            for _ in written.count(
                DocBin().from_disk(beside / name).get_docs(Vocab()), key
            ):
                pass
            if written.counts() != read.counts():
                raise WnutError(
                    f"Split {split}: {read.counts()} were read, but {name} holds "
                    f"{written.counts()}. Nothing was written. This is a bug: please "
                    "report it with the data"
                )
            conversion[split] = written.counts()
        _check(conversion, alignment)
        rejected = rejected_path(out_dir)
        if conversion.rejected:
            # Moved into its place before the folder.
            lines = stack.enter_context(replacing(rejected))
            _write_rejected(lines, conversion.rejected)
    if not conversion.rejected:
        rejected.unlink(missing_ok=True)
    return conversion


def rejected_path(out_dir: Path) -> Path:
    """Return the file of the rejected records of a conversion.

    out_dir (Path): The folder of the conversion.
    RETURNS (Path): The file beside it.
    """
    out_dir = out_dir.resolve()
    return out_dir.with_name(f"{out_dir.name}.rejected.jsonl")


class _DocCounter:
    """Counter of the posts, tokens and annotation of an iterator of docs."""

    def __init__(self) -> None:
        self.posts = 0
        self.tokens = 0
        self.missing = 0
        self.incorrect = 0
        self.entities: Counter[str] = Counter()

    def count(self, docs: Iterable[Doc], key: str) -> Iterator[Doc]:
        for doc in docs:
            self.posts += 1
            self.tokens += len(doc)
            self.missing += int((doc.to_array("ENT_IOB") == 0).sum())
            self.incorrect += len(doc.spans.get(key, ()))
            self.entities.update(ent.label_ for ent in doc.ents)
            yield doc

    def counts(self) -> SplitCounts:
        entities = dict(sorted(self.entities.items()))
        return SplitCounts(
            self.posts, self.tokens, entities, self.missing, self.incorrect
        )


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
    rejected = rejected_path(out_dir)
    if rejected.exists() and not _is_rejected(rejected):
        raise WnutError(
            f"{rejected} is there already and holds no rejected records, so it is not "
            "replaced: rename it, or give another folder to write to"
        )


def _is_rejected(path: Path) -> bool:
    """Return whether a file was written by `_write_rejected`."""
    try:
        with path.open("rb") as file_:
            record = json.loads(file_.readline())
    # A folder, no JSON, or no UTF-8.
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and list(record) == list(Rejection._fields)


# Creating a tokenizer takes much longer than converting a few posts.
@lru_cache(maxsize=1)
def _blank(lang: str) -> Language:
    try:
        nlp = blank(lang)
    # An unknown code, or a tokenizer whose package is not installed.
    except ImportError as err:
        raise WnutError(
            f"the language {lang!r} can't be used: {err}. Give a code of spaCy, such as "
            "en, or xx for any language"
        ) from None
    # The limit is for parsers. A tokenizer needs none.
    nlp.max_length = sys.maxsize
    return nlp


def _read_posts(
    split: Iterable[Post | Rejection] | Dataset, name: str
) -> Iterable[Post | Rejection]:
    if hasattr(split, "features"):
        return rows_to_posts(decode_rows(split), f"Split {name}")
    return cast("Iterable[Post | Rejection]", split)


def _make_docs(
    posts: Iterable[Post | Rejection],
    nlp: Language,
    tokens: Protocol,
    alignment: Alignment,
    conversion: Conversion,
) -> Iterator[Doc]:
    """Yield the docs of posts, and record all else in `conversion`."""
    vocab = Vocab()
    for post in posts:
        made = (
            _make_doc(post, vocab, nlp, tokens, alignment)
            if isinstance(post, Post)
            else post
        )
        if isinstance(made, Rejection):
            conversion.rejected.append(made)
            continue
        conversion.misaligned += made.misaligned
        conversion.overlapping += made.n_overlapping
        yield made.doc


def _make_doc(
    post: Post, vocab: Vocab, nlp: Language, tokens: Protocol, alignment: Alignment
) -> AlignedPost | Rejection:
    if problem := post_problem(post):
        return Rejection(
            post.where,
            f"{problem}: remove it from the data, or replace the white space by another "
            "character",
            post_to_json(post),
        )
    if post.words is not None and not post.has_spaces:
        # With known spaces, spaCy's Corpus tokenizes the text with the pipeline's
        # tokenizer, and aligns the result with these words. With unknown spaces, it keeps
        # the words.
        post = replace(post, has_spaces=tokens == "spacy")
    return align_post(post, make_tokens(post, vocab, nlp), alignment)


def _check(conversion: Conversion, alignment: Alignment) -> None:
    if conversion.misaligned and alignment.misaligned == "error":
        raise WnutError(
            f"{len(conversion.misaligned):,} spans do not match the boundaries of "
            f"tokens: {list_first(conversion.misaligned)}. Correct them, or choose "
            "--misaligned missing, expand or contract"
        )
    if conversion.rejected and not any(split.posts for split in conversion.values()):
        raise WnutError(
            f"All {len(conversion.rejected):,} records were rejected, so nothing was "
            f"written: {list_first(conversion.rejected)}"
        )


def _write_rejected(path: Path, rejected: Iterable[Rejection]) -> None:
    with path.open("w", encoding="utf8") as file_:
        for one in rejected:
            # In ASCII, since a text may contain lone surrogates.
            try:
                line = json.dumps(one._asdict(), allow_nan=False)
            # NaN, which JSON does not have, or values of other types.
            except (TypeError, ValueError):
                line = json.dumps(one._replace(record=repr(one.record))._asdict())
            file_.write(line + "\n")
