"""spaCy's tokenizer for pipelines that are only loaded."""

from collections.abc import Callable

from spacy.language import Language
from spacy.tokenizer import Tokenizer  # type: ignore[import-not-found]


def create_stored_tokenizer() -> Callable[[Language], Tokenizer]:
    """Create spaCy's tokenizer without rules, for the rules that are stored with the
    pipeline.

    `spacy.Tokenizer.v1` starts with the rules of the language, which loading replaces. An
    English pipeline would set 1,347 exceptions twice.

    RETURNS (Callable[[Language], Tokenizer]): Makes the tokenizer of a pipeline.
    """

    def create(nlp: Language) -> Tokenizer:
        return Tokenizer(nlp.vocab)

    return create
