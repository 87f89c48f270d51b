"""Minimal virtual environments, one for each kind of system."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.common.results import ROOT
from spacy_wnut.errors import WnutError
from spacy_wnut.files import replacing

# Packages of each environment. PROJECT stands for this project.
PROJECT = "spacy-wnut"
PACKAGES = {
    "transformers": ["torch", "transformers"],
    "cnn": ["spacy"],
    "torch": [f"{PROJECT}[torch]"],
    "onnx": [f"{PROJECT}[onnx]"],
    # Those of engines.py in one.
    "engines": [f"{PROJECT}[onnx]", "ctranslate2", "openvino", "torch", "transformers"],
}
# Sources of the wheel.
SOURCES = ("README.md", "pyproject.toml", "spacy_wnut")
CONSTRAINTS = ROOT / "requirements.txt"
# File of an environment with the checksum of its packages and sources.
STAMP = "installed.txt"


def make_environment(folder: Path, name: str) -> str:
    """Create an environment, or update it if the project has changed since.

    folder (Path): Folder of all environments.
    name (str): Name of the environment, a key of PACKAGES.
    RETURNS (str): Path of its interpreter. An environment that was not created by this
        function is left as it is.

    Raises WnutError if a package can't be installed.
    """
    place = folder.absolute() / name
    state = _state(PACKAGES[name])
    if not place.exists():
        # An environment can be moved; only its scripts break.
        with replacing(place) as beside:
            venv.create(beside, with_pip=False)
            _install(_interpreter(beside), PACKAGES[name])
            (beside / STAMP).write_text(state, encoding="utf8")
    elif (place / STAMP).exists() and (place / STAMP).read_text("utf8") != state:
        _install(_interpreter(place), PACKAGES[name])
        (place / STAMP).write_text(state, encoding="utf8")
    # Not resolved: the interpreter finds its environment by the path of the link.
    return str(_interpreter(place))


def install_size(python: str) -> int:
    """Size in bytes of the packages of an interpreter's environment.

    Raises WnutError if the interpreter doesn't run.
    """
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode != 0:
        raise WnutError(f"{python} does not run: {done.stderr.strip()}")
    return size_of(Path(done.stdout.strip()))


def size_of(path: Path) -> int:
    """Size in bytes of a file, or of all files below a folder."""
    if not path.is_dir():
        return path.stat().st_size
    files = (file for file in path.rglob("*") if not file.is_dir())
    return sum(file.lstat().st_size for file in files)


def _interpreter(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _state(packages: list[str]) -> str:
    """Checksum of the packages' names and, for PROJECT, of its sources."""
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
        # A build in place would use, and leave, intermediate files.
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
            f"can't install {', '.join(packages)} for the benchmark: "
            f"{done.stderr.strip()}"
        )
