"""Pipelines of both kinds, with torch and without, and pipelines without an encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from thinc.api import Model


@pytest.fixture(params=["torch", "onnx"])
def folder(request: pytest.FixtureRequest) -> Path:
    """The folder of a trained pipeline of each kind. Read-only."""
    name = "trained_folder" if request.param == "torch" else "onnx_folder"
    return request.getfixturevalue(name)


@pytest.fixture
def pipeline(folder: Path) -> Language:
    """A trained pipeline of each kind, loaded for one test."""
    return spacy.load(folder)


@registry.architectures("tests.WordTable.v1")
def create_word_table(tags: dict[str, int], space: float = 0.0) -> Model:
    """Create a tagger that looks words up in a table instead of running an encoder.

    tags (Dict[str, int]): The index of each word's tag; 0 for other words. The emission
        of this tag is 3.9, the others are -0.1.
    space (float): The emissions of white space, for each tag.

    The gradients of the last backward pass are in `attrs["gradients"]`.
    """

    def init(model: Model, X: Any = None, Y: Any = None) -> None:
        model.set_dim("nO", Y[0].shape[1])
        model.set_param("table", model.ops.alloc2f(1, 1))

    def forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[list, Callable]:
        model.attrs["gradients"] = []
        emissions = []
        for doc in docs:
            # A row of zeros would mean that the encoder has not seen the word.
            rows = numpy.full((len(doc), model.get_dim("nO")), -0.1, dtype="f")
            rows += model.get_param("table")[0, 0]
            for token, row in zip(doc, rows, strict=True):
                if token.is_space:
                    row[:] = space
                row[tags.get(token.text, 0)] += 4.0 * (not token.is_space)
            emissions.append(rows)
        return emissions, lambda d_emissions: model.attrs["gradients"].extend(
            d_emissions
        )

    return Model(
        "word_table", forward, init=init, dims={"nO": None}, params={"table": None}
    )


# Tags of the types location and person: O, B-location, I-location, B-person, I-person.
TABLE = {"New": 1, "York": 2, "Oslo": 1, "Ada": 3, "Lovelace": 4}


def add_table_ner(
    nlp: Language,
    name: str,
    tags: dict[str, int] = TABLE,
    space: float = 0.0,
    labels: tuple[str, ...] = ("location", "person"),
    **settings: Any,
) -> Any:
    model = {"@architectures": "tests.WordTable.v1", "tags": tags, "space": space}
    config = {"model": model, "scorer": None, **settings}
    ner: Any = nlp.add_pipe("entity_tagger", name=name, config=config)
    doc = nlp.make_doc("so")
    ner.initialize(lambda: [Example(doc, doc.copy())], nlp=nlp, labels=list(labels))
    return ner


@pytest.fixture(scope="session")
def add_table() -> Callable[..., Any]:
    """Add an entity_tagger on a table of words to a pipeline."""
    return add_table_ner


@pytest.fixture(scope="session")
def make_table_nlp() -> Callable[..., Language]:
    """Make a pipeline whose `ner` looks words up in a table: it is ready within
    milliseconds. Takes settings of the `ner`.
    """

    def make(**settings: Any) -> Language:
        # The language that loads fastest.
        nlp = spacy.blank("xx")
        add_table_ner(nlp, "ner", **settings)
        return nlp

    return make


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
