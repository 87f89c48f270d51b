"""Safe reader of the encoder that a pipeline stores. It never runs stored code."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any

import srsly  # type: ignore[import-untyped]
import torch
from spacy.util import SimpleFrozenDict
from spacy_transformers.data_classes import HFObjects
from thinc.api import get_torch_default_device
from transformers import AutoConfig, AutoModel, AutoTokenizer

from ..errors import WnutError
from .checkpoints import refuse_code

STORED_IN = "transformer/model, where the pipeline stores its encoder,"


def read_stored_encoder(data: bytes) -> HFObjects:
    """Read the output of `HFShim.to_bytes`.

    The reader of spacy-transformers trusts the data: file names of the tokenizer can
    lead out of the folder that they are unpacked to, and settings can enable custom
    code of the tokenizer. It also keeps random weights silently where stored weights
    are missing. And it writes the settings of the encoder as JSON with srsly, which
    rounds 1e-12 to 0.0, so that BERT's layer norm divides by zero for a constant
    vector.

    data (bytes): The stored encoder.
    RETURNS (HFObjects): The encoder and its tokenizer. Both are None if the encoder was
        stored before it was initialized.

    Raises WnutError if the data are damaged, incomplete, unsafe or of another kind.
    """
    with naming_file():
        return _read(srsly.msgpack_loads(data))


@contextmanager
def naming_file() -> Iterator[None]:
    """Convert exceptions within the context to a WnutError that names the file of the
    stored encoder. A WnutError is passed on unchanged.
    """
    try:
        yield
    except WnutError:
        raise
    # msgpack, torch, tokenizers and transformers raise exceptions of different types.
    except Exception as err:
        raise WnutError(
            f"{STORED_IN} is damaged or another file: "
            f"{str(err).strip() or type(err).__name__}"
        ) from err


def _read(stored: Mapping[str, Any]) -> HFObjects:
    settings = stored["config"]
    if not settings:
        return HFObjects(
            None,
            None,
            None,
            stored["_init_tokenizer_config"],
            stored["_init_transformer_config"],
        )
    refuse_code(settings)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config_file = folder / "config.json"
        config_file.write_text(json.dumps(settings), encoding="utf8")
        # Without an explicit value, transformers asks on the terminal.
        config = AutoConfig.from_pretrained(config_file, trust_remote_code=False)
        files = dict(stored["tokenizer"])
        use_fast = bool(files.pop("kwargs", {}).get("use_fast", True))
        for name, content in files.items():
            _check_name(name)
            (folder / name).write_bytes(content)
        tokenizer = AutoTokenizer.from_pretrained(
            folder, use_fast=use_fast, trust_remote_code=False, local_files_only=True
        )
        vocabulary = None
        if hasattr(tokenizer, "vocab_file"):
            path = folder / tokenizer.vocab_files_names["vocab_file"]
            vocabulary = path.read_bytes() if path.is_file() else b""
    transformer = AutoModel.from_config(config, trust_remote_code=False)
    device = get_torch_default_device()
    # weights_only: unpickles tensors and nothing else.
    try:
        weights = torch.load(
            BytesIO(stored["state"]), map_location=device, weights_only=True
        )
    # The message of torch explains how to run the code, so it is not shown.
    except UnpicklingError:
        raise WnutError(
            f"{STORED_IN} is damaged or another file: its weights contain more than "
            "tensors. No stored code was run. Don't use this pipeline unless you trust "
            "its source"
        ) from None
    _fill(transformer, weights)
    transformer.to(device)
    return HFObjects(
        tokenizer, transformer, vocabulary, SimpleFrozenDict(), SimpleFrozenDict()
    )


def _check_name(name: str) -> None:
    # Refuses paths of POSIX and of Windows on both systems.
    plain = {PurePosixPath(name).name, PureWindowsPath(name).name}
    if plain != {name} or name in ("", ".", ".."):
        raise WnutError(
            f"transformer/model stores a file {name!r} of the tokenizer, whose name "
            "leads out of its folder. Nothing was written: don't use this pipeline"
        )


def _fill(transformer: Any, weights: Mapping[str, Any]) -> None:
    """Load the weights of an encoder, and check that none is missing."""
    keys = transformer.load_state_dict(weights, strict=False)
    if keys.missing_keys:
        raise WnutError(
            f"transformer/model lacks the weights {', '.join(keys.missing_keys[:3])} "
            "of its encoder: use the version of transformers that wrote it, or install "
            "the pipeline or train it again"
        )
    if keys.unexpected_keys:
        # Older versions of transformers stored values that are now computed.
        warnings.warn(
            "transformer/model has weights that this version of transformers doesn't "
            f"know. They are ignored: {', '.join(keys.unexpected_keys[:3])}",
            stacklevel=2,
        )
