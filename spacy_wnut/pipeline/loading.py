"""Load a pipeline by the name of its package or from its folder."""

from pathlib import Path

from spacy.language import Language
from spacy.util import load_model
from thinc.api import require_gpu

from ..errors import WnutError
from ..inputs import check_pipeline
from .integrity import find_fault, refuse_paths


def load_pipeline(model: str, gpu_id: int = -1) -> Language:
    """Load a pipeline.

    model (str): The name of an installed pipeline, or its folder.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    RETURNS (Language): The pipeline.

    Raises WnutError if the GPU or the pipeline cannot be used, with the file if one is
    damaged.
    """
    check_pipeline(model)
    # Before loading, which puts the weights on the device.
    if gpu_id >= 0:
        try:
            require_gpu(gpu_id)
        except (RuntimeError, ValueError) as err:
            raise WnutError(
                f"GPU {gpu_id} can't be used: {err}. Leave --gpu-id out to run on the CPU"
            ) from err
    refuse_paths(Path(model))
    try:
        return load_model(model)
    # Readers raise any exception for a damaged file.
    except Exception as err:
        if fault := find_fault(Path(model)):
            raise WnutError(f"the pipeline {model} can't be loaded: {fault}") from err
        raise WnutError(
            f"the pipeline {model} can't be loaded: give the name of an installed one "
            f"or the folder of one. spaCy says: {err}"
        ) from err


def no_entities(nlp: Language, model: str | None = None) -> WnutError:
    """Return the exception for a pipeline without a component that sets entities.

    nlp (Language): The pipeline.
    model (Optional[str]): Its name or folder as the user gives it.
    """
    name = model or f"{nlp.lang}_{nlp.meta['name']}"
    return WnutError(
        f"no component of the pipeline {name} sets entities (it has: "
        f"{', '.join(nlp.pipe_names) or 'none'}): give one with a component like "
        "ner or entity_ruler"
    )
