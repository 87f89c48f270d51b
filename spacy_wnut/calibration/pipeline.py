"""Fit the temperature and the bias of a trained pipeline, and store them with it."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy
from tqdm import tqdm  # type: ignore[import-untyped]

from ..corpus.docbin import read_corpus
from ..crf.chain import Bools, Ints
from ..errors import WnutError
from ..files import check_out, replacing
from ..pipeline.entity_tagger import find_tagger
from ..pipeline.loading import load_pipeline
from ..scoring.measures import PRF, prf_of_counts
from ..scoring.reliability import (
    THRESHOLDS,
    Bin,
    ThresholdScores,
    expected_calibration_error,
    reliability_table,
    threshold_curve,
)
from .fitting import fit_temperature, tune_bias
from .sample import PredictedEntities, Sample, find_entities, read_sample

FOLDS = 5


class NothingToCalibrate(WnutError):
    """The pipeline has no confidences, or predicts nothing."""


class FittedSettings(NamedTuple):
    """A bias and the temperature that was fitted with it on."""

    bias: float
    temperature: float


class ConfidenceScores(TypedDict):
    """What is measured of entities with confidences, as fractions."""

    entity: PRF
    ece: float
    reliability: list[Bin]
    thresholds: list[ThresholdScores]


class Calibration(TypedDict):
    """The fitted settings, and the figures of the sample they were fitted on.

    `before` is at temperature 1, without a bias if one was tuned. `after` is with
    the settings. `cross_validated` has each fold of the posts with settings that
    were fitted on the others: what to expect of posts that were not seen.
    """

    temperature: float
    bias: float
    posts: int
    gold: int
    before: ConfidenceScores
    after: ConfidenceScores
    cross_validated: ConfidenceScores


def calibrate_pipeline(
    model: str,
    corpus: Path,
    out_dir: Path | None,
    has_bias: bool,
    gpu_id: int,
    or_copy: bool = False,
) -> Calibration | None:
    """Calibrate a pipeline on a corpus, and write it with the settings.

    model (str): The folder of a pipeline, or the name of an installed one.
    corpus (Path): A DocBin file as `convert` writes it, of posts that the pipeline
        wasn't trained on.
    out_dir (Optional[Path]): The folder to write the pipeline to. If None it takes
        the place of `model`, which has to be a folder then.
    has_bias (bool): Whether to tune the bias. If not, it stays as it is.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    or_copy (bool): Whether a pipeline with nothing to calibrate is copied as it is.
        One with spaCy's own `ner` has no confidences, and one that learned nothing
        predicts no entities.
    RETURNS (Optional[Calibration]): The settings, and the figures before and after.
        None if the pipeline was copied.

    Raises WnutError if the GPU, the pipeline, the corpus or the folder can't be
    used, the pipeline has several EntityTaggers or the corpus no entities; and
    NothingToCalibrate unless the pipeline is copied.
    """
    target = _target(model, corpus, out_dir)
    nlp = load_pipeline(model, gpu_id)
    try:
        tagger = find_tagger(nlp, missing=NothingToCalibrate)
        sample = read_sample(nlp, tagger.name, read_corpus(corpus, nlp))
        if not sample.n_gold.any():
            raise WnutError(
                f"{corpus} has no entities, so nothing tells which confidences are "
                "right: give annotated posts that the pipeline wasn't trained on"
            )
        calibration = calibrate(sample, None if has_bias else tagger.bias)
    except NothingToCalibrate:
        if not or_copy:
            raise
        if out_dir is not None:
            with replacing(target) as beside:
                shutil.copytree(nlp.path, beside)
        return None
    tagger.temperature = calibration["temperature"]
    tagger.bias = calibration["bias"]
    with replacing(target) as beside:
        # Not the whole pipeline as it is now: its vocabulary knows the corpus.
        shutil.copytree(nlp.path, beside)
        # It updates config.cfg, too.
        tagger.to_disk(beside / tagger.name, exclude=["vocab", "model"])
    return calibration


def calibrate(sample: Sample, bias: float | None = None) -> Calibration:
    """Fit the settings on a sample, and cross-validate them on it.

    sample (Sample): As `read_sample` makes it.
    bias (Optional[float]): The bias to calibrate with. If None it is tuned.
    RETURNS (Calibration): The settings, and the figures before and after.

    Raises NothingToCalibrate if nothing is predicted.
    """

    @cache
    def find(bias: float, temperature: float) -> PredictedEntities:
        return find_entities(sample, bias, temperature)

    n_gold = sample.n_gold
    start = find(0.0 if bias is None else bias, 1.0)
    fitted = _fit(find, n_gold, numpy.ones(len(n_gold), dtype=bool), bias)
    if not len(find(*fitted).posts):
        raise NothingToCalibrate(
            "the pipeline predicts no entities, neither right nor wrong ones, so there "
            "are no confidences to calibrate: train it longer, or on more"
        )
    held_out = []
    folds = tqdm(range(FOLDS), unit="fold", leave=False, disable=None)
    for fold in folds:
        in_fold = numpy.arange(len(n_gold)) % FOLDS == fold
        found = find(*_fit(find, n_gold, ~in_fold, bias))
        held_out.append(found.of_posts(in_fold))
    pooled = PredictedEntities(
        *(numpy.concatenate(part) for part in zip(*held_out, strict=True))
    )
    gold = int(n_gold.sum())
    return {
        "temperature": fitted.temperature,
        "bias": fitted.bias,
        "posts": len(n_gold),
        "gold": gold,
        "before": measure_confidences(start, gold),
        "after": measure_confidences(find(*fitted), gold),
        "cross_validated": measure_confidences(pooled, gold),
    }


def measure_confidences(found: PredictedEntities, gold: int) -> ConfidenceScores:
    """The figures of found entities where there are `gold` to find."""
    confidences, right = found.confidences, found.right
    return {
        "entity": prf_of_counts(int(right.sum()), len(right), gold),
        "ece": expected_calibration_error(confidences, right),
        "reliability": reliability_table(confidences, right),
        "thresholds": threshold_curve(confidences, right, gold, THRESHOLDS),
    }


def _fit(
    find: Callable[[float, float], PredictedEntities],
    n_gold: Ints,
    posts: Bools,
    bias: float | None,
) -> FittedSettings:
    """The settings that are best on some posts: a mask, one value a post."""

    def f1_at(bias: float) -> float:
        right = find(bias, 1.0).of_posts(posts).right
        gold = int(n_gold[posts].sum())
        return prf_of_counts(int(right.sum()), len(right), gold)["f1"]

    if bias is None:
        bias = tune_bias(f1_at)
    temperature = fit_temperature(
        lambda temperature: find(bias, temperature).of_posts(posts).confidences,
        find(bias, 1.0).of_posts(posts).right,
    )
    return FittedSettings(bias, temperature)


def _target(model: str, corpus: Path, out_dir: Path | None) -> Path:
    if out_dir is None:
        if not Path(model).is_dir():
            raise WnutError(
                f"{model} is no folder, so the calibrated pipeline can't take its "
                "place: name a folder for it with --out"
            )
        return Path(model)
    check_out(out_dir, [model, corpus], "meta.json")
    return out_dir
