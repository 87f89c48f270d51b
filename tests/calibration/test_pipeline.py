import json

import numpy
import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_wnut.calibration.pipeline import FOLDS, calibrate, calibrate_pipeline
from spacy_wnut.calibration.sample import Sample, find_entities
from spacy_wnut.crf.decoding import Emitted, decode, legal_chain
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import LabelScheme
from spacy_wnut.scoring.reliability import expected_calibration_error

SCHEME = LabelScheme(("a", "b"))


def make_sample(temperature, bias=0.0, n_posts=400, seed=0):
    """Draw random posts. Each predicted entity is right with the probability given by
    its confidence at `temperature`, with `bias` added.
    """
    rng = numpy.random.default_rng(seed)
    lengths = rng.integers(1, 15, n_posts)
    emissions = rng.normal(scale=2, size=(lengths.sum(), len(SCHEME.tags)))
    emissions[:, 0] += 3
    emitted = Emitted(emissions, lengths, legal_chain(SCHEME))
    found = decode(emitted, bias, temperature)
    gold = [set() for _ in lengths]
    is_right = rng.random(len(found.docs)) < found.confidences
    for post, start, end, label, right in zip(*found[:4], is_right, strict=True):
        if right:
            gold[post].add((int(start), int(end), int(label)))
    n_gold = numpy.asarray([len(mentions) for mentions in gold])
    unjudged = numpy.zeros(len(emissions), dtype=bool)
    return Sample(emitted, [frozenset(m) for m in gold], n_gold, unjudged)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_finds_the_temperature_of_the_data(temperature):
    calibration = calibrate(make_sample(temperature, n_posts=800), bias=0.0)
    assert calibration["bias"] == 0.0
    assert calibration["temperature"] == pytest.approx(temperature, rel=0.2)
    errors = [
        calibration[when]["ece"] for when in ("before", "after", "cross_validated")
    ]
    if temperature != 1.0:
        assert errors[0] > 2 * max(errors[1:])
    assert max(errors[1:]) < 0.07


def test_temperature_is_fitted_with_the_tuned_bias():
    sample = make_sample(2.0, bias=2.0)
    calibration = calibrate(sample)
    assert calibration["bias"] > 0.5
    before, after = calibration["before"]["entity"], calibration["after"]["entity"]
    assert after["f1"] > before["f1"]
    assert after["recall"] > before["recall"]
    found = find_entities(sample, calibration["bias"], calibration["temperature"])
    error = expected_calibration_error(found.confidences, found.right)
    assert calibration["after"]["ece"] == error
    assert len(found.posts) == sum(
        row["count"] for row in calibration["after"]["reliability"]
    )


def test_each_fold_is_scored_with_settings_fitted_on_the_others():
    """All entities of one fold are wrong, which the other folds don't show."""
    sample = make_sample(1.0, n_posts=100)
    in_fold = numpy.arange(100) % FOLDS == 2
    gold = [
        frozenset() if out else mentions
        for out, mentions in zip(in_fold, sample.gold, strict=True)
    ]
    sample = sample._replace(gold=gold)
    calibration = calibrate(sample, bias=0.0)

    def without(posts):
        rest = numpy.flatnonzero(~posts)
        rows = numpy.repeat(~posts, sample.emitted.lengths)
        return calibrate(
            Sample(
                sample.emitted._replace(
                    emissions=sample.emitted.emissions[rows],
                    lengths=sample.emitted.lengths[rest],
                ),
                [sample.gold[i] for i in rest],
                sample.n_gold[rest],
                sample.unjudged[rows],
            ),
            bias=0.0,
        )["temperature"]

    confidences, right = [], []
    for fold in range(FOLDS):
        posts = numpy.arange(100) % FOLDS == fold
        found = find_entities(sample, 0.0, without(posts)).of_posts(posts)
        confidences.append(found.confidences)
        right.append(found.right)
    expected = expected_calibration_error(
        numpy.concatenate(confidences), numpy.concatenate(right)
    )
    assert calibration["cross_validated"]["ece"] == pytest.approx(expected)
    assert expected > calibration["after"]["ece"]


def test_fewer_posts_than_folds_are_enough():
    calibration = calibrate(make_sample(1.0, n_posts=2, seed=1))
    assert calibration["posts"] == 2
    assert 0 <= calibration["cross_validated"]["ece"] <= 1


