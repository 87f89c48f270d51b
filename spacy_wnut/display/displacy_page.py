"""displaCy's page of docs, with confidences."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from spacy import displacy
from spacy.tokens import Doc

from ..files import replacing
from ..scoring.examples import confidence_of
from .colors import make_colors

TEMPLATE = """
<mark class="entity" style="background: {bg}; color: #111; padding: 0.25em 0.5em; margin: 0 0.2em; border-radius: 0.35em;">
    {text}
    <span style="font-size: 0.8em; font-weight: bold; margin-left: 0.4em">{name}</span>
    <span style="font-size: 0.8em">{confidence}</span>
</mark>
"""


def write_page(docs: Iterable[Doc], path: Path) -> int:
    """Write docs and their entities to an HTML page rendered by displaCy.

    docs (Iterable[Doc]): The docs.
    path (Path): The file to write.
    RETURNS (int): The number of docs.
    """
    parsed = [_parse(doc) for doc in docs]
    html = displacy.render(
        parsed,
        style="ent",
        page=True,
        manual=True,
        jupyter=False,
        options={"template": TEMPLATE, "colors": make_colors()},
    )
    # displaCy's page does not declare its encoding, so browsers would guess it.
    html = html.replace("<head>", '<head>\n        <meta charset="utf-8">', 1)
    with replacing(path) as beside:
        beside.write_text(html, encoding="utf8", errors="replace")
    return len(parsed)


def _parse(doc: Doc) -> dict[str, Any]:
    return {
        "text": doc.text,
        "ents": [
            {
                "start": ent.start_char,
                "end": ent.end_char,
                "label": ent.label_,
                # displaCy escapes texts, but not labels.
                "params": {
                    "name": escape(ent.label_),
                    "confidence": _format(confidence_of(ent)),
                },
            }
            for ent in doc.ents
        ],
        "settings": {
            "lang": doc.lang_,
            "direction": doc.vocab.writing_system.get("direction", "ltr"),
        },
    }


def _format(confidence: float | None) -> str:
    return "" if confidence is None else f"{confidence:.2f}"
