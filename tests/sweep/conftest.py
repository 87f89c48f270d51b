"""A small corpus with both protocols, and a sweep with faked trainings."""

import shutil

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_wnut.sweep import running
from spacy_wnut.sweep.plan import plan_runs


@pytest.fixture
def corpus(make_nlp, make_examples, tmp_path):
    """A folder like the output of `convert`. All splits are the same."""
    docs = [eg.reference for eg in make_examples(make_nlp())]
    for protocol in ("gold", "spacy"):
        folder = tmp_path / "corpus" / protocol
        folder.mkdir(parents=True)
        for split in ("train", "dev", "test"):
            DocBin(docs=docs).to_disk(folder / f"{split}.spacy")
    return tmp_path / "corpus"


@pytest.fixture
def configs(root, tmp_path):
    """Copies of two configs, which tests may edit."""
    paths = [tmp_path / "tutorial.cfg", tmp_path / "distilbert.cfg"]
    for path in paths:
        shutil.copy(root / "configs" / path.name, path)
    return paths


@pytest.fixture
def plan(configs, corpus, tmp_path):
    """Plan a sweep, with some arguments changed."""

    def make(**changed):
        settings = {
            "configs": configs,
            "seeds": [0, 1],
            "corpus": corpus,
            "output": tmp_path / "sweep",
            "overrides": {},
            "has_bias": True,
        }
        return plan_runs(**{**settings, **changed})

    return make


@pytest.fixture
def trained(trained_folder, monkeypatch):
    """The names of the executed trainings. Each one is faked: its result is the pipeline
    that has learned the corpus, with a temperature of 5.
    """
    names = []

    def train(run, folder, gpu_id):
        names.append(run.name)
        nlp = spacy.load(trained_folder)
        nlp.get_pipe("ner").temperature = 5.0
        for name in ("model-best", "model-last"):
            (folder / name).mkdir(parents=True)
            nlp.to_disk(folder / name)

    monkeypatch.setattr(running, "_train", train)
    return names
