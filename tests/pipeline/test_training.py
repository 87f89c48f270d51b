"""Initialization and training of the component."""

from types import SimpleNamespace

import numpy
import pytest
import srsly
from spacy.cli.init_pipeline import init_labels_cli
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.initialize import init_nlp


def parameters(nlp):
    """Copies of all weights of the encoder and of the component."""
    encoder = nlp.get_pipe("transformer").model.transformer.state_dict()
    ours = {
        (i, name): layer.get_param(name).copy()
        for i, layer in enumerate(nlp.get_pipe("ner").model.walk())
        for name in layer.param_names
        if layer.has_param(name)
    }
    return {**{key: value.numpy().copy() for key, value in encoder.items()}, **ours}


def changed(before, after):
    assert before.keys() == after.keys()
    return {key for key in before if not numpy.array_equal(before[key], after[key])}


def example(nlp, words, tags):
    """Make an example of words with one tag each: an entity type, "O", or None where the
    annotation is missing.
    """
    reference = Doc(nlp.vocab, words=words)
    reference.set_ents(
        [
            Span(reference, i, i + 1, label=tag)
            for i, tag in enumerate(tags)
            if tag not in ("O", None)
        ],
        missing=[reference[i : i + 1] for i, tag in enumerate(tags) if tag is None],
    )
    return Example(Doc(nlp.vocab, words=words), reference)


def switch_dropout_off(encoder):
    for module in encoder.modules():
        for name in ("p", "dropout_prob"):
            if hasattr(module, name):
                setattr(module, name, 0.0)


def test_labels_come_from_all_examples_sorted(make_nlp, make_examples):
    nlp = make_nlp()
    late = example(nlp, ["Atlantis"], ["a-myth"])
    many = make_examples(nlp) * 10
    nlp.initialize(lambda: [*many, late])
    ner = nlp.get_pipe("ner")
    assert ner.labels == ("a-myth", "location", "person")
    assert ner.model.get_dim("nO") == len(ner.scheme.tags) == 7


def test_labels_given_keep_their_order_and_need_not_occur(make_nlp, make_examples):
    nlp = make_nlp()
    labels = ["person", "never-seen", "location"]
    nlp.config["initialize"]["components"]["ner"] = {"labels": labels}
    nlp.initialize(lambda: make_examples(nlp))
    ner = nlp.get_pipe("ner")
    assert ner.label_data == labels
    # The columns of the model follow this order: O, then B and I of each label.
    for column, label in ((1, "person"), (3, "never-seen"), (5, "location")):
        biases = numpy.zeros(7, dtype="f")
        biases[column] = 1000.0
        ner.model.layers[0].get_ref("output_layer").set_param("b", biases)
        assert [ent.label_ for ent in nlp("in Oslo").ents] == [label, label]


def test_data_without_entities_is_refused(make_nlp):
    nlp = make_nlp()
    with pytest.raises(ValueError, match=r"\[E143\] .*'ner'"):
        nlp.initialize(lambda: [example(nlp, ["nothing"], ["O"])])


def test_labels_are_stored_in_a_file_and_read(make_nlp, make_examples, tmp_path):
    nlp = make_nlp()
    data, labels = tmp_path / "data.spacy", tmp_path / "labels" / "ner.json"
    DocBin(docs=[eg.reference for eg in make_examples(nlp)]).to_disk(data)
    config = nlp.config.copy()
    config["paths"].update(train=str(data), dev=str(data))
    config.to_disk(tmp_path / "config.cfg")
    context = SimpleNamespace(args=[])
    init_labels_cli(context, tmp_path / "config.cfg", labels.parent, None, False, -1)
    assert srsly.read_json(labels) == ["location", "person"]

    srsly.write_json(labels, ["person", "location", "more"])
    reader = {"@readers": "spacy.read_labels.v1", "path": str(labels)}
    config["initialize"]["components"]["ner"] = {"labels": reader}
    assert init_nlp(config).get_pipe("ner").labels == ("person", "location", "more")


