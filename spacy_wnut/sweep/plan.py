"""Which trainings a sweep has, and what goes into each."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from spacy.util import load_config
from thinc.api import Config

from ..digests import differing, digest_chunks, digest_path
from ..errors import WnutError
from .metrics import PROTOCOLS, SPLITS, read_metrics

SEEDS = ("system.seed", "training.seed")


class TrainingRun(NamedTuple):
    """One training.

    config (Path): The recipe.
    seed (int): Its seed.
    overrides (Dict[str, Any]): Settings for `spacy train`, paths and seed included.
    folder (Path): Where it belongs when it is finished.
    encoder (str): The encoder's name.
    made_of (Dict[str, str]): A digest of all that goes into it, by its name.
    """

    config: Path
    seed: int
    overrides: dict[str, Any]
    folder: Path
    encoder: str
    made_of: dict[str, str]

    @property
    def name(self) -> str:
        """What to call it in front of people."""
        return f"{self.config.name}, seed {self.seed}"


def plan_runs(
    configs: Sequence[Path],
    seeds: Sequence[int],
    corpus: Path,
    output: Path,
    overrides: Mapping[str, Any],
    has_bias: bool,
) -> list[TrainingRun]:
    """The trainings of a sweep: all seeds of the first config, then of the next.

    configs (Sequence[Path]): The recipes.
    seeds (Sequence[int]): The seeds of each.
    corpus (Path): A folder with what `convert` makes: the folders gold and spacy.
    output (Path): The folder for all trainings.
    overrides (Mapping[str, Any]): Settings to replace, in the configs that have them.
    has_bias (bool): Whether calibration is to tune the bias.
    RETURNS (List[TrainingRun]): The trainings.

    Raises WnutError if a config can't be read or two have one name, a corpus isn't
    there, or the overrides name a seed or what no config has.
    """
    names = [path.stem for path in configs]
    for name in names:
        if names.count(name) > 1:
            raise WnutError(
                f"two configs are called {name}, and each would be trained in "
                f"{output / name}: give one of them another name"
            )
    for key in SEEDS:
        if key in overrides:
            raise WnutError(f"--{key} is set by the sweep itself: give --seeds instead")
    files = {
        f"{protocol}/{split}": corpus_file(corpus, protocol, split)
        for protocol in PROTOCOLS
        for split in SPLITS
    }
    files["gold/train"] = corpus_file(corpus, "gold", "train")
    paths = {
        "paths.train": str(files["gold/train"]),
        "paths.dev": str(files["gold/dev"]),
    }
    # The encoder is read once, not once a training.
    digest = cache(digest_path)
    corpora = {name: digest(path) for name, path in files.items()}
    theirs = {config: _settings_of(config, overrides) for config in configs}
    for key in overrides:
        if not any(key in own for own in theirs.values()):
            raise WnutError(f"no config has the setting --{key}")
    runs = []
    for config in configs:
        for seed in seeds:
            settings = {**paths, **theirs[config], **dict.fromkeys(SEEDS, seed)}
            made_of, encoder = _read_config(config, settings, digest)
            made_of |= corpora | {"--bias": str(has_bias)}
            folder = output / config.stem / f"seed-{seed}"
            runs.append(TrainingRun(config, seed, settings, folder, encoder, made_of))
    return runs


def is_finished(run: TrainingRun) -> bool:
    """Whether a training is there already.

    Raises WnutError if one is there that was made of something else.
    """
    metrics = read_metrics(run.folder)
    if metrics is None:
        return False
    others = differing(metrics["made_of"], run.made_of)
    if others:
        raise WnutError(
            f"{run.folder} holds a training of {run.name}, but not of these settings: "
            f"{', '.join(others)} differed. Name another folder with --output, remove "
            "this one, or give --retrain to replace it"
        )
    return True


def corpus_file(corpus: Path, protocol: str, split: str) -> Path:
    """The DocBin of a split in a folder of both protocols.

    Raises WnutError if it isn't there.
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
    """What a config and overrides are made of, and the encoder's name.

    Files and folders of the section [paths] count by what is in them, wherever
    they lie. Comments and the order of overrides don't count.
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
    """Those of the settings that a config has."""
    config = _load(path, {})
    own = {}
    for key, value in overrides.items():
        *sections, name = key.split(".")
        within: Any = config
        for section in sections:
            within = within.get(section, {})
        if name in within:
            own[key] = value
    return own


def _load(path: Path, overrides: dict[str, Any], **settings: Any) -> Config:
    try:
        return load_config(path, overrides, **settings)
    except (OSError, ValueError) as err:
        raise WnutError(f"{path} can't be used as a config: {err}") from err
