"""The formats of annotated data, and the format of a file by its content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ...compression import CODECS, codec_of, detect
from ...errors import WnutError
from ..json_values import kind_of
from ..posts import Post, Rejection
from .annotated import is_annotated, read_annotated
from .columns import read_columns
from .dataset import is_dataset, read_dataset_file
from .doccano import is_doccano, read_doccano
from .gliner import is_gliner, read_gliner
from .json_file import UNICODE_MARKS, JsonRecord, open_content, read_json
from .label_studio import is_label_studio, read_label_studio
from .options import ReadOptions
from .parquet_file import PARQUET_MAGIC, read_rows
from .prodigy import is_prodigy, read_prodigy
from .records import MAX_NAMES
from .spacy_json import is_spacy_json, read_spacy_json

Reader = Callable[[Path, ReadOptions], Iterator[Post | Rejection]]

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson", ".jl")
# Records, and bytes, from which the format of a file is guessed.
SAMPLE = 1000
HEAD = 4096


@dataclass(frozen=True)
class Format:
    """A format of annotated data.

    name (str): The name for --format.
    title (str): Its name for messages and the docs.
    form (str): A short example of a record.
    read (Reader): Reads the posts of a file lazily, in the order of the file. Yields a
        `Rejection` for a record that cannot be converted. Raises WnutError if the file
        as a whole cannot be read.
    matches (Optional[Callable[[Any], bool]]): For formats of JSON and parquet: whether a
        record has the form of this format. No record of a tool matches two formats.
    suffixes (Tuple[str, ...]): The suffixes that determine the format without a look at
        the content, in lower case.
    options (Tuple[str, ...]): The attributes of `ReadOptions` that its reader uses.
    """

    name: str
    title: str
    form: str
    read: Reader
    matches: Callable[[Any], bool] | None = None
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def _read_spacy_docbin(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    # Not imported above, since spaCy takes seconds, and commands check their arguments
    # first.
    from .spacy_docbin import read_spacy_docbin

    return read_spacy_docbin(path, options)


FORMATS = {
    one.name: one
    for one in (
        Format(
            "columns",
            "Columns",
            "Oslo B-location",
            read_columns,
            options=("columns", "scheme"),
            suffixes=(".conll", ".conllu", ".iob", ".iob2", ".bio", ".bmes"),
        ),
        Format(
            "doccano",
            "Doccano",
            '{"text": "in Oslo", "label": [[3, 7, "location"]]}',
            read_doccano,
            is_doccano,
            options=("text_field",),
        ),
        Format(
            "datasets",
            "Datasets",
            '{"tokens": ["in", "Oslo"], "ner_tags": ["O", "B-location"]}',
            read_dataset_file,
            is_dataset,
            options=("scheme", "tokens_column", "tags_column", "label_names"),
        ),
        Format(
            "label-studio",
            "Label Studio",
            '{"data": {"text": "in Oslo"}, "annotations": [{"result": [{"type": '
            '"labels", "value": {"start": 3, "end": 7, "labels": ["location"]}}]}]}',
            read_label_studio,
            is_label_studio,
            options=("text_field",),
        ),
        Format(
            "prodigy",
            "Prodigy",
            '{"text": "in Oslo", "spans": [{"start": 3, "end": 7, "label": '
            '"location"}], "answer": "accept"}',
            read_prodigy,
            is_prodigy,
            options=("text_field",),
        ),
        Format(
            "spacy-json",
            "spaCy in JSON",
            '["in Oslo", {"entities": [[3, 7, "location"]]}]',
            read_spacy_json,
            is_spacy_json,
        ),
        Format(
            "spacy",
            "spaCy's DocBin",
            "a .spacy file",
            _read_spacy_docbin,
            suffixes=(".spacy",),
        ),
        Format(
            "gliner",
            "GLiNER",
            '{"tokenized_text": ["in", "Oslo"], "ner": [[1, 1, "location"]]}',
            read_gliner,
            is_gliner,
        ),
        Format(
            "annotated",
            "`spacy-wnut annotate`",
            '{"text": "in Oslo", "entities": [{"start": 3, "end": 7, "label": '
            '"location"}]}',
            read_annotated,
            is_annotated,
            options=("text_field",),
        ),
    )
}


def find_format(path: Path, given: str | None = None) -> Format:
    """Find the format of a file: by its suffix, or else by its content.

    path (Path): The file. It may be compressed.
    given (Optional[str]): The name of the format, from the user. None to find it.
    RETURNS (Format): The format.

    Raises WnutError if the name is unknown, if the file cannot be read or is empty, or
    if its content has no known format, or several.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from spacy_wnut.corpus.formats.registry import find_format
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "posts.jsonl"
        ...     _ = path.write_text('{"text": "in Oslo", "label": [[3, 7, "place"]]}')
        ...     find_format(path).name
        'doccano'
    """
    if given is not None:
        if given not in FORMATS:
            raise WnutError(
                f"--format {given!r} is unknown: give one of {', '.join(FORMATS)}"
            )
        return FORMATS[given]
    name = path.name.lower()
    for one in FORMATS.values():
        if name.endswith(one.suffixes):
            return one
    with open_content(path) as file:
        head = file.read(HEAD)
    if not head.strip():
        raise WnutError(
            f"{path} is empty: expected annotated posts. If it was downloaded or "
            "exported, do it again"
        )
    if head.startswith(UNICODE_MARKS):
        raise WnutError(f"{path} is in UTF-16 or UTF-32: save it in UTF-8")
    if head.startswith(PARQUET_MAGIC):
        return _format_of(path, _values(islice(read_rows(path), SAMPLE)))
    if b"\0" in head:
        raise _unknown(path, "is a binary file of no known format")
    if codec := codec_of(name):
        name = name.removesuffix(CODECS[codec].suffix)
    values = _read_sample(path, name.endswith(JSON_SUFFIXES))
    if values is not None:
        return _format_of(path, values)
    with path.open("rb") as raw:
        if detect(raw, path.name):
            raise WnutError(
                f"{path} is compressed: decompress it. Only formats of JSON can be read "
                "from compressed files"
            )
    return FORMATS["columns"]


def _read_sample(path: Path, is_json: bool) -> list[Any] | None:
    """Return the first records of a file of JSON, or None for another file.

    path (Path): The file.
    is_json (bool): Whether its name says that it is JSON.
    """
    try:
        sample = list(islice(read_json(path), SAMPLE))
    except WnutError:
        if is_json:
            raise
        return None
    values = _values(sample)
    first = sample[0]
    if isinstance(first, Rejection):
        if is_json and not values:
            raise _unknown(path, f"holds no JSON: its {first.where} {first.reason}")
        return values if is_json else None
    is_read = isinstance(first.value, dict | list)
    return values if is_json or is_read else None


def _values(records: Iterable[JsonRecord | Rejection]) -> list[Any]:
    return [record.value for record in records if isinstance(record, JsonRecord)]


def _format_of(path: Path, values: list[Any]) -> Format:
    """Return the format of the records of a file."""
    found = [
        one
        for one in FORMATS.values()
        if one.matches is not None and any(map(one.matches, values))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        titles = " and that of ".join(one.title for one in found)
        names = " or ".join(f"--format {one.name}" for one in found)
        raise WnutError(f"{path} has the form of {titles}: choose one with {names}")
    first = values[0] if values else None
    problem = f"its first record is {kind_of(first)}"
    if isinstance(first, dict):
        names = ", ".join(map(repr, list(first)[:MAX_NAMES])) or "none"
        problem = f"the fields of its first record are {names}"
    raise _unknown(path, f"is in no known format: {problem}")


def _unknown(path: Path, problem: str) -> WnutError:
    forms = "; ".join(f"{one.name}: {one.form}" for one in FORMATS.values())
    return WnutError(
        f"{path} {problem}. The known formats, and how their records look: {forms}. Name "
        "the format with --format, or convert the file to one of them"
    )
