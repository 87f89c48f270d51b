"""Encoders as folders: fetched from the hub or a folder, or made small at random."""

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from ..errors import WnutError
from ..files import check_out, replacing

# What an encoder consists of. Repositories often hold the same weights for
# other frameworks beside.
HUB_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin")
# More pieces than any encoder takes at once.
NO_LIMIT = 10**9
# Converts the file of a slow tokenizer, where there is no tokenizer.json.
SENTENCEPIECE = ("sentencepiece", "google.protobuf")
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def fetch_encoder(source: str, out: Path, revision: str | None = None) -> Any:
    """Bring an encoder into a folder, ready to be trained.

    The weights are stored in full precision, as safetensors, whatever they came
    as: a checkpoint in half precision must not be trained in half precision.

    source (str): A folder, or a model on the hub. What is in the hub's cache is
        not downloaded again; HF_HUB_OFFLINE=1 uses nothing but the cache.
    out (Path): The folder to write.
    revision (Optional[str]): A branch, tag or commit on the hub.
    RETURNS (PretrainedConfig): The encoder's configuration.

    Raises WnutError if the encoder can't be had, has no fast tokenizer, or isn't
    one that `AutoModel` loads.
    """
    from transformers import AutoModel

    check_out(out, [source], "config.json")
    model, tokenizer = load_checkpoint(source, AutoModel, revision)
    with replacing(out) as beside:
        model.save_pretrained(beside, safe_serialization=True)
        tokenizer.save_pretrained(beside)
    return model.config


def load_checkpoint(
    source: str,
    auto_class: Any,
    revision: str | None = None,
    what: str = "encoder",
    tokenizer_config: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Load a checkpoint in full precision, with its fast tokenizer. Custom code
    of a checkpoint is never run, and nothing is asked on the terminal.

    source (str): A folder, or a model on the hub.
    auto_class (Any): What of transformers loads it: `AutoModel`, say.
    revision (Optional[str]): A branch, tag or commit on the hub.
    what (str): What messages call it.
    tokenizer_config (Optional[Mapping[str, Any]]): Settings for `AutoTokenizer`.
    model_config (Optional[Mapping[str, Any]]): Settings for `AutoConfig`.
    options (Any): More for `auto_class.from_pretrained`.
    RETURNS (Tuple[Any, PreTrainedTokenizerFast]): What `auto_class` returns, and
        the tokenizer.

    Raises WnutError if it can't be had, has no fast tokenizer, needs custom code, or
    isn't one that `auto_class` loads.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoTokenizer

    # Explicitly: if it is left open, transformers asks on the terminal.
    no_code = {"trust_remote_code": False}
    tokenizer_settings = {"use_fast": True, **(tokenizer_config or {}), **no_code}
    folder = Path(source)
    if not folder.is_dir():
        folder = _download(source, revision, what)
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
        # What transformers raises for a file that isn't there or is damaged, for
        # weights of another shape, and for an architecture it doesn't know.
        OSError,
        ValueError,
        TypeError,
        KeyError,
        ImportError,
        RuntimeError,
        SafetensorError,
    ) as err:
        reason = _needs_code(err) or _needs_sentencepiece(folder) or _other_reason(err)
        raise WnutError(f"The {what} {source!r} can't be loaded: {reason}") from err
    if not tokenizer_settings["use_fast"]:
        raise WnutError(
            "the tokenizer_config of the transformer has use_fast = false, but word "
            "pieces are aligned with words by a fast tokenizer: take the setting out"
        )
    if not tokenizer.is_fast:
        raise WnutError(
            f"The {what} {source!r} is not supported: its tokenizer "
            f"({type(tokenizer).__name__}) has no fast tokenizer (tokenizer.json), "
            f"which is needed to align word pieces with words. Use another {what}"
        )
    return model, tokenizer


