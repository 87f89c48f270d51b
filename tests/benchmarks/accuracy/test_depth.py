"""F1 and speed by number of layers: trainings that are faked, and real pipelines."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from benchmarks.accuracy import depth, experiments
from benchmarks.common.results import read_results
from spacy_wnut.errors import WnutError

F1 = {"dev": 0.5, "heldout": 0.75}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Results in a folder of the test. Those of the experiments must not change."""
    monkeypatch.setattr(depth, "RESULTS", tmp_path / "depth.json")
    monkeypatch.setattr(depth, "CHART", tmp_path / "depth.svg")
    monkeypatch.setattr(depth, "RESULTS_PAGE", tmp_path / "results.md")
    before = experiments.RESULTS.read_bytes()
    yield depth.RESULTS
    assert experiments.RESULTS.read_bytes() == before


@pytest.fixture
def finish(trained_folder):
    """Write a finished training to a folder."""

    def finish(out):
        shutil.copytree(trained_folder, out / "model-best")
        for part, f1 in F1.items():
            (out / f"{part}.json").write_text(json.dumps({"entity": {"f1": f1}}))

    return finish


@pytest.fixture
def trained(monkeypatch, finish):
    """The options of each training, which is not run."""
    found = []

    def run_module(*words):
        if words[:2] == ("spacy", "train"):
            options = dict(zip(words[3::2], words[4::2], strict=True))
            found.append(options)
            finish(Path(options["--output"]))

    monkeypatch.setattr(experiments, "run_module", run_module)
    return found


