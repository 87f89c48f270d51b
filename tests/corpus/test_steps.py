"""Numbers of steps that follow from the posts, against the batches and evaluations of
spaCy's own training loop.
"""

from itertools import islice

import pytest
import spacy
import srsly
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli.train import train
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc, DocBin
from spacy.training.loop import create_train_batches, train_while_improving
from spacy.util import load_config, load_model_from_config, registry, resolve_dot_names
from thinc.api import ConfigValidationError, Optimizer

from spacy_wnut.corpus import steps as steps_module
from spacy_wnut.corpus.steps import (
    count_eval_frequency,
    count_pseudo_labelled,
    count_steps,
    count_warmup_steps,
)

NLP = spacy.blank("en")
EPOCHS = {"distilbert": 5, "spacy_ner": 5, "tutorial": 2}


def write_posts(path, number, words=("lol",)):
    DocBin(docs=[Doc(NLP.vocab, words=list(words))] * number).to_disk(path)
    return str(path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Write a corpus of a number of posts, once per number."""
    folder = tmp_path_factory.mktemp("posts")

    def make(number):
        path = folder / f"{number}.spacy"
        return str(path) if path.exists() else write_posts(path, number)

    return make


@pytest.fixture
def resolve(root):
    """The settings of [training] of a recipe, and its reader, as spaCy resolves them."""

    def resolve_recipe(recipe, train, **overrides):
        given = {key.replace("__", "."): value for key, value in overrides.items()}
        config = load_config(
            root / "configs" / f"{recipe}.cfg",
            {"paths.train": train, "paths.dev": train, **given},
            interpolate=True,
        )
        training = registry.resolve(config["training"], schema=ConfigSchemaTraining)
        [reader] = resolve_dot_names(config, [training["train_corpus"]])
        return training, reader

    return resolve_recipe


def learn_rates(training, number):
    return [training["optimizer"].learn_rate, *islice(learn_schedule(training), number)]


def learn_schedule(training):
    optimizer = training["optimizer"]
    while True:
        optimizer.step_schedules()
        yield optimizer.learn_rate


def evaluated_steps(training):
    """The steps that spaCy's loop evaluates, with batches that change nothing."""
    evaluated = []
    batches = ((0, []) for _ in iter(int, 1))
    settings = {
        key: training[key]
        for key in ("eval_frequency", "accumulate_gradient", "patience", "max_steps")
    }
    for _, info, is_best in train_while_improving(
        NLP,
        Optimizer(0.001),
        batches,
        lambda: (0.0, {}),
        dropout=0.1,
        exclude=[],
        annotating_components=[],
        before_update=None,
        **settings,
    ):
        if is_best is not None:
            evaluated.append(info["step"])
    return evaluated


# Steps, warm-up and evaluations of 5 epochs; of 2 epochs without a warm-up.
EXPECTED = {
    # 3 batches per epoch.
    ("distilbert", 40): (15, 1, [0, 15]),
    ("tutorial", 40): (6, 0, [0, 6]),
    ("distilbert", 400): (125, 12, [0, 25, 50, 75, 100, 125]),
    ("spacy_ner", 400): (125, 12, [0, 25, 50, 75, 100, 125]),
    ("tutorial", 400): (50, 0, [0, 25, 50]),
    ("distilbert", 40_000): (12_500, 1250, list(range(0, 12_501, 2500))),
    ("spacy_ner", 40_000): (12_500, 1250, list(range(0, 12_501, 2500))),
    ("tutorial", 40_000): (5000, 0, [0, 2500, 5000]),
    # WNUT 17's train split, on which the published figures were measured.
    ("distilbert", 3394): (1065, 106, [0, 213, 426, 639, 852, 1065]),
    ("spacy_ner", 3394): (1065, 106, [0, 213, 426, 639, 852, 1065]),
    ("tutorial", 3394): (426, 0, [0, 213, 426]),
    # 19 batches per epoch: no other divisor of 95 is near 20.
    ("distilbert", 300): (95, 9, [0, 19, 38, 57, 76, 95]),
    # One batch, and one post.
    ("distilbert", 16): (5, 1, [0, 5]),
    ("distilbert", 1): (5, 1, [0, 5]),
}


@pytest.mark.parametrize("recipe, posts", EXPECTED)
def test_steps_schedule_and_evaluations(resolve, corpus, recipe, posts):
    number, warmup, evaluations = EXPECTED[recipe, posts]
    training, _ = resolve(recipe, corpus(posts))
    assert training["max_steps"] == number
    assert evaluated_steps(training) == evaluations
    rates = learn_rates(training, number + 1)
    peak = max(rates)
    assert peak == {"distilbert": 1e-3, "spacy_ner": 5e-5, "tutorial": 2e-5}[recipe]
    # Linear from 0 to the peak, and from there to 0 in the last step.
    for step in range(number + 1):
        factor = step / warmup if step < warmup else (number - step) / (number - warmup)
        assert rates[step] == pytest.approx(factor * peak)
    assert rates[number] == rates[number + 1] == 0


@pytest.mark.parametrize("recipe", EPOCHS)
@pytest.mark.parametrize("posts", [1, 15, 16, 17, 40, 400])
def test_steps_are_the_batches_of_spacy(resolve, corpus, recipe, posts):
    training, reader = resolve(recipe, corpus(posts))
    batches = create_train_batches(NLP, reader, training["batcher"], EPOCHS[recipe])
    found = [len(batch) for _, batch in batches]
    assert len(found) == training["max_steps"]
    assert sum(found) == EPOCHS[recipe] * posts


@pytest.mark.parametrize("posts", [400, 40])
def test_steps_are_one_pass_over_the_mixed_posts(resolve, corpus, posts):
    path, enough = corpus(posts), corpus(3394)
    training, reader = resolve("distilbert", path, paths__pseudo_labelled=enough)
    examples = list(reader(NLP))
    assert len(examples) == 16 * training["max_steps"]
    assert len(list(training["batcher"](examples))) == training["max_steps"]


def test_wnut17_takes_the_published_number_of_pseudo_labelled_posts(corpus):
    """2 x 3,394 + 10,252 posts are 1,065 batches of 16."""
    assert count_pseudo_labelled(1065, corpus(3394), 16, 2) == 10_252
    # The steps of one epoch: the repeats alone take more.
    assert count_pseudo_labelled(213, corpus(3394), 16, 2) == 3394


def test_epochs_batch_size_and_steps_can_be_overridden(resolve, corpus):
    path = corpus(400)
    assert resolve("tutorial", path, system__epochs=7)[0]["max_steps"] == 7 * 25
    training, _ = resolve("distilbert", path, training__batcher__size=50)
    assert training["max_steps"] == 5 * 8
    training, _ = resolve("distilbert", path, training__max_steps=100)
    # The schedule and the evaluations follow.
    assert evaluated_steps(training) == [0, 25, 50, 75, 100]
    rates = learn_rates(training, 100)
    assert rates.index(max(rates)) == 10 and rates[99] > rates[100] == 0
    # A prime number has no divisors: the first and the last step.
    training, _ = resolve("distilbert", path, training__max_steps=65_537)
    assert training["eval_frequency"] == 65_537
    training, _ = resolve("distilbert", path, training__eval_frequency=60)
    assert (training["max_steps"], training["eval_frequency"]) == (125, 60)


@given(st.integers(1, 5000), st.integers(1, 500), st.integers(1, 400))
def test_evaluations(posts, epochs, batch_size):
    """About one per epoch or per 20 steps, and always of the last step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps_module, "count_posts", lambda path: posts)
        number = count_steps("posts.spacy", batch_size, epochs)
        every = count_eval_frequency(number, "posts.spacy", batch_size)
    per_epoch = len(range(0, posts, batch_size))
    assert number == epochs * per_epoch
    assert number % every == 0
    assert every == number or every >= max(20, per_epoch) / 2
    # Long epochs are all evaluated, and short ones not more rarely than needed.
    if per_epoch >= 20:
        assert every == per_epoch
    elif number % 20 == 0:
        assert every == 20


@given(st.integers(1, 2000), st.floats(0, 1))
def test_warmup_leaves_steps_with_a_positive_rate(number, fraction):
    warmup = count_warmup_steps(number, fraction)
    assert 0 <= warmup <= max(1, fraction * number)
    assert warmup < number
    if fraction and number > 1:
        assert warmup >= 1
    schedule = registry.schedules.get("warmup_linear.v1")(1.0, warmup, number)
    # The first step after the warm-up has the full rate.
    assert next(islice(schedule, warmup, None)) == 1.0


def test_posts_are_those_that_are_read(resolve, tmp_path):
    """Docs without words are not read; folders are read with their subfolders."""
    (tmp_path / "more").mkdir()
    write_posts(tmp_path / "one.spacy", 20)
    write_posts(tmp_path / "more" / "other.spacy", 25)
    write_posts(tmp_path / "empty.spacy", 30, words=())
    (tmp_path / "notes.txt").write_text("no corpus")
    training, reader = resolve("tutorial", str(tmp_path))
    assert len(list(reader(NLP))) == 45
    assert training["max_steps"] == 2 * 3


def test_a_changed_file_is_counted_again(tmp_path):
    path = tmp_path / "posts.spacy"
    for number in (16, 33):
        write_posts(path, number)
        assert count_steps(path, 16, 1) == -(-number // 16)


BAD_EPOCHS = [0, -3, 2.5, 2.0, True, False, "", "five"]


@pytest.mark.parametrize("epochs", BAD_EPOCHS)
def test_bad_epochs_are_errors(resolve, corpus, epochs):
    """Zero is not the number of the recipe."""
    with pytest.raises(
        ConfigValidationError, match=r"system\.epochs is .*whole number"
    ):
        resolve("tutorial", corpus(40), system__epochs=epochs)
    with pytest.raises(ConfigValidationError, match="default_epochs"):
        count_steps(corpus(40), 16, 0)


@pytest.mark.parametrize(
    "name, content, message",
    [
        (None, None, r"paths\.train is not set"),
        ("nowhere.spacy", None, "there is no file or folder .*nowhere.spacy"),
        ("posts.conll", b"lol\tO\n", "posts.conll is no corpus: give a .spacy file"),
        ("posts.spacy", b"lol\tO\n", "posts.spacy can't be read as a DocBin"),
        ("empty.spacy", DocBin().to_bytes(), "empty.spacy holds no posts"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_bad_corpora_are_errors_without_a_traceback(
    root, tmp_path, capsys, name, content, message
):
    path = name and tmp_path / name
    if content is not None:
        path.write_bytes(content)
    config = load_config(root / "configs" / "tutorial.cfg")
    config["nlp"]["pipeline"], config["components"] = [], {}
    config.to_disk(tmp_path / "recipe.cfg")
    overrides = {"paths.train": path and str(path), "paths.dev": "dev.spacy"}
    # `spacy train` prints the message and exits.
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path / "recipe.cfg", overrides=overrides)
    assert stopped.value.code == 1
    with pytest.raises(ConfigValidationError, match=message):
        count_steps(path, 16, 2)
    captured = capsys.readouterr()
    words = " ".join((captured.out + captured.err).split())
    assert "Config validation error" in words and (name or "paths.train") in words


@pytest.mark.parametrize("number", [0, -1])
def test_training_without_a_number_of_steps_is_an_error(resolve, corpus, number):
    with pytest.raises(ConfigValidationError, match=r"max_steps is .*system\.epochs"):
        resolve("tutorial", corpus(40), training__max_steps=number)
    with pytest.raises(ConfigValidationError, match=r"max_steps is"):
        count_warmup_steps(number, 0.1)


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_warmup_is_a_part_of_the_steps(fraction):
    with pytest.raises(ConfigValidationError, match="not between 0 and 1"):
        count_warmup_steps(100, fraction)


@pytest.fixture
def small(root, tiny_encoder, make_nlp, make_examples, tmp_path):
    """A training of 40 posts."""
    docs = [eg.reference for eg in make_examples(make_nlp())]
    path = tmp_path / "corpus" / "train.spacy"
    path.parent.mkdir()
    DocBin(docs=docs * 10).to_disk(path)
    overrides = {
        **{"paths.train": str(path), "paths.dev": str(path)},
        "paths.encoder": tiny_encoder,
    }
    train(root / "configs" / "distilbert.cfg", tmp_path / "out", overrides=overrides)
    return tmp_path


def test_40_posts(small, root, make_examples):
    """Trained, stored and loaded, also where there is no corpus."""
    for path in (small / "corpus").iterdir():
        path.unlink()
    nlp = spacy.load(small / "out" / "model-best")
    config = load_config(small / "out" / "model-best" / "config.cfg")
    training = config["training"]
    assert (training["max_steps"], training["eval_frequency"]) == (15, 15)
    rate = training["optimizer"]["learn_rate"]
    assert (rate["warmup_steps"], rate["total_steps"]) == (1, 15)
    assert config["corpora"]["train"]["limit"] == 15 * 16 - 2 * 40
    # The other settings are stored as they are written.
    recipe = load_config(root / "configs" / "distilbert.cfg")
    assert training["batcher"] == recipe["training"]["batcher"]
    assert config["corpora"]["train"]["path"] == "${paths.train}"
    optimizer = nlp.resume_training()
    losses = nlp.update(make_examples(nlp), sgd=optimizer)
    assert losses["ner"] > 0
    scores = srsly.read_json(small / "out" / "model-last" / "meta.json")["performance"]
    assert scores["ner_loss"] > 0


@pytest.mark.parametrize("recipe", EPOCHS)
@pytest.mark.parametrize("fixed", [{}, {"training.max_steps": 100}])
def test_stored_config_creates_its_optimizer(root, corpus, recipe, fixed):
    """Without the corpus, from a config whose variables are not filled in."""
    overrides = {"paths.train": corpus(400), **fixed}
    config = load_config(root / "configs" / f"{recipe}.cfg", overrides)
    config["nlp"]["pipeline"], config["components"] = [], {}
    nlp = load_model_from_config(config, auto_fill=True)
    nlp.initialize()
    stored = nlp.config.copy()
    stored["paths"]["train"] = "nowhere.spacy"
    loaded = load_model_from_config(stored)
    optimizer = loaded.resume_training()
    number = 100 if fixed else EPOCHS[recipe] * 25
    assert stored["training"]["max_steps"] == number
    rates = learn_rates({"optimizer": optimizer}, number)
    assert rates[number - 1] > rates[number] == 0


def test_epochs_of_a_stored_pipeline_are_not_ignored(root, corpus):
    """Its number of steps is fixed."""
    overrides = {"paths.train": corpus(40), "system.epochs": 3}
    config = load_config(root / "configs" / "tutorial.cfg", overrides)
    config["nlp"]["pipeline"], config["components"] = [], {}
    nlp = load_model_from_config(config, auto_fill=True)
    optimizer = nlp.initialize()
    assert nlp.config["training"]["max_steps"] == 9
    assert optimizer.learn_rate == 2e-5
    stored = nlp.config.copy()
    load_model_from_config(stored).initialize()
    stored["system"]["epochs"] = 5
    with pytest.raises(ConfigValidationError, match="set only one of them"):
        load_model_from_config(stored).initialize()
