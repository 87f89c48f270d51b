import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_wnut.models.word_shapes import (
    CAPITAL_STEPS,
    N_FEATURES,
    N_ROWS,
    OFFSETS,
    SHAPES,
    shape_features,
    word_shape,
    word_shapes,
)

NLP = spacy.blank("en")


def make_doc(*words):
    return Doc(NLP.vocab, words=list(words))


@pytest.mark.parametrize(
    "text,shape",
    [
        ("storm", "lower"),
        ("York", "title"),
        ("O'Neill", "mixed"),
        ("iPhone", "mixed"),
        ("NYC", "caps"),
        ("I", "one capital"),
        ("2017", "number"),
        ("3.5%", "number"),
        ("PS4", "with digits"),
        ("...", "punctuation"),
        ("😀", "punctuation"),
        ("@home", "@"),
        ("@", "punctuation"),
        ("#NYC", "#"),
        ("https://t.co/x1", "link"),
        ("www.example.org", "link"),
        ("\n", "space"),
        ("Ünal", "title"),
        ("مرحبا", "lower"),
    ],
)
def test_word_shape(text, shape):
    assert SHAPES[word_shape(text)] == shape


def test_features_include_the_neighbours_and_the_border():
    features = shape_features(make_doc("In", "NEW", "york"))
    shapes = features[:, : len(OFFSETS)] - numpy.arange(len(OFFSETS)) * len(SHAPES)
    by_offset = dict(zip(OFFSETS, shapes.T, strict=True))
    named = {o: [SHAPES[i] for i in column] for o, column in by_offset.items()}
    assert named[0] == ["title", "caps", "lower"]
    assert named[-1] == ["beyond the post", "title", "caps"]
    assert named[1] == ["caps", "lower", "beyond the post"]
    assert named[2] == ["lower", "beyond the post", "beyond the post"]


def test_every_word_has_the_fraction_of_capitals_in_the_post():
    def step(*words):
        column = shape_features(make_doc(*words))[:, -1]
        assert len(set(column)) == 1
        return column[0]

    shouted = step("WHAT", "A", "STORM")
    assert shouted == step("THE", "WHOLE", "POST", "IS", "SHOUTED")
    assert shouted != step("what", "a", "storm") != step("1", "!")


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8))
def test_features_of_any_words_are_rows_of_the_table(words):
    features = shape_features(make_doc(*words))
    assert features.shape == (len(words), N_FEATURES)
    assert features.min() >= 0
    assert features.max() < N_ROWS


def test_an_empty_doc_has_no_features():
    assert shape_features(make_doc()).shape == (0, N_FEATURES)
    assert shape_features().shape == (0, N_FEATURES)


def features_word_by_word(words):
    """The features of one doc, without arrays."""
    shapes = [SHAPES[word_shape(word)] for word in words]
    n_letters = sum(s in ("lower", "title", "caps", "mixed") for s in shapes)
    n_capital = sum(s in ("title", "caps", "mixed") for s in shapes)
    step = 1 + (CAPITAL_STEPS - 2) * n_capital // n_letters if n_letters else 0
    rows = []
    for i in range(len(words)):
        row = []
        for feature, offset in enumerate(OFFSETS):
            is_inside = 0 <= i + offset < len(words)
            shape = shapes[i + offset] if is_inside else "beyond the post"
            row.append(feature * len(SHAPES) + SHAPES.index(shape))
        rows.append([*row, len(OFFSETS) * len(SHAPES) + step])
    return rows


# Words of all shapes, beside arbitrary ones.
WORDS = st.sampled_from(
    [
        "a",
        "York",
        "NYC",
        "iPhone",
        "I",
        "3",
        "PS4",
        "!",
        "@home",
        "#NYC",
        "www.x.io",
        " ",
    ]
)


@given(st.lists(st.lists(WORDS | st.text(min_size=1), max_size=8), max_size=6))
def test_features_of_a_batch_are_those_of_its_docs(batch):
    features = shape_features(*(make_doc(*words) for words in batch))
    assert features.tolist() == [
        row for words in batch for row in features_word_by_word(words)
    ]


def test_docs_of_a_batch_may_have_different_vocabs():
    docs = [Doc(Vocab(), words=words) for words in (["In", "NEW"], ["york", "In"])]
    expected = [
        *features_word_by_word(["In", "NEW"]),
        *features_word_by_word(["york", "In"]),
    ]
    assert shape_features(*docs).tolist() == expected


def test_gradient_agrees_with_finite_differences():
    model = word_shapes(width=3)
    model.initialize()
    docs = [make_doc("In", "NEW", "york"), make_doc(), make_doc("In", "In")]
    rng = numpy.random.default_rng(0)
    weights = [rng.normal(size=(len(doc), 3)).astype("f") for doc in docs]

    def objective():
        vectors = model.predict(docs)
        return sum(
            float((v.astype("d") * w).sum())
            for v, w in zip(vectors, weights, strict=True)
        )

    _, backprop = model.begin_update(docs)
    backprop(weights)
    table, gradient = model.get_param("E"), model.get_grad("E")
    for row, column in [(1, 0), (2, 1), (N_ROWS - 1, 2), (len(SHAPES) + 12, 0)]:
        before = table[row, column]
        table[row, column] = before + 0.5
        above = objective()
        table[row, column] = before - 0.5
        below = objective()
        table[row, column] = before
        # The vectors are linear in the table, so a wide step is exact.
        assert gradient[row, column] == pytest.approx(above - below, abs=1e-4)
