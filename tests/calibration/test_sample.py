import numpy
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_wnut.calibration.sample import find_entities, read_sample
from spacy_wnut.scoring.examples import examples_to_posts
from spacy_wnut.scoring.measures import entity_scores

WORDS = "Ada Lovelace moved to Oslo".split()
ENTS = ["B-person", "I-person", "O", "O", "B-location"]


def example(nlp, words, ents, text=None):
    """Create an example whose predicted doc has the given words, or spaCy's tokens of
    `text`.
    """
    spaces = None
    if text is not None:
        ends = numpy.cumsum([0, *map(len, words)])
        spaces = [f"{word} " in text for word in words]
        assert "".join(w + " " * s for w, s in zip(words, spaces, strict=True)) == text
        assert ends[-1] <= len(text)
    reference = Doc(nlp.vocab, words=words, spaces=spaces, ents=ents)
    if text is None:
        return Example(Doc(nlp.vocab, words=words), reference)
    return Example(nlp.make_doc(text), reference)


def judged(nlp, examples, bias=0.0):
    sample = read_sample(nlp, "ner", examples)
    return sample, find_entities(sample, bias, 1.0)


def test_entities_and_confidences_equal_those_of_the_pipeline(nlp, make_examples):
    examples = make_examples(nlp)
    # A post with another gold annotation.
    wrong = example(nlp, WORDS, ["B-person", "O", "O", "O", "B-location"])
    sample, found = judged(nlp, [*examples, wrong])
    assert found.posts.tolist() == [0, 1, 1, 3, 3, 3, 4, 4]
    assert found.right.tolist() == [True] * 6 + [False, True]
    assert sample.n_gold.tolist() == [1, 2, 0, 3, 2]
    expected = [
        ent._.confidence
        for eg in [*examples, wrong]
        for ent in nlp(eg.reference.text.strip()).ents
    ]
    numpy.testing.assert_allclose(found.confidences, expected, atol=1e-5)
    chosen = found.of_posts(numpy.asarray([False, True, False, False, True]))
    assert chosen.posts.tolist() == [1, 1, 4, 4]
    assert chosen.right.tolist() == [True, True, False, True]


@pytest.mark.parametrize("bias", [-1.0, 0.0, 3.0, 8.0])
def test_counts_equal_those_of_scoring(nlp, make_examples, bias):
    """Decode examples of all kinds with the bias, as the pipeline does."""
    examples = [
        *make_examples(nlp),
        example(nlp, WORDS, ["B-person", "O", "O", "O", "B-group"]),
        example(nlp, ["lol", "Oslo!"], ["O", "B-location"], "lol Oslo!"),
        example(nlp, ["in", "Oslo", "."], ["O", "B-location", "O"], "in Oslo."),
        example(nlp, WORDS, None),
        example(nlp, WORDS, [*ENTS[:2], None, None, None]),
        example(nlp, [], []),
    ]
    sample, found = judged(nlp, examples, bias)
    nlp.get_pipe("ner").bias = bias
    for eg in examples:
        eg.predicted = nlp(eg.predicted)
    scores = entity_scores(list(examples_to_posts(examples)))
    right, predicted = int(found.right.sum()), len(found.right)
    assert scores["recall"] == pytest.approx(right / sample.n_gold.sum())
    assert scores["precision"] == pytest.approx(right / max(predicted, 1))


def test_gold_entity_that_no_tokens_match_is_counted_but_not_listed(nlp):
    location = nlp.get_pipe("ner").labels.index("location")
    cut = example(nlp, ["in", "Os", "lo"], ["O", "B-location", "O"], "in Oslo")
    assert [token.text for token in cut.predicted] == ["in", "Oslo"]
    two = example(nlp, ["in", "Oslo!"], ["O", "B-location"], "in Oslo!")
    assert [token.text for token in two.predicted] == ["in", "Oslo", "!"]
    whole = example(nlp, ["(", "Oslo"], ["O", "B-location"], "(Oslo")
    sample, _ = judged(nlp, [cut, two, whole])
    assert sample.n_gold.tolist() == [1, 1, 1]
    assert sample.gold == [frozenset(), {(1, 3, location)}, {(1, 2, location)}]


def test_unannotated_words_are_not_scored(nlp):
    sample, found = judged(nlp, [example(nlp, WORDS, [*ENTS[:2], None, None, None])])
    assert sample.unjudged.tolist() == [False, False, True, True, True]
    assert found.right.tolist() == [True]
    # All of spaCy's tokens that overlap an unannotated word.
    eg = example(nlp, ["in", "Oslo!", "."], ["O", None, "O"], "in Oslo!.")
    tokens = [token.text for token in eg.predicted]
    sample, _ = judged(nlp, [eg])
    assert [t for t, no in zip(tokens, sample.unjudged, strict=True) if no] == [
        token for token in tokens if token not in ("in", ".")
    ]


def test_gold_entities_under_earlier_entities_are_not_counted(nlp):
    ruler = nlp.add_pipe("entity_ruler", first=True)
    ruler.add_patterns([{"label": "FOUND", "pattern": "Lovelace moved"}])
    sample, found = judged(nlp, [example(nlp, WORDS, ENTS)])
    assert sample.n_gold.tolist() == [1]
    assert [len(mentions) for mentions in sample.gold] == [1]
    assert found.right.sum() == 1
    nlp.get_pipe("ner").cfg["overwrite"] = True
    sample, found = judged(nlp, [example(nlp, WORDS, ENTS)])
    assert sample.emitted.barred is None
    assert sample.n_gold.tolist() == [2]
    assert found.right.tolist() == [True, True]


def test_later_components_do_not_run(nlp):
    @spacy.Language.component("test_calibration_one_for_all")
    def one_for_all(doc):
        doc.ents = [Span(doc, 0, len(doc), label="all")]
        return doc

    nlp.add_pipe("test_calibration_one_for_all", last=True)
    _, found = judged(nlp, [example(nlp, WORDS, ENTS)])
    assert found.right.tolist() == [True, True]
    assert nlp.pipe_names[-1] == "test_calibration_one_for_all"


def test_batch_size_makes_no_difference(nlp, make_examples):
    examples = make_examples(nlp)
    _, together = judged(nlp, examples)
    nlp.batch_size = 3
    _, apart = judged(nlp, make_examples(nlp))
    assert apart.posts.tolist() == together.posts.tolist()
    assert apart.right.tolist() == together.right.tolist()
    numpy.testing.assert_allclose(apart.confidences, together.confidences, atol=1e-5)


def test_docs_are_freed_with_their_vectors(nlp, make_examples, vectors):
    examples = [eg for _ in range(10) for eg in make_examples(nlp)]
    expected, _ = judged(nlp, examples)
    nlp.add_pipe("test_adds_vectors", first=True)
    nlp.batch_size = 4
    sample, _ = judged(nlp, examples)
    assert sample.gold == expected.gold
    # Three batches: in the pipeline, being read, and the one before it.
    assert 0 < vectors.most <= 12
    assert not any("vectors" in eg.predicted.user_data for eg in examples)
