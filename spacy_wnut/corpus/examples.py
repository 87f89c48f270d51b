"""Readers of annotated posts as spaCy's examples, from DocBins or other files."""

import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path

from spacy import blank
from spacy.language import Language
from spacy.tokens import Span
from spacy.training import Corpus, Example
from spacy.training.corpus import FILE_TYPE
from wasabi import msg

from ..errors import WnutError
from ..inputs import check_corpus
from .alignment import Alignment, align_post, list_first, make_tokens, split_tokens
from .formats.spacy_docbin import reading_docbin
from .posts import Post, Rejection
from .rows import post_problem
from .sources import read_file
from .type_map import TypeMap


def read_corpus(corpus: Path, nlp: Language) -> list[Example]:
    """Read annotated posts as examples without predictions.

    The examples of a DocBin are those of `spacy.Corpus.v1`. For other formats, the
    predicted docs have the words of the post if the spaces between them are unknown, and
    otherwise the tokens of the pipeline's tokenizer. The tokens of the references end at
    each boundary of an entity, so each entity is kept, even if it begins or ends inside a
    token.

    corpus (Path): A DocBin file, with the suffix .spacy, or a file in another format
        that `spacy-wnut convert` reads. Its format is printed on standard error.
    nlp (Language): The pipeline whose vocabulary and tokenizer are used.
    RETURNS (List[Example]): The examples.

    Raises WnutError if the file is missing, can't be read, has records that can't be
    converted, or has no entity annotation.
    """
    check_corpus(corpus)
    if corpus.suffix == FILE_TYPE:
        with reading_docbin(corpus):
            examples = list(Corpus(corpus)(nlp))
    else:
        examples = _read_posts(corpus, nlp)
    if not any(example.reference.has_annotation("ENT_IOB") for example in examples):
        raise WnutError(
            f"{corpus} holds no docs with entity annotation ({len(examples)} docs): "
            "make it with `spacy-wnut convert` from a file with tags"
        )
    return examples


def rename_entities(examples: Iterable[Example], types: TypeMap) -> None:
    """Rename and drop the entity types of references, in place.

    examples (Iterable[Example]): The examples.
    types (TypeMap): The new names.
    """
    for example in examples:
        doc = example.reference
        doc.set_ents(
            [
                Span(doc, ent.start, ent.end, label)
                for ent in doc.ents
                if (label := types.rename(ent.label_))
            ],
            missing=[doc[token.i : token.i + 1] for token in doc if not token.ent_iob],
            default="outside",
        )


def read_surface_forms(corpus: Path) -> frozenset[str]:
    """Read the casefolded surface forms of the entities in a corpus.

    `scoring.measures.seen_scores` takes the forms of the training data to score names
    that were seen in training and unseen names separately.

    corpus (Path): The file, as for `read_corpus`.
    RETURNS (FrozenSet[str]): The forms. `str.casefold` ignores case: "Straße" and
        "STRASSE" are both "strasse".

    Raises WnutError as `read_corpus` does.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from spacy.tokens import Doc, DocBin
        >>> from spacy.vocab import Vocab
        >>> from spacy_wnut.corpus.examples import read_surface_forms
        >>> doc = Doc(Vocab(), words=["in", "Oslo"], ents=["O", "B-location"])
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "train.spacy"
        ...     DocBin(docs=[doc]).to_disk(path)
        ...     read_surface_forms(path)
        frozenset({'oslo'})
    """
    # Any language will do: the entities are those of the references.
    return frozenset(
        ent.text.casefold()
        for example in read_corpus(corpus, blank("xx"))
        for ent in example.reference.ents
    )


def _read_posts(corpus: Path, nlp: Language) -> list[Example]:
    found, records = read_file(corpus)
    with redirect_stdout(sys.stderr):
        msg.info(f"{corpus}: format {found.name}")
    rejected = [record for record in records if isinstance(record, Rejection)]
    if rejected:
        raise WnutError(
            f"{len(rejected):,} records can't be read: {list_first(rejected)}. Correct "
            "them, or convert the others with `spacy-wnut convert`"
        )
    posts = [record for record in records if isinstance(record, Post)]
    return [example for post in posts if len((example := _make_example(post, nlp)).y)]


def _make_example(post: Post, nlp: Language) -> Example:
    if problem := post_problem(post):
        raise WnutError(f"{post.where}: {problem}: correct it")
    try:
        words = make_tokens(post, nlp.vocab, nlp)
        keeps_words = words.has_unknown_spaces
        predicted = words.copy() if keeps_words else nlp.make_doc(post.text)
    # A text that is longer than nlp.max_length.
    except ValueError as err:
        raise WnutError(f"{post.where}: {err}") from err
    reference = words if keeps_words else split_tokens(post, words)
    aligned = align_post(post, reference, Alignment())
    if isinstance(aligned, Rejection):
        raise WnutError(str(aligned))
    if aligned.misaligned:
        raise WnutError(
            "spans do not match the boundaries of words: "
            f"{list_first(aligned.misaligned)}. Correct them"
        )
    return Example(predicted, aligned.doc)
