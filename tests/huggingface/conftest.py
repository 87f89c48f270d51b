"""A pipeline that a checkpoint can carry, and posts to try it on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.huggingface.to_hf import write_checkpoint

TEXTS = [
    "Pretty bad storm in New York last evening.",
    "so  Ada Lovelace 's iPhone7s rock!!! https://x.io/?q=1 😀",
    " \n ",
    "",
    "Grace Hopper  and\n\nAlan Turing moved to Oslo , London and New York . " * 30,
]


@pytest.fixture(scope="session")
def plain_folder(
    make_nlp: Callable, train: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tutorial's pipeline: a linear layer, first pieces, cross-entropy."""
    folder = tmp_path_factory.mktemp("huggingface") / "pipeline"
    nlp = make_nlp(transitions="constrained")
    # As in the pipelines that from_hf makes.
    nlp.tokenizer.rules = nlp.Defaults.tokenizer_exceptions
    train(nlp, steps=15)
    nlp.to_disk(folder)
    return folder


@pytest.fixture
def plain(plain_folder: Path) -> Language:
    return spacy.load(plain_folder)


@pytest.fixture(scope="session")
def checkpoint(plain_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a checkpoint of transformers."""
    folder = tmp_path_factory.mktemp("huggingface") / "checkpoint"
    write_checkpoint(spacy.load(plain_folder), folder)
    return folder


@pytest.fixture(scope="session")
def make_docs(root: Path) -> Callable[[Language], list[Doc]]:
    """Makes docs of two kinds for a pipeline: of texts, long and odd ones among
    them, and of the words of the sample's dev posts.
    """

    def make(nlp: Language) -> list[Doc]:
        posts = read_conll(root / "corpus" / "sample" / "dev.conll", None)
        return [nlp.make_doc(text) for text in TEXTS] + [
            Doc(nlp.vocab, words=post.tokens) for post in posts
        ]

    return make
