"""The examples in the docstrings of the package."""

import doctest
import importlib
from pathlib import Path

import pytest

import spacy_wnut

ROOT = Path(spacy_wnut.__file__).parent
# Examples with an installed pipeline, which docs/ and README show with their output.
NEEDS_PIPELINE = "spacy.load("


def find_modules():
    """The names of the modules with examples."""
    return [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in sorted(ROOT.rglob("*.py"))
        if ">>>" in path.read_text(encoding="utf8")
    ]


@pytest.mark.parametrize("name", find_modules())
def test_examples_give_the_output_that_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module):
        if not any(NEEDS_PIPELINE in example.source for example in test.examples):
            runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
