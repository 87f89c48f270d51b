"""One very long word must not spoil the entities after it (spaCy, issue 12622)."""

from spacy.tokens import Doc, Span
from spacy.training import Example


def test_entities_after_a_long_word_are_learned(make_nlp):
    """Nothing could be learned of words that the encoder doesn't get to see."""
    nlp = make_nlp(transitions="constrained")

    def example(words, label):
        reference = Doc(nlp.vocab, words=words)
        reference.set_ents([Span(reference, 1, 3, label=label)])
        return Example(Doc(nlp.vocab, words=words), reference)

    def examples():
        return [
            example(["a" * 600, "Ada", "Lovelace", "moved"], "person"),
            example(["!" * 600, "London", "Pixel", "moved"], "product"),
        ]

    optimizer = nlp.initialize(examples)
    optimizer.learn_rate = 5e-3
    for _ in range(15):
        nlp.update(examples(), sgd=optimizer)
    assert nlp.evaluate(examples())["ents_f"] == 1.0
