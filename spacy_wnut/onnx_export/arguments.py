"""Checks of the arguments of an export, before anything heavy is imported."""

from importlib.util import find_spec
from pathlib import Path

from ..errors import WnutError
from ..files import check_out
from ..inputs import check_inputs

PRECISIONS = ("fp32", "int8")


def check_arguments(
    model: str, out: Path, precision: str, corpus: Path, calibration: Path | None
) -> None:
    """Check the arguments of `export_pipeline`, which are documented there.

    Raises WnutError if the precision is unknown, int8 has no corpus for its calibration,
    the package onnx is missing, the output can't be written, or an input is missing.
    """
    if precision not in PRECISIONS:
        raise WnutError(f'precision must be "fp32" or "int8", got {precision!r}')
    if precision == "int8" and calibration is None:
        raise WnutError(
            "int8 needs posts to calibrate its scales on: pass a DocBin, for example "
            "the training data, with --calibration"
        )
    if find_spec("onnx") is None:
        raise WnutError(
            'the export needs the package onnx: pip install "spacy-wnut[train]"'
        )
    check_out(out, [model, corpus, calibration or ""], "meta.json")
    check_inputs([model], [corpus, calibration if precision == "int8" else None])
