"""The whole road with an encoder of the size that the default has on the hub."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from safetensors import safe_open
from spacy.cli.train import train
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_wnut.cli import app

NAME = "distilbert-base-uncased"


@pytest.fixture
def scratch():
    # Gigabytes, which pytest's tmp_path would keep for three runs.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def hub(hub_cache, tiny_encoder):
    """The hub's cache with a DistilBERT of random weights: the model's folder."""
    from transformers import (
        DistilBertConfig,
        DistilBertForMaskedLM,
        DistilBertTokenizerFast,
    )

    folder = hub_cache(NAME)
    # On the hub it is stored beside the head that it was pre-trained with.
    DistilBertForMaskedLM(DistilBertConfig()).save_pretrained(folder)
    source = os.environ.get("SPACY_WNUT_ENCODER", tiny_encoder)
    DistilBertTokenizerFast(str(Path(source) / "vocab.txt")).save_pretrained(folder)
    return folder


def run(*args):
    done = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_from_the_hub_to_an_installed_pipeline(
    hub, scratch, root, make_nlp, make_examples, try_wheel
):
    encoder, corpus = scratch / "encoder", scratch / "corpus.spacy"
    run("encoder", encoder, "", NAME)
    with safe_open(encoder / "model.safetensors", framework="pt") as weights:
        sizes = [weights.get_slice(key).get_shape() for key in weights.keys()]
        dtypes = {weights.get_slice(key).get_dtype() for key in weights.keys()}
    assert dtypes == {"F32"}
    assert sum(rows * (rest or [1])[0] for rows, *rest in sizes) == 66_362_880
    shutil.rmtree(hub)

    docs = [eg.reference for eg in make_examples(make_nlp())]
    DocBin(docs=docs).to_disk(corpus)
    overrides = {
        "paths.train": str(corpus),
        "paths.dev": str(corpus),
        "paths.encoder": str(encoder),
        "training.max_steps": 2,
        "training.eval_frequency": 2,
    }
    config = root / "configs" / "tutorial.cfg"
    train(config, scratch / "training", overrides=overrides)
    # It is needed no more.
    shutil.rmtree(encoder)

    options = ("--name", "posts", "--version", "1.0.0", "--encoder", NAME)
    licence = ("--license", root / "LICENSE")
    best = scratch / "training" / "model-best"
    run("package", best, scratch / "packages", *options, *licence)
    [wheel] = (scratch / "packages").iterdir()
    shutil.rmtree(scratch / "training")

    try_wheel(wheel, "en_posts", scratch)