def test_labels_can_be_added_until_it_is_initialized(make_nlp, make_examples):
    nlp = make_nlp()
    ner = nlp.get_pipe("ner")
    assert (ner.add_label("product"), ner.add_label("product")) == (1, 0)
    nlp.initialize(lambda: make_examples(nlp))
    assert ner.labels == ("product", "location", "person")
    assert ner.add_label("person") == 0
    with pytest.raises(ValueError, match=r"\[E922\]"):
        ner.add_label("group")
    assert len(ner.labels) == 3


@pytest.mark.parametrize("label", ["", " two words", "a\tb", "a,b"])
def test_labels_that_cannot_be_stored_are_refused(make_nlp, label):
    ner = make_nlp().get_pipe("ner")
    with pytest.raises(ValueError, match="can't be an entity type"):
        ner.add_label(label)
    assert ner.labels == ()


def test_unknown_label_in_an_update_is_refused(nlp):
    unknown = example(nlp, ["in", "Atlantis"], ["O", "myth"])
    before = parameters(nlp)
    with pytest.raises(ValueError, match=r"no entity types myth: .*location, person"):
        nlp.update([unknown], sgd=nlp.resume_training())
    assert not changed(before, parameters(nlp))


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
def test_missing_annotation_has_no_loss(make_nlp, make_examples, transitions, emit):
    nlp = make_nlp(transitions=transitions)
    nlp.initialize(lambda: make_examples(nlp))
    words = ["Ada", "likes", "rainy", "Oslo", "much"]
    nothing = example(nlp, words, [None] * 5)
    loss, ([gradient], moves) = emit(nlp, [nothing])
    assert loss == pytest.approx(0, abs=1e-12)
    assert numpy.abs(gradient).max() < 1e-7
    assert all(numpy.abs(part).max() < 1e-12 for part in moves)

    partly = example(nlp, words, ["person", "O", None, None, "O"])
    loss, ([gradient], _) = emit(nlp, [partly])
    assert loss > 0
    if transitions == "constrained":
        # The words are independent: those without annotation have no gradient.
        has_gradient = numpy.abs(gradient).max(axis=1) > 1e-9
        assert has_gradient.tolist() == [True, True, False, False, True]


def test_doc_without_annotation_changes_nothing(nlp):
    optimizer = nlp.resume_training()
    # Weight decay changes weights whose gradient is zero, too.
    optimizer.L2 = 0.0
    before, losses = parameters(nlp), {}
    nlp.update(
        [example(nlp, ["in", "Oslo"], [None, None])], sgd=optimizer, losses=losses
    )
    assert losses["ner"] == pytest.approx(0, abs=1e-12)
    after = parameters(nlp)
    assert all(
        numpy.allclose(before[key], after[key], atol=1e-5) for key in before.keys()
    )


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
def test_update_changes_encoder_head_and_only_learned_transitions(
    make_nlp, make_examples, transitions
):
    nlp = make_nlp(transitions=transitions)
    optimizer = nlp.initialize(lambda: make_examples(nlp))
    before = parameters(nlp)
    # Like `spacy train`: all pipes accumulate their gradients first.
    nlp.update(make_examples(nlp), sgd=False)
    for _, pipe in nlp.pipeline:
        pipe.finish_update(optimizer)
    keys = changed(before, parameters(nlp))
    names = {key[1] for key in keys if isinstance(key, tuple)}
    chain = {"transitions", "start", "end"} if transitions == "learned" else set()
    assert names == {"W", "b", *chain}
    assert "embeddings.word_embeddings.weight" in keys
    assert "transformer.layer.0.attention.q_lin.weight" in keys


def test_resumed_training_starts_from_the_trained_weights(nlp, make_examples):
    optimizer = nlp.resume_training()
    before = parameters(nlp)
    first, last = {}, {}
    nlp.update(make_examples(nlp), sgd=optimizer, losses=first)
    assert changed(before, parameters(nlp))
    # With random weights it would be log(5) = 1.6 nats per word.
    assert first["ner"] < 0.2
    for _ in range(10):
        last = nlp.update(make_examples(nlp), sgd=optimizer)
    assert last["ner"] < first["ner"]


