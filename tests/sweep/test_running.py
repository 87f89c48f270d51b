"""Sweeps with faked trainings: their files, and how they are resumed."""

import json

import pytest
import spacy

from spacy_wnut.errors import WnutError
from spacy_wnut.scoring.evaluation import evaluate_pipeline
from spacy_wnut.scoring.measures import all_scores, post_counts
from spacy_wnut.sweep import running
from spacy_wnut.sweep.metrics import read_all_metrics
from spacy_wnut.sweep.running import run_all

pytestmark = pytest.mark.slow


@pytest.fixture
def sweep(plan, corpus, trained):
    """Run a sweep, with some arguments of the plan changed."""

    def run(retrain=False, **changed):
        return run_all(plan(**changed), corpus, -1, True, retrain)

    return run


def test_training_leaves_the_calibrated_model_and_its_metrics(
    sweep, plan, configs, corpus, tmp_path
):
    [metrics] = sweep(configs=configs[:1], seeds=[4])
    folder = tmp_path / "sweep" / "tutorial" / "seed-4"
    assert [path.name for path in (tmp_path / "sweep" / "tutorial").iterdir()] == [
        "seed-4"
    ]
    assert {path.name for path in folder.iterdir()} == {"model", "metrics.json"}
    assert metrics == json.loads((folder / "metrics.json").read_text())
    assert (metrics["config"], metrics["seed"]) == ("tutorial.cfg", 4)
    assert metrics["device"] == "cpu"
    # The stored model is calibrated.
    fitted = spacy.load(folder / "model").get_pipe("ner").temperature
    assert metrics["calibration"]["temperature"] == fitted != 5.0
    rows = {(row["split"], row["protocol"]): row for row in metrics["rows"]}
    assert len(rows) == len(metrics["rows"]) == len(metrics["posts"]) == 4
    path = corpus / "spacy" / "test.spacy"
    posts, _ = evaluate_pipeline(str(folder / "model"), path, -1)
    row = rows["test", "spacy"]
    assert row["config"] == "tutorial.cfg" and row["seed"] == 4
    for key, scores in all_scores(posts).items():
        assert row[key] == scores
    # All splits are the same, so all entities are seen.
    assert row["seen"] == row["entity"] and row["unseen"]["recall"] == 0.0
    assert metrics["posts"]["test_spacy"] == post_counts(posts)


def test_finished_training_is_not_repeated(sweep, configs, trained):
    first = sweep(configs=configs[:1], seeds=[0])
    assert trained == ["tutorial.cfg, seed 0"]
    again = sweep(configs=configs[:1], seeds=[1, 0])
    assert trained == ["tutorial.cfg, seed 0", "tutorial.cfg, seed 1"]
    assert [metrics["seed"] for metrics in again] == [1, 0]
    assert again[1] == first[0]
    sweep(configs=configs[:1], seeds=[0], retrain=True)
    assert trained[2:] == ["tutorial.cfg, seed 0"]


def test_interrupted_training_is_repeated(
    sweep, configs, trained, monkeypatch, tmp_path
):
    def interrupt(model, path, gpu_id):
        if path.parts[-2:] == ("spacy", "test.spacy"):
            raise KeyboardInterrupt
        return evaluate_pipeline(model, path, gpu_id)

    with monkeypatch.context() as patch:
        patch.setattr(running, "evaluate_pipeline", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sweep(configs=configs[:1], seeds=[0])
    assert list((tmp_path / "sweep" / "tutorial").iterdir()) == []
    assert len(sweep(configs=configs[:1], seeds=[0])) == 1
    assert trained == 2 * ["tutorial.cfg, seed 0"]


def test_all_folders_are_checked_before_the_first_training(sweep, configs, trained):
    sweep(configs=configs[1:], seeds=[1])
    with pytest.raises(WnutError, match="seed 1, but not of these settings: config"):
        sweep(overrides={"training.dropout": 0.5})
    assert trained == ["distilbert.cfg, seed 1"]


def test_failed_training_leaves_no_files(plan, corpus, configs, monkeypatch, tmp_path):
    """Runs `spacy train` with a setting that is not a number."""
    settings = {"configs": configs[:1], "seeds": [0]}
    [run] = plan(**settings, overrides={"training.max_steps": "--1"})
    with pytest.raises(WnutError, match=r"tutorial\.cfg, seed 0 failed with status 1"):
        run_all([run], corpus, -1, True, False)
    assert list((tmp_path / "sweep" / "tutorial").iterdir()) == []


def test_all_finished_trainings_of_a_folder_are_read(sweep, tmp_path):
    found = sweep()
    read = read_all_metrics(tmp_path / "sweep")
    assert read == found[2:] + found[:2]
    with pytest.raises(WnutError, match="holds no finished trainings"):
        read_all_metrics(tmp_path / "nowhere")
