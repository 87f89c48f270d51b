"""Digests of everything that goes into a result, to tell it from another one."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from .files import replacing


def digest_path(path: Path) -> str:
    """The SHA-256 of a file, or of the names and contents of a folder's files."""
    if path.is_file():
        with path.open("rb") as file:
            return digest_chunks(iter(lambda: file.read(1 << 20), b""))
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return digest_chunks(
        f"{file.relative_to(path).as_posix()} {digest_path(file)}\n".encode()
        for file in files
    )


def digest_values(values: Iterable[object]) -> str:
    """The SHA-256 of values that JSON can hold, in their order."""
    return digest_chunks(f"{json.dumps(value)}\n".encode() for value in values)


def digest_chunks(chunks: Iterable[bytes]) -> str:
    """The SHA-256 of bytes that come in chunks."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names under which two collections of digests differ, in order."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def write_digests(path: Path, digests: Mapping[str, str]) -> None:
    """Write digests by their names as JSON: all of them, or the file is as before."""
    with replacing(path) as beside:
        text = json.dumps(dict(digests), indent=1)
        beside.write_text(f"{text}\n", encoding="utf8")


def read_digests(path: Path) -> dict[str, str] | None:
    """What `write_digests` wrote. None if the file isn't there or holds anything
    else.
    """
    try:
        digests = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return None
    if not isinstance(digests, dict):
        return None
    return digests if all(isinstance(d, str) for d in digests.values()) else None
