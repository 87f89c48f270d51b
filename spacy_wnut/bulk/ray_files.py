"""Input and output files of the Ray engine, in any file system of pyarrow: local, s3://,
gs://, hdfs://.
"""

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as pa_dataset  # type: ignore[import-untyped]
import pyarrow.fs as pa_fs  # type: ignore[import-untyped]

from ..compression import CODECS
from ..errors import WnutError

LINES = (".jsonl", ".ndjson")
SUCCESS = "_SUCCESS"


@dataclass(frozen=True)
class File:
    """A file: its file system, its path in it, and its URI for Ray."""

    filesystem: Any
    path: str
    uri: str


def list_files(place: str) -> list[File]:
    """List the files of an input in the order of their names.

    place (str): A file or folder.
    RETURNS (List[File]): Its files, either all .parquet or all .jsonl.

    Raises WnutError if it does not exist, or has none or both of these.
    """
    filesystem, path = _filesystem(place)
    info = filesystem.get_file_info(path)
    if info.type == pa_fs.FileType.NotFound:
        raise WnutError(f"{place} isn't there: give a file or a folder of posts")
    found = [path]
    if info.type == pa_fs.FileType.Directory:
        inside = filesystem.get_file_info(pa_fs.FileSelector(path, recursive=True))
        found = sorted(one.path for one in inside if one.is_file)
    # By convention, files with such names are not data.
    found = [p for p in found if not posixpath.basename(p).startswith(("_", "."))]
    tables = [p for p in found if p.endswith(".parquet")]
    packed = tuple(end + codec.suffix for end in LINES for codec in CODECS.values())
    lines = [p for p in found if p.lower().endswith((*LINES, *packed))]
    if bool(tables) == bool(lines):
        raise WnutError(
            f"{place} holds {len(tables)} files of .parquet and {len(lines)} of .jsonl: "
            "--engine ray needs files of one of them"
        )
    scheme = place.partition("://")[0] + "://" if "://" in place else ""
    return [File(filesystem, path, scheme + path) for path in tables or lines]


def _filesystem(place: str) -> tuple[Any, str]:
    if "://" not in place:
        return pa_fs.LocalFileSystem(), str(Path(place).resolve())
    try:
        filesystem, path = pa_fs.FileSystem.from_uri(place)
    except (OSError, pa.ArrowException) as err:
        raise WnutError(f"{place} can't be reached: {err}") from err
    return filesystem, str(path).rstrip("/")


def clear_output(output: str, overwrite: bool) -> None:
    """Remove the output of an earlier run if `overwrite` is set.

    Raises WnutError if the folder has other files, or has an output and `overwrite` is not
    set.
    """
    filesystem, path = _filesystem(output)
    if filesystem.get_file_info(path).type == pa_fs.FileType.File:
        raise WnutError(f"{output} is a file: --engine ray writes to a folder")
    selector = pa_fs.FileSelector(path, recursive=True, allow_not_found=True)
    inside = filesystem.get_file_info(selector)
    if inside and not overwrite:
        raise WnutError(
            f"{output} isn't empty: give another folder, or replace what is in it "
            "with --overwrite"
        )
    beside = f"{path}.rejected.jsonl"
    has_rejected = filesystem.get_file_info(beside).type != pa_fs.FileType.NotFound
    if has_rejected and not overwrite:
        raise WnutError(
            f"{output.rstrip('/')}.rejected.jsonl is there already: give another "
            "folder, or replace it with --overwrite"
        )
    others = [
        one.base_name
        for one in inside
        if one.base_name != SUCCESS and not one.base_name.endswith(".parquet")
    ]
    if others:
        raise WnutError(
            f"{output} holds more than an earlier run wrote ({others[0]}), so it "
            "isn't replaced: give another folder"
        )
    if inside:
        filesystem.delete_dir_contents(path)
    if has_rejected:
        filesystem.delete_file(beside)


def finish_output(
    output: str, rejected: Sequence[str], read: int, unselected: int = 0
) -> int:
    """Check that no record is missing, write the rejected records, and mark the output as
    complete.

    output (str): The folder.
    rejected (Sequence[str]): The rejected records, as lines of JSON.
    read (int): The number of records in the input.
    unselected (int): The number of records that are not selected.
    RETURNS (int): The number of annotated records.

    Raises WnutError if records are missing.
    """
    filesystem, path = _filesystem(output)
    filesystem.create_dir(path, recursive=True)
    written = pa_dataset.dataset(path, filesystem=filesystem, format="parquet")
    annotated = int(written.count_rows())
    if annotated + len(rejected) + unselected != read:
        raise WnutError(
            f"{read} records were read, but {annotated} are in {output} and "
            f"{len(rejected)} were rejected, and {unselected} were not selected. This is "
            "a bug: please report it"
        )
    if rejected:
        with filesystem.open_output_stream(f"{path}.rejected.jsonl") as stream:
            for line in sorted(rejected, key=_place):
                stream.write(line.encode("utf8") + b"\n")
    with filesystem.open_output_stream(posixpath.join(path, SUCCESS)):
        pass
    return annotated


def _place(line: str) -> tuple[str, int]:
    where = json.loads(line)
    return where.get("file", ""), where.get("line", 0)