def max_window(model: Any, tokenizer: Any, n_specials: int) -> int | None:
    """The greatest number of word pieces that an encoder takes at once.

    model (PreTrainedModel): The encoder.
    tokenizer (PreTrainedTokenizerFast): Its tokenizer. Many say nothing of a limit.
    n_specials (int): The number of special tokens around the pieces.
    RETURNS (Optional[int]): Special tokens not counted. None if there is no limit.
    """
    limits = [tokenizer.model_max_length]
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    if positions > 0:
        # RoBERTa and its relatives count positions from the number after that of the
        # padding, so the first rows of the table are never used.
        skipped = [
            module.padding_idx + 1
            for name, module in model.named_modules()
            if name.rpartition(".")[2] == "position_embeddings"
            and getattr(module, "padding_idx", None) is not None
        ]
        limits.append(positions - max(skipped, default=0))
    limit = min(limits) - n_specials
    # transformers' own sign of no limit is 1e30.
    return int(limit) if 0 < limit < NO_LIMIT else None


def accepts(model: Any, argument: str) -> bool:
    """Whether a model of transformers takes an input of this name. Tokenizers say
    what they make, and models don't always want it.
    """
    return argument in _arguments(cast(Any, type(model)))


@lru_cache
def _arguments(model_class: Any) -> frozenset[str]:
    return frozenset(inspect.signature(model_class.forward).parameters)


def refuse_code(settings: Mapping[str, Any]) -> None:
    """See that an encoder's settings name no code on the hub. transformers before 5.3
    runs what the setting for attention names, whatever else it is told
    (CVE-2026-4372).

    settings (Mapping[str, Any]): What is in config.json, or a config's attributes.

    Raises WnutError if they do.
    """
    for name, value in settings.items():
        if "attn_implementation" in name and "/" in str(value):
            raise WnutError(
                f"the setting {name} of the encoder's config names code on the hub "
                f"({value}), which isn't run: take it out"
            )
        inner = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
        refuse_code({str(key): part for key, part in inner.items()})


def read_vocabulary(tokenizer: Any) -> bytes | None:
    """The file that a tokenizer's slow version is made from, for storing.

    Where a checkpoint has tokenizer.json alone, it is empty: fast tokenizers don't
    read it, but spacy-transformers wants it for all that have a name for it.
    """
    if not hasattr(tokenizer, "vocab_file"):
        return None
    path = tokenizer.vocab_file
    return Path(path).read_bytes() if path and Path(path).is_file() else b""


def make_tiny_encoder(texts: Iterable[str], out: Path, seed: int = 0) -> Any:
    """Make a DistilBERT of random weights that trains in seconds and knows nothing.

    texts (Iterable[str]): What the WordPiece vocabulary is made from.
    out (Path): The folder to write.
    seed (int): Seed of the weights.
    RETURNS (PretrainedConfig): The encoder's configuration.
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
    """All characters, and the words that are there more than once.

    The trainer of the tokenizers library gives another vocabulary each time.
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


def _download(source: str, revision: str | None, what: str) -> Path:
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
    # Encoders are mostly named by the project.
    name_it = "Set --vars.encoder or SPACY_WNUT_ENCODER to"
    raise WnutError(
        f"The {what} {source!r} can't be had: {reason}. "
        f"{name_it if what == 'encoder' else 'Give'} a folder with config.json, "
        "model.safetensors and tokenizer.json, or a model on the hub that can be "
        "reached"
    )


def _needs_code(err: Exception) -> str:
    """What to say of a checkpoint with custom code, or "" if that isn't what failed."""
    if "trust_remote_code" not in str(err):
        return ""
    return (
        "it needs custom code, which is not run. Use a checkpoint of an "
        "architecture that transformers has"
    )


def _needs_sentencepiece(folder: Path) -> str:
    """What to install for a tokenizer that has to be converted, or ""."""
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
    # The package around it isn't there.
    except ModuleNotFoundError:
        return False


def _other_reason(err: Exception) -> str:
    return (
        f"{_first_line(err)} It takes a folder with config.json, model.safetensors and "
        "tokenizer.json, as save_pretrained writes it"
    )


def _name(err: Exception) -> str:
    return type(err).__name__


def _first_line(err: Exception) -> str:
    return str(err).strip().split("\n")[0].rstrip(".") + "."
