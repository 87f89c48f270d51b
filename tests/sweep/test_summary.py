from statistics import mean

import pytest

from spacy_wnut.errors import WnutError
from spacy_wnut.scoring.measures import ScoredPost, all_scores, post_counts
from spacy_wnut.scoring.significance import compare_f1, f1_interval
from spacy_wnut.sweep.summary import find_row, make_figure, summarise
from spacy_wnut.sweep.tables import format_summary


@pytest.fixture
def trainings(make_metrics):
    return [
        *(make_metrics("good.cfg", seed, right) for seed, right in ((0, 6), (1, 4))),
        make_metrics("bad.cfg", 5, 1),
    ]


def test_figure_has_the_mean_and_the_sample_standard_deviation():
    assert make_figure([0.5, 0.3]) == {
        "runs": [0.5, 0.3],
        "mean": pytest.approx(0.4),
        # The square root of (0.01 + 0.01) / (2 - 1).
        "sd": pytest.approx(0.02**0.5),
    }
    assert make_figure([0.5])["sd"] is None


def test_each_config_is_summarized(trainings):
    good, bad = summarise(trainings)["configs"]
    assert (good["config"], good["seeds"]) == ("good.cfg", [0, 1])
    assert (bad["config"], bad["seeds"]) == ("bad.cfg", [5])
    for name, split, protocol in (
        ("dev F1", "dev", "gold"),
        ("test F1", "test", "gold"),
        ("dev F1, spaCy tokens", "dev", "spacy"),
        ("test F1, spaCy tokens", "test", "spacy"),
    ):
        rows = [find_row(metrics, split, protocol) for metrics in trainings[:2]]
        f1 = [row["entity"]["f1"] for row in rows]
        assert good["figures"][name] == make_figure(f1)
    means = [figure["mean"] for figure in good["figures"].values()]
    assert len(set(means[:1] + means[3:4] + means[5:])) == 4
    assert good["figures"]["test P"]["mean"] == 1.0
    assert good["figures"]["test R"]["mean"] == pytest.approx(5 / 8)
    assert good["figures"]["test surface F1"]["mean"] == pytest.approx(
        mean([12 / 14, 8 / 12])
    )
    posts = [metrics["posts"]["test_gold"] for metrics in trainings]
    assert good["test_f1_interval"] == f1_interval(posts[:2])


def test_first_config_is_compared_with_each_other_one(trainings, make_metrics):
    posts = [metrics["posts"]["test_gold"] for metrics in trainings]
    difference, p = compare_f1(posts[:2], posts[2:])
    third = make_metrics("other.cfg", 0, 8)
    comparisons = summarise([*trainings, third])["comparisons"]
    assert comparisons[0] == {
        "config": "good.cfg",
        "against": "bad.cfg",
        "difference": difference,
        "p": p,
    }
    assert comparisons[1]["against"] == "other.cfg"
    assert comparisons[1]["difference"] < 0 and comparisons[1]["p"] > 0.5


def test_different_posts_are_not_compared(trainings, make_metrics):
    other = make_metrics("other.cfg", 0, 8, n_posts=9)
    with pytest.raises(WnutError, match=r"can't compare .* same posts"):
        summarise([*trainings, other])


def test_seen_names_are_scored(trainings):
    row = find_row(trainings[0], "test", "gold")
    assert row["seen"]["f1"] == 1.0
    assert row["unseen"]["recall"] == pytest.approx(5 / 7)
    assert trainings[0]["posts"]["test_gold"] == post_counts(
        [ScoredPost(["a"], ["B-x"], ["B-x" if i < 6 else "O"]) for i in range(8)]
    )
    assert all_scores([])["entity"]["f1"] == 0.0


def test_tables_are_in_percent(trainings):
    summary = summarise(trainings)
    lines = format_summary(summary).splitlines()
    rows = [line.split() for line in lines]
    assert lines[0] == "good.cfg on tiny, cpu"
    f1 = [f"{100 * x:.2f}" for x in summary["configs"][0]["figures"]["test F1"]["runs"]]
    assert [row[5] for row in rows if row[:2] == ["seed", "1"]] == [f1[1]]
    assert next(row[4] for row in rows if row[:1] == ["mean"]) == "76.19"
    # One training has no standard deviation.
    assert [row[4] for row in rows if row[:1] == ["sd"]][1] == "-"
    low, high = summary["configs"][0]["test_f1_interval"]
    [said] = [line for line in lines if "95% of samples" in line][:1]
    assert said.startswith(f"test F1: {100 * low:.2f} to {100 * high:.2f} in 95%")
    p = summary["comparisons"][0]["p"]
    assert lines[-1].startswith("good.cfg over bad.cfg: +53.97 test F1")
    assert f"p = {p:.4f}" in lines[-1]
