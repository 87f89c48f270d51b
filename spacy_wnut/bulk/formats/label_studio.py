"""Label Studio: a JSON list of tasks with predictions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...compression import compress
from ..records import Chunk, Found
from .tools import TEXT, ToolWriter

# The names of the tags in Label Studio's template for named entities:
# <Labels name="label" toName="text"> and <Text name="text" value="$text"/>.
FROM_NAME, TO_NAME = "label", "text"


class LabelStudioWriter(ToolWriter):
    """Writes a task per record: the fields in `data`, with the text in `data.text`, and
    the entities in `predictions`.

    Label Studio does not import JSON Lines, so the file is a list with one task per
    line. The segments have the tasks without brackets and commas.
    """

    is_plain = False
    added = (TEXT,)

    def to_task(
        self, text: str, fields: dict[str, Any], found: Found
    ) -> dict[str, Any]:
        """Return the task of a record."""
        prediction: dict[str, Any] = {
            "model_version": Path(self.settings.model).absolute().name,
            "result": [_to_result(i, e) for i, e in enumerate(found.entities)],
        }
        scores = [
            e["confidence"] for e in found.entities if e["confidence"] is not None
        ]
        if scores:
            # The most doubtful entity decides about the order of review.
            prediction["score"] = min(scores)
        return {"data": {TEXT: text, **fields}, "predictions": [prediction]}

    def encode(self, chunk: Chunk, found: Mapping[int, Found]) -> bytes:
        """Return the segment of a chunk: its tasks, one per line."""
        return self._encode(chunk, found).encode("utf8")

    def join(self, segments: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the pieces of a list of the tasks of all segments."""
        mark = b"[\n"
        for segment in segments:
            if segment:
                # JSON escapes line breaks within a task.
                tasks = segment.removesuffix(b"\n").replace(b"\n", b",\n")
                yield compress(mark + tasks, self.codec)
                mark = b",\n"
        yield compress(b"[]\n" if mark == b"[\n" else b"\n]\n", self.codec)

    def assemble(self, segments: Iterator[bytes], path: Path) -> None:
        """Write the list of the tasks of all segments."""
        with path.open("wb") as file:
            file.writelines(self.join(segments))

    def _ends_record(self, line: bytes) -> bool:
        return line.startswith(b"{")


def _to_result(index: int, entity: dict[str, Any]) -> dict[str, Any]:
    value = {name: entity[name] for name in ("start", "end", "text")}
    result = {
        "id": f"entity-{index + 1}",
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "type": "labels",
        "value": {**value, "labels": [entity["label"]]},
    }
    if entity["confidence"] is not None:
        result["score"] = entity["confidence"]
    return result
