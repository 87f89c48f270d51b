"""Formats by the suffix of a file."""

from pathlib import Path
from typing import NamedTuple

from ..errors import WnutError

INPUTS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".txt": "txt",
    ".conll": "conll",
}
OUTPUTS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".spacy": "docbin",
    ".conll": "conll",
}


# Fields that records have by their format, and so can't be those of the entities.
TAKEN = {"txt": {"text"}, "conll": {"text", "tokens", "tags"}}
OTHER = "other_fields"


class Format(NamedTuple):
    """A format's name, and whether the file is gzipped."""

    name: str
    is_gzipped: bool


def input_format(path: str, given: str | None) -> Format:
    """The format of an input: the one that is given, or else its suffix's.

    Raises WnutError if it is unknown.
    """
    return _find(path, given, INPUTS, "--input-format")


def output_format(path: str, given: str | None) -> Format:
    """The format of an output: the one that is given, or else its suffix's.

    Raises WnutError if it is unknown.
    """
    return _find(path, given, OUTPUTS, "--output-format")


def _find(path: str, given: str | None, known: dict[str, str], option: str) -> Format:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    is_gzipped = suffixes[-1:] == [".gz"]
    if is_gzipped:
        suffixes.pop()
    if given is not None:
        if given not in known.values():
            names = ", ".join(dict.fromkeys(known.values()))
            raise WnutError(f"{option} {given!r} is unknown: the formats are {names}")
        return Format(given, is_gzipped)
    if path == "-":
        return Format("jsonl", False)
    name = known.get(suffixes[-1] if suffixes else "")
    if name is None:
        raise WnutError(
            f"the format of {path} can't be told by its name: it ends with none of "
            f"{', '.join(known)}. Rename it, or name its format with {option}"
        )
    return Format(name, is_gzipped)


def check_names(source: Format, text_field: str, entities_field: str) -> None:
    """Raises WnutError if the field of the entities is one of the record's."""
    taken = {OTHER, *TAKEN.get(source.name, {text_field})}
    if entities_field in taken:
        raise WnutError(
            f"the entities can't go to the field {entities_field!r}, which holds "
            "something else: name another one with --entities-field"
        )
