"""The plan of a sweep: its trainings and the inputs of each."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..digests import differing, digest_chunks, digest_path
from ..errors import WnutError
from .metrics import PROTOCOLS, SPLITS, read_metrics

if TYPE_CHECKING:
    from thinc.api import Config

SEEDS = ("system.seed", "training.seed")


class TrainingRun(NamedTuple):
    """A training of a sweep.

    config (Path): The config.
    seed (int): The seed.
    overrides (Dict[str, Any]): The overrides for `spacy train`, including paths and
        seeds.
    folder (Path): The folder of the finished training.
    encoder (str): The name of the encoder.
    made_of (Dict[str, str]): The digest of each input of the training, by name.
    """

    config: Path
    seed: int
    overrides: dict[str, Any]
    folder: Path
    encoder: str
    made_of: dict[str, str]

    @property
    def name(self) -> str:
        """The name of the training in messages."""
        return f"{self.config.name}, seed {self.seed}"


def plan_runs(
    configs: Sequence[Path],
    seeds: Sequence[int],
    corpus: Path,
    output: Path,
    overrides: Mapping[str, Any],
    has_bias: bool,
) -> list[TrainingRun]:
    """Plan the trainings of a sweep: all seeds of the first config, then of the next.

    configs (Sequence[Path]): The configs.
    seeds (Sequence[int]): The seeds of each config.
    corpus (Path): A folder with the output of `convert` for both protocols, in the
        subfolders gold and spacy.
    output (Path): The folder for all trainings.
    overrides (Mapping[str, Any]): Settings to override. Each one applies to the configs
        that have this setting.
    has_bias (bool): Whether calibration tunes the bias.
    RETURNS (List[TrainingRun]): The trainings.

    Raises WnutError if a config can't be read, if two configs have the same name, if a
    corpus file is missing, or if an override is a seed or, unless it is null, a setting
    that no config has.
    """
    files = check_files(configs, corpus, output)
    for key in SEEDS:
        if key in overrides:
            raise WnutError(f"--{key} is set by the sweep: give --seeds instead")
    paths = {
        "paths.train": str(files["gold/train"]),
        "paths.dev": str(files["gold/dev"]),
    }
    # Cached, so that the encoder is read once and not once per training.
    digest = cache(digest_path)
    corpora = {name: digest(path) for name, path in files.items()}
    theirs = {config: _settings_of(config, overrides) for config in configs}
    for key, value in overrides.items():
        # A setting that no config has is null already.
        if value is not None and not any(key in own for own in theirs.values()):
            raise WnutError(
                f"no config has the setting --{key}: correct it or leave it out"
            )
    runs = []
    for config in configs:
        for seed in seeds:
            settings = {**paths, **theirs[config], **dict.fromkeys(SEEDS, seed)}
            made_of, encoder = _read_config(config, settings, digest)
            made_of |= corpora | {"--bias": str(has_bias)}
            folder = output / config.stem / f"seed-{seed}"
            runs.append(TrainingRun(config, seed, settings, folder, encoder, made_of))
    return runs


def check_files(configs: Sequence[Path], corpus: Path, output: Path) -> dict[str, Path]:
    """Check that the files of a sweep exist, without importing spaCy.

    configs (Sequence[Path]): The configs.
    corpus (Path): The folder with both protocols.
    output (Path): The folder for all trainings.
    RETURNS (Dict[str, Path]): The DocBin files that are read, by "protocol/split".

    Raises WnutError if a file is missing, or if two configs have the same name.
    """
    names = [path.stem for path in configs]
    for name in names:
        if names.count(name) > 1:
            raise WnutError(
                f"two configs are called {name}, and both would be trained in "
                f"{output / name}: rename one of them"
            )
    files = {
        f"{protocol}/{split}": corpus_file(corpus, protocol, split)
        for protocol in PROTOCOLS
        for split in SPLITS
    }
    files["gold/train"] = corpus_file(corpus, "gold", "train")
    for path in configs:
        if not path.is_file():
            raise WnutError(f"{path} can't be used as a config: there is no such file")
    return files


def is_finished(run: TrainingRun) -> bool:
    """Return whether a training is finished already.

    run (TrainingRun): The training.
    RETURNS (bool): Whether its folder holds the metrics of the same inputs.

    Raises WnutError if its folder holds a training with other inputs.
    """
    metrics = read_metrics(run.folder)
    if metrics is None:
        return False
    others = differing(metrics["made_of"], run.made_of)
    if others:
        raise WnutError(
            f"{run.folder} holds a training of {run.name}, but not of these settings: "
            f"{', '.join(others)} differed. Name another folder with --output, remove "
            "this one, or replace it with --retrain"
        )
    return True


def corpus_file(corpus: Path, protocol: str, split: str) -> Path:
    """Return the path of the DocBin file of a split.

    corpus (Path): The folder with both protocols.
    protocol (str): "gold" or "spacy".
    split (str): "train", "dev" or "test".
    RETURNS (Path): The file.

    Raises WnutError if the file is missing.
    """
    path = corpus / protocol / f"{split}.spacy"
    if not path.is_file():
        raise WnutError(
            f"there is no file {path}: make it with `spacy-wnut convert "
            f"{corpus / protocol} SOURCE --tokens {protocol}`"
        )
    return path


def _read_config(
    path: Path, overrides: dict[str, Any], digest: Callable[[Path], str]
) -> tuple[dict[str, str], str]:
    """Compute the digests of a config with overrides, and the name of the encoder.

    Files and folders in the section [paths] are identified by their contents, not by
    their location. Comments and the order of overrides make no difference.
    """
    config = _load(path, overrides)
    paths = _load(path, overrides, interpolate=True).get("paths", {})
    made_of = {}
    for name, value in paths.items():
        if isinstance(value, str) and value and Path(value).exists():
            made_of[f"paths.{name}"] = digest(Path(value))
            config["paths"][name] = None
    made_of["config"] = digest_chunks([config.to_str(interpolate=False).encode()])
    return made_of, Path(paths.get("encoder") or "").name


def _settings_of(path: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Select the overrides whose setting a config has."""
    config = _load(path, {})
    own = {}
    for key, value in overrides.items():
        *sections, name = key.split(".")
        within: Any = config
        for section in sections:
            within = within.get(section) if isinstance(within, dict) else None
        if isinstance(within, dict) and name in within:
            own[key] = value
    return own


def _load(path: Path, overrides: dict[str, Any], **settings: Any) -> "Config":
    from spacy.util import load_config

    try:
        return load_config(path, overrides, **settings)
    except (OSError, ValueError) as err:
        raise WnutError(f"{path} can't be used as a config: {err}") from err
