"""Writing files and folders so that nothing half-written stays behind."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or a folder beside `path`, and put it there once it is whole.

    Yields a path that does not exist yet, in the same folder as `path`. If the
    block ends well, what was written there takes the place of `path`; if it
    fails or is interrupted, it is removed and `path` is as it was before.

    path (Path): Where the finished file or folder belongs. Its parent folder is
        made if it is not there.

    Example:
        >>> with replacing(Path("figures.json")) as beside:
        ...     beside.write_text("{}")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own: the name stays, and with it the suffix that
    # writers look at, and no other process picks the same one.
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    beside = scratch / path.name
    try:
        yield beside
        if path.is_dir() and not path.is_symlink():
            old = path.rename(scratch / "old")
            try:
                beside.replace(path)
            except BaseException:
                old.rename(path)
                raise
        else:
            beside.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
