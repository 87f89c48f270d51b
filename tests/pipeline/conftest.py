"""Pipelines of both kinds, with torch and without, and pipelines without an encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.training import Example


@pytest.fixture(params=["torch", "onnx"])
def folder(request: pytest.FixtureRequest) -> Path:
    """The folder of a trained pipeline of each kind. Read-only."""
    name = "trained_folder" if request.param == "torch" else "onnx_folder"
    return request.getfixturevalue(name)


@pytest.fixture
def pipeline(folder: Path) -> Language:
    """A trained pipeline of each kind, loaded for one test."""
    return spacy.load(folder)


@pytest.fixture(scope="session")
def emit() -> Callable[..., tuple[float, Any]]:
    """Compute the loss of a pipeline on examples, and its gradients with respect to
    the emissions and the scores of the chain.
    """

    def get_loss(nlp: Language, examples: list[Example]) -> tuple[float, Any]:
        ner = nlp.get_pipe("ner")
        with nlp.select_pipes(disable=["ner"]):
            docs = [nlp(eg.predicted) for eg in examples]
        return ner.get_loss(examples, ner.model.predict(docs))

    return get_loss


LISTENER = {
    "@architectures": "spacy-wnut.TransformerTagger.v1",
    "tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": 8},
}
TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 8,
    "depth": 1,
    "embed_size": 50,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}


@pytest.fixture
def cnn():
    """An untrained pipeline on spaCy's tok2vec, which has vectors of white space too."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("tok2vec", config={"model": TOK2VEC})
    nlp.add_pipe("entity_tagger", name="ner", config={"model": LISTENER})
    example = Example.from_dict(nlp.make_doc("so"), {"entities": ["O"]})
    nlp.config["initialize"]["components"]["ner"] = {"labels": ["location", "person"]}
    nlp.initialize(lambda: [example])
    return nlp
