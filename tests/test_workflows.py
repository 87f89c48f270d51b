"""Workflows of GitHub Actions: the versions, paths and commands they name exist."""

import re
import shlex

import pytest
import srsly


@pytest.fixture
def workflows(root):
    folder = root / ".github" / "workflows"
    return {path.stem: srsly.read_yaml(path) for path in folder.glob("*.yml")}


def commands(workflow):
    """The lines of all `run` steps, as lists of words."""
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                yield shlex.split(line)


def test_every_supported_python_is_tested(workflows, pyproject):
    pattern = r"Programming Language :: Python :: (3\.\d+)"
    supported = re.findall(pattern, "\n".join(pyproject["project"]["classifiers"]))
    matrix = workflows["tests"]["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == supported


def test_paths_of_tests_exist(workflows, root):
    paths = [
        word
        for words in commands(workflows["tests"])
        for word in words
        if word.startswith("tests")
    ]
    assert len(paths) > 1
    assert [path for path in paths if not (root / path).exists()] == []


def test_a_release_runs_workflows_and_sets_variables_of_the_project(workflows, root):
    project = srsly.read_yaml(root / "project.yml")
    runs = [
        words[5:]
        for words in commands(workflows["release"])
        if words[:5] == ["python", "-m", "spacy", "project", "run"]
    ]
    assert [run[0] for run in runs] == ["all", "onnx"]
    for name, *rest in runs:
        assert name in project["workflows"]
        names = {word.removeprefix("--vars.") for word in rest if word[:2] == "--"}
        # Without settings it is the hub's DistilBERT and WNUT 17.
        assert names == {"version"} <= project["vars"].keys()
