"""Wheels of pipelines, and their test installation."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.licenses import (
    InvalidLicenseExpression,
    canonicalize_license_expression,
)
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)

from ..about import __version__
from ..errors import WnutError
from ..files import check_out, replacing
from ..models.pypi import is_package, parse_source
from .cards import PROTOCOLS, is_scores, pipeline_card
from .installed import find_requirements, link_distributions

VERSIONS = f">={__version__},<{int(__version__.split('.')[0]) + 1}"
# The requirements of each kind of pipeline. Without them, spaCy would pin the minor
# versions that it was trained with.
TORCH = [f"spacy-wnut[torch]{VERSIONS}", "spacy-transformers>=1.3.5"]
ONNX = [f"spacy-wnut[onnx]{VERSIONS}"]
PLUGIN = "spacy_wnut"
ONNX_ARCHITECTURES = "spacy-wnut.Onnx"

META: dict[str, Any] = {
    "author": "spacy-wnut",
    "license": "MIT",
    "description": (
        "Named entities in posts, comments and chat, with the exact probability of "
        "each as `span._.confidence`."
    ),
}

# Phrases that identify the text of a licence.
LICENSES = {
    "MIT": "Permission is hereby granted, free of charge, to any person obtaining a "
    "copy of this software and associated documentation files",
    "Apache-2.0": "Apache License Version 2.0, January 2004",
    "GPL-3.0-only": "GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007",
    "MPL-2.0": "Mozilla Public License Version 2.0",
}

# The source of a pipeline that was trained on it.
WNUT_17 = {
    "name": "WNUT 17: novel and emerging entities",
    "url": "https://github.com/leondz/emerging_entities_17",
    "author": "Derczynski, Nichols, van Erp, Limsopatham",
    "license": "CC BY 4.0",
    # The id on the hub.
    "dataset": "wnut_17",
}

TRY_IT = """
import importlib.util, sys, spacy
nlp = spacy.load(sys.argv[1])
doc = nlp(sys.argv[2])
assert doc.has_annotation("ENT_IOB"), "the pipeline sets no entities"
for package in sys.argv[3:]:
    assert importlib.util.find_spec(package) is None, f"{package} is installed as well"
assert all(0 < ent._.confidence <= 1 for ent in doc.ents)
for ent in doc.ents:
    print(f"{ent.text}\\t{ent.label_}\\t{ent._.confidence:.3f}")
