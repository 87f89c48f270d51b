"""Virtual environments that hold what one kind of system needs, and no more."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from spacy_wnut.errors import WnutError
from spacy_wnut.files import replacing

ROOT = Path(__file__).parents[2]

# What is installed into each. PROJECT is this project.
PROJECT = "spacy-wnut"
INSTALLED = {
    "transformers": ["torch", "transformers"],
    "torch": [f"{PROJECT}[torch]"],
    "onnx": [f"{PROJECT}[onnx]"],
}
# Sources of the wheel.
SOURCES = ("README.md", "pyproject.toml", "spacy_wnut")
CONSTRAINTS = ROOT / "requirements.txt"
# Where an environment says what it was installed from.
STAMP = "installed.txt"


def make_environment(folder: Path, name: str) -> str:
    """Make an environment, or bring it up to date if it is there and was made here.

    folder (Path): The folder of all environments.
    name (str): Which one it is, a key of INSTALLED.
    RETURNS (str): Its interpreter.

    Raises WnutError if something can't be installed.
    """
    place = folder.absolute() / name
    state = _state(INSTALLED[name])
    if not place.exists():
        # An environment works wherever it is moved to, its scripts aside.
        with replacing(place) as beside:
            venv.create(beside, with_pip=False)
            _install(_interpreter(beside), INSTALLED[name])
            (beside / STAMP).write_text(state, encoding="utf8")
    elif (place / STAMP).exists() and (place / STAMP).read_text("utf8") != state:
        _install(_interpreter(place), INSTALLED[name])
        (place / STAMP).write_text(state, encoding="utf8")
    # Not resolved: an interpreter knows its environment by where it was called.
    return str(_interpreter(place))


def install_size(python: str) -> int:
    """How many bytes the packages of an interpreter's environment take up."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode != 0:
        raise WnutError(f"{python} is no interpreter that runs: {done.stderr.strip()}")
    return size_of(Path(done.stdout.strip()))


def size_of(path: Path) -> int:
    """How many bytes a file, or all files of a folder, have."""
    if not path.is_dir():
        return path.stat().st_size
    files = (file for file in path.rglob("*") if not file.is_dir())
    return sum(file.lstat().st_size for file in files)


def _interpreter(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _state(packages: list[str]) -> str:
    """A checksum of all that packages are installed from here."""
    names = (*SOURCES, CONSTRAINTS.name) if PROJECT in str(packages) else ()
    state = hashlib.sha256(repr(packages).encode())
    for name in names:
        path = ROOT / name
        files = path.rglob("*.py") if path.is_dir() else [path]
        for file in sorted(files):
            state.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return state.hexdigest()


def _install(python: Path, packages: list[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        # Building in place would pick up what an earlier build left, and leave some.
        for name in SOURCES:
            source, copy = ROOT / name, Path(scratch) / name
            if source.is_dir():
                shutil.copytree(
                    source, copy, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(source, copy)
        named = [package.replace(PROJECT, scratch) for package in packages]
        command = [sys.executable, "-m", "pip", "--python", str(python), "install"]
        options = ["--quiet", "--constraint", str(CONSTRAINTS)]
        done = subprocess.run(
            [*command, *options, *named], capture_output=True, text=True
        )
    if done.returncode != 0:
        raise WnutError(
            f"{', '.join(packages)} can't be installed for the benchmark: "
            f"{done.stderr.strip()}"
        )
