"""The docstrings as mkdocstrings reads them: spaCy's form to Google's."""

import re
from typing import Any

import griffe

ENTRY = re.compile(
    r"(?P<names>[a-z_]\w*(?:, \w+)*) \((?P<type>.+?)\): (?P<text>.*)", re.DOTALL
)
RESULT = re.compile(
    r"(?P<word>RETURNS|YIELDS) \((?P<type>.+?)\): (?P<text>.*)", re.DOTALL
)
WORDS = {"RETURNS": "Returns", "YIELDS": "Yields"}


def convert(text: str, title: str) -> str:
    """Bring a docstring into Google's form.

    text (str): With `name (type): text` for each argument, `RETURNS (type): text`,
        continued on indented lines.
    title (str): What the entries are: "Args" or "Attributes".
    """
    lines: list[str] = []
    is_open = False
    for block in re.split(r"\n(?! )", text):
        result = RESULT.fullmatch(block)
        entry = None if result else ENTRY.fullmatch(block)
        if entry:
            if not is_open:
                lines += ["", f"{title}:"]
            lines += [
                _indented(f"{name} ({entry['type']}): {entry['text']}")
                for name in entry["names"].split(", ")
            ]
        elif result:
            lines += [
                "",
                f"{WORDS[result['word']]}:",
                _indented(f"({result['type']}): {result['text']}"),
            ]
        else:
            if is_open and block.strip():
                lines.append("")
            # The one section whose name is another.
            lines.append(re.sub(r"^Example:$", "Examples:", block, flags=re.M))
        is_open = bool(entry)
    return "\n".join(lines)


def _indented(block: str) -> str:
    first, *rest = block.split("\n")
    return "\n".join([f"    {first}", *(f"        {line.strip()}" for line in rest)])


class SpacyDocstrings(griffe.Extension):
    """Converts every docstring that is loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            title = "Attributes" if obj.is_class else "Args"
            obj.docstring.value = convert(obj.docstring.value, title)
