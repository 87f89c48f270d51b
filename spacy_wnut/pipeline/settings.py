"""Settings of the component: their values on disk, and their overrides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import srsly  # type: ignore[import-untyped]
from spacy import util

FACTORY = "entity_tagger"
# The key in the stored cfg for the settings that config.cfg had when it was stored.
CONFIG = "config"


def check_transitions(transitions: Any) -> None:
    """Check the setting `transitions`.

    Raises ValueError if it is unknown.
    """
    if transitions not in ("learned", "constrained"):
        raise ValueError(
            f'transitions has to be "learned" or "constrained", got {transitions!r}'
        )


def rounded(value: float) -> float:
    """Round a setting to 6 decimals.

    The JSON of a stored pipeline has 10 decimals, and 0.3 is read from it as
    0.30000000000000004. A loaded pipeline has to give the same confidences.

    >>> rounded(0.30000000000000004)
    0.3
    """
    return round(float(value), 6)


def overridden(
    configured: Mapping[str, Any],
    config: Mapping[str, Any],
    ignored: Mapping[str, Any],
) -> list[str]:
    """Return the names of the settings that were overridden on loading.

    configured (Mapping[str, Any]): The settings that the component was created with.
    config (Mapping[str, Any]): The settings in the config of the stored pipeline.
    ignored (Mapping[str, Any]): Values that are no override.
    """
    config, given, ignored = map(_as_stored, (config, configured, ignored))
    return [
        name
        for name, value in given.items()
        if name in config and value not in (config[name], ignored[name])
    ]


def update_config(folder: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Write settings to config.cfg of a stored pipeline.

    folder (Path): The folder of the component in that of the pipeline.
    settings (Dict[str, Any]): The settings.
    RETURNS (Optional[Dict[str, Any]]): The settings, or None if there is no such file.
    """
    path = folder.parent / "config.cfg"
    if not path.is_file():
        return None
    config = util.load_config(path)
    section = config.get("components", {}).get(folder.name, {})
    if section.get("factory") != FACTORY:
        return None
    if any(section.get(name) != value for name, value in settings.items()):
        section.update(settings)
        config.to_disk(path, interpolate=False)
    return settings


def read_config(folder: Path) -> dict[str, Any]:
    """Read the settings of a component from config.cfg of a stored pipeline.

    folder (Path): The folder of the component in that of the pipeline.
    RETURNS (Dict[str, Any]): The settings; {} if there is no such file.
    """
    path = folder.parent / "config.cfg"
    if not path.is_file():
        return {}
    components = util.load_config(path, interpolate=True).get("components", {})
    return dict(components.get(folder.name, {}))


def _as_stored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they are read from a file, with fewer decimals."""
    values = {
        name: rounded(value) if name in ("temperature", "bias") else value
        for name, value in settings.items()
    }
    stored: dict[str, Any] = srsly.json_loads(srsly.json_dumps(values))
    return stored
