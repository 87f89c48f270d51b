"""Which file of a pipeline's folder is at fault. Nothing that is in them is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import srsly  # type: ignore[import-untyped]
from thinc.api import Config

from ..errors import WnutError

# How spaCy reads a file of each name. Those with other names aren't read.
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
    """The first file of a pipeline's folder that isn't what its name says, and what
    is wrong with it; None if all are.

    folder (Path): The folder, as `nlp.to_disk` writes it.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name in READERS:
            try:
                READERS[path.name](path)
            # A type of its own for each of JSON, msgpack, NumPy and the config.
            except Exception as err:
                reason = str(err).strip() or type(err).__name__
                return f"{path} is damaged or another file: {reason}"
    return None


def refuse_paths(folder: Path) -> None:
    """See that no component of a pipeline is stored outside of its folder: spaCy
    takes the name of a component for that of a folder, whatever it is.

    folder (Path): The folder of a pipeline.

    Raises WnutError for a name that is a path.
    """
    config_file = folder / "config.cfg"
    try:
        names = Config().from_disk(config_file, interpolate=False)["nlp"]["pipeline"]
    # Loading tells better what is wrong.
    except Exception:
        return
    for name in names:
        if name in (".", "..") or {"/", "\\"} & set(str(name)):
            raise WnutError(
                f"{config_file} has a component {name!r}, whose name leads out of the "
                "folder. Nothing was loaded: don't use this pipeline"
            )
