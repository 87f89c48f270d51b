"""Formats by the suffix of a file."""

import shlex
from pathlib import Path
from typing import NamedTuple

from ..errors import WnutError
from .compression import CODECS, check_codec, codec_of

INPUTS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
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
# Delimiters of columns, by format.
DELIMITERS = {"csv": ",", "tsv": "\t"}
# Fields that records have by their format, and so can't be those of the entities.
TAKEN = {"txt": {"text"}, "conll": {"text", "tokens", "tags"}}
OTHER = "other_fields"
# What to do with other kinds of files.
CONVERT = {
    ".zip": "unpack it, as with unzip -p {} | spacy-wnut annotate MODEL - OUTPUT",
    ".tar": "unpack it, as with tar -xO -f {} | spacy-wnut annotate MODEL - OUTPUT",
    ".tgz": "unpack it, as with tar -xO -f {} | spacy-wnut annotate MODEL - OUTPUT",
    ".json": "make one line of each record, as with jq -c '.[]' {} | spacy-wnut "
    "annotate MODEL - OUTPUT, or use --input-format jsonl if there is one per line",
    ".xlsx": "save the table as .csv",
    ".xls": "save the table as .csv",
}
# Names of open files, which may lead to any kind of file.
OPEN_FILES = ("/dev/std", "/dev/fd/", "/proc/")


class Format(NamedTuple):
    """The name of a format, and the compression of the file or ""."""

    name: str
    codec: str = ""


def input_format(path: str, given: str | None) -> Format:
    """The format of an input: the one that is given, or else its suffix's.

    Raises WnutError if it is unknown.
    """
    if path != "-" and Path(path).is_dir():
        raise WnutError(
            f"{path} is a folder: annotate its files one by one, join them on standard "
            f"input (cat {path}/*.jsonl | spacy-wnut annotate MODEL - OUTPUT), or use "
            "--engine ray"
        )
    format_ = _find(path, given, INPUTS, "--input-format")
    if format_.name == "parquet" and format_.codec:
        raise WnutError(
            f"{path} can't be read as parquet while it is compressed: decompress it "
            f"first, with {CODECS[format_.codec].command} {shlex.quote(path)} > FILE"
        )
    return format_


def output_format(path: str, given: str | None) -> Format:
    """The format of an output: the one that is given, or else its suffix's.

    Raises WnutError if it is unknown, or can't be compressed as the suffix tells.
    """
    format_ = _find(path, given, OUTPUTS, "--output-format")
    if format_.codec and format_.name not in ("jsonl", "conll"):
        raise WnutError(
            f"{format_.name} is compressed already: name the output without "
            f"{CODECS[format_.codec].suffix}"
        )
    check_codec(format_.codec)
    return format_


def is_stream(path: str) -> bool:
    """Whether a path is standard input or output, a pipe or a device: something that
    is read or written from start to end, and has no place in a folder of its own.
    """
    if path == "-" or path.startswith(OPEN_FILES):
        return True
    return Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir())


def _find(path: str, given: str | None, known: dict[str, str], option: str) -> Format:
    codec = codec_of(path)
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if codec:
        suffixes = suffixes[:-1]
    if given is not None:
        if given not in known.values():
            names = ", ".join(dict.fromkeys(known.values()))
            raise WnutError(f"{option} {given!r} is unknown: the formats are {names}")
        return Format(given, codec)
    name = known.get(suffixes[-1] if suffixes else "")
    if name is None and is_stream(path):
        return Format("jsonl")
    if name is None and known is INPUTS and suffixes and suffixes[-1] in CONVERT:
        advice = CONVERT[suffixes[-1]].format(shlex.quote(path))
        raise WnutError(f"{path} has none of the formats that can be read: {advice}")
    if name is None:
        packed = ", ".join(facts.suffix for facts in CODECS.values())
        raise WnutError(
            f"the format of {path} can't be told by its name, which ends with none of "
            f"{', '.join(known)} (compressed: {packed} after it). Name its format with "
            f"{option} if it is one of these; otherwise convert it first"
        )
    return Format(name, codec)


def find_delimiter(format_: str, delimiter: str | None) -> str | None:
    """The delimiter that is given for the columns of a format, or None for its own.

    Raises WnutError if it can't be used.
    """
    if delimiter is None:
        return None
    if format_ not in DELIMITERS:
        raise WnutError(
            f"--delimiter is for {' and '.join(DELIMITERS)}, and the input is "
            f"{format_}: leave it out, or correct --input-format"
        )
    # As one types it without a shell's special quotes.
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise WnutError(
            f"--delimiter {delimiter!r} can't be used: give one character, as ';', or "
            "'\\t' for tabs"
        )
    return delimiter


def check_names(source: Format, text_field: str, entities_field: str) -> None:
    """Raises WnutError if the field of the entities is one of the record's."""
    taken = {OTHER, *TAKEN.get(source.name, {text_field})}
    if entities_field in taken:
        raise WnutError(
            f"the entities can't go to the field {entities_field!r}, which holds "
            "something else: name another one with --entities-field"
        )
