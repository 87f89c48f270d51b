"""The recipes: each complete, valid, and able to train."""

import pytest
import spacy
from spacy.cli.debug_config import debug_config
from spacy.cli.debug_data import debug_data
from spacy.cli.evaluate import evaluate
from spacy.cli.init_config import fill_config
from spacy.cli.train import train
from spacy.tokens import DocBin
from spacy.util import load_config

from spacy_wnut.corpus.convert import convert
from spacy_wnut.corpus.sources import load_rows

RECIPES = ["distilbert", "spacy_ner", "tutorial"]


@pytest.fixture
def overrides(tiny_encoder, make_nlp, make_examples, tmp_path):
    docs = [eg.reference for eg in make_examples(make_nlp())]
    DocBin(docs=docs).to_disk(tmp_path / "posts.spacy")
    return {
        "paths.train": str(tmp_path / "posts.spacy"),
        "paths.dev": str(tmp_path / "posts.spacy"),
        "paths.encoder": tiny_encoder,
    }


def test_there_are_no_others(root):
    assert sorted(path.stem for path in (root / "configs").glob("*.cfg")) == RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_is_left_to_defaults(root, recipe, tmp_path):
    path = root / "configs" / f"{recipe}.cfg"
    _, filled = fill_config(tmp_path / "filled.cfg", path, silent=True)
    assert filled == load_config(path)


@pytest.mark.parametrize("recipe", RECIPES)
def test_debug_config_is_clean(root, recipe, overrides, capsys):
    path = root / "configs" / f"{recipe}.cfg"
    debug_config(path, overrides=overrides)
    out = capsys.readouterr().out
    assert out.count("Config validation") and "✘" not in out


@pytest.fixture(scope="module")
def sample(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "sample"
    convert(load_rows(str(root / "corpus" / "sample")), folder, "gold")
    return {
        "paths.train": str(folder / "train.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_debug_data_is_clean(root, recipe, sample, tiny_encoder, capsys):
    path = root / "configs" / f"{recipe}.cfg"
    # It exits where it finds an error.
    overrides = {**sample, "paths.encoder": tiny_encoder}
    debug_data(path, config_overrides=overrides, silent=False)
    out = capsys.readouterr().out
    assert "Pipeline can be initialized with data" in out
    posts = (root / "corpus" / "sample" / "train.conll").read_text(encoding="utf8")
    n_posts = len(posts.strip().split("\n\n"))
    assert f"{n_posts} training docs" in out


@pytest.mark.parametrize("recipe", RECIPES)
def test_trains(root, recipe, overrides, tmp_path):
    """Two steps, as `spacy train` takes them."""
    short = {"training.max_steps": 2, "training.eval_frequency": 1}
    train(
        root / "configs" / f"{recipe}.cfg",
        tmp_path / "out",
        overrides={**overrides, **short},
    )
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.pipe_names == ["transformer", "ner"]
    assert set(nlp.get_pipe("ner").labels) == {"location", "person"}
    assert nlp("in Oslo").has_annotation("ENT_IOB")
    # What `spacy evaluate` says is what was said in training.
    scores = evaluate(str(tmp_path / "out" / "model-best"), overrides["paths.dev"])
    assert scores["ents_f"] == pytest.approx(nlp.meta["performance"]["ents_f"])


def test_tutorial_is_the_tutorials(root):
    config = load_config(root / "configs" / "tutorial.cfg", interpolate=True)
    training, ner = config["training"], config["components"]["ner"]
    rate = training["optimizer"]["learn_rate"]
    assert rate["@schedules"] == "warmup_linear.v1"
    assert (rate["initial_rate"], rate["warmup_steps"]) == (2e-5, 0)
    # Two epochs in batches of 16; the rate is 0 after the last.
    assert training["max_steps"] == rate["total_steps"]
    assert training["max_steps"]["default_epochs"] == 2
    assert training["max_steps"]["batch_size"] == training["batcher"]["size"] == 16
    assert training["optimizer"]["L2"] == 0.01
    assert training["optimizer"]["L2_is_weight_decay"] is True
    assert config["components"]["transformer"]["model"]["learn_rate_factor"] == 1.0
    assert ner["transitions"] == "constrained"
    assert ner["model"]["tok2vec"]["pooling"]["@layers"] == "spacy-wnut.reduce_first.v1"
    assert (ner["model"]["hidden_width"], ner["model"]["shape_width"]) == (0, 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_best_on_dev_is_kept_by_entity_f1(root, recipe):
    training = load_config(root / "configs" / f"{recipe}.cfg")["training"]
    weights = {name: w for name, w in training["score_weights"].items() if w}
    assert weights == {"ents_f": 1.0}
    assert training["dev_corpus"] == "corpora.dev"