def test_update_with_empty_docs_between(nlp, make_examples):
    empty = [
        Example(nlp.make_doc(text), nlp.make_doc(text)) for text in ("", " \n ", "")
    ]
    full = make_examples(nlp)
    optimizer = nlp.resume_training()
    before = parameters(nlp)
    losses = nlp.update([empty[0], full[0], *empty[1:], *full[1:]], sgd=optimizer)
    assert 0 < losses["ner"] < 0.2
    assert changed(before, parameters(nlp))


@pytest.mark.parametrize("texts", [[], [""], ["", ""], [" "], ["", " \n"]])
def test_update_with_nothing_but_empty_docs(nlp, texts):
    examples = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in texts]
    before = parameters(nlp)
    optimizer = nlp.resume_training()
    optimizer.L2 = 0.0
    losses = nlp.update(examples, sgd=optimizer)
    assert losses.get("ner", 0.0) == 0.0
    assert not changed(before, parameters(nlp))


def test_gradients_are_kept_without_an_optimizer(make_nlp, make_examples):
    """Accumulated gradients of two half batches are those of the whole batch."""
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    switch_dropout_off(nlp.get_pipe("transformer").model.transformer)
    linear = nlp.get_pipe("ner").model.layers[0].get_ref("output_layer")
    # Two docs of 4 words: the mean of their mean losses is the mean loss.
    pair = [
        example(nlp, ["Ada", "is", "in", "Oslo"], ["person", "O", "O", "location"]),
        example(nlp, ["so", "is", "the", "storm"], ["O"] * 4),
    ]
    nlp.update(pair, sgd=False)
    whole = linear.get_grad("W").copy()
    linear.set_grad("W", numpy.zeros_like(whole))
    for eg in pair:
        nlp.update([eg], sgd=False)
    numpy.testing.assert_allclose(linear.get_grad("W") / 2, whole, atol=1e-6)


def test_gradients_of_two_listeners_are_summed(nlp, make_examples):
    """A tagger listens to the same encoder."""
    pooling = {"@layers": "reduce_mean.v1"}
    architecture = "spacy-transformers.TransformerListener.v1"
    tok2vec = {"@architectures": architecture, "pooling": pooling}
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}
    tagger = nlp.add_pipe("tagger", config={"model": model})
    examples = make_examples(nlp)
    for eg in examples:
        for token in eg.reference:
            token.tag_ = "TITLE" if token.is_title else "OTHER"
    tagger.initialize(lambda: examples, nlp=nlp)
    # The tagger starts with weights of zero, which block the gradient.
    weights = tagger.model.get_ref("softmax").get_param("W")
    weights[:] = numpy.random.RandomState(0).normal(size=weights.shape)
    encoder = nlp.get_pipe("transformer").model.transformer
    switch_dropout_off(encoder)

    def gradient(of_ner, of_tagger):
        for name, factor in (("ner", of_ner), ("tagger", of_tagger)):
            for layer in nlp.get_pipe(name).model.walk():
                if "grad_factor" in layer.attrs:
                    layer.attrs["grad_factor"] = factor
        encoder.zero_grad()
        nlp.update(examples, sgd=False)
        return encoder.transformer.layer[0].ffn.lin1.weight.grad.numpy().copy()

    both, of_ner, of_tagger = gradient(1, 1), gradient(1, 0), gradient(0, 1)
    assert numpy.abs(of_ner).max() > 1e-4 and numpy.abs(of_tagger).max() > 1e-4
    numpy.testing.assert_allclose(both, of_ner + of_tagger, atol=1e-5)


def test_learns_from_partial_annotations(make_nlp):
    """Each example annotates one part of the same post."""
    nlp = make_nlp()
    words = "lol Grace Hopper and Alan Turing are in London".split()
    known = [(1, 3, "person"), (4, 6, "person"), (8, 9, "location")]

    def partial(ents, outside):
        reference = Doc(nlp.vocab, words=words)
        reference.set_ents(
            [Span(reference, *ent) for ent in ents],
            outside=[reference[i : i + 1] for i in outside],
            default="missing",
        )
        return Example(Doc(nlp.vocab, words=words), reference)

    examples = [partial([ent], []) for ent in known]
    examples.append(partial([], [0, 3, 6, 7]))
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 3e-3
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    doc = nlp(Doc(nlp.vocab, words=words))
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == known
