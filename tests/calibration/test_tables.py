import numpy

from spacy_wnut.calibration.pipeline import measure_confidences
from spacy_wnut.calibration.sample import PredictedEntities
from spacy_wnut.calibration.tables import format_calibration


def figures(confidences, right):
    posts = numpy.zeros(len(right), dtype=numpy.int64)
    return measure_confidences(
        PredictedEntities(posts, numpy.asarray(confidences), numpy.asarray(right)), 4
    )


def test_table_has_scores_in_percent_and_ece_as_a_fraction():
    text = format_calibration(
        {
            "temperature": 1.5,
            "bias": -0.3,
            "posts": 7,
            "gold": 4,
            "before": figures([0.5, 0.5], [True, True]),
            "after": figures([1.0], [True]),
            "cross_validated": figures([0.25, 0.75, 1.0], [False, False, True]),
        }
    )
    assert [line.split() for line in text.splitlines() if line] == [
        ["ECE", "P", "R", "F1", "Predicted"],
        ["---------------", "------", "------", "-----", "-----", "---------"],
        ["before", "0.5000", "100.00", "50.00", "66.67", "2"],
        ["after", "0.0000", "100.00", "25.00", "40.00", "1"],
        ["cross-validated", "0.3333", "33.33", "25.00", "28.57", "3"],
        ["temperature", "1.500,", "bias", "-0.3"],
    ]
