"""The scripts that bring figures together, and what README has of them."""

import importlib.util
import json
import sys
from xml.etree import ElementTree

import numpy
import pytest

from spacy_wnut.calibration.pipeline import calibrate as fit
from spacy_wnut.calibration.pipeline import measure_confidences
from spacy_wnut.calibration.sample import Sample, find_entities
from spacy_wnut.crf.decoding import Emitted, legal_chain
from spacy_wnut.labels import LabelScheme
from spacy_wnut.scoring.significance import compare_f1, f1_interval
from spacy_wnut.sweep.metrics import write_metrics


@pytest.fixture
def load(root, monkeypatch):
    """Loads a script of benchmarks/ by its name."""

    def load_script(name):
        monkeypatch.syspath_prepend(root / "benchmarks")
        path = root / "benchmarks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load_script
    for name in ("readme", "svg"):
        sys.modules.pop(name, None)


@pytest.fixture
def accuracy(load, tmp_path, monkeypatch):
    """With files of its own."""
    module = load("accuracy")
    for name in ("RESULTS", "POSTS", "SIGNIFICANCE"):
        monkeypatch.setattr(module, name, tmp_path / f"{name}.json")
    return module


@pytest.fixture
def finish(make_metrics):
    """Leaves a training of ten posts in a folder, and gives the counts of its test
    posts.
    """

    def leave(folder, config, seed, n_right):
        metrics = make_metrics(f"{config}.cfg", seed, n_right, n_posts=10)
        (folder / config / f"seed-{seed}").mkdir(parents=True, exist_ok=True)
        write_metrics(folder / config / f"seed-{seed}", metrics)
        return metrics["posts"]["test_gold"]

    return leave


def test_readme_has_the_figures_that_are_stored(load, root):
    text = (root / "README.md").read_text(encoding="utf8")
    blocks = load("accuracy").make_tables()
    for name in ("calibration", "training"):
        module = load(name)
        if module.RESULTS.exists():
            blocks[module.BLOCK] = module.make_block(
                json.loads(module.RESULTS.read_text(encoding="utf8"))
            )
    for name, table in blocks.items():
        assert text.count(f"<!-- {name} -->\n{table}<!-- end -->\n") == 1, name


def test_sweep_is_collected(accuracy, finish, tmp_path):
    ours = [finish(tmp_path, "distilbert", seed, n) for seed, n in ((0, 9), (1, 7))]
    theirs = [finish(tmp_path, "tutorial", seed, n) for seed, n in ((0, 2), (1, 3))]
    accuracy.collect(tmp_path, "small")
    rows = json.loads(accuracy.RESULTS.read_text())
    assert len(rows) == 2 * 2 * 2 * 2
    assert {row["encoder"] for row in rows} == {"small"}
    known = json.loads(accuracy.SIGNIFICANCE.read_text())
    assert [entry["config"] for entry in known] == ["distilbert.cfg", "tutorial.cfg"]
    assert known[0]["interval"] == list(f1_interval(ours)) and "ours" not in known[0]
    difference, p = compare_f1(ours, theirs)
    assert known[1]["ours"] == {"difference": difference, "p": p}

    tables = list(accuracy.make_tables().values())
    # Recall by seed, of dev's and test's posts; precision is 1.
    for protocol, on_dev, on_test in (
        ("gold", (1.0, 0.8), (0.9, 0.7)),
        ("spaCy", (0.8, 0.6), (0.7, 0.5)),
    ):
        dev, test = ([200 * r / (1 + r) for r in rs] for rs in (on_dev, on_test))
        dev_sd, test_sd = (abs(f1[0] - f1[1]) / 2**0.5 for f1 in (dev, test))
        assert (
            f"| distilbert.cfg | small | 0, 1 | {protocol} | "
            f"{sum(dev) / 2:.1f} ± {dev_sd:.1f} | 100.0 ± 0.0 | "
            f"{50 * sum(on_test):.1f} ± 14.1 | {sum(test) / 2:.1f} ± {test_sd:.1f} |"
        ) in tables[0]
    assert "| 100.0 ± 0.0 |" in tables[1]
    assert (
        f"distilbert.cfg over tutorial.cfg | small | {100 * difference:+.1f} |"
        in (tables[2])
    )
    assert tables[3].splitlines()[-1].startswith("| **distilbert.cfg, small** |")


def test_trainings_of_a_recipe_take_the_place_of_all_its_earlier_ones(
    accuracy, finish, tmp_path
):
    for seed in (0, 1):
        finish(tmp_path / "old", "distilbert", seed, 5)
    finish(tmp_path / "old", "tutorial", 0, 5)
    accuracy.collect(tmp_path / "old", None)
    finish(tmp_path / "new", "distilbert", 2, 8)
    accuracy.collect(tmp_path / "new", None)
    rows = json.loads(accuracy.RESULTS.read_text())
    assert {(row["config"], row["seed"]) for row in rows} == {
        ("distilbert.cfg", 2),
        ("tutorial.cfg", 0),
    }
    known = json.loads(accuracy.SIGNIFICANCE.read_text())
    assert [entry["seeds"] for entry in known] == [[2], [0]]
    assert "ours" in known[1]


def test_seeds_are_added_as_if_they_had_been_trained_together(
    accuracy, finish, tmp_path
):
    files = [accuracy.RESULTS, accuracy.POSTS, accuracy.SIGNIFICANCE]
    trainings = [("distilbert", 0, 9), ("distilbert", 1, 7), ("tutorial", 0, 3)]
    for config, seed, n_right in trainings:
        finish(tmp_path / "all", config, seed, n_right)
    accuracy.collect(tmp_path / "all", None)
    together = [path.read_text() for path in files]
    for path in files:
        path.unlink()
    for config, seed, n_right in reversed(trainings):
        finish(tmp_path / f"{config}-{seed}", config, seed, n_right)
        # What was there of it before is replaced.
        for _ in range(2):
            accuracy.collect(tmp_path / f"{config}-{seed}", None, add=True)
    assert [path.read_text() for path in files] == together


def make_sample(n_posts, seed):
    """Words that each are an entity or not, by emissions at random. The model is too
    sure of itself.
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


def test_calibration_is_fitted_on_dev_and_measured_on_test(load):
    calibration = load("calibration")
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
    summary = calibration.summarise(runs)
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


def test_chart_puts_points_where_they_belong(load):
    chart = load("svg").line_chart("a < b", "x", "y", {"one": [(0, 0), (1, 0.5)]})
    svg = ElementTree.fromstring(chart)
    assert svg.find("{*}title").text == "a < b"
    line = svg.findall("{*}polyline")[-1].get("points")
    # The plot's corner is at 50, 330, its sides are 300 long, and y goes up.
    assert line == "50.0,330.0 350.0,180.0"


def test_times_are_compared_round_by_round(load):
    """The machine was slow in the second round."""
    figures = {
        "trainer": {"seconds_a_word": [0.01, 0.09, 0.01], "peak_memory_mb": 900},
        "tutorial.cfg": {"seconds_a_word": [0.02, 0.09, 0.005], "peak_memory_mb": 800},
    }
    block = load("training").make_block(
        {
            **{"encoder": "small", "device": "cpu", "threads": 2, "epoch_words": 1000},
            **{"steps": 5, "rounds": 3, "contenders": figures},
        }
    )
    assert "| trainer | 10 s | 1.00 | 900 MiB |" in block
    assert "| tutorial.cfg | 20 s | 1.00 | 800 MiB |" in block