def test_sample_without_predictions_is_rejected():
    sample = make_sample(1.0, n_posts=5)
    with pytest.raises(
        WnutError, match="predicts no entities, neither right nor wrong"
    ):
        calibrate(sample, bias=-1000.0)


@pytest.fixture
def corpus(make_nlp, make_examples, tmp_path):
    docs = [eg.reference for eg in make_examples(make_nlp())]
    # One entity of another type: if all were right, the temperature would stay 1.
    words = "Grace Hopper is in Oslo".split()
    ents = ["B-person", "I-person", "O", "O", "B-person"]
    docs.append(Doc(docs[0].vocab, words=words, ents=ents))
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    return tmp_path / "dev.spacy"


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def model(nlp, tmp_path):
    nlp.to_disk(tmp_path / "model")
    (tmp_path / "model" / "LICENSE").write_text("MIT")
    return tmp_path / "model"


@pytest.mark.parametrize("in_place", [True, False])
def test_only_the_settings_change(model, corpus, tmp_path, in_place):
    before = files(model)
    out = model if in_place else tmp_path / "calibrated"
    # An existing folder is replaced if it is empty.
    out.mkdir(exist_ok=True)
    calibration = calibrate_pipeline(
        str(model), corpus, None if in_place else out, has_bias=True, gpu_id=-1
    )
    after = files(out)
    assert set(after) == set(before)
    assert {name for name in before if after[name] != before[name]} == {
        "config.cfg",
        "ner/cfg",
    }
    if not in_place:
        assert files(model) == before
    assert calibration["temperature"] != 1.0
    loaded = spacy.load(out)
    ner = loaded.get_pipe("ner")
    assert ner.temperature == calibration["temperature"]
    assert ner.bias == calibration["bias"]
    stored = loaded.config["components"]["ner"]
    assert (stored["temperature"], stored["bias"]) == (ner.temperature, ner.bias)
    json.dumps(calibration)


def test_calibrating_twice_gives_the_same_result(model, corpus):
    once = calibrate_pipeline(str(model), corpus, None, has_bias=True, gpu_id=-1)
    before = files(model)
    again = calibrate_pipeline(str(model), corpus, None, has_bias=True, gpu_id=-1)
    assert again == once
    assert files(model) == before


def test_bias_stays_unless_it_is_tuned(nlp, model, corpus):
    nlp.get_pipe("ner").bias = 0.7
    nlp.to_disk(model)
    calibration = calibrate_pipeline(
        str(model), corpus, None, has_bias=False, gpu_id=-1
    )
    assert calibration["bias"] == spacy.load(model).get_pipe("ner").bias == 0.7


def test_pipeline_without_the_component_is_rejected(corpus, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "other")
    with pytest.raises(WnutError, match=r"no components of .* \(it has: sentencizer\)"):
        calibrate_pipeline(str(tmp_path / "other"), corpus, None, True, -1)


def test_corpus_without_entities_is_rejected(model, tmp_path):
    doc = Doc(spacy.blank("en").vocab, words=["nothing", "here"], ents=["O", "O"])
    DocBin(docs=[doc]).to_disk(tmp_path / "none.spacy")
    with pytest.raises(WnutError, match=r"none\.spacy has no entities"):
        calibrate_pipeline(str(model), tmp_path / "none.spacy", None, True, -1)


def test_installed_pipeline_needs_an_output_folder(corpus):
    with pytest.raises(WnutError, match=r"en_wnut_ner is no folder, .* with --out"):
        calibrate_pipeline("en_wnut_ner", corpus, None, True, -1)


def test_folder_with_other_files_is_not_replaced(model, corpus, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("words")
    with pytest.raises(WnutError, match="mine is there and holds other files"):
        calibrate_pipeline(str(model), corpus, mine, True, -1)
    assert files(mine) == {"thesis.txt": b"words"}


def test_failure_leaves_the_pipeline_unchanged(model, corpus, monkeypatch):
    before = files(model)

    def fail(*args, **options):
        raise OSError("disk full")

    monkeypatch.setattr("spacy_wnut.pipeline.entity_tagger.EntityTagger.to_disk", fail)
    with pytest.raises(OSError, match="disk full"):
        calibrate_pipeline(str(model), corpus, None, True, -1)
    assert files(model) == before
    assert {path.name for path in model.parent.iterdir()} == {"dev.spacy", "model"}
