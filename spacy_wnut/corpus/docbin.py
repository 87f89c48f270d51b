"""Readers of annotated posts in a DocBin file."""

from pathlib import Path

from spacy import blank
from spacy.language import Language
from spacy.training import Corpus, Example

from ..errors import WnutError
from ..inputs import check_corpus


def read_corpus(corpus: Path, nlp: Language) -> list[Example]:
    """Read a DocBin file as examples without predictions.

    corpus (Path): The DocBin file, with the suffix .spacy.
    nlp (Language): The pipeline whose vocabulary and tokenizer are used.
    RETURNS (List[Example]): The examples.

    Raises WnutError if the file is missing, is not a DocBin, or has no entity
    annotation.
    """
    check_corpus(corpus)
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
    """Read the casefolded surface forms of the entities in a corpus.

    `scoring.measures.seen_scores` takes the forms of the training data to score names
    that were seen in training and unseen names separately.

    corpus (Path): The DocBin file, with the suffix .spacy.
    RETURNS (FrozenSet[str]): The forms. `str.casefold` ignores case: "Straße" and
        "STRASSE" are both "strasse".

    Raises WnutError if the file is missing, is not a DocBin, or has no entity
    annotation.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from spacy.tokens import Doc, DocBin
        >>> from spacy.vocab import Vocab
        >>> from spacy_wnut.corpus.docbin import read_surface_forms
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
