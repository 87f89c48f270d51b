"""Calibration of a trained pipeline: fit its temperature and bias, and store them."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy
from tqdm import tqdm  # type: ignore[import-untyped]

from ..corpus.examples import read_corpus
from ..crf.arrays import Bools, Ints
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
    """The pipeline has no confidences, or predicts no entities."""


class FittedSettings(NamedTuple):
    """A bias, in nats, and the temperature fitted to the confidences with this bias."""

    bias: float
    temperature: float


class ConfidenceScores(TypedDict):
    """Scores of predicted entities with confidences, as fractions between 0 and 1.

    entity (PRF): Precision, recall and F1 without a threshold.
    ece (float): The expected calibration error.
    reliability (List[Bin]): The bins of the reliability diagram.
    thresholds (List[ThresholdScores]): Precision, recall and F1 at 101 thresholds.
    """

    entity: PRF
    ece: float
    reliability: list[Bin]
    thresholds: list[ThresholdScores]


class Calibration(TypedDict):
    """Fitted settings, and scores of the sample that they were fitted on.

    temperature (float): The fitted temperature.
    bias (float): The tuned bias in nats, or the given one.
    posts (int): The number of posts.
    gold (int): The number of gold entities.
    before (ConfidenceScores): The scores at temperature 1, with bias 0 if the bias was
        tuned.
    after (ConfidenceScores): The scores with the fitted settings.
    cross_validated (ConfidenceScores): The scores of each of five folds with settings
        fitted on the other four: an estimate for new posts.
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
    """Calibrate a pipeline on a corpus, and write the calibrated pipeline.

    model (str): The folder of a pipeline, or the name of an installed one.
    corpus (Path): The annotated posts, as for `read_corpus`, that the pipeline was
        not trained on.
    out_dir (Optional[Path]): The folder for the calibrated pipeline. If None, it
        replaces `model`, which has to be a folder.
    has_bias (bool): Whether to tune the bias. Otherwise it does not change.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    or_copy (bool): Whether to copy a pipeline that cannot be calibrated, unchanged,
        instead of raising NothingToCalibrate.
    RETURNS (Optional[Calibration]): The fitted settings and their scores, or None if
        the pipeline was copied.

    Raises WnutError if the GPU, the pipeline, the corpus or the folder can't be used, if
    the pipeline has several EntityTaggers, or if the corpus has no entities. Raises
    NothingToCalibrate, unless `or_copy` is set, if the pipeline has no confidences (such
    as spaCy's `ner`) or predicts no entities (such as an untrained one).
    """
    target = _target(model, corpus, out_dir)
    nlp = load_pipeline(model, gpu_id)
    try:
        tagger = find_tagger(nlp, missing=NothingToCalibrate)
        sample = read_sample(nlp, tagger.name, read_corpus(corpus, nlp))
        if not sample.n_gold.any():
            raise WnutError(
                f"{corpus} has no entities, so confidences can't be compared with it: "
                "give annotated posts that the pipeline wasn't trained on"
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
        # A copy, not nlp.to_disk: the vocabulary in memory contains the corpus.
        shutil.copytree(nlp.path, beside)
        # This also updates config.cfg.
        tagger.to_disk(beside / tagger.name, exclude=["vocab", "model"])
    return calibration


def calibrate(sample: Sample, bias: float | None = None) -> Calibration:
    """Fit the temperature, and optionally the bias, on a sample, and cross-validate.

    sample (Sample): The sample, from `read_sample`.
    bias (Optional[float]): The bias in nats, or None to tune it.
    RETURNS (Calibration): The fitted settings, and the scores before and after.

    Raises NothingToCalibrate if no entities are predicted.
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
            "are no confidences to calibrate: train it longer or on more posts"
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
    """Score predicted entities with their confidences.

    found (PredictedEntities): The predicted entities.
    gold (int): The number of gold entities.
    RETURNS (ConfidenceScores): The scores.
    """
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
    """Fit the settings on the posts selected by a mask of shape (n_posts,)."""

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
                f"{model} is no folder, so the calibrated pipeline can't replace it: "
                "name a folder for it with --out"
            )
        return Path(model)
    check_out(out_dir, [model, corpus], "meta.json")
    return out_dir
