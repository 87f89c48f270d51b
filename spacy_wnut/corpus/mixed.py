"""Training on annotated and on softly labelled posts together."""

from collections.abc import Callable, Iterator
from pathlib import Path

from spacy.language import Language
from spacy.training import Corpus, Example


def create_mixed_reader(
    path: Path,
    pseudo_labelled: Path | None = None,
    repeats: int = 1,
    limit: int = 0,
) -> Callable[[Language], Iterator[Example]]:
    """Read annotated posts, and with them posts that `pseudo-label` labelled.

    path (Path): The annotated posts, as for `spacy.Corpus.v1`.
    pseudo_labelled (Optional[Path]): The labelled ones. None for none.
    repeats (int): How often an epoch has each annotated post, where there are others
        to hold their own against; without them, once.
    limit (int): How many pseudo-labelled posts to read; 0 for all.
    """
    annotated = Corpus(path)
    if pseudo_labelled is None:
        return annotated
    others = Corpus(pseudo_labelled, limit=limit)

    def read(nlp: Language) -> Iterator[Example]:
        for _ in range(repeats):
            yield from annotated(nlp)
        yield from others(nlp)

    return read
