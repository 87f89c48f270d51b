"""Entities in their text, for a terminal or a pipe."""

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
# A post could otherwise move the cursor or clear the screen.
VISIBLE = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **{code: 0xFFFD for code in range(0x80, 0xA0)},
}


def has_color(stream: TextIO) -> bool:
    """Whether to write colours to a stream: to terminals, unless NO_COLOR
    (https://no-color.org), ANSI_COLORS_DISABLED or TERM=dumb say no.
    """
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
        and supports_ansi()
    )


def annotate(nlp: Language, texts: Iterable[str]) -> Iterator[Doc]:
    """Run a pipeline over texts, one at a time: each is there before the next is
    asked for, so that people can type them.

    Raises WnutError if the pipeline sets no entities, or a text is longer than it
    reads.
    """
    for text in texts:
        if len(text) > nlp.max_length:
            raise WnutError(
                f"a text has {len(text):,} characters, and the pipeline reads no more "
                f"than {nlp.max_length:,}: cut it"
            )
        doc = nlp(text)
        if not doc.has_annotation("ENT_IOB"):
            raise no_entities(nlp)
        yield doc


def format_doc(doc: Doc, in_color: bool) -> str:
    """A doc's text with its entities, their types and confidences.

    doc (Doc): The doc.
    in_color (bool): Whether to mark entities by colours, or by brackets:
        `in [New York](location 0.95)`.
    RETURNS (str): What to print. Control characters of the text are shown by the
        signs that stand for them.
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
