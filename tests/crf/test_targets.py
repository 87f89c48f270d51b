import numpy
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from spacy_wnut.crf.targets import (
    SOFT_LABELS,
    aligned_incorrect_spans,
    allowed_tags,
    set_soft_labels,
    soft_targets,
)
from spacy_wnut.labels import LabelScheme

NLP = spacy.blank("en")
SCHEME = LabelScheme(("a", "b"))
ANY = "any"


def allowed_names(example, no_pieces=()):
    """Return the allowed tag of each word with pieces, or ANY if all are allowed."""
    has_pieces = numpy.ones(len(example.predicted), dtype=bool)
    has_pieces[list(no_pieces)] = False
    allowed = allowed_tags(example, SCHEME, has_pieces)
    assert allowed.shape == (has_pieces.sum(), len(SCHEME.tags))
    assert allowed.dtype == bool
    rows = [
        [tag for tag, yes in zip(SCHEME.tags, row, strict=True) if yes]
        for row in allowed
    ]
    assert all(len(row) == 1 or row == list(SCHEME.tags) for row in rows)
    return [row[0] if len(row) == 1 else ANY for row in rows]


def make_example(words, ents):
    doc = Doc(NLP.vocab, words=words)
    return Example(doc, Doc(NLP.vocab, words=words, ents=ents))


def retokenized(reference, ents, predicted):
    """Create an example whose docs have different words. Words include the space that
    follows them.
    """

    def make_doc(words, ents=None):
        spaces = [word.endswith(" ") for word in words]
        words = [word.removesuffix(" ") for word in words]
        return Doc(NLP.vocab, words=words, spaces=spaces, ents=ents)

    return Example(make_doc(predicted), make_doc(reference, ents))


def test_annotated_words_allow_their_tag():
    tags = ["B-a", "I-a", "O", "B-b", "B-b", "I-b", "I-b", "O"]
    assert allowed_names(make_example(list("stuvwxyz"), tags)) == tags


def test_words_without_annotation_allow_every_tag():
    example = make_example(["s", "t", "u", "v"], ["", "B-a", "I-a", "O"])
    assert allowed_names(example) == [ANY, "B-a", "I-a", "O"]


def test_a_doc_without_annotation_allows_every_tag():
    doc = Doc(NLP.vocab, words=["s", "t"])
    assert allowed_names(Example(doc.copy(), doc)) == [ANY, ANY]


def test_blocked_words_are_outside():
    reference = Doc(NLP.vocab, words=["s", "t", "u"])
    reference.set_ents([], blocked=[reference[:1], reference[1:2]], default="missing")
    example = Example(Doc(NLP.vocab, words=["s", "t", "u"]), reference)
    assert allowed_names(example) == ["O", "O", ANY]


def test_spans_with_missing_annotation_allow_every_tag():
    reference = Doc(NLP.vocab, words=["s", "t", "u"])
    reference.set_ents([], missing=[reference[1:3]])
    example = Example(Doc(NLP.vocab, words=["s", "t", "u"]), reference)
    assert allowed_names(example) == ["O", ANY, ANY]


def test_words_without_pieces_have_no_row():
    example = make_example(["s", "t", "u", "v"], ["B-a", "I-a", "I-a", "O"])
    assert allowed_names(example, no_pieces=[1]) == ["B-a", "I-a", "O"]
    assert allowed_names(example, no_pieces=[3]) == ["B-a", "I-a", "I-a"]
    assert allowed_names(example, no_pieces=range(4)) == []


@pytest.mark.parametrize("no_pieces", [[1], [1, 2]])
def test_an_entity_that_begins_without_pieces_begins_at_the_next_word(no_pieces):
    words, tags = list("stuvw"), ["B-a", "B-a", "I-a", "I-a", "I-a"]
    expected = ["B-a", "B-a", "I-a", "I-a"][: 5 - len(no_pieces)]
    assert allowed_names(make_example(words, tags), no_pieces) == expected


def test_an_entity_without_pieces_is_ignored():
    example = make_example(["s", "t", "u"], ["B-a", "B-b", "I-b"])
    assert allowed_names(example, no_pieces=[0]) == ["B-b", "I-b"]
    assert allowed_names(example, no_pieces=[1, 2]) == ["B-a"]


def test_finer_words_share_the_entity():
    example = retokenized(
        ["New ", "York-", "er"], ["B-a", "I-a", "O"], ["Ne", "w ", "York", "-", "er"]
    )
    assert allowed_names(example) == ["B-a", "I-a", "I-a", "I-a", "O"]


def test_a_coarser_word_that_contains_an_entity_has_its_tag():
    example = retokenized(
        ["in ", "New-", "York"], ["O", "B-a", "I-a"], ["in ", "New-York"]
    )
    assert allowed_names(example) == ["O", "B-a"]


def test_words_that_cross_the_end_of_an_entity_allow_every_tag():
    example = retokenized(
        ["s ", "t", "u ", "v"], ["O", "B-a", "O", "O"], ["s ", "tu ", "v"]
    )
    assert allowed_names(example) == ["O", ANY, "O"]


def test_an_entity_of_another_scheme_is_an_error():
    with pytest.raises(KeyError, match="B-c"):
        allowed_names(make_example(["s"], ["B-c"]))