def invoke(*words):
    done = CliRunner().invoke(depth.app, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output


def run(encoder, depths, folder, corpus, *settings, name="an encoder", seed=0):
    options = ["--name", name, "--depths", depths, "--folder", folder]
    invoke("run", encoder, *options, "--corpus", corpus, "--seed", seed, *settings)


@pytest.fixture
def corpus(posts_corpus, tmp_path):
    """A folder with both splits."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split in ("train", "dev"):
        shutil.copy(posts_corpus, folder / f"{split}.spacy")
    return folder


def test_each_depth_is_trained_on_its_layers(
    tiny_encoder, corpus, tmp_path, trained, results
):
    run(tiny_encoder, "2,1", tmp_path, corpus, "--training.max_steps", "7", seed=3)
    for options, n_layers in zip(trained, (2, 1), strict=True):
        weights = Path(options["--paths.encoder"]) / "model.safetensors"
        with safe_open(weights, "pt") as file:
            found = {re.search(r"layer\.(\d+)|$", name)[1] for name in file.keys()}
        assert found - {None} == set(map(str, range(n_layers)))
        assert options["--training.max_steps"] == "7"
        assert options["--system.seed"] == 3
        # The fold, not the whole of train.
        assert options["--paths.train"] == Path(options["--output"]) / "train.spacy"
    rows = read_results(results)
    assert [(row["encoder"], row["depth"], row["seed"]) for row in rows] == [
        ("an encoder", 2, 3),
        ("an encoder", 1, 3),
    ]
    for row in rows:
        assert {part: row[part]["f1"] for part in F1} == F1
        assert row["speed"] is None


def test_finished_trainings_are_skipped(
    tiny_encoder, corpus, tmp_path, trained, finish, results
):
    """They may be experiments named "NAME DEPTH layers", and their encoder is not
    needed.
    """
    finish(experiments.training_folder(tmp_path, "mpnet 6 layers", 0))
    run(tmp_path / "nowhere", "6", tmp_path, corpus, name="mpnet")
    assert not trained
    run(tiny_encoder, "1,6", tmp_path, corpus, name="mpnet")
    assert [options["--output"].name for options in trained] == ["mpnet-1-layers-0"]
    rows = read_results(results)
    assert [row["depth"] for row in rows] == [1, 6]


def test_encoders_are_made_before_the_first_training(
    tiny_encoder, corpus, tmp_path, trained
):
    """The encoder has two layers."""
    with pytest.raises(WnutError, match="3 layers can't be kept"):
        run(tiny_encoder, "1,3", tmp_path, corpus)
    assert not trained


def test_depths_are_numbers(tiny_encoder, corpus, tmp_path):
    with pytest.raises(WnutError, match="--depths 1-3 is no list"):
        run(tiny_encoder, "1-3", tmp_path, corpus)


def test_speed_is_measured_and_written(
    tiny_encoder, corpus, posts_corpus, tmp_path, trained, results, monkeypatch, nlp
):
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    run(tiny_encoder, "1,2", tmp_path, corpus)
    run(tiny_encoder, "1", tmp_path, corpus, seed=1)
    page = tmp_path / "results.md"
    page.write_text(f"<!-- {depth.BLOCK} -->\nold\n<!-- end -->\n")
    with pytest.raises(WnutError, match="without words per second"):
        invoke("table")
    invoke("speed", "--posts", posts_corpus, "--folder", tmp_path, "--rounds", 2)
    rows = read_results(results)
    # All faked trainings have this pipeline, with both layers.
    encoder = nlp.get_pipe("transformer").model.transformer
    for row in rows:
        assert row["speed"]["words_per_second"] > 0
        assert row["speed"]["parameters"] == encoder.num_parameters()
    # Of one seed, since it depends on the depth alone.
    assert rows[0]["speed"] == rows[2]["speed"] != rows[1]["speed"]
    invoke("table")
    assert "| an encoder | 0, 1 | 1 | " in page.read_text()
    assert depth.CHART.exists()
    # The speed outlasts further seeds and repeated trainings.
    run(tiny_encoder, "2", tmp_path, corpus, seed=1)
    assert read_results(results)[3]["speed"] == rows[1]["speed"]


def test_pipelines_take_turns():
    class Pipeline:
        def __init__(self, name):
            self.name = name

        def pipe(self, texts):
            calls.append((self.name, len(texts)))
            return iter(texts)

    calls = []
    pipelines = {("x", n): Pipeline(n) for n in (1, 2, 3)}
    seconds = depth.time_in_turns(pipelines, ["a"] * 100, rounds=2)
    assert all(len(values) == 2 for values in seconds.values())
    warm_up, rounds = calls[:3], calls[3:]
    assert all(n_texts < 100 for _, n_texts in warm_up)
    assert rounds == [(n, 100) for n in (1, 2, 3, 2, 3, 1)]


def make_row(name, n_layers, seed, f1, words_per_second):
    return {
        **{"encoder": name, "depth": n_layers, "seed": seed, "steps": 1065},
        "freeze_embeddings": name == "b",
        **{"dev": {"f1": f1}, "heldout": {"f1": f1 + 0.1}},
        "speed": {
            **{"words_per_second": words_per_second, "parameters": 22_600_000},
            "device": {"name": "a processor", "threads": 2, "rounds": 3},
        },
    }


ROWS = [
    make_row("b", 6, 0, 0.5, 1000),
    make_row("a", 12, 0, 0.4, 500),
    make_row("b", 3, 0, 0.6, 2000),
    make_row("a", 9, 0, 0.5, 600),
    make_row("b", 6, 1, 0.52, 1000),
]


def test_table_has_means_by_depth():
    block = depth.make_block(ROWS)
    lines = [line for line in block.splitlines() if line.startswith("| ")]
    assert lines[2:] == [
        "| b | 0 | 3 | 22.6 M | 60.0 | 70.0 | 65.0 | 2,000 |",
        "| b | 0, 1 | 6 | 22.6 M | 51.0 ± 1.4 | 61.0 ± 1.4 | 56.0 ± 1.4 | 1,000 |",
        "| a | 0 | 9 | 22.6 M | 50.0 | 60.0 | 55.0 | 600 |",
        "| a | 0 | 12 | 22.6 M | 40.0 | 50.0 | 45.0 | 500 |",
    ]
    assert "b: 1,065 steps, vectors of pieces frozen; a: 1,065 steps." in block


def test_chart_has_a_line_per_encoder():
    svg = ElementTree.fromstring(depth.make_chart(ROWS))
    lines = [
        line.get("points").split()
        for line in svg.findall("{*}polyline")
        if line.get("stroke-width") == "2"
    ]
    assert [len(line) for line in lines] == [2, 2]
    (three, six), (nine, twelve) = (
        [tuple(map(float, point.split(","))) for point in line] for line in lines
    )
    # From left to right by speed; y points down.
    assert twelve[0] < nine[0] < six[0] < three[0]
    assert three[1] < six[1] < nine[1] < twelve[1]
    texts = [text.text for text in svg.findall("{*}text")]
    assert {"3", "6", "9", "12", "a", "b"} <= set(texts)
