"""Training on spans that are annotated as not entities, as for spaCy's `ner`."""

import itertools

import numpy
import pytest
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

KEY = "wrong"
TEXT = "lol Grace Hopper and Alan Turing are in London"


@pytest.fixture
def known(nlp):
    """A pipeline trained on the posts, with a key for incorrect spans."""
    nlp.get_pipe("ner").cfg["incorrect_spans_key"] = KEY
    return nlp


@pytest.fixture
def table(make_table_nlp):
    """The same without an encoder."""
    return make_table_nlp(incorrect_spans_key=KEY)


def make_example(nlp, text, incorrect, ents=None):
    """Make an example of which only the incorrect spans are annotated, unless there
    are `ents`.
    """
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


def test_one_incorrect_span_unlearns_an_entity(known):
    assert ("London", "location") in found(known(TEXT))
    example = make_example(known, TEXT, [(8, 9, "location")])
    losses = learn(known, [example], 20)
    assert losses[-1] < 0.1 * losses[0]
    assert ("London", "location") not in found(known(TEXT))


def test_other_entities_stay_when_one_is_unlearnt(known, make_examples):
    example = make_example(known, TEXT, [(1, 3, "person")])
    positive = [eg for eg in make_examples(known) if eg.text != TEXT]
    learn(known, [example, *positive], 25)
    assert ("Grace Hopper", "person") not in found(known(TEXT))
    for eg in positive:
        assert found(known(eg.text)) == found(eg.reference)


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
def test_learns_from_entities_and_incorrect_spans_of_one_post(make_nlp, transitions):
    """Incorrect are another label for the same words, and other words for a label."""
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
def test_loss_follows_from_the_confidence(make_nlp, train, transitions, emit):
    nlp = make_nlp(transitions=transitions, incorrect_spans_key=KEY)
    train(nlp, steps=25)
    doc = nlp(TEXT)
    assert len(doc.ents) == 3
    spans = [(ent.start, ent.end, ent.label_) for ent in doc.ents]
    loss, ([gradient], d_chain) = emit(nlp, [make_example(nlp, TEXT, spans)])
    confidences = numpy.asarray([ent._.confidence for ent in doc.ents])
    expected = -numpy.log1p(-confidences).sum() / len(doc)
    assert loss == pytest.approx(expected, rel=1e-4)
    # A step against the gradient makes the span less probable and O more probable.
    tags = nlp.get_pipe("ner").scheme.tags
    assert gradient[8, tags.index("B-location")] > 0 > gradient[8, tags.index("O")]
    assert gradient.sum(axis=1) == pytest.approx(0, abs=1e-6)
    assert d_chain.transitions.any()


# Words, entities (None if they are not annotated) and incorrect spans.
POSTS = [
    (
        ["in", "New", "York"],
        [(1, 3, "location")],
        [(1, 2, "location"), (0, 1, "person")],
    ),
    (["so", "in", "Oslo"], None, [(2, 3, "location"), (0, 3, "person")]),
    (["Ada", "left"], [(0, 1, "person")], []),
    (["Oslo"], None, []),
]
TAGS = ("O", "B-location", "I-location", "B-person", "I-person")


def spans_of(path):
    """The entities that a sequence of tags encodes."""
    spans = []
    for i, tag in enumerate(path):
        if tag[0] == "B":
            spans.append((i, i + 1, tag[2:]))
        elif tag[0] == "I":
            start, _, label = spans.pop()
            spans.append((start, i + 1, label))
    return spans


