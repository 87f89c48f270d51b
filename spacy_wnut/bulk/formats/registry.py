"""The formats of `annotate`, and the format of a file by its suffix."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...compression import CODECS, check_codec, codec_of
from ...corpus.layout import Columns
from ...errors import WnutError
from ..offsets import CODE_POINTS, UTF16
from ..records import OTHER_FIELDS, Record
from ..settings import ENTITIES_FIELD, Settings
from ..sources import Input, Source, TextSource
from ..writer import Writer
from .conll import ConllWriter, read_conll_posts
from .csv import read_csv
from .doccano import DoccanoWriter
from .jsonl import JsonlWriter, read_jsonl
from .label_studio import LabelStudioWriter
from .prodigy import ProdigyWriter
from .txt import TEXT_FIELD, read_txt

DELIMITER = "--delimiter"
COLUMNS = ("--token-column", "--tag-column")
# Advice for files of other kinds.
CONVERT = {
    ".zip": "unpack it, as with unzip -p {} | spacy-wnut annotate MODEL - OUTPUT",
    ".tar": "unpack it, as with tar -xO -f {} | spacy-wnut annotate MODEL - OUTPUT",
    ".tgz": "unpack it, as with tar -xO -f {} | spacy-wnut annotate MODEL - OUTPUT",
    ".json": "make one line of each record, as with jq -c '.[]' {} | spacy-wnut "
    "annotate MODEL - OUTPUT, or use --input-format jsonl if there is one per line",
    ".xlsx": "save the table as .csv",
    ".xls": "save the table as .csv",
}
# Names of open files, which can be of any kind.
OPEN_FILES = ("/dev/std", "/dev/fd/", "/proc/")


@dataclass(frozen=True)
class Format:
    """A file format.

    name (str): The name for --input-format and --output-format.
    suffixes (Tuple[str, ...]): The suffixes of its files, in lower case.
    open (Optional[Callable[[Input], Source]]): Opens an input; None for a format that
        is only written.
    writer (Optional[Callable[[Settings, str, Any], Writer]]): Makes a writer from the
        settings, the compression and the columns of a table; None for a format that is
        only read.
    is_text (bool): Whether files are text, which can be compressed, be in another
        encoding and be written to a stream.
    has_schema (bool): Whether a file has one set of columns, known before writing.
    fields (Tuple[str, ...]): The names of the fields of all records, if the format
        determines them. The first is the text.
    options (Tuple[str, ...]): The options of the command that are for this format only.
    delimiter (str): The default delimiter of its columns, or "".
    offsets (Tuple[str, ...]): The units that offsets can have in an output.
    added (Tuple[str, ...]): The fields that an output adds to records, if their names
        cannot be changed. Otherwise it adds the field of the entities.
    """

    name: str
    suffixes: tuple[str, ...]
    open: Callable[[Input], Source] | None = None
    writer: Callable[[Settings, str, Any], Writer] | None = None
    is_text: bool = True
    has_schema: bool = False
    fields: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    delimiter: str = ""
    offsets: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def _text(read: Callable[[BinaryIO, Input], Iterator[Record]]) -> Callable[..., Source]:
    return partial(TextSource, parse=read)


# Imported late: pyarrow, which parquet needs, is optional, and spaCy, which docbin
# needs, takes seconds.
def _open_parquet(source: Input) -> Source:
    from .parquet import ParquetSource

    return ParquetSource(source)


def _parquet_writer(settings: Settings, codec: str, schema: Any) -> Writer:
    from .parquet import ParquetWriter

    return ParquetWriter(settings, codec, schema)


def _docbin_writer(settings: Settings, codec: str, schema: Any) -> Writer:
    from .docbin import DocBinWriter

    return DocBinWriter(settings, codec, schema)


UNITS = (CODE_POINTS, UTF16)
JSONL = Format(
    "jsonl", (".jsonl", ".ndjson"), _text(read_jsonl), JsonlWriter, offsets=UNITS
)
PARQUET = Format(
    "parquet",
    (".parquet",),
    _open_parquet,
    _parquet_writer,
    is_text=False,
    has_schema=True,
    offsets=UNITS,
)
FORMATS = (
    JSONL,
    Format("csv", (".csv",), _text(read_csv), options=(DELIMITER,), delimiter=","),
    Format("tsv", (".tsv",), _text(read_csv), options=(DELIMITER,), delimiter="\t"),
    PARQUET,
    Format("txt", (".txt",), _text(read_txt), fields=(TEXT_FIELD,)),
    Format(
        "conll",
        (".conll",),
        _text(read_conll_posts),
        ConllWriter,
        fields=(TEXT_FIELD, "tokens", "tags"),
        options=COLUMNS,
    ),
    Format("docbin", (".spacy",), writer=_docbin_writer, is_text=False),
    # Formats of annotation tools. Doccano and Prodigy count code points. So does Label
    # Studio; its versions from before 2022 counted UTF-16 code units.
    Format(
        "doccano",
        (),
        writer=DoccanoWriter,
        offsets=(CODE_POINTS,),
        added=DoccanoWriter.added,
    ),
    Format(
        "label-studio",
        (),
        writer=LabelStudioWriter,
        offsets=UNITS,
        added=LabelStudioWriter.added,
    ),
    Format(
        "prodigy",
        (),
        writer=ProdigyWriter,
        offsets=(CODE_POINTS,),
        added=ProdigyWriter.added,
    ),
)


class FileType(NamedTuple):
    """The format of a file, and its compression or ""."""

    format: Format
    codec: str = ""


def input_type(path: str, given: str | None) -> FileType:
    """Find the format of an input.

    path (str): The file, or "-" for standard input.
    given (Optional[str]): The name of the format. By default the suffix determines it.

    Raises WnutError if the format is unknown or cannot be read.
    """
    if path != "-" and Path(path).is_dir():
        raise WnutError(
            f"{path} is a folder: annotate its files one by one, join them on standard "
            f"input (cat {path}/*.jsonl | spacy-wnut annotate MODEL - OUTPUT), or use "
            "--engine ray"
        )
    readable = [format_ for format_ in FORMATS if format_.open]
    found = _find(path, given, readable, "--input-format", CONVERT)
    if found.codec and not found.format.is_text:
        raise WnutError(
            f"{path} can't be read as {found.format.name} while it is compressed: "
            f"decompress it first, with {CODECS[found.codec].command} "
            f"{shlex.quote(path)} > FILE"
        )
    return found


def output_type(path: str, given: str | None) -> FileType:
    """Find the format of an output.

    path (str): The file, or "-" for standard output.
    given (Optional[str]): The name of the format. By default the suffix determines it.

    Raises WnutError if the format is unknown or cannot be written, or cannot be
    compressed as the suffix says.
    """
    writable = [format_ for format_ in FORMATS if format_.writer]
    found = _find(path, given, writable, "--output-format", {})
    if found.codec and not found.format.is_text:
        raise WnutError(
            f"{found.format.name} is compressed already: name the output without "
            f"{CODECS[found.codec].suffix}"
        )
    check_codec(found.codec)
    return found


def is_stream(path: str) -> bool:
    """Return whether a path is standard input or output, a pipe or a device. A stream is
    read or written from start to end, and nothing can be stored beside it.
    """
    if path == "-" or path.startswith(OPEN_FILES):
        return True
    return Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir())


def _find(
    path: str,
    given: str | None,
    formats: list[Format],
    option: str,
    advice: dict[str, str],
) -> FileType:
    codec = codec_of(path)
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if codec:
        suffixes = suffixes[:-1]
    if given is not None:
        for format_ in formats:
            if format_.name == given:
                return FileType(format_, codec)
        names = ", ".join(format_.name for format_ in formats)
        raise WnutError(f"{option} {given!r} is unknown: the formats are {names}")
    suffix = suffixes[-1] if suffixes else ""
    for format_ in formats:
        if suffix in format_.suffixes:
            return FileType(format_, codec)
    if is_stream(path):
        return FileType(JSONL)
    if suffix in advice:
        raise WnutError(
            f"{path} has none of the formats that can be read: "
            f"{advice[suffix].format(shlex.quote(path))}"
        )
    known = ", ".join(suffix for format_ in formats for suffix in format_.suffixes)
    packed = ", ".join(facts.suffix for facts in CODECS.values())
    raise WnutError(
        f"the format of {path} can't be told by its name, which ends with none of "
        f"{known} (compressed: {packed} after it). Name its format with {option} if it "
        "is one of these; otherwise convert it first"
    )


def find_delimiter(format_: Format, delimiter: str | None) -> str:
    """Return the delimiter of the columns of a file.

    format_ (Format): The format of the file.
    delimiter (Optional[str]): The value of --delimiter. By default that of the format.

    Raises WnutError if the delimiter is not one character, or the format has none.
    """
    if delimiter is None:
        return format_.delimiter
    _check_option(format_, DELIMITER)
    # A tab as it is typed in most shells.
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise WnutError(
            f"--delimiter {delimiter!r} can't be used: give one character, as ';', or "
            "'\\t' for tabs"
        )
    return delimiter


def check_columns_option(format_: Format, columns: Columns) -> None:
    """Check the columns of words and tags that the user names.

    Raises WnutError if the format has no such columns.
    """
    for option, column in zip(COLUMNS, (columns.token, columns.tag), strict=True):
        if column is not None:
            _check_option(format_, option)


def check_names(format_: Format, text_field: str, entities_field: str) -> None:
    """Check the name of the field for the entities.

    Raises WnutError if it is the name of another field.
    """
    if entities_field in {OTHER_FIELDS, *(format_.fields or (text_field,))}:
        raise WnutError(
            f"the entities can't go to the field {entities_field!r}, which holds "
            "something else: name another one with --entities-field"
        )


def check_output_options(format_: Format, settings: Settings) -> None:
    """Check the options on entities against the format of the output.

    Raises WnutError if the format has no such offsets, or no field for the entities
    with a name that can be chosen.
    """
    if settings.offsets != CODE_POINTS and settings.offsets not in format_.offsets:
        why = "counts code points" if format_.offsets else "has no character offsets"
        names = ", ".join(f.name for f in FORMATS if settings.offsets in f.offsets)
        raise WnutError(
            f"--offsets {settings.offsets} is for the outputs {names}, and "
            f"{format_.name} {why}: leave it out"
        )
    if format_.added and settings.entities_field != ENTITIES_FIELD:
        raise WnutError(
            f"--entities-field can't be chosen for {format_.name}, whose fields are "
            f"{', '.join(format_.added)}: leave it out"
        )


def check_unescape(format_: Format, settings: Settings) -> None:
    """Check that the texts of an input can be unescaped.

    Raises WnutError if the input has words instead of texts.
    """
    if settings.unescape and COLUMNS[0] in format_.options:
        raise WnutError(
            f"--unescape is for texts, and {format_.name} has words: leave it out, or "
            "unescape the words of the input"
        )


def _check_option(format_: Format, option: str) -> None:
    if option not in format_.options:
        names = " and ".join(f.name for f in FORMATS if option in f.options)
        raise WnutError(
            f"{option} is for {names}, and the input is {format_.name}: leave it out, or "
            "correct --input-format"
        )
