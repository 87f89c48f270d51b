"""Prodigy: JSON Lines of tasks with spans and tokens."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ..records import Found, token_places
from .tools import TEXT, ToolWriter


class ProdigyWriter(ToolWriter):
    """Writes `text`, the tokens of the pipeline in `tokens`, the entities in `spans`, and
    all other fields. The last token of a span is inclusive.
    """

    added = (TEXT, "spans", "tokens")

    def objection(self, found: Found) -> str:
        """Return the reason why Prodigy cannot show a record, or ""."""
        tokens = pairwise(found.tokens or ())
        if any(one[1] > other[0] for one, other in tokens):
            return "two tokens share one escape, which Prodigy can't show"
        return ""

    def to_task(
        self, text: str, fields: dict[str, Any], found: Found
    ) -> dict[str, Any]:
        """Return the task of a record."""
        # The tokens of a CoNLL file are those of the pipeline.
        fields.pop("tokens", None)
        return {
            TEXT: text,
            "spans": list(_to_spans(found)),
            "tokens": list(_to_tokens(text, found)),
            **fields,
        }


def _to_spans(found: Found) -> Iterator[dict[str, Any]]:
    for entity, (start, end) in zip(found.entities, found.spans, strict=True):
        span = {name: entity[name] for name in ("start", "end", "label", "text")}
        span |= {"token_start": start, "token_end": end - 1}
        if entity["confidence"] is not None:
            span["score"] = entity["confidence"]
        yield span


def _to_tokens(text: str, found: Found) -> Iterator[dict[str, Any]]:
    for i, (start, end) in enumerate(token_places(found)):
        token = {"text": text[start:end], "start": start, "end": end, "id": i}
        yield {**token, "ws": found.spaces[i]}
