"""Input that gives no entities for a reason: no encoder, broken weights, white space."""

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_wnut.errors import WnutError

TEXT = "Ada Lovelace moved to Oslo"
MISSING = (
    r"'ner' listens to the component 'transformer', which hasn't run on these docs"
    r".*replace_listeners\('transformer', 'ner', \[\"model\.tok2vec\"\]\)"
)


def found(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def without_encoder(nlp):
    other = spacy.blank("en")
    other.add_pipe("ner", source=nlp)
    return other


def too_late(nlp):
    other = spacy.blank("en")
    other.add_pipe("ner", source=nlp)
    other.add_pipe("transformer", source=nlp)
    return other


def removed(nlp):
    nlp.remove_pipe("transformer")
    return nlp


def disabled(nlp):
    nlp.disable_pipe("transformer")
    return nlp


LACKING = [without_encoder, too_late, removed, disabled]


@pytest.mark.parametrize("change", LACKING)
def test_a_missing_encoder_is_named(nlp, change):
    nlp = change(nlp)
    with pytest.raises(WnutError, match=MISSING):
        nlp(TEXT)
    with pytest.raises(WnutError, match=MISSING):
        list(nlp.pipe(["", TEXT]))


@pytest.mark.parametrize("option", ["exclude", "disable"])
def test_also_in_a_pipeline_loaded_without_it(trained_folder, option):
    nlp = spacy.load(trained_folder, **{option: ["transformer"]})
    with pytest.raises(WnutError, match=MISSING):
        nlp(TEXT)


def test_an_encoder_of_another_name_is_named(nlp):
    [listener] = nlp.get_pipe("transformer").listeners
    listener.upstream_name = "encoder"
    with pytest.raises(WnutError, match="listens to the component 'encoder'"):
        without_encoder(nlp)(TEXT)


@pytest.mark.parametrize("change", LACKING)
@pytest.mark.parametrize("text", ["", " ", "\n\n \t", "\u00a0\u3000"])
def test_without_words_there_is_nothing_to_miss(nlp, change, text):
    assert found(change(nlp)(text)) == []


def test_words_that_the_encoder_drops_miss_nothing(nlp):
    assert found(nlp("\u200b \u202e")) == []


def test_what_the_message_says_works(nlp, trained_folder):
    expected = found(nlp(TEXT))
    assert expected
    other = spacy.blank("en")
    for name in ("transformer", "ner"):
        other.add_pipe(name, source=nlp)
    assert found(other(TEXT)) == expected
    source = spacy.load(trained_folder)
    source.replace_listeners("transformer", "ner", ["model.tok2vec"])
    other = spacy.blank("en")
    other.add_pipe("ner", source=source)
    assert found(other(TEXT)) == expected
    config = {
        "nlp": {"lang": "en", "pipeline": ["ner"]},
        "components": {
            "ner": {
                "source": str(trained_folder),
                "replace_listeners": ["model.tok2vec"],
            }
        },
    }
    assert found(spacy.blank("en", config=config)(TEXT)) == expected


LISTENER = {
    "@architectures": "spacy-wnut.TransformerTagger.v1",
    "tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": 8},
}
TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 8,
    "depth": 1,
    "embed_size": 50,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}


