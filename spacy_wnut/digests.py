"""Digests of all inputs of a result, to recognize results of other inputs."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from .files import replacing


def digest_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return digest_chunks(iter(lambda: file.read(1 << 20), b""))
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return digest_chunks(
        f"{file.relative_to(path).as_posix()} {digest_path(file)}\n".encode()
        for file in files
    )


def digest_values(values: Iterable[object]) -> str:
    """Return the SHA-256 of a sequence of JSON values."""
    return digest_chunks(f"{json.dumps(value)}\n".encode() for value in values)


def digest_chunks(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of bytes in chunks.

    >>> digest_chunks([b"a", b"bc"]) == digest_chunks([b"abc"])
    True
    """
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the sorted names of digests that differ or are missing on one side.

    >>> differing({"config": "1", "train": "2"}, {"config": "1", "dev": "3"})
    ['dev', 'train']
    """
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def write_digests(path: Path, digests: Mapping[str, str]) -> None:
    """Write digests by their names as JSON, atomically."""
    with replacing(path) as beside:
        text = json.dumps(dict(digests), indent=1)
        beside.write_text(f"{text}\n", encoding="utf8")


def read_digests(path: Path) -> dict[str, str] | None:
    """Read digests by their names. Return None if the file does not exist or has other
    content.
    """
    try:
        digests = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return None
    if not isinstance(digests, dict):
        return None
    return digests if all(isinstance(d, str) for d in digests.values()) else None
