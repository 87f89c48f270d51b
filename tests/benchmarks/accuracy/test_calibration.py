from xml.etree import ElementTree

import numpy
import pytest

from benchmarks.accuracy import calibration
from spacy_wnut.calibration.pipeline import calibrate as fit
from spacy_wnut.calibration.pipeline import measure_confidences
from spacy_wnut.calibration.sample import Sample, find_entities
from spacy_wnut.crf.decoding import Emitted, legal_chain
from spacy_wnut.labels import LabelScheme


def make_sample(n_posts, seed):
    """Posts of one word each, an entity or not. The emissions are random and
    overconfident.
    """
    rng = numpy.random.default_rng(seed)
    scheme = LabelScheme(("a",))
    emissions = numpy.zeros((n_posts, 3))
    emissions[:, 1] = rng.normal(scale=2, size=n_posts)
    is_right = rng.random(n_posts) < 1 / (1 + numpy.exp(-emissions[:, 1]))
    gold = [frozenset({(0, 1, 0)} if right else ()) for right in is_right]
    return Sample(
        Emitted(4 * emissions, numpy.ones(n_posts, dtype=int), legal_chain(scheme)),
        gold,
        is_right.astype(int),
        numpy.zeros(n_posts, dtype=bool),
    )


def test_calibration_is_fitted_on_dev_and_measured_on_test():
    dev, test = make_sample(2000, 1), make_sample(2000, 2)
    one = calibration.measure_training(dev, test)
    assert one["temperature"] == fit(dev, 0.0)["temperature"] > 2
    assert one["dev"]["after"] == fit(dev, 0.0)["cross_validated"]
    gold = int(test.n_gold.sum())
    found = find_entities(test, 0.0, one["temperature"])
    assert one["test"]["after"] == measure_confidences(found, gold)
    assert one["test"]["after"]["ece"] < one["test"]["before"]["ece"] / 2
    biased = fit(dev)
    assert one["bias"] == biased["bias"] != 0.0
    found = find_entities(test, biased["bias"], biased["temperature"])
    assert one["test"]["with_bias"] == measure_confidences(found, gold)

    other = calibration.measure_training(make_sample(2000, 3), test)
    names = {"config": "some.cfg", "encoder": "small"}
    runs = [{**names, "seed": 0, **one}, {**names, "seed": 1, **other}]
    summary = calibration.summarize(runs)
    eces = [run["test"]["after"]["ece"] for run in runs]
    assert summary["test"]["after"]["ece"] == pytest.approx(sum(eces) / 2)
    assert [run["test_ece_after"] for run in summary["trainings"]] == eces
    bins = [run["test"]["after"]["reliability"][3]["right"] for run in runs]
    assert summary["test"]["after"]["reliability"][3]["right"] == pytest.approx(
        sum(bins) / 2, abs=1e-5
    )
    assert f"| test, after | {sum(eces) / 2:.3f} |" in calibration.make_block(summary)
    for chart in calibration.make_charts(summary).values():
        lines = ElementTree.fromstring(chart).findall("{*}polyline")
        assert len(lines) > 12
