import json

import pytest

from benchmarks.accuracy import recipes
from spacy_wnut.scoring.significance import compare_f1, f1_interval
from spacy_wnut.sweep.metrics import write_metrics


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Empty results instead of those of the repository."""
    names = ("RESULTS", "POSTS", "SIGNIFICANCE")
    paths = [tmp_path / f"{name}.json" for name in names]
    for name, path in zip(names, paths, strict=True):
        monkeypatch.setattr(recipes, name, path)
    return paths


@pytest.fixture
def finish(make_metrics):
    """Writes a training with ten posts to a folder; returns its counts per test post."""

    def write(folder, config, seed, n_right):
        metrics = make_metrics(f"{config}.cfg", seed, n_right, n_posts=10)
        (folder / config / f"seed-{seed}").mkdir(parents=True, exist_ok=True)
        write_metrics(folder / config / f"seed-{seed}", metrics)
        return metrics["posts"]["test_gold"]

    return write


def test_sweep_is_collected(files, finish, tmp_path):
    ours = [finish(tmp_path, "distilbert", seed, n) for seed, n in ((0, 9), (1, 7))]
    theirs = [finish(tmp_path, "tutorial", seed, n) for seed, n in ((0, 2), (1, 3))]
    recipes.collect(tmp_path, "small")
    rows = json.loads(recipes.RESULTS.read_text())
    assert len(rows) == 2 * 2 * 2 * 2
    assert {row["encoder"] for row in rows} == {"small"}
    entries = json.loads(recipes.SIGNIFICANCE.read_text())
    assert [entry["config"] for entry in entries] == ["distilbert.cfg", "tutorial.cfg"]
    assert entries[0]["interval"] == list(f1_interval(ours))
    assert "ours" not in entries[0]
    difference, p = compare_f1(ours, theirs)
    assert entries[1]["ours"] == {
        **{"recipe": "distilbert.cfg", "difference": difference, "p": p}
    }

    tables = list(recipes.make_blocks().values())
    # Recall on dev and test by seed; precision is 1.
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


def test_trainings_replace_all_earlier_ones_of_their_recipe(files, finish, tmp_path):
    for seed in (0, 1):
        finish(tmp_path / "old", "distilbert", seed, 5)
    finish(tmp_path / "old", "tutorial", 0, 5)
    recipes.collect(tmp_path / "old", None)
    finish(tmp_path / "new", "distilbert", 2, 8)
    recipes.collect(tmp_path / "new", None)
    rows = json.loads(recipes.RESULTS.read_text())
    assert {(row["config"], row["seed"]) for row in rows} == {
        ("distilbert.cfg", 2),
        ("tutorial.cfg", 0),
    }
    entries = json.loads(recipes.SIGNIFICANCE.read_text())
    assert [entry["seeds"] for entry in entries] == [[2], [0]]
    assert "ours" in entries[1]


def test_added_seeds_give_the_same_results_as_one_sweep(files, finish, tmp_path):
    trainings = [("distilbert", 0, 9), ("distilbert", 1, 7), ("tutorial", 0, 3)]
    for config, seed, n_right in trainings:
        finish(tmp_path / "all", config, seed, n_right)
    recipes.collect(tmp_path / "all", None)
    together = [path.read_text() for path in files]
    for path in files:
        path.unlink()
    for config, seed, n_right in reversed(trainings):
        finish(tmp_path / f"{config}-{seed}", config, seed, n_right)
        # The second call replaces the results of the first.
        for _ in range(2):
            recipes.collect(tmp_path / f"{config}-{seed}", None, add=True)
    assert [path.read_text() for path in files] == together


@pytest.mark.parametrize(
    ("twice", "name"),
    [
        (False, "distilbert.cfg, self-trained"),
        (True, "distilbert.cfg, self-trained twice"),
    ],
)
def test_self_trained_pipelines_are_a_recipe_of_their_own(
    files, finish, tmp_path, twice, name
):
    """They are compared with the others in place of those on annotated posts alone."""
    finish(tmp_path / "annotated", "distilbert", 0, 5)
    theirs = [finish(tmp_path / "annotated", "tutorial", 0, 3)]
    recipes.collect(tmp_path / "annotated", "small")
    ours = [finish(tmp_path / "unlabelled", "distilbert", 0, 8)]
    add_pseudo_labels(tmp_path / "unlabelled" / "distilbert" / "seed-0")
    recipes.collect(tmp_path / "unlabelled", "small", twice=twice)
    entries = json.loads(recipes.SIGNIFICANCE.read_text())
    assert [entry["config"] for entry in entries] == [
        *("distilbert.cfg", name, "tutorial.cfg")
    ]
    difference, p = compare_f1(ours, theirs)
    assert entries[2]["ours"] == {"recipe": name, "difference": difference, "p": p}
    assert entries[0]["ours"]["recipe"] == name
    assert "ours" not in entries[1]
    published = list(recipes.make_blocks().values())[3]
    assert "**distilbert.cfg, small**" in published
    assert f"**{name}, small**" in published


def test_second_round_of_self_training_keeps_the_first(files, finish, tmp_path):
    for name, n_right in (("first", 7), ("second", 8)):
        finish(tmp_path / name, "distilbert", 0, n_right)
        add_pseudo_labels(tmp_path / name / "distilbert" / "seed-0")
        recipes.collect(tmp_path / name, "small", twice=name == "second")
    first, second = json.loads(recipes.SIGNIFICANCE.read_text())
    assert first["config"] == "distilbert.cfg, self-trained"
    assert first["ours"]["recipe"] == "distilbert.cfg, self-trained twice"
    assert "ours" not in second


def add_pseudo_labels(training):
    """Change the stored scores of a training to those of a self-trained pipeline."""
    path = training / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["made_of"]["paths.pseudo_labelled"] = "a digest"
    path.write_text(json.dumps(metrics))
