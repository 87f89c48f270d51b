"""Checks of the files in a pipeline's folder. Nothing in them is executed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import srsly  # type: ignore[import-untyped]
from thinc.api import Config

from ..errors import WnutError

# The readers of spaCy by file name. Other files are not checked.
READERS: dict[str, Callable[[Path], Any]] = {
    "config.cfg": lambda path: Config().from_disk(path, interpolate=False),
    "meta.json": srsly.read_json,
    "cfg": srsly.read_json,
    "model": srsly.read_msgpack,
    "tokenizer": srsly.read_msgpack,
    "strings.json": srsly.read_json,
    "key2row": srsly.read_msgpack,
    "lookups.bin": srsly.read_msgpack,
    "vectors": lambda path: numpy.load(path, allow_pickle=False),
    "vectors.cfg": srsly.read_json,
}


def find_fault(folder: Path) -> str | None:
    """Find the first file of a pipeline's folder that cannot be read.

    folder (Path): The folder, as `nlp.to_disk` writes it.
    RETURNS (Optional[str]): The file and the problem, or None if all files can be read.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name in READERS:
            try:
                READERS[path.name](path)
            # JSON, msgpack, NumPy and the config raise different types.
            except Exception as err:
                reason = str(err).strip() or type(err).__name__
                return f"{path} is damaged or another file: {reason}"
    return None


def refuse_paths(folder: Path) -> None:
    """Check that no component of a pipeline is stored outside of its folder. spaCy uses
    the name of a component as the name of its folder.

    folder (Path): The folder of a pipeline.

    Raises WnutError for a name that is a path.
    """
    config_file = folder / "config.cfg"
    try:
        names = Config().from_disk(config_file, interpolate=False)["nlp"]["pipeline"]
    # Loading gives a better message.
    except Exception:
        return
    for name in names:
        if name in (".", "..") or {"/", "\\"} & set(str(name)):
            raise WnutError(
                f"{config_file} has a component {name!r}, whose name leads out of the "
                "folder. Nothing was loaded: don't use this pipeline"
            )
