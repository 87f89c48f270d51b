"""Environments from installed distributions, without downloads."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    distributions,
)
from pathlib import Path, PurePath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..errors import WnutError


def find_requirements(
    requirements: Iterable[str], given: Iterable[Distribution] = ()
) -> list[Distribution]:
    """Find the installed distributions of requirements, and of their own requirements.

    requirements (Iterable[str]): Requirements as pip reads them, with extras.
    given (Iterable[Distribution]): Distributions that are used in place of installed
        ones. They are not returned.
    RETURNS (list[Distribution]): The distributions of this environment.

    Raises WnutError if a distribution is missing, or has another version.

    >>> [dist.name for dist in find_requirements(["packaging"])]
    ['packaging']
    """
    found = {canonicalize_name(dist.name): dist for dist in given}
    n_given = len(found)
    waiting = [(line, "") for line in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        line, extra = waiting.pop()
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            dist = found.get(name) or distribution(requirement.name)
        except PackageNotFoundError as err:
            raise WnutError(
                f"{requirement} is not installed in this environment. Install it, or "
                "let pip download it: leave out --offline"
            ) from err
        if not requirement.specifier.contains(dist.version, prereleases=True):
            raise WnutError(
                f"{requirement} is required, but this environment has {dist.version}. "
                "Install that version, or let pip download it: leave out --offline"
            )
        found.setdefault(name, dist)
        for wanted in {"", *requirement.extras} - {x for n, x in seen if n == name}:
            seen.add((name, wanted))
            waiting += [(needed, wanted) for needed in dist.requires or ()]
    return list(found.values())[n_given:]


def link_distributions(dists: Iterable[Distribution], folder: Path) -> None:
    """Link the modules, packages and metadata of installed distributions into a folder.
    Scripts are left out. Where links are not permitted, files are copied.

    dists (Iterable[Distribution]): Distributions of this environment.
    folder (Path): The folder, which is to be on the import path.

    Raises WnutError if a distribution has no list of its files.
    """
    owners = Counter(name for dist in distributions() for name in _top_names(dist))
    for dist in dists:
        if dist.files is None:
            raise WnutError(
                f"{dist.name} {dist.version} was installed without a list of its files "
                "(RECORD). Let pip install it anew: leave out --offline"
            )
        tops = _top_names(dist)
        # Several distributions install files into one namespace package.
        shared = {name for name in tops if owners[name] > 1}
        paths: list[PurePath] = [PurePath(name) for name in tops - shared]
        paths += [path for path in dist.files if path.parts[0] in shared]
        for path in paths:
            _link(Path(str(dist.locate_file(path))), folder / path)


def _top_names(dist: Distribution) -> set[str]:
    names = {path.parts[0] for path in dist.files or () if not path.is_absolute()}
    return names - {"..", "__pycache__"}


def _link(source: Path, target: Path) -> None:
    # RECORD also lists compiled files, which can be missing.
    if target.exists() or not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.symlink(source, target, target_is_directory=source.is_dir())
    except OSError:
        # Windows permits links to administrators and developers only.
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
