"""Spans that are known to be no entities, as spaCy's `ner` learns from them."""

import shutil
from pathlib import Path

import numpy
import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

KEY = "wrong"
TEXT = "lol Grace Hopper and Alan Turing are in London"


@pytest.fixture
def known(nlp):
    """A pipeline that knows the posts and learns from incorrect spans."""
    nlp.get_pipe("ner").cfg["incorrect_spans_key"] = KEY
    return nlp


def make_example(nlp, text, incorrect, ents=None):
    """Without entities nothing is known but the incorrect spans."""
    reference = nlp.make_doc(text)
    if ents is not None:
        reference.set_ents([Span(reference, *ent) for ent in ents])
    reference.spans[KEY] = [Span(reference, *span) for span in incorrect]
    return Example(nlp.make_doc(text), reference)


def found(doc):
    return {(ent.text, ent.label_) for ent in doc.ents}


def learn(nlp, examples, steps, learn_rate=1e-3):
    optimizer = nlp.resume_training()
    optimizer.learn_rate = learn_rate
    return [nlp.update(examples, sgd=optimizer)["ner"] for _ in range(steps)]


def test_entity_is_unlearnt_by_a_negative_example_alone(known):
    assert ("London", "location") in found(known(TEXT))
    example = make_example(known, TEXT, [(8, 9, "location")])
    losses = learn(known, [example], 20)
    assert losses[-1] < 0.1 * losses[0]
    assert ("London", "location") not in found(known(TEXT))


def test_entity_of_several_words_is_unlearnt_and_the_others_stay(known, make_examples):
    example = make_example(known, TEXT, [(1, 3, "person")])
    positive = [eg for eg in make_examples(known) if eg.text != TEXT]
    learn(known, [example, *positive], 25)
    assert ("Grace Hopper", "person") not in found(known(TEXT))
    for eg in positive:
        assert found(known(eg.text)) == found(eg.reference)


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
def test_learns_from_right_and_wrong_spans_of_one_post(make_nlp, transitions):
    """Another label of an entity's borders, and other borders of its label."""
    nlp = make_nlp(transitions=transitions, incorrect_spans_key=KEY)
    labels = ["location", "person"]
    nlp.config["initialize"]["components"]["ner"] = {"labels": labels}
    right = [(1, 3, "person"), (4, 6, "person"), (8, 9, "location")]
    wrong = [(1, 3, "location"), (1, 2, "person"), (0, 3, "person"), (6, 8, "location")]
    example = make_example(nlp, TEXT, wrong, right)
    optimizer = nlp.initialize(lambda: [example])
    optimizer.learn_rate = 3e-3
    losses = [nlp.update([example], sgd=optimizer)["ner"] for _ in range(40)]
    assert losses[-1] < 0.1 * losses[0]
    ents = nlp(TEXT).ents
    assert [(ent.start, ent.end, ent.label_) for ent in ents] == right


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
def test_loss_is_that_of_the_confidence(make_nlp, train, transitions, emit):
    nlp = make_nlp(transitions=transitions, incorrect_spans_key=KEY)
    train(nlp, steps=25)
    doc = nlp(TEXT)
    assert len(doc.ents) == 3
    spans = [(ent.start, ent.end, ent.label_) for ent in doc.ents]
    loss, ([gradient], d_chain) = emit(nlp, [make_example(nlp, TEXT, spans)])
    confidences = numpy.asarray([ent._.confidence for ent in doc.ents])
    expected = -numpy.log1p(-confidences).sum() / len(doc)
    assert loss == pytest.approx(expected, rel=1e-4)
    # Scores go down that speak for the spans, and up those that speak for others.
    tags = nlp.get_pipe("ner").scheme.tags
    assert gradient[8, tags.index("B-location")] > 0 > gradient[8, tags.index("O")]
    assert gradient.sum(axis=1) == pytest.approx(0, abs=1e-6)
    assert d_chain.transitions.any()


def test_loss_adds_to_that_of_what_is_annotated(known, emit):
    texts, ents = (TEXT, "so in Oslo", "in London"), [(6, 7, "location")]
    wrong = [[(1, 3, "person"), (8, 9, "location")], [], [(1, 2, "location")]]

    def examples(of_entities, of_spans):
        return [
            make_example(known, text, spans if of_spans else [], right)
            for text, spans, right in zip(
                texts, wrong, [ents if of_entities else None, None, None], strict=True
            )
        ]

    whole, (gradients, moves) = emit(known, examples(True, True))
    parts = [emit(known, examples(True, False)), emit(known, examples(False, True))]
    assert all(loss > 0 for loss, _ in parts)
    assert whole == pytest.approx(sum(loss for loss, _ in parts))
    for i, one in enumerate(gradients):
        numpy.testing.assert_allclose(
            one, sum(d_emissions[i] for _, (d_emissions, _) in parts), atol=1e-6
        )
    for name in moves._fields:
        numpy.testing.assert_allclose(
            getattr(moves, name),
            sum(getattr(d, name) for _, (_, d) in parts),
            atol=1e-9,
        )
    # Nothing is known of the second post.
    assert numpy.abs(gradients[1]).max() < 1e-7


