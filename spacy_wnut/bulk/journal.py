"""The journal of a run, from which it can resume after any interruption.

The folder OUTPUT.partial holds three files. `segments` and `rejected.jsonl` only grow.
`journal.jsonl` has the settings of the run in its first line, and one line per finished
chunk with the state after it (`State`). A chunk is finished once its line is on the
disk: the data of the chunk are synced before. On resuming, data beyond the last line
are cut off, and their chunk is processed again.
"""

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import WnutError
from ..files import replacing
from .records import Chunk
from .writer import Writer

try:
    import fcntl
except ImportError:
    # Windows has no such locks, and concurrent runs are not detected there.
    fcntl = None  # type: ignore[assignment]

JOURNAL, SEGMENTS, REJECTED = "journal.jsonl", "segments", "rejected.jsonl"


class Done(NamedTuple):
    """The result of a chunk.

    segment (bytes): The annotated records in the format of the output.
    rejected (List[str]): The rejected records, as lines of JSON.
    annotated (int): The number of annotated records.
    words (int): The number of their words.
    nulls (int): The number of numbers that were written as null.
    unselected (int): The number of records that were annotated, but not selected.
    """

    segment: bytes
    rejected: list[str]
    annotated: int
    words: int
    nulls: int = 0
    unselected: int = 0


class State(NamedTuple):
    """The state of a run after a chunk.

    read, annotated, rejected (int): Numbers of records.
    words (int): Words of the annotated records.
    segments_size, rejected_size (int): The lengths of the files, in bytes.
    digest (str): The digest of the records read.
    nulls (int): Numbers that were written as null.
    unselected (int): Records that were annotated, but not selected.
    """

    read: int = 0
    annotated: int = 0
    rejected: int = 0
    words: int = 0
    segments_size: int = 0
    rejected_size: int = 0
    digest: str = ""
    nulls: int = 0
    unselected: int = 0


def rejected_path(output: Path) -> Path:
    """Return the file of the rejected records of an output."""
    return output.with_name(output.name + ".rejected.jsonl")


def partial_path(output: Path) -> Path:
    """Return the folder of an unfinished output."""
    return output.with_name(output.name + ".partial")


def check_output(output: Path, resume: bool, overwrite: bool) -> None:
    """Check that an output can be written.

    Raises WnutError if files of other runs or of other kinds are in its place.
    """
    for path in (output, rejected_path(output)):
        if path.is_dir():
            raise WnutError(f"{path} is a folder: give another file to write to")
    try:
        output.resolve()
    except (OSError, RuntimeError) as err:
        raise WnutError(f"{output} can't be written: {err}") from None
    folder = partial_path(output)
    if folder.exists() and not folder.is_dir():
        raise WnutError(
            f"{folder} is there, and is no folder of an unfinished output: rename it"
        )
    if overwrite:
        return
    if (folder / JOURNAL).exists():
        if not resume:
            raise WnutError(
                f"{output} was begun and isn't finished: go on with --resume, or begin "
                "anew with --overwrite"
            )
    elif not (output.exists() and resume):
        for path in _present(output):
            raise WnutError(
                f"{path} is there already: give another name, or replace it with "
                "--overwrite"
            )


def _present(output: Path) -> list[Path]:
    """Return the files that a run would replace."""
    return [path for path in (output, rejected_path(output)) if path.exists()]


def is_finished(output: Path) -> bool:
    """Return whether an output is complete."""
    if not output.exists() or (partial_path(output) / JOURNAL).exists():
        return False
    # A run that is killed at its very end leaves the empty folder.
    with suppress(OSError):
        partial_path(output).rmdir()
    return True


