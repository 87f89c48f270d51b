"""Doccano: JSON Lines for projects of sequence labelling."""

from typing import Any

from ..records import Found
from .tools import TEXT, ToolWriter


class DoccanoWriter(ToolWriter):
    """Writes `text`, the entities in `label` as `[start, end, type]`, and all other
    fields, which Doccano imports as metadata. Labels of Doccano have no score, so the
    confidences are in a field of their own, in the same order.
    """

    added = (TEXT, "label", "confidences")

    def to_task(
        self, text: str, fields: dict[str, Any], found: Found
    ) -> dict[str, Any]:
        """Return the object of a record."""
        return {
            TEXT: text,
            "label": [[e["start"], e["end"], e["label"]] for e in found.entities],
            "confidences": [e["confidence"] for e in found.entities],
            **fields,
        }
