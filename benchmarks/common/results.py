"""Stored results: JSON files in benchmarks/results."""

import json
from pathlib import Path
from typing import Any

from spacy_wnut.errors import WnutError
from spacy_wnut.files import replacing

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def read_results(path: Path) -> Any:
    """Read a JSON file of results.

    Raises WnutError if it doesn't exist.
    """
    if not path.exists():
        raise WnutError(f"{path} doesn't exist: measure first, see --help")
    return json.loads(path.read_text(encoding="utf8"))


def read_rows(path: Path) -> list[Any]:
    """Read a JSON file with a list of results; the list is empty if it doesn't exist."""
    return list(read_results(path)) if path.exists() else []


def write_results(path: Path, results: Any) -> None:
    """Write results as JSON, replacing the file as a whole."""
    write_text(path, json.dumps(results, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, replacing it as a whole."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf8")
