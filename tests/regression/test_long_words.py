"""One very long word must not spoil the entities after it (spaCy, issue 12622)."""

import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example


@pytest.mark.parametrize("word", ["a" * 600, "!" * 600], ids=["letters", "marks"])
def test_entities_after_a_long_word_are_learned(make_nlp, word):
    """Nothing could be learned of words that the encoder doesn't get to see."""
    nlp = make_nlp(transitions="constrained")
    words = [word, "Ada", "Lovelace", "moved", "to", "Oslo"]

    def example(names, label):
        reference = Doc(nlp.vocab, words=[*words[:1], *names, *words[3:]])
        reference.set_ents(
            [Span(reference, 1, 3, label=label), Span(reference, 5, 6, label="place")]
        )
        return Example(Doc(nlp.vocab, words=[t.text for t in reference]), reference)

    def examples():
        return [
            example(["Ada", "Lovelace"], "person"),
            example(["London", "Pixel"], "product"),
        ]

    optimizer = nlp.initialize(examples)
    optimizer.learn_rate = 3e-3
    for _ in range(30):
        nlp.update(examples(), sgd=optimizer)
    assert nlp.evaluate(examples())["ents_f"] == 1.0