def softly_labelled(words, predicted):
    """Create an example with soft labels: 0.9 for tag i at word i."""
    example = retokenized(words, None, predicted)
    probabilities = numpy.full((len(words), len(SCHEME.tags)), 0.1 / 4)
    probabilities[numpy.arange(len(words)), numpy.arange(len(words))] = 0.9
    set_soft_labels(example.reference, SCHEME, probabilities)
    return example, probabilities


def test_soft_labels_survive_a_docbin():
    example, probabilities = softly_labelled(["s ", "t ", "u"], ["s ", "t ", "u"])
    docbin = DocBin(store_user_data=True, docs=[example.reference])
    [doc] = DocBin().from_bytes(docbin.to_bytes()).get_docs(NLP.vocab)
    targets = soft_targets(Example(example.predicted, doc), SCHEME)
    numpy.testing.assert_allclose(targets, probabilities, atol=1e-3)
    numpy.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-12)


def test_soft_labels_go_to_identical_words_only():
    example, probabilities = softly_labelled(
        ["s ", "tu ", "v", "w"], ["s ", "t", "u ", "vw"]
    )
    targets = soft_targets(example, SCHEME)
    numpy.testing.assert_allclose(targets[0], probabilities[0], atol=1e-3)
    assert not targets[1:].any()


def test_words_without_soft_labels_have_zeros():
    example, probabilities = softly_labelled(["s ", "t"], ["s ", "t"])
    probabilities[0] = 0
    set_soft_labels(example.reference, SCHEME, probabilities)
    targets = soft_targets(example, SCHEME)
    assert not targets[0].any() and targets[1].any()


def test_examples_without_soft_labels_have_no_soft_targets():
    assert soft_targets(make_example(["s"], ["B-a"]), SCHEME) is None


def test_soft_labels_of_other_types_are_refused():
    example, _ = softly_labelled(["s ", "t"], ["s ", "t"])
    with pytest.raises(ValueError) as err:
        soft_targets(example, LabelScheme(("b", "a")))
    assert str(err.value) == (
        "the soft labels are of the types a, b, but the component has b, a. Label the "
        "posts with teachers of the same types in the same order"
    )


def test_soft_labels_are_stored_in_half_precision():
    doc = Doc(NLP.vocab, words=["s"])
    set_soft_labels(doc, SCHEME, numpy.full((1, len(SCHEME.tags)), 0.2))
    stored = doc.user_data[SOFT_LABELS]
    assert stored["types"] == ["a", "b"]
    assert stored["probabilities"].dtype == numpy.float16


def align(example, spans):
    """Add incorrect spans to the reference, and align them with the predicted words."""
    reference = example.reference
    reference.spans["wrong"] = [Span(reference, *span) for span in spans]
    return [tuple(span) for span in aligned_incorrect_spans(example, "wrong")]


def test_incorrect_spans_may_overlap_each_other_and_entities():
    example = make_example(list("stuv"), ["O", "B-a", "I-a", "O"])
    spans = [(1, 3, "b"), (1, 2, "a"), (0, 3, "a"), (3, 4, "b")]
    assert align(example, spans) == spans


def test_incorrect_spans_count_once():
    example = make_example(list("stu"), None)
    assert align(example, [(0, 1, "a"), (0, 1, "b"), (0, 1, "a")]) == [
        (0, 1, "a"),
        (0, 1, "b"),
    ]


def test_incorrect_spans_without_a_label_are_ignored():
    assert align(make_example(list("stu"), None), [(0, 1, ""), (1, 2, "a")]) == [
        (1, 2, "a")
    ]


def test_docs_without_the_key_have_no_incorrect_spans():
    assert aligned_incorrect_spans(make_example(["s"], ["O"]), "wrong") == []


def test_incorrect_spans_are_aligned_with_the_predicted_words():
    example = retokenized(
        ["in ", "New-", "York ", "so"], None, ["in ", "New", "-", "York ", "so"]
    )
    assert align(example, [(1, 3, "a"), (3, 4, "b"), (2, 3, "b")]) == [
        (1, 4, "a"),
        (4, 5, "b"),
        (3, 4, "b"),
    ]


def test_incorrect_spans_that_cross_the_predicted_words_are_ignored():
    example = retokenized(["s ", "t", "u ", "v"], None, ["s ", "tu ", "v"])
    assert align(example, [(1, 2, "a"), (0, 2, "a"), (1, 3, "a")]) == [(1, 2, "a")]


def test_an_entity_that_is_also_an_incorrect_span_is_an_error():
    example = make_example(list("stuv"), ["O", "B-a", "I-a", "O"])
    with pytest.raises(ValueError, match=r"\[E868\] .*\(2, 5, 'a'\)"):
        align(example, [(0, 1, "b"), (1, 3, "a")])


def test_entities_beside_soft_labels_may_be_incorrect_spans():
    example, _ = softly_labelled(["s ", "t"], ["s ", "t"])
    example.reference.set_ents([Span(example.reference, 0, 1, "a")])
    assert align(example, [(0, 1, "a")]) == [(0, 1, "a")]


def test_types_may_contain_hyphens():
    scheme = LabelScheme(("creative-work",))
    example = make_example(["s", "t", "u"], ["B-creative-work", "I-creative-work", "O"])
    allowed = allowed_tags(example, scheme, numpy.ones(3, dtype=bool))
    assert allowed.argmax(axis=1).tolist() == [1, 2, 0]
    assert allowed.sum() == 3
