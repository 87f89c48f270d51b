"""The scripts that bring figures together, and what README has of them."""

import importlib.util
import json
import sys

import pytest

from spacy_wnut.scoring.measures import ScoredPost
from spacy_wnut.scoring.significance import compare_f1, f1_interval
from spacy_wnut.sweep.metrics import measure, write_metrics


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
    sys.modules.pop("readme", None)


@pytest.fixture
def accuracy(load, tmp_path, monkeypatch):
    """With files of its own."""
    module = load("accuracy")
    for name in ("RESULTS", "SIGNIFICANCE"):
        monkeypatch.setattr(module, name, tmp_path / f"{name}.json")
    return module


def finish(folder, config, seed, n_right):
    """Leave a training that is right on so many of ten posts."""
    metrics = {
        "config": f"{config}.cfg",
        "encoder": "encoder",
        "seed": seed,
        "device": "cpu",
        "seconds": 1.0,
        "made_of": {},
        "calibration": None,
        "rows": [],
        "posts": {},
    }
    posts = [
        ScoredPost([f"Ann{i}"], ["B-person"], ["B-person" if i < n_right else "O"])
        for i in range(10)
    ]
    measure(metrics, lambda protocol, split: posts, {"ann0"})
    (folder / config / f"seed-{seed}").mkdir(parents=True, exist_ok=True)
    write_metrics(folder / config / f"seed-{seed}", metrics)
    return metrics["posts"]["test_gold"]


def test_readme_has_the_figures_that_are_stored(load, root):
    text = (root / "README.md").read_text(encoding="utf8")
    for name, table in load("accuracy").make_tables().items():
        assert text.count(f"<!-- {name} -->\n{table}<!-- end -->\n") == 1, name


def test_sweep_is_collected(accuracy, tmp_path):
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
    # Recall 0.9 and 0.7, precision 1.
    f1 = [200 * r / (1 + r) for r in (0.9, 0.7)]
    sd = abs(f1[0] - f1[1]) / 2**0.5
    line = f"| 80.0 ± 14.1 | {sum(f1) / 2:.1f} ± {sd:.1f} |"
    assert f"| distilbert.cfg | small | 0, 1 | gold | {sum(f1) / 2:.1f}" in tables[0]
    assert tables[0].count(line) == 2
    assert "| 100.0 ± 0.0 |" in tables[1]
    assert (
        f"distilbert.cfg over tutorial.cfg | small | {100 * difference:+.1f} |"
        in (tables[2])
    )
    assert tables[3].splitlines()[-1].startswith("| **distilbert.cfg, small** |")


def test_trainings_of_a_recipe_take_the_place_of_all_its_earlier_ones(
    accuracy, tmp_path
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
    assert not any("ours" in entry for entry in known)