def test_white_space_is_no_border(known, emit):
    """Nor does it part the words of a span."""
    words = ["in", "New", "\n", "York", "\n"]

    def loss(start, end):
        reference = Doc(known.vocab, words=words)
        reference.spans[KEY] = [Span(reference, start, end, "location")]
        example = Example(Doc(known.vocab, words=words), reference)
        return emit(known, [example])[0]

    assert loss(1, 4) > 0
    # No entity is ever found there.
    assert loss(1, 5) == loss(2, 4) == loss(2, 3) == 0


def test_spans_without_a_label_change_nothing(known, emit):
    loss, ([gradient], _) = emit(known, [make_example(known, TEXT, [(8, 9, "")])])
    assert loss == pytest.approx(0, abs=1e-12)
    assert numpy.abs(gradient).max() < 1e-7


def test_without_the_setting_such_spans_change_nothing(nlp, emit):
    example = make_example(nlp, TEXT, [(8, 9, "location"), (0, 1, "unheard-of")])
    assert emit(nlp, [example])[0] == pytest.approx(0, abs=1e-12)


def test_an_entity_that_is_incorrect_too_is_an_error(known):
    example = make_example(known, TEXT, [(1, 3, "person")], [(1, 3, "person")])
    with pytest.raises(ValueError, match=r"\[E868\]"):
        known.update([example], sgd=known.resume_training())


def test_labels_are_those_of_entities_and_others_are_an_error(make_nlp, make_examples):
    nlp = make_nlp(incorrect_spans_key=KEY)
    example = make_example(nlp, TEXT, [(0, 1, "laugh")])
    nlp.initialize(lambda: [*make_examples(nlp), example])
    assert nlp.get_pipe("ner").labels == ("location", "person")
    with pytest.raises(ValueError, match="'ner' has no entity types laugh"):
        nlp.update([example], sgd=nlp.resume_training())


def test_empty_posts_between(known):
    examples = [make_example(known, text, []) for text in ("", " \n ", "")]
    examples.insert(1, make_example(known, TEXT, [(8, 9, "location")]))
    assert known.update(examples, sgd=known.resume_training())["ner"] > 0


@pytest.mark.parametrize("road", ["disk", "bytes"])
def test_setting_is_stored(make_nlp, make_examples, tmp_path, road, emit):
    nlp = make_nlp(incorrect_spans_key=KEY)
    nlp.initialize(lambda: make_examples(nlp))
    if road == "disk":
        nlp.to_disk(tmp_path / "model")
        loaded = spacy.load(tmp_path / "model")
    else:
        loaded = spacy.blank("en", config=nlp.config).from_bytes(nlp.to_bytes())
    assert loaded.config["components"]["ner"]["incorrect_spans_key"] == KEY
    ner = loaded.get_pipe("ner")
    assert ner.cfg == nlp.get_pipe("ner").cfg
    assert ner.cfg["incorrect_spans_key"] == KEY
    loss, _ = emit(loaded, [make_example(loaded, TEXT, [(8, 9, "location")])])
    assert loss > 0


def test_pipelines_stored_before_there_was_the_setting(trained_folder, tmp_path):
    folder = Path(shutil.copytree(trained_folder, tmp_path / "copy"))
    cfg = srsly.read_json(folder / "ner" / "cfg")
    del cfg["incorrect_spans_key"]
    srsly.write_json(folder / "ner" / "cfg", cfg)
    config = spacy.util.load_config(folder / "config.cfg")
    del config["components"]["ner"]["incorrect_spans_key"]
    config.to_disk(folder / "config.cfg")
    loaded = spacy.load(folder)
    assert loaded.get_pipe("ner").cfg["incorrect_spans_key"] is None
    assert ("London", "location") in found(loaded(TEXT))


def test_spans_go_through_a_docbin(known, emit):
    example = make_example(known, TEXT, [(8, 9, "location")])
    stored = DocBin(docs=[example.reference]).to_bytes()
    [doc] = DocBin().from_bytes(stored).get_docs(known.vocab)
    again = Example(known.make_doc(TEXT), doc)
    assert emit(known, [again])[0] == pytest.approx(emit(known, [example])[0])
