"""`spacy-wnut.MixedCorpus.v1`, a reader of annotated and pseudo-labelled posts."""

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
    """Create a reader of annotated posts and of posts labelled by `pseudo-label`.

    path (Path): The annotated posts, as for `spacy.Corpus.v1`.
    pseudo_labelled (Optional[Path]): The pseudo-labelled posts, or None to read only
        annotated posts.
    repeats (int): The number of times that an epoch includes each annotated post, to
        balance them against the pseudo-labelled ones. It is ignored if there are no
        pseudo-labelled posts.
    limit (int): The maximum number of pseudo-labelled posts, or 0 for no limit.
    RETURNS (Callable[[Language], Iterator[Example]]): The reader.
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
