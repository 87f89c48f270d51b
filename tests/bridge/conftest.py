"""A pipeline that a checkpoint can carry, and posts to try it on."""

from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_wnut.bridge.to_hf import write_checkpoint
from spacy_wnut.corpus.conll import read_conll

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
    folder = tmp_path_factory.mktemp("bridge") / "pipeline"
    nlp = make_nlp(transitions="constrained")
    train(nlp, steps=15)
    nlp.to_disk(folder)
    return folder


@pytest.fixture
def plain(plain_folder: Path) -> Language:
    return spacy.load(plain_folder)


@pytest.fixture(scope="session")
def checkpoint(plain_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a checkpoint of transformers."""
    folder = tmp_path_factory.mktemp("bridge") / "checkpoint"
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


@pytest.fixture(scope="session")
def multiply_saturating() -> Callable[..., numpy.ndarray]:
    """The product of uint8 rows and int8 weights on a processor with AVX2 or AVX-512
    but without VNNI. vpmaddubsw adds the two products of each pair of neighbouring
    inputs, and what is beyond 16 bits becomes the nearest number within. An odd last
    input is paired with zero.
    """

    def multiply(bits: numpy.ndarray, weights: numpy.ndarray) -> numpy.ndarray:
        assert bits.dtype == numpy.uint8 and weights.dtype == numpy.int8
        n_odd = len(weights) % 2
        a = numpy.pad(bits.astype("i8"), [(0, 0), (0, n_odd)])
        b = numpy.pad(weights.astype("i8"), [(0, n_odd), (0, 0)])
        found = numpy.zeros((len(a), b.shape[1]), dtype="i8")
        for k in range(0, len(b), 2):
            pair = a[:, [k]] * b[k] + a[:, [k + 1]] * b[k + 1]
            found += numpy.clip(pair, -(2**15), 2**15 - 1)
        return found

    return multiply


@pytest.fixture(scope="session")
def make_extreme() -> Callable[[numpy.ndarray], numpy.ndarray]:
    """The inputs with the largest sums: for each column of weights, 255 wherever a
    weight is positive and 0 elsewhere, the reverse of that, and 255 everywhere.
    """

    def make(weights: numpy.ndarray) -> numpy.ndarray:
        positive, negative = (weights > 0).T, (weights < 0).T
        all_on = numpy.ones((1, len(weights)), dtype=bool)
        rows = numpy.concatenate([positive, negative, all_on])
        return (rows * 255).astype(numpy.uint8)

    return make
