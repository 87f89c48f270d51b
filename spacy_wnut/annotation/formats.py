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