class Journal:
    """The journal of an output. Use it as a context manager.

    output (Path): The file to write at the end.
    settings (Dict[str, Any]): The settings that must be the same on resuming.
    resume (bool): Whether to resume an earlier run, if there is one.
    overwrite (bool): Whether to replace files of an earlier run.

    Raises WnutError if the earlier run has other settings or its folder is damaged, or
    if another process writes the output.
    """

    def __init__(
        self,
        output: Path,
        settings: dict[str, Any],
        resume: bool,
        overwrite: bool = False,
    ) -> None:
        self.output = output
        self.overwrite = overwrite
        self.folder = partial_path(output)
        self.state = State()
        self.is_committed = False
        self._files = ExitStack()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._journal = self._files.enter_context(_open(self.folder / JOURNAL))
        try:
            self._lock()
            self._begin(settings, resume)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        # Nothing to resume.
        if not self.state.read and not self.is_committed:
            self.discard()

    def discard(self) -> None:
        """Remove the folder of the unfinished output."""
        self._close()
        with suppress(OSError):
            for name in (SEGMENTS, REJECTED, JOURNAL):
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()

    def rejected_lines(self) -> Iterator[str]:
        """Read the rejected records, as lines of JSON."""
        with (self.folder / REJECTED).open(encoding="utf8") as file:
            yield from file

    def append(self, done: Done, read: int, digest: str) -> None:
        """Store the result of a chunk.

        done (Done): The result.
        read (int): The number of records read up to the end of the chunk.
        digest (str): Their digest.
        """
        rejected = "".join(line + "\n" for line in done.rejected).encode("utf8")
        _store(self._segments, done.segment)
        _store(self._rejected, rejected)
        old = self.state
        state = State(
            read,
            old.annotated + done.annotated,
            old.rejected + len(done.rejected),
            old.words + done.words,
            old.segments_size + len(done.segment),
            old.rejected_size + len(rejected),
            digest,
            old.nulls + done.nulls,
            old.unselected + done.unselected,
        )
        self._note(state._asdict())
        self.state = state

    def finish(self, writer: Writer) -> None:
        """Assemble the output from the segments, check that no record is missing, and
        move it to its place.

        writer (Writer): The writer of its format.

        Raises WnutError if a record is missing, or if another program has created a
        file in the place of the output.
        """
        whole = self.folder / SEGMENTS
        if writer.is_plain and not self.state.segments_size:
            _store(self._segments, writer.encode(Chunk([]), {}))
        if not writer.is_plain:
            whole = self.folder / f"whole{self.output.suffix}"
            writer.assemble(self._read_segments(), whole)
            with whole.open("rb+") as file:
                os.fsync(file.fileno())
        with (self.folder / REJECTED).open("rb") as file:
            counts = writer.count(whole), sum(1 for _ in file)
        state = self.state
        total = sum(counts) + state.unselected
        if counts != (state.annotated, state.rejected) or total != state.read:
            raise WnutError(
                f"{state.read} records were read, {state.annotated} annotated and "
                f"{state.rejected} rejected, but there are {counts[0]} and {counts[1]} "
                f"in {self.folder}, and {state.unselected} were not selected. This is a "
                "bug: please report it"
            )
        for path in () if self.overwrite else _present(self.output):
            raise WnutError(
                f"{path} was created by something else in the meantime. All is "
                "annotated: rename that file, and finish with --resume"
            )
        self._note({"finished": whole.name})
        self._commit(whole.name)

    def _begin(self, settings: dict[str, Any], resume: bool) -> None:
        lines, size = _whole_lines(self._journal)
        if not resume:
            lines, size = [], 0
        if lines:
            first = json.loads(lines[0])
            _check_same(self.output, first["settings"], settings)
            self.overwrite = first.get("overwrite", False)
            last = json.loads(lines[-1])
            if "finished" in last:
                self._commit(last["finished"])
                return
            if len(lines) > 1:
                self.state = State(**last)
        _cut(self._journal, size)
        # Opened only here, since a commit may have moved them.
        self._segments = self._files.enter_context(_open(self.folder / SEGMENTS))
        self._rejected = self._files.enter_context(_open(self.folder / REJECTED))
        for file, kept in (
            (self._segments, self.state.segments_size),
            (self._rejected, self.state.rejected_size),
        ):
            if file.seek(0, os.SEEK_END) < kept:
                raise WnutError(
                    f"{self.folder} is damaged: a file in it is shorter than its journal "
                    "says. Begin anew with --overwrite"
                )
            _cut(file, kept)
        if not lines:
            self._note({"settings": settings, "overwrite": self.overwrite})

    def _commit(self, whole: str) -> None:
        """Move the finished files to their places. Each step can be repeated."""
        self._close()
        rejected, target = self.folder / REJECTED, rejected_path(self.output)
        if rejected.exists() and rejected.stat().st_size:
            _put(rejected, target)
        elif rejected.exists():
            # The rejected records of an earlier run are outdated.
            if self.overwrite:
                target.unlink(missing_ok=True)
            rejected.unlink()
        if (self.folder / whole).exists():
            _put(self.folder / whole, self.output)
        (self.folder / SEGMENTS).unlink(missing_ok=True)
        # Last, since the journal marks an unfinished output.
        (self.folder / JOURNAL).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()
        self.is_committed = True

    def _read_segments(self) -> Iterator[bytes]:
        with (self.folder / JOURNAL).open("rb") as journal:
            next(journal)
            with (self.folder / SEGMENTS).open("rb") as segments:
                for line in journal:
                    size = json.loads(line)["segments_size"] - segments.tell()
                    yield segments.read(size)

    def _close(self) -> None:
        # On a full disk, closing fails again.
        with suppress(OSError):
            self._files.close()

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WnutError(
                f"another process is writing {self.output}: wait for it, or end it first"
            ) from None

    def _note(self, entry: dict[str, Any]) -> None:
        _store(self._journal, json.dumps(entry).encode("utf8") + b"\n")


def _open(path: Path) -> BinaryIO:
    path.touch()
    return path.open("rb+")


def _put(path: Path, target: Path) -> None:
    """Move a file to its place. If that is a symbolic link, replace the file that it
    points to. Keep the mode of a replaced file.
    """
    target = target.resolve()
    with suppress(FileNotFoundError):
        path.chmod(stat.S_IMODE(target.stat().st_mode))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.replace(target)
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise
        # The link points to another file system.
        with replacing(target) as beside:
            shutil.copy(path, beside)
        path.unlink()


def _cut(file: BinaryIO, size: int) -> None:
    file.seek(size)
    file.truncate()


def _store(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _whole_lines(file: Iterable[bytes]) -> tuple[list[bytes], int]:
    """Return the first and the last complete line, and the size of all complete lines in
    bytes.
    """
    ends: list[bytes] = []
    size = 0
    for line in file:
        if line.endswith(b"\n"):
            ends = [*ends[:1], line]
            size += len(line)
    return ends, size


def _check_same(output: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    changed = [
        f"{name} was {old.get(name)!r} and is {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    if changed:
        raise WnutError(
            f"{output} was begun with other settings ({'; '.join(changed)}): go on with "
            "the same, or begin anew with --overwrite"
        )
