import numpy
import pytest
import spacy
from spacy.tokens import Doc
from thinc.api import Model

from spacy_wnut.models.transformer_tagger import create_transformer_tagger

VOCAB = spacy.blank("en").vocab
WIDTH = 4
WORDS = [["Ada", " ", "in", "OSLO"], [], ["\n"], ["so"], []]


def make_docs():
    return [Doc(VOCAB, words=words) for words in WORDS]


def make_tok2vec():
    """Create a stand-in for a listener. It returns zeros for white space and arrays of
    shape (0, 0) for empty docs, as listeners do.
    """
    numbers = numpy.random.RandomState(0)
    table = {word: numbers.normal(size=WIDTH) for words in WORDS for word in words}

    def forward(model, docs, is_train):
        vectors = [
            numpy.asarray(
                [table[t.text] * (not t.is_space) for t in doc], dtype="f"
            ).reshape(len(doc), WIDTH if len(doc) else 0)
            for doc in docs
        ]

        def backprop(d_vectors):
            model.attrs["gradient"] = d_vectors
            return docs

        return vectors, backprop

    return Model("listener", forward, dims={"nO": WIDTH})


SETTINGS = [
    {},
    {"hidden_width": 5},
    {"shape_width": 3},
    {"shape_width": 3, "hidden_width": 5},
]


def make_tagger(**settings):
    numpy.random.seed(0)
    model = create_transformer_tagger(make_tok2vec(), **settings)
    model.initialize(X=make_docs(), Y=[numpy.zeros((4, 3), dtype="f")])
    return model


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_words_without_pieces_have_no_emissions(settings):
    model = make_tagger(**settings)
    # Without a mask, the bias would give emissions to all words.
    model.get_ref("output_layer").get_param("b")[:] = 1.0
    emissions = model.predict(make_docs())
    assert [rows.shape for rows in emissions] == [(len(words), 3) for words in WORDS]
    assert [rows.any(axis=1).tolist() for rows in emissions] == [
        [not word.isspace() for word in words] for words in WORDS
    ]


def test_emissions_are_linear_in_the_vectors():
    model = make_tagger()
    linear = model.get_ref("output_layer")
    vectors = make_tok2vec().predict(make_docs())
    numpy.testing.assert_allclose(
        model.predict(make_docs())[0][3],
        linear.get_param("W") @ vectors[0][3] + linear.get_param("b"),
        atol=1e-6,
    )


@pytest.mark.parametrize("training", [False, True])
def test_batch_of_empty_docs(training):
    model = make_tagger()
    docs = [Doc(VOCAB), Doc(VOCAB)]
    emissions, backprop = model(docs, is_train=training)
    assert [rows.shape for rows in emissions] == [(0, 3), (0, 3)]
    backprop(emissions)


def test_shapes_distinguish_words_with_the_same_vector():
    """An uncased encoder has one vector for US and us."""
    tok2vec = make_tok2vec()
    same = [Doc(VOCAB, words=["so", "so"])]
    assert numpy.ptp(create(tok2vec).predict(same)[0], axis=0).max() == 0
    # The two words have different neighbours, and so different features.
    assert numpy.ptp(create(tok2vec, shape_width=3).predict(same)[0], axis=0).max() > 0


def create(tok2vec, **settings):
    model = create_transformer_tagger(tok2vec, **settings)
    model.initialize(Y=[numpy.zeros((1, 3), dtype="f")])
    return model


def test_dropout_is_applied_in_training_only():
    model = make_tagger()
    [dropout] = [layer for layer in model.walk() if layer.name == "dropout"]
    before = model.predict(make_docs())
    dropout.attrs["dropout_rate"] = 0.5
    numpy.testing.assert_array_equal(model.predict(make_docs())[0], before[0])
    assert not numpy.allclose(model(make_docs(), is_train=True)[0][0], before[0])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_gradients_are_those_of_finite_differences(settings):
    model = make_tagger(**settings)
    docs = make_docs()
    numbers = numpy.random.RandomState(1)
    weights = [numbers.normal(size=(len(doc), 3)).astype("f") for doc in docs]

    def value():
        return sum(
            float((rows.astype("f8") * w).sum())
            for rows, w in zip(model.predict(docs), weights, strict=True)
        )

    _, backprop = model.begin_update(docs)
    backprop([w.copy() for w in weights])
    checked = 0
    for layer in model.walk():
        for name in layer.param_names:
            parameter, gradient = layer.get_param(name), layer.get_grad(name)
            for index in list(numpy.ndindex(parameter.shape)):
                before = parameter[index]
                values = []
                for step in (0.01, -0.01):
                    parameter[index] = before + step
                    values.append(value())
                parameter[index] = before
                numeric = (values[0] - values[1]) / 0.02
                assert gradient[index] == pytest.approx(numeric, abs=2e-3)
                checked += abs(numeric) > 0.01
    assert checked > 10
    # The gradient of the vectors is zero at words without pieces.
    for doc, rows in zip(docs, model.layers[0].attrs["gradient"], strict=True):
        assert len(rows) == len(doc)
        for token, row in zip(doc, rows, strict=True):
            assert row.any() == (not token.is_space)