@pytest.fixture
def cnn():
    """A pipeline on spaCy's tok2vec, which gives white space a vector, too."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("tok2vec", config={"model": TOK2VEC})
    nlp.add_pipe("entity_tagger", name="ner", config={"model": LISTENER})
    example = Example.from_dict(nlp.make_doc(TEXT), {"entities": ["O"] * 5})
    nlp.config["initialize"]["components"]["ner"] = {"labels": ["location", "person"]}
    nlp.initialize(lambda: [example])
    return nlp


def test_the_same_with_the_tok2vec_of_spacy(cnn):
    with cnn.select_pipes(disable=["tok2vec"]):
        with pytest.raises(WnutError, match="listens to the component 'tok2vec'"):
            cnn(TEXT)
        assert not cnn("").ents and not cnn(" \n").ents
    cnn.get_pipe("ner").bias = 1000.0
    assert len(cnn(TEXT)) == sum(map(len, cnn(TEXT).ents))


def weights(nlp):
    model = nlp.get_pipe("ner").model
    return [
        (node, name)
        for node in model.walk()
        for name in node.param_names
        if node.has_param(name)
    ]


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
@pytest.mark.parametrize("everywhere", [False, True])
def test_weights_that_are_no_numbers_are_named(make_table_nlp, value, everywhere):
    for i in range(4):
        nlp = make_table_nlp()
        node, name = weights(nlp)[i]
        array = node.get_param(name).copy()
        array[...] = value if everywhere else array
        array.reshape(-1)[-1] = value
        node.set_param(name, array)
        message = rf"weights of the component 'ner' \({node.name}\.{name}\) hold NaN"
        with pytest.raises(WnutError, match=message):
            nlp(TEXT)
        with pytest.raises(WnutError, match=message):
            example = Example.from_dict(nlp.make_doc(TEXT), {"entities": ["O"] * 5})
            nlp.update([example], sgd=False)


def test_so_are_those_of_the_encoder(nlp):
    encoder = nlp.get_pipe("transformer").model.transformer
    encoder.transformer.layer[0].ffn.lin1.bias.data[0] = float("nan")
    message = r"'ner' hold NaN or infinity.*weights of its encoder"
    with pytest.raises(WnutError, match=message):
        nlp(TEXT)
    nlp.replace_listeners("transformer", "ner", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    with pytest.raises(WnutError, match=message):
        nlp(TEXT)


def test_large_weights_are_numbers(make_table_nlp):
    nlp = make_table_nlp()
    chain = nlp.get_pipe("ner").model
    chain.set_param("start", numpy.full(5, 1e30, dtype="f"))
    nlp(TEXT)


SPACES = [
    "\n",
    "\n\n ",
    " ",
    "\t",
    "\r\n",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\x85",
    "\x1c",
]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("bias", [0.0, 1000.0])
def test_white_space_is_no_entity_and_no_end_of_one(make_table_nlp, space, bias):
    # Its own emissions are large, and as good for every tag.
    nlp = make_table_nlp(space=50.0, bias=bias)
    words = [space, "New", space, "York", space, space, "Oslo", space]
    doc = nlp(Doc(nlp.vocab, words=words))
    assert all(token.is_space == (token.text == space) for token in doc)
    spans = [(1, 4), (6, 7)]
    assert [(ent.start, ent.end) for ent in doc.ents] == spans
    assert [ent.label_ for ent in doc.ents] == ["location"] * 2
    bare = nlp(Doc(nlp.vocab, words=["New", "York", "Oslo"]))
    assert [ent._.confidence for ent in doc.ents] == pytest.approx(
        [ent._.confidence for ent in bare.ents], abs=1e-12
    )
    assert not nlp(Doc(nlp.vocab, words=[space, space])).ents


def test_nor_is_it_with_a_tok2vec_that_sees_it(cnn):
    cnn.get_pipe("ner").bias = 1000.0
    [doc] = cnn.pipe([Doc(cnn.vocab, words=["\n\n ", "Ada", " ", "Oslo", "\n"])])
    assert sum(map(len, doc.ents)) == 2 + any(len(ent) == 3 for ent in doc.ents)
    assert all(not ent[0].is_space and not ent[-1].is_space for ent in doc.ents)
    assert not cnn("\n\n ").ents


TOKENS = st.lists(
    st.sampled_from(["Ada", "New", "York", "so", "\u200b", *SPACES]),
    min_size=1,
    max_size=15,
)


@settings(deadline=None, max_examples=40)
@given(words=TOKENS, bias=st.floats(-1000, 1000), space=st.floats(-1e3, 1e3))
def test_no_doc_has_an_entity_with_white_space_at_its_border(
    make_table_nlp, words, bias, space
):
    nlp = make_table_nlp(bias=bias, space=space)
    for ent in nlp(Doc(nlp.vocab, words=words)).ents:
        assert not ent[0].is_space and not ent[-1].is_space


@pytest.mark.parametrize("transitions", ["learned", "constrained"])
def test_training_leaves_white_space_out(make_table_nlp, transitions):
    """The loss and the gradients are those of the words alone."""

    def update(words, ents, space):
        nlp = make_table_nlp(space=space, transitions=transitions)
        reference = Doc(nlp.vocab, words=words)
        reference.set_ents([Span(reference, *ent) for ent in ents])
        example = Example(Doc(nlp.vocab, words=words), reference)
        losses = nlp.update([example], sgd=False)
        model = nlp.get_pipe("ner").model
        [gradient] = model.layers[0].attrs["gradients"]
        return losses["ner"], gradient, model

    words = ["\n", "New", " ", "York", "so", "\n\n "]
    kept = [1, 3, 4]
    bare, expected, model = update(
        [words[i] for i in kept], [(0, 2, "location")], space=0.0
    )
    for space in (0.0, 7.0):
        # White space in an entity of the annotation counts for nothing either.
        for ent in ((1, 4), (0, 4)):
            loss, gradient, other = update(words, [(*ent, "location")], space=space)
            assert loss == pytest.approx(bare)
            numpy.testing.assert_allclose(gradient[kept], expected, atol=1e-7)
            assert not gradient[[0, 2, 5]].any()
            if transitions == "learned":
                for name in ("transitions", "start", "end"):
                    numpy.testing.assert_allclose(
                        other.get_grad(name), model.get_grad(name), atol=1e-7
                    )
