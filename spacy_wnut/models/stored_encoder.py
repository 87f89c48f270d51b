"""The encoder as a pipeline stores it, read without running anything that is in it."""

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

DAMAGED = "is damaged or another file"


def read_encoder(data: bytes) -> HFObjects:
    """Read what `HFShim.to_bytes` writes.

    spacy-transformers' own reader trusts the data. There the names of the tokenizer's
    files may lead out of the folder that they are unpacked to, and its settings may
    allow the tokenizer to bring code. It also goes on with weights at random where
    some are missing, and writes the encoder's settings as JSON by srsly, which makes
    0.0 of 1e-12: BERT's layer norm would divide by zero where a vector is constant.

    data (bytes): The stored encoder.
    RETURNS (HFObjects): The encoder and its tokenizer.

    Raises WnutError if it is damaged, asks for code of its own, or is another thing.
    """
    with naming_file():
        return _read(srsly.msgpack_loads(data))


@contextmanager
def naming_file() -> Iterator[None]:
    """Say where the encoder is stored, whatever is raised in reading it."""
    try:
        yield
    except WnutError:
        raise
    # A type of its own for each of msgpack, torch, tokenizers and transformers.
    except Exception as err:
        raise WnutError(
            f"transformer/model, where the pipeline stores its encoder, {DAMAGED}: "
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
        # Explicitly no code: if it is left open, transformers asks on the terminal.
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
    # Of what a pickle may call, this allows tensors alone.
    try:
        weights = torch.load(
            BytesIO(stored["state"]), map_location=device, weights_only=True
        )
    # torch's message says how to run it all the same.
    except UnpicklingError:
        raise WnutError(
            f"transformer/model, where the pipeline stores its encoder, {DAMAGED}: its "
            "weights aren't tensors alone. Nothing of it was run"
        ) from None
    _fill(transformer, weights)
    transformer.to(device)
    return HFObjects(
        tokenizer, transformer, vocabulary, SimpleFrozenDict(), SimpleFrozenDict()
    )


def _check_name(name: str) -> None:
    # What is a path on the other system isn't a name here either.
    plain = {PurePosixPath(name).name, PureWindowsPath(name).name}
    if plain != {name} or name in ("", ".", ".."):
        raise WnutError(
            f"transformer/model stores a file {name!r} of the tokenizer, whose name "
            "leads out of its folder. Nothing was written: don't use this pipeline"
        )


def _fill(transformer: Any, weights: Mapping[str, Any]) -> None:
    """Give an encoder its weights: all of them."""
    found = transformer.load_state_dict(weights, strict=False)
    if found.missing_keys:
        raise WnutError(
            f"transformer/model lacks the weights {', '.join(found.missing_keys[:3])} "
            "of its encoder: use the version of transformers that wrote it, or install "
            "the pipeline or train it again"
        )
    if found.unexpected_keys:
        # Older versions stored numbers that are computed now.
        warnings.warn(
            "transformer/model has weights that this version of transformers doesn't "
            f"know. They are left out: {', '.join(found.unexpected_keys[:3])}",
            stacklevel=2,
        )