def expected_loss(emissions, chain, transitions):
    """The loss of POSTS, in nats per word, by enumeration of all sequences of tags."""
    total = 0.0
    for scores, (words, ents, wrong) in zip(emissions, POSTS, strict=True):
        paths, path_scores = [], []
        for path in itertools.product(range(5), repeat=len(words)):
            pairs = itertools.pairwise([0, *path])
            if any(
                tag in (2, 4) and before not in (tag, tag - 1) for before, tag in pairs
            ):
                continue
            paths.append([TAGS[tag] for tag in path])
            path_scores.append(
                chain["start"][path[0]]
                + sum(scores[i, tag] for i, tag in enumerate(path))
                + sum(chain["transitions"][pair] for pair in itertools.pairwise(path))
                + chain["end"][path[-1]]
            )
        probabilities = numpy.exp(path_scores) / numpy.exp(path_scores).sum()
        found = [spans_of(path) for path in paths]
        if ents is not None and transitions == "learned":
            total -= numpy.log(probabilities[found.index(ents)])
        elif ents is not None:
            [gold] = [
                path for path, spans in zip(paths, found, strict=True) if spans == ents
            ]
            for row, tag in zip(scores, gold, strict=True):
                total -= row[TAGS.index(tag)] - numpy.log(numpy.exp(row).sum())
        for span in wrong:
            total -= numpy.log1p(
                -probabilities[[span in spans for spans in found]].sum()
            )
    return total / sum(len(words) for words, _, _ in POSTS)


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
def test_loss_and_gradient_beside_annotated_entities(make_table_nlp, transitions):
    """The loss is that of all paths, the gradient that of finite differences."""
    nlp = make_table_nlp(transitions=transitions, incorrect_spans_key=KEY)
    ner = nlp.get_pipe("ner")
    assert ner.scheme.tags == TAGS
    random = numpy.random.RandomState(0)
    emissions = [random.normal(size=(len(words), 5)) for words, _, _ in POSTS]
    shapes = {"transitions": (5, 5), "start": 5, "end": 5}
    chain = {name: random.normal(size=shape) for name, shape in shapes.items()}
    for name, scores in chain.items():
        ner.model.set_param(name, scores.astype("f"))
        chain[name] = ner.model.get_param(name).astype("f8")
    examples = []
    for words, ents, wrong in POSTS:
        reference = Doc(nlp.vocab, words=words)
        if ents is not None:
            reference.set_ents([Span(reference, *ent) for ent in ents])
        reference.spans[KEY] = [Span(reference, *span) for span in wrong]
        examples.append(Example(Doc(nlp.vocab, words=words), reference))

    loss, (gradients, d_chain) = ner.get_loss(examples, emissions)
    assert loss == pytest.approx(expected_loss(emissions, chain, transitions))

    def slopes(array):
        """The derivatives of the expected loss with respect to an array."""
        slopes = numpy.empty_like(array)
        for i in numpy.ndindex(array.shape):
            value, ends = array[i], []
            for step in (1e-5, -1e-5):
                array[i] = value + step
                ends.append(expected_loss(emissions, chain, transitions))
            array[i] = value
            slopes[i] = (ends[0] - ends[1]) / 2e-5
        return slopes

    for gradient, scores in zip(gradients, emissions, strict=True):
        numpy.testing.assert_allclose(gradient, slopes(scores), atol=1e-6)
    # Cross-entropy does not train the chain.
    for name, scores in chain.items() if transitions == "learned" else ():
        numpy.testing.assert_allclose(getattr(d_chain, name), slopes(scores), atol=1e-6)


def test_spans_with_white_space_at_a_border_have_no_loss(table, emit):
    words = ["in", "New", "\n", "York", "\n"]

    def loss(start, end):
        reference = Doc(table.vocab, words=words)
        reference.spans[KEY] = [Span(reference, start, end, "location")]
        example = Example(Doc(table.vocab, words=words), reference)
        return emit(table, [example])[0]

    assert loss(1, 4) > 0
    # No entity is ever predicted with these borders.
    assert loss(1, 5) == loss(2, 4) == loss(2, 3) == 0


def test_spans_without_a_label_change_nothing(table, emit):
    loss, ([gradient], _) = emit(table, [make_example(table, TEXT, [(8, 9, "")])])
    assert loss == pytest.approx(0, abs=1e-12)
    assert numpy.abs(gradient).max() < 1e-7


def test_spans_are_ignored_without_the_setting(make_table_nlp, emit):
    nlp = make_table_nlp()
    example = make_example(nlp, TEXT, [(8, 9, "location"), (0, 1, "unheard-of")])
    assert emit(nlp, [example])[0] == pytest.approx(0, abs=1e-12)


def test_entity_annotated_as_incorrect_is_an_error(table):
    example = make_example(table, TEXT, [(1, 3, "person")], [(1, 3, "person")])
    with pytest.raises(ValueError, match=r"\[E868\]"):
        table.update([example], sgd=table.resume_training())


def test_label_that_no_entity_has_is_an_error(make_nlp, make_examples):
    nlp = make_nlp(incorrect_spans_key=KEY)
    example = make_example(nlp, TEXT, [(0, 1, "laugh")])
    nlp.initialize(lambda: [*make_examples(nlp), example])
    assert nlp.get_pipe("ner").labels == ("location", "person")
    with pytest.raises(ValueError, match="'ner' has no entity types laugh"):
        nlp.update([example], sgd=nlp.resume_training())


def test_batch_with_empty_posts(table):
    examples = [make_example(table, text, []) for text in ("", " \n ", "")]
    examples.insert(1, make_example(table, TEXT, [(8, 9, "location")]))
    assert table.update(examples, sgd=table.resume_training())["ner"] > 0


def test_spans_are_stored_in_a_docbin(table, emit):
    example = make_example(table, TEXT, [(8, 9, "location")])
    stored = DocBin(docs=[example.reference]).to_bytes()
    [doc] = DocBin().from_bytes(stored).get_docs(table.vocab)
    again = Example(table.make_doc(TEXT), doc)
    assert emit(table, [again])[0] == pytest.approx(emit(table, [example])[0])
