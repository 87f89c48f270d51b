"""Atomic writing of files and folders, and checks of where they may be written."""

import ctypes
import glob
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import WnutError

# Constants of renameat2(2), a system call of Linux.
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or a folder beside `path`, and move it to `path` once it is complete.

    Yields a path that does not exist yet. If the block ends without an exception, the
    file or folder written there replaces `path` and gets its mode. Otherwise it is
    removed, and `path` is unchanged. Symbolic links are followed: the file or folder that
    they point to is replaced. A device, a pipe or `/dev/stdout` is not replaced: the
    finished file is written to it.

    A process that is killed leaves the complete old or the complete new file or folder at
    `path`, and possibly a hidden scratch folder beside it. Linux exchanges two folders in
    one step. Other systems need two renames. If the process is killed between them,
    `path` is missing until the next call for it, which first restores the old folder.

    path (Path): The place of the finished file or folder. Its parent folder is created if
        necessary.
    YIELDS (Path): The path to write to.

    Raises WnutError if a folder would replace a file, or a file a folder.

    Example:
        >>> with replacing(Path("figures.json")) as beside:
        ...     n_characters = beside.write_text("{}")
    """
    if _is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            beside = Path(folder) / path.name
            yield beside
            _send(beside, path)
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _put_back(target)
    # In a scratch folder, so that the name keeps its suffix, which some writers depend
    # on, and no other process uses the same path.
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    beside = scratch / target.name
    try:
        yield beside
        if target.exists():
            _check_same_kind(beside, target)
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        if not target.is_dir():
            beside.replace(target)
        elif not _exchange(beside, target):
            _rename_twice(beside, target, scratch / "old")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check_out(
    out: Path, inputs: Iterable[Path | str], marker: str | None = None
) -> None:
    """Check that a path may be written to, before any work is done.

    out (Path): The file or folder to write.
    inputs (Iterable[Union[Path, str]]): The files and folders that are read. Names of
        models on the hub and of installed pipelines are ignored.
    marker (Optional[str]): For a folder: the file that each folder of its kind contains.
        An existing folder without this file is not replaced.

    Raises WnutError if `out` is one of the inputs, is inside one or contains one, or if
    it is an existing folder of another kind.
    """
    target = Path(os.path.realpath(out))
    for path in inputs:
        if not path or not os.path.exists(path):
            continue
        source = Path(os.path.realpath(path))
        if source == target or _is_same(source, target):
            relation = f"is {path}"
        elif any(_is_same(source, parent) for parent in target.parents):
            relation = f"is inside {path}"
        elif any(_is_same(target, parent) for parent in source.parents):
            relation = f"holds {path}"
        else:
            continue
        raise WnutError(
            f"{out} {relation}, which is read: name another place to write to"
        )
    if marker is None or not target.is_dir() or not any(target.iterdir()):
        return
    if not (target / marker).is_file():
        raise WnutError(
            f"the folder {out} is there and holds other files (it has no {marker}), so "
            "it is not replaced: name another folder, or remove it"
        )
    if Path.cwd() == target or target in Path.cwd().parents:
        raise WnutError(
            f"{out} is the working directory or a folder around it, so it is not "
            "replaced: name another folder"
        )


def _is_same(one: Path, other: Path) -> bool:
    # Not by name, since file systems may ignore letter case.
    return one.exists() and other.exists() and one.samefile(other)


def _is_stream(path: Path) -> bool:
    """Return whether a path is written to in place: a device, a pipe or an open file."""
    if Path(os.path.abspath(path)).parts[1:2] in (("dev",), ("proc",)):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _send(written: Path, path: Path) -> None:
    if written.is_dir():
        raise WnutError(f"{path} is a device or a pipe: name a folder to write to")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Appended, since standard output may be a file with content.
    with written.open("rb") as source, path.open("ab") as sink:
        shutil.copyfileobj(source, sink)


def _check_same_kind(written: Path, target: Path) -> None:
    is_folder = stat.S_ISDIR(written.stat().st_mode)
    if is_folder != target.is_dir():
        there, new = ("file", "folder") if is_folder else ("folder", "file")
        raise WnutError(
            f"{target} is a {there}, which is not replaced by a {new}: name another "
            "place"
        )


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step. Return False where that is not possible."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    # Not on Linux, or with an old C library.
    except (AttributeError, OSError, TypeError):
        return False
    paths = AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other)
    return bool(renameat2(*paths, RENAME_EXCHANGE) == 0)


def _rename_twice(written: Path, target: Path, old: Path) -> None:
    target.rename(old)
    try:
        written.rename(target)
    except BaseException:
        old.rename(target)
        raise


def _put_back(target: Path) -> None:
    """Undo the first rename of a process that was killed before the second one."""
    if target.exists():
        return
    for old in target.parent.glob(f".{glob.escape(target.name)}-*/old"):
        old.rename(target)
        shutil.rmtree(old.parent, ignore_errors=True)
        return
