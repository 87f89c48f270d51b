"""The quickstart, and its results if SPACY_WNUT_QUICKSTART names a project that ran it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from weasel.util.config import load_project_config

RUN = os.environ.get("SPACY_WNUT_QUICKSTART")
needs_run = pytest.mark.skipif(not RUN, reason="needs SPACY_WNUT_QUICKSTART")


@pytest.fixture(scope="module")
def quickstart(root):
    """The module scripts/quickstart.py."""
    path = root / "scripts" / "quickstart.py"
    spec = importlib.util.spec_from_file_location("quickstart", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def done():
    """The project that ran the quickstart."""
    return Path(RUN)


def test_steps_and_variables_are_those_of_the_project(quickstart, root):
    project = load_project_config(root)
    known = {f"vars.{name}" for name in project["vars"]}
    assert set(quickstart.VARIABLES) <= known
    workflows = project["workflows"]
    assert list(quickstart.STEPS) == [*workflows["all"], *workflows["onnx"]]


def test_outputs_are_not_those_of_other_data(quickstart, root):
    outputs = [
        {path for c in project["commands"] for path in c.get("outputs", [])}
        for project in (
            load_project_config(root),
            load_project_config(root, overrides=quickstart.VARIABLES),
        )
    ]
    assert outputs[0] and not outputs[0] & outputs[1]
    assert all(quickstart.MODEL not in paths for paths in outputs[:1])
    assert quickstart.MODEL in outputs[1]


def test_commands_run_in_processes_as_with_python_m(root, tmp_path):
    """They get their arguments and standard input. A failure stops the quickstart, which
    exits with the same status.
    """
    (tmp_path / "posts.txt").write_text("lol", encoding="utf8")
    (tmp_path / "echo_posts.py").write_text(
        "import sys\n"
        "assert __name__ == '__main__'\n"
        "with open(sys.argv[1], 'w') as out:\n"
        "    out.write(sys.stdin.read())\n"
        "sys.exit(int(sys.argv[2]))\n",
        encoding="utf8",
    )
    (tmp_path / "run.py").write_text(
        "import quickstart\n"
        "from pathlib import Path\n"
        "if __name__ == '__main__':\n"
        "    for name, status in [('first', '0'), ('second', '3'), ('third', '0')]:\n"
        "        arguments = ['echo_posts', name, status]\n"
        "        quickstart.run_module(arguments, Path('posts.txt'))\n",
        encoding="utf8",
    )
    done = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root / "scripts")},
    )
    assert done.returncode == 3
    assert (tmp_path / "first").read_text() == "lol"
    assert (tmp_path / "second").exists() and not (tmp_path / "third").exists()


@needs_run
def test_readme_shows_what_the_pipeline_answers(quickstart, root, done):
    """Confidences differ slightly between processors."""
    stored = root / "benchmarks" / "results" / "quickstart.json"
    posts = json.loads(stored.read_text(encoding="utf8"))["posts"]
    nlp = spacy.load(done / quickstart.MODEL)
    for post in posts:
        found = [(ent.text, ent.label_) for ent in nlp(post["text"]).ents]
        assert found == [(ent["text"], ent["label"]) for ent in post["entities"]]
    for ent, stored in zip(
        nlp(posts[0]["text"]).ents, posts[0]["entities"], strict=True
    ):
        assert ent._.confidence == pytest.approx(stored["confidence"], abs=0.1)


@needs_run
def test_score_on_the_test_split(quickstart, done):
    """A broken training is far below. Scores differ slightly between processors."""
    scores = json.loads((done / quickstart.SCORES).read_text(encoding="utf8"))
    assert scores["entity"]["f1"] >= 0.55
