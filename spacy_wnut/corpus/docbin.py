"""Read annotated posts from a DocBin."""

from pathlib import Path

from spacy import blank
from spacy.language import Language
from spacy.training import Corpus, Example

from ..errors import WnutError


def read_corpus(corpus: Path, nlp: Language) -> list[Example]:
    """Read a DocBin file as examples for a pipeline, nothing predicted yet.

    Raises WnutError if it is no DocBin, or holds no annotation of entities.
    """
    # spaCy's Corpus passes over files with other names without a word.
    if corpus.suffix != ".spacy":
        raise WnutError(
            f"{corpus} is no corpus: give one .spacy file, as `spacy-wnut convert` "
            "writes it"
        )
    if not corpus.is_file():
        raise WnutError(f"there is no file {corpus}: make it with `spacy-wnut convert`")
    try:
        examples = list(Corpus(corpus)(nlp))
    except (KeyError, OSError, TypeError, ValueError) as err:
        raise WnutError(
            f"{corpus} can't be read as a DocBin: {err!r}. Make it with "
            "`spacy-wnut convert`"
        ) from err
    if not any(example.reference.has_annotation("ENT_IOB") for example in examples):
        raise WnutError(
            f"{corpus} holds no docs with entity annotation ({len(examples)} docs): "
            "make it with `spacy-wnut convert` from a file with tags"
        )
    return examples


def read_surface_forms(corpus: Path) -> frozenset[str]:
    """The surface forms of a corpus's entities, casefolded: what training on it has
    seen, for `measures.seen_scores`.

    Raises WnutError as `read_corpus` does.
    """
    # The language is of no matter: entities are read from the references.
    return frozenset(
        ent.text.casefold()
        for example in read_corpus(corpus, blank("xx"))
        for ent in example.reference.ents
    )
