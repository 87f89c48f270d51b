"""spaCy's tokenizer for pipelines that are loaded, never begun."""

from collections.abc import Callable

from spacy.language import Language
from spacy.tokenizer import Tokenizer  # type: ignore[import-not-found]


def create_stored_tokenizer() -> Callable[[Language], Tokenizer]:
    """spaCy's tokenizer, with the rules that are stored with the pipeline and none
    before.

    `spacy.Tokenizer.v1` begins with those of the language, and loading the pipeline
    replaces all of them: an English one sets 1,347 exceptions twice.
    """

    def create(nlp: Language) -> Tokenizer:
        return Tokenizer(nlp.vocab)

    return create