"""

SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"

SPLITS = ("train", "dev", "test")

SENTENCE = "Empire State Building = ESB. Pretty bad storm in New York last evening."


def package_pipeline(
    model_dir: Path,
    out_dir: Path,
    name: str,
    version: str,
    encoder: str,
    license_file: Path | None,
    metrics: Sequence[Path],
    data: str = "wnut_17",
) -> Path:
    """Build the wheel of a trained pipeline.

    model_dir (Path): The pipeline, as `spacy train` writes it.
    out_dir (Path): The folder for the wheel.
    name (str): The name of the pipeline, without the language.
    version (str): Its version.
    encoder (str): The encoder that it was trained from, for the sources: a folder, a
        model on the hub or a package of PyPI.
    license_file (Optional[Path]): The licence: a file with its text, which is included in
        the wheel, or an SPDX id. By default the licence in meta.json, otherwise MIT.
    metrics (Sequence[Path]): JSON files of `spacy-wnut evaluate --json`, and folders
        of them. The key of a file in the performance of meta.json is its name without
        suffix. Of a folder, the files with scores are used: gold tokens before spaCy
        tokens, and train, dev and test in this order. The model card, README.md, shows
        the scores, too.
    data (str): The data that it was trained on, for the sources: a name of WNUT 17, or
        the folder or id of other data.
    RETURNS (Path): The wheel.

    Author, description and other fields of meta.json are kept.

    Raises WnutError if the pipeline or one of the files isn't there, if a file or
    folder of metrics holds no scores, or the wheel can't be built.
    """
    if not (model_dir / "meta.json").is_file():
        raise WnutError(
            f"{model_dir} holds no pipeline (no meta.json). Train one first: "
            "python -m spacy project run train"
        )
    check_out(out_dir / "wheel", [model_dir])
    for path in metrics:
        if not (path.is_file() or path.is_dir()):
            raise WnutError(f"there is no file {path} to put into the package")
    import srsly  # type: ignore[import-untyped]

    meta = srsly.read_json(model_dir / "meta.json")
    sources = [_source(data), _encoder_source(encoder)]
    meta.update({key: value for key, value in META.items() if not meta.get(key)})
    if license_file is not None:
        meta["license"] = _license(license_file)
    theirs = meta.get("requirements") or []
    try:
        needed = merge_requirements(theirs, requirements(model_dir))
    except (InvalidRequirement, TypeError) as err:
        raise WnutError(
            f"requirements in {model_dir / 'meta.json'} is no list of requirements "
            f"as pip reads them: {err}"
        ) from err
    meta.update(name=name, version=version, requirements=needed)
    stated = meta.get("sources") or []
    meta["sources"] = [*sources, *(one for one in stated if one not in sources)]
    meta["performance"] = (
        _performance(_metrics_files(metrics)) or meta.get("performance") or {}
    )
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "model"
        shutil.copytree(model_dir, source)
        if license_file is not None and license_file.is_file():
            shutil.copy(license_file, source / "LICENSE")
        srsly.write_json(source / "meta.json", meta)
        # Otherwise spaCy would write its own.
        if not (source / "README.md").exists():
            (source / "README.md").write_text(pipeline_card(meta), encoding="utf8")
        build_package(source, Path(scratch), create_sdist=False, create_wheel=True)
        built = list(Path(scratch).glob("*/dist/*.whl"))
        if len(built) != 1:
            raise WnutError(f"The wheel of {model_dir} wasn't built: see the log above")
        wheel = out_dir / built[0].name
        with replacing(wheel) as beside:
            shutil.copy(built[0], beside)
    return wheel


def build_package(
    model_dir: Path, out_dir: Path, *, create_sdist: bool, create_wheel: bool
) -> None:
    """Build a package by spaCy's own command. It is imported late, since that takes
    seconds.

    model_dir (Path): The pipeline.
    out_dir (Path): The folder to write to.
    create_sdist (bool): Whether to build an sdist.
    create_wheel (bool): Whether to build a wheel.
    """
    from spacy.cli.package import package

    package(model_dir, out_dir, create_sdist=create_sdist, create_wheel=create_wheel)


def requirements(model_dir: Path) -> list[str]:
    """Return the requirements of a pipeline on this package: with torch or without. A
    pipeline without components of this package has none.

    model_dir (Path): The folder of the pipeline.
    """
    from thinc.api import Config

    config = Config().from_disk(model_dir / "config.cfg", interpolate=False)
    text = config.to_str(interpolate=False)
    if "spacy-wnut." not in text and '"entity_tagger"' not in text:
        return []
    models = [pipe.get("model", {}) for pipe in config["components"].values()]
    names = [str(model.get("@architectures", "")) for model in models]
    has_torch = any("ransformer" in name for name in names)
    has_onnx = any(name.startswith(ONNX_ARCHITECTURES) for name in names)
    return ONNX if has_onnx and not has_torch else TORCH


def merge_requirements(theirs: Sequence[str], ours: Sequence[str]) -> list[str]:
    """Merge two lists of requirements into one entry per package and marker, with the
    extras and the specifiers of both.

    theirs (Sequence[str]): Requirements, as in meta.json.
    ours (Sequence[str]): More requirements. Their spelling of names is used.
    RETURNS (list[str]): The requirements, in order of first mention.

    Raises InvalidRequirement if one cannot be parsed, TypeError if `theirs` is no list
    of strings.

    >>> merge_requirements(["Torch>=2.0", "emoji"], ["torch<3"])
    ['torch<3,>=2.0', 'emoji']
    """
    if not isinstance(theirs, list) or not all(isinstance(x, str) for x in theirs):
        raise TypeError(repr(theirs))
    merged: dict[tuple[str, str], Requirement] = {}
    for text in (*theirs, *ours):
        new = Requirement(text)
        key = (canonicalize_name(new.name), str(new.marker or ""))
        old = merged.setdefault(key, new)
        # spaCy compares names in the spelling of the package's metadata.
        old.name = new.name
        old.extras |= new.extras
        old.url = old.url or new.url
        old.specifier &= new.specifier
    for requirement in merged.values():
        # A URL is one exact release, and cannot be combined with a specifier.
        if requirement.url:
            requirement.specifier = type(requirement.specifier)()
    return [str(requirement) for requirement in merged.values()]


def check_wheels(
    wheels_dir: Path,
    name: str,
    constraints: Path | None,
    absent: Sequence[str] = (),
    offline: bool = False,
) -> str:
    """Install the newest wheels of a pipeline and of spacy-wnut into an empty virtual
    environment, and annotate a sentence with the pipeline there, without the hub.

    wheels_dir (Path): The folder with the wheels.
    name (str): The name of the pipeline's package.
    constraints (Optional[Path]): Versions to install, for pip's --constraint.
    absent (Sequence[str]): Packages that must not be installed with them.
    offline (bool): Whether to link the dependencies from this environment instead of
        downloading them.
    RETURNS (str): The entities, one line each: text, type and confidence.

    Raises WnutError if there are no wheels, if `offline` and a dependency is missing in
    this environment, or if one of the steps fails.
    """
    # Wheels of other pipelines may have more dependencies.
    wheels = [str(path) for path in find_wheels(wheels_dir, name)]
    with tempfile.TemporaryDirectory() as scratch:
        builder = venv.EnvBuilder(with_pip=not offline)
        builder.create(scratch)
        python = builder.ensure_directories(scratch).env_exe
        # Most modules are never imported, so they are not compiled in advance.
        install = ["-m", "pip", "install", "--quiet", "--no-compile"]
        if offline:
            site = _run([python, "-c", SITE]).strip()
            target = ["--no-deps", "--no-index", "--target", site]
            _run([sys.executable, *install, *target, *wheels])
            ours = list(distributions(path=[site]))
            link_distributions(find_requirements([name], ours), Path(site))
        else:
            pins = ["--constraint", str(constraints.absolute())] if constraints else []
            _run([python, *install, *pins, *wheels])
        return _run([python, "-c", TRY_IT, name, SENTENCE, *absent], cwd=scratch)


def find_wheels(wheels_dir: Path, name: str) -> tuple[Path, Path]:
    """Find the newest wheels of a pipeline and of spacy-wnut.

    wheels_dir (Path): The folder with the wheels.
    name (str): The name of the pipeline's package.
    RETURNS (Tuple[Path, Path]): The wheel of the pipeline, and that of spacy-wnut.

    Raises WnutError if one of them isn't there.
    """
    pipeline, plugin = (_newest(wheels_dir, part) for part in (name, PLUGIN))
    if pipeline is None or plugin is None:
        found = ((name, pipeline), (PLUGIN, plugin))
        missing = [part for part, path in found if path is None]
        raise WnutError(
            f"There are no wheels of {' and '.join(missing)} in {wheels_dir}. Build "
            "them first: python -m spacy project run package"
        )
    return pipeline, plugin


def _newest(wheels_dir: Path, name: str) -> Path | None:
    """Return the wheel of a package with the highest version."""
    found = []
    for path in wheels_dir.glob("*.whl"):
        try:
            package, version, build, _ = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if package == canonicalize_name(name):
            found.append((version, build, path))
    return max(found)[-1] if found else None


def _license(license_file: Path) -> str:
    """Return the SPDX id of a licence, or the first line of an unknown text."""
    if not license_file.is_file():
        try:
            return canonicalize_license_expression(str(license_file))
        except InvalidLicenseExpression as err:
            raise WnutError(
                f"there is no file {license_file} to put into the package, and it is "
                "no SPDX id of a licence, such as MIT or Apache-2.0, either"
            ) from err
    try:
        text = " ".join(license_file.read_text(encoding="utf8").split())
        title = license_file.read_text(encoding="utf8").strip().splitlines()[0].strip()
    except (UnicodeDecodeError, IndexError) as err:
        raise WnutError(f"{license_file} holds no text of a licence") from err
    known = (spdx for spdx, start in LICENSES.items() if start in text)
    return next(known, title)


def _run(command: list[str], cwd: str | None = None) -> str:
    # Without the import path of this process, and without the hub.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env["HF_HUB_OFFLINE"] = "1"
    result = subprocess.run(
        command, cwd=cwd, env=env, text=True, encoding="utf8", capture_output=True
    )
    if result.returncode != 0:
        raise WnutError(f"{' '.join(command[1:4])} failed: {result.stderr.strip()}")
    return result.stdout


def _source(data: str) -> dict[str, str]:
    name = Path(data).name
    is_wnut_17 = re.sub("[^a-z0-9]", "", name.lower()) == "wnut17"
    return WNUT_17 if is_wnut_17 else {"name": name}


def _encoder_source(encoder: str) -> dict[str, str]:
    if not is_package(encoder):
        return {"name": f"encoder {Path(encoder).name}"}
    package = parse_source(encoder)
    versions = package.version or package.specifier
    url = f"https://pypi.org/project/{package.name}/"
    return {
        "name": f"encoder {package.name} {versions}".rstrip(),
        "url": f"{url}{package.version}/" if package.version else url,
    }


def _metrics_files(metrics: Sequence[Path]) -> list[Path]:
    """Return the files with scores among the given files and in the given folders."""
    found: dict[str, Path] = {}
    for path in metrics:
        for file in _scores_in(path) if path.is_dir() else [path]:
            same = found.setdefault(file.stem, file)
            if not same.samefile(file):
                raise WnutError(
                    f"{same} and {file} would both be {file.stem} in meta.json: rename "
                    "one of them"
                )
    return list(found.values())


def _scores_in(folder: Path) -> list[Path]:
    paths = [
        path
        for path in folder.glob("*.json")
        # The operating system creates hidden files.
        if not path.is_dir() and not path.name.startswith(".")
    ]
    # Folders also contain other JSON files, such as those of `calibrate --json`.
    paths = [path for path in paths if is_scores(_read_json(path))]
    if not paths:
        raise WnutError(
            f"the folder {folder} holds no scores: evaluate the pipeline first, with "
            f"`spacy-wnut evaluate MODEL CORPUS... --json {folder}`"
        )
    return sorted(paths, key=_place)


def _place(path: Path) -> tuple[int, int, str]:
    """Sort key of a file with scores: by protocol, then by split, then by name."""
    start, _, end = path.stem.rpartition("_")
    split = path.stem.partition("_")[0]
    protocols = list(PROTOCOLS)
    return (
        protocols.index(end) if start and end in protocols else len(protocols),
        SPLITS.index(split) if split in SPLITS else len(SPLITS),
        path.stem,
    )


def _read_json(path: Path) -> Any:
    try:
        # srsly rejects NaN, which other JSON files may contain.
        return json.loads(path.read_text(encoding="utf8"))
    except ValueError as err:
        raise WnutError(
            f"{path} can't be read as JSON: {err}. Remove it, or name the files with "
            "scores instead of the folder"
        ) from err


def _performance(metrics: Sequence[Path]) -> dict[str, Any]:
    import srsly

    performance: dict[str, Any] = {}
    for path in metrics:
        try:
            scores = srsly.read_json(path)
            # spaCy's package README shows the numbers of the top level.
            for measure in ("precision", "recall", "f1"):
                performance[f"{path.stem}_entity_{measure}"] = scores["entity"][measure]
            performance[f"{path.stem}_surface_f1"] = scores["surface"]["f1"]
        except (ValueError, KeyError, TypeError) as err:
            raise WnutError(
                f"{path} holds no scores: give what `spacy-wnut evaluate --json` writes"
            ) from err
        performance[path.stem] = scores
    return performance
