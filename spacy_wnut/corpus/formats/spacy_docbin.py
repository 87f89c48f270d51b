"""DocBin: spaCy's binary format of annotated docs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from ...errors import WnutError
from ..json_values import text_problem
from ..posts import LabelledSpan, Post, Rejection, make_post
from .json_file import open_content
from .options import ReadOptions
from .records import RawSpan, RecordError, make_spans

# The name in spaCy's documentation and in Prodigy for `incorrect_spans_key`.
INCORRECT_SPANS = "incorrect_spans"


def read_spacy_docbin(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read the docs of a DocBin, with their words and spaces.

    Words without entity annotation are missing annotation. The spans in
    `doc.spans["incorrect_spans"]` are annotated as not entities.

    path (Path): The file.
    options (ReadOptions): Not used.
    YIELDS (Post | Rejection): The posts. Docs without words are skipped, as by spaCy's
        `Corpus`.

    Raises WnutError if the file is not a DocBin, or if none of its docs has entity
    annotation.
    """
    n_docs = 0
    is_annotated = False
    for doc in _read_docs(path):
        n_docs += 1
        where = f"doc {n_docs}"
        if not len(doc):
            continue
        try:
            post = _make_post(doc, where)
        except RecordError as err:
            yield Rejection(where, str(err), doc.to_json())
            continue
        is_annotated |= doc.has_annotation("ENT_IOB") or bool(post.incorrect)
        yield post
    if not is_annotated:
        raise WnutError(
            f"{path} holds no docs with entity annotation ({n_docs} docs): annotate "
            "them first"
        )


@contextmanager
def reading_docbin(path: Path) -> Iterator[None]:
    """Raise WnutError where a file is not a DocBin.

    path (Path): The file that is read inside of the `with` block.
    """
    try:
        yield
    except (KeyError, OSError, TypeError, ValueError) as err:
        raise WnutError(
            f"{path} can't be read as a DocBin: {err!r}. Make it with "
            "`spacy-wnut convert`"
        ) from err


def _read_docs(path: Path) -> Iterator[Doc]:
    # For its messages about missing files.
    with open_content(path):
        pass
    with reading_docbin(path):
        yield from DocBin().from_disk(path).get_docs(Vocab())


def _make_post(doc: Doc, where: str) -> Post:
    # The text of a doc with unknown spaces has a space after each word.
    spaces = (
        None if doc.has_unknown_spaces else [bool(token.whitespace_) for token in doc]
    )
    words = [token.text for token in doc]
    if not "".join(words).strip():
        raise RecordError("has no text: all its words are white space")
    if problem := text_problem("".join(words), "text"):
        raise RecordError(problem)
    missing = [token.i for token in doc if not token.ent_iob]
    post = make_post(words, (), missing, spaces=spaces, where=where)
    places = post.words or ()

    def find(spans: Iterable[Span]) -> tuple[LabelledSpan, ...]:
        found = [
            LabelledSpan(places[one.start].start, places[one.end - 1].end, one.label_)
            for one in spans
        ]
        # Only checked. Entities keep words of white space at their ends.
        make_spans(post.text, [RawSpan(*one) for one in found])
        return tuple(found)

    rejected = doc.spans.get(INCORRECT_SPANS) or ()
    # As in spaCy, a span without a label is ignored.
    incorrect = [span for span in rejected if span.label_ and len(span)]
    return replace(post, spans=find(doc.ents), incorrect=find(incorrect))
