"""From a trained pipeline to wheels, and the proof that they install."""

import os
import re
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import srsly  # type: ignore[import-untyped]
from spacy.cli.package import package as build_package
from thinc.api import Config

from .about import __version__
from .card import pipeline_card
from .errors import WnutError
from .files import replacing

VERSIONS = f">={__version__},<{int(__version__.split('.')[0]) + 1}"
# What each kind of pipeline needs. Without them spaCy pins what it was trained with to
# its minor version, and later releases can't be installed beside it.
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

# What the figures of a card are of, if the pipeline was trained on it.
WNUT_17 = {
    "name": "WNUT 17: novel and emerging entities",
    "url": "https://github.com/leondz/emerging_entities_17",
    "author": "Derczynski, Nichols, van Erp, Limsopatham",
    "license": "CC BY 4.0",
    # Its id on the hub.
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

SENTENCE = "Empire State Building = ESB. Pretty bad storm in New York last evening."


def package_pipeline(
    model_dir: Path,
    out_dir: Path,
    name: str,
    version: str,
    encoder: str,
    license_file: Path,
    metrics: Sequence[Path],
    data: str = "wnut_17",
) -> Path:
    """Build the wheel of a trained pipeline.

    model_dir (Path): The pipeline, as `spacy train` writes it.
    out_dir (Path): The folder for the wheel.
    name (str): The pipeline's name, without the language.
    version (str): Its version.
    encoder (str): The encoder it was trained from, for the sources.
    license_file (Path): The licence to put in.
    metrics (Sequence[Path]): What `spacy-wnut evaluate --json` measured. A file
        goes by its name without suffix in the performance of meta.json. They make
        the figures of the model card, README.md, too.
    data (str): The data it was trained on, for the sources: WNUT 17 by one of its
        names, or other data's folder or id.
    RETURNS (Path): The wheel.

    Raises WnutError if the pipeline or one of the files isn't there, or the wheel
    can't be built.
    """
    if not (model_dir / "meta.json").is_file():
        raise WnutError(
            f"{model_dir} holds no pipeline (no meta.json). Train one first: "
            "python -m spacy project run train"
        )
    for path in (license_file, *metrics):
        if not path.is_file():
            raise WnutError(f"there is no file {path} to put into the package")
    meta = {**srsly.read_json(model_dir / "meta.json"), **META}
    meta.update(name=name, version=version, requirements=requirements(model_dir))
    meta["sources"] = [_source(data), {"name": f"encoder {Path(encoder).name}"}]
    meta["performance"] = _performance(metrics)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "model"
        shutil.copytree(model_dir, source)
        shutil.copy(license_file, source / "LICENSE")
        srsly.write_json(source / "meta.json", meta)
        # spaCy would write one of its own.
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


def requirements(model_dir: Path) -> list[str]:
    """What a pipeline needs, by the model that it has.

    model_dir (Path): Its folder.
    """
    config = Config().from_disk(model_dir / "config.cfg", interpolate=False)
    models = [pipe.get("model", {}) for pipe in config["components"].values()]
    names = [str(model.get("@architectures", "")) for model in models]
    has_torch = any("ransformer" in name for name in names)
    has_onnx = any(name.startswith(ONNX_ARCHITECTURES) for name in names)
    return ONNX if has_onnx and not has_torch else TORCH


def check_wheels(
    wheels_dir: Path,
    name: str,
    constraints: Path | None,
    absent: Sequence[str] = (),
) -> str:
    """Prove that the wheels of a pipeline and of spacy-wnut install into an empty
    virtual environment and that the pipeline loads and finds entities, with the hub
    switched off.

    wheels_dir (Path): The folder with the wheels.
    name (str): The pipeline to load.
    constraints (Optional[Path]): Versions to install, for pip's --constraint.
    absent (Sequence[str]): Packages that must not be installed with them.
    RETURNS (str): The entities found, a line each: text, type and confidence.

    Raises WnutError if there are no wheels, or one of the steps fails.
    """
    # Those of other pipelines bring what this one has to do without.
    found = {part: sorted(wheels_dir.glob(f"{part}-*.whl")) for part in (name, PLUGIN)}
    missing = [part for part, paths in found.items() if not paths]
    if missing:
        raise WnutError(
            f"There are no wheels of {' and '.join(missing)} in {wheels_dir}. Build "
            "them first: python -m spacy project run package"
        )
    wheels = [str(path) for paths in found.values() for path in paths]
    with tempfile.TemporaryDirectory() as scratch:
        builder = venv.EnvBuilder(with_pip=True)
        builder.create(scratch)
        python = builder.ensure_directories(scratch).env_exe
        options = ["--constraint", str(constraints.absolute())] if constraints else []
        # Most of what is installed is never imported, so nothing is compiled ahead.
        install = [python, "-m", "pip", "install", "--quiet", "--no-compile"]
        _run([*install, *options, *wheels])
        return _run([python, "-c", TRY_IT, name, SENTENCE, *absent], cwd=scratch)


def _run(command: list[str], cwd: str | None = None) -> str:
    # Nothing of the environment that runs this may help.
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


def _performance(metrics: Sequence[Path]) -> dict[str, Any]:
    performance: dict[str, Any] = {}
    for path in metrics:
        try:
            scores = srsly.read_json(path)
            # spaCy's own package README shows what is a number at the top level.
            for measure in ("precision", "recall", "f1"):
                performance[f"{path.stem}_entity_{measure}"] = scores["entity"][measure]
            performance[f"{path.stem}_surface_f1"] = scores["surface"]["f1"]
        except (ValueError, KeyError, TypeError) as err:
            raise WnutError(
                f"{path} holds no scores: give what `spacy-wnut evaluate --json` writes"
            ) from err
        performance[path.stem] = scores
    return performance
