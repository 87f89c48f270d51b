"""Formats of annotation tools: one JSON object per record, with the tool's own fields."""

from collections.abc import Mapping
from typing import Any

from ..records import Chunk, Found, count_nulls, to_json
from ..writer import Writer

TEXT = "text"


class ToolWriter(Writer):
    """Writes one line of JSON per record, with the text in the field `text`."""

    def count_nulls(self, chunk: Chunk, found: Mapping[int, Found]) -> int:
        """Count the numbers that are written as null."""
        fields = chunk.fields() if found else []
        return sum(count_nulls(fields[i]) for i in found)

    def to_task(
        self, text: str, fields: dict[str, Any], found: Found
    ) -> dict[str, Any]:
        """Return the object of a record.

        text (str): The text of the record.
        fields (Dict[str, Any]): Its other fields. A text in a nested field is in them,
            too.
        found (Found): Its entities and tokens.
        """
        raise NotImplementedError

    def _encode(self, chunk: Chunk, found: Mapping[int, Found]) -> str:
        fields = chunk.fields() if found else []
        lines = []
        for i, one in found.items():
            others = dict(fields[i])
            others.pop(self.settings.text_field, None)
            lines.append(to_json(self.to_task(chunk.records[i].text, others, one)))
            lines.append("\n")
        return "".join(lines)
