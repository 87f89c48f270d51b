"""Text output of docs with their entities, for terminals and pipes."""

import os
from collections.abc import Iterable, Iterator
from typing import TextIO

from spacy.language import Language
from spacy.tokens import Doc, Span
from wasabi.util import color, supports_ansi

from ..errors import WnutError
from ..pipeline.loading import no_entities
from ..scoring.examples import confidence_of
from .colors import terminal_color

BLACK = 16
# Control characters are replaced by symbols: a post could move the cursor or clear the
# screen.
VISIBLE = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **{code: 0xFFFD for code in range(0x80, 0xA0)},
}


def has_color(stream: TextIO) -> bool:
    """Return whether a stream should get colours.

    stream (TextIO): The stream.
    RETURNS (bool): True for a terminal, unless NO_COLOR (https://no-color.org),
        ANSI_COLORS_DISABLED or TERM=dumb is set.
    """
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
        and supports_ansi()
    )


def annotate(nlp: Language, texts: Iterable[str]) -> Iterator[Doc]:
    """Run a pipeline on texts, one at a time.

    Each doc is yielded before the next text is requested, for interactive input.

    nlp (Language): The pipeline.
    texts (Iterable[str]): The texts.
    YIELDS (Doc): The docs.

    Raises WnutError if the pipeline sets no entities, or if a text is longer than
    `nlp.max_length` characters.
    """
    for text in texts:
        if len(text) > nlp.max_length:
            raise WnutError(
                f"a text has {len(text):,} characters, but the pipeline accepts no more "
                f"than {nlp.max_length:,}: split it"
            )
        doc = nlp(text)
        if not doc.has_annotation("ENT_IOB"):
            raise no_entities(nlp)
        yield doc


def format_doc(doc: Doc, in_color: bool) -> str:
    """Format the text of a doc with its entities, their types and confidences.

    doc (Doc): The doc.
    in_color (bool): Whether to mark entities with colours instead of brackets.
    RETURNS (str): The text. Control characters other than tabs and line breaks are
        replaced by visible symbols.

    Example:
        >>> from spacy.tokens import Doc
        >>> from spacy.vocab import Vocab
        >>> from spacy_wnut.display.terminal import format_doc
        >>> doc = Doc(Vocab(), words=["in", "Oslo"], ents=["O", "B-location"])
        >>> format_doc(doc, in_color=False)
        'in [Oslo](location) '
    """
    parts, offset = [], 0
    for ent in doc.ents:
        parts.append(_visible(doc.text[offset : ent.start_char]))
        parts.append(_format_entity(ent, in_color))
        offset = ent.end_char
    parts.append(_visible(doc.text[offset:]))
    return "".join(parts)


def _format_entity(ent: Span, in_color: bool) -> str:
    text, label = _visible(ent.text), _visible(ent.label_)
    confidence = confidence_of(ent)
    if confidence is not None:
        label = f"{label} {confidence:.2f}"
    if not in_color:
        return f"[{text}]({label})"
    own = terminal_color(ent.label_)
    return color(f" {text} ", fg=BLACK, bg=own) + color(f" {label} ", fg=own, bold=True)


def _visible(text: str) -> str:
    return text.translate(VISIBLE)
