import numpy
import pytest
from numpy.testing import assert_array_equal
from spacy.lang.en import English
from thinc.api import SGD, Model

from spacy_wnut.crf.chain import Chain
from spacy_wnut.models.linear_chain import add_gradient, get_chain, with_linear_chain

NLP = English()
N_TAGS = 5


def make_model(n_tags=N_TAGS):
    """Create a chain around a layer that records the input of its backprop."""

    def forward(model, docs, is_train):
        def backprop(d_emissions):
            model.attrs["seen"] = d_emissions
            return docs

        return [model.ops.alloc2f(len(doc), n_tags) + 1 for doc in docs], backprop

    def init(model, X=None, Y=None):
        model.set_dim("nO", Y[0].shape[1])

    return with_linear_chain(Model("emissions", forward, init=init, dims={"nO": None}))


def initialized(n_tags=N_TAGS):
    model = make_model(n_tags)
    doc = NLP("one two")
    model.initialize(X=[doc], Y=[numpy.zeros((2, n_tags), dtype="f")])
    return model


def random_chain(seed=0):
    rng = numpy.random.default_rng(seed)
    shapes = ((N_TAGS, N_TAGS), N_TAGS, N_TAGS)
    # Exact in single precision.
    return Chain(*(rng.integers(-99, 99, shape) / 4 for shape in shapes))


def set_chain(model, chain):
    for name, values in chain._asdict().items():
        model.set_param(name, model.ops.asarray(values, dtype="f"))


def assert_equal(one, other):
    for mine, theirs in zip(one, other, strict=True):
        assert_array_equal(mine, theirs)


@pytest.mark.parametrize("n_tags", [1, 3, 13])
def test_scores_are_initialized_with_zeros(n_tags):
    model = initialized(n_tags)
    assert model.get_dim("nO") == n_tags
    chain = get_chain(model)
    assert [values.shape for values in chain] == [
        (n_tags, n_tags),
        (n_tags,),
        (n_tags,),
    ]
    assert all(values.dtype == numpy.float64 for values in chain)
    assert_equal(chain, Chain.zeros(n_tags))


def test_output_is_that_of_the_wrapped_layer():
    model = initialized()
    set_chain(model, random_chain())
    docs = [NLP("one two three"), NLP("")]
    emissions, backprop = model.begin_update(docs)
    assert_equal(emissions, [numpy.ones((3, N_TAGS)), numpy.ones((0, N_TAGS))])
    assert backprop(emissions) is docs
    assert model.layers[0].attrs["seen"] is emissions


def test_scores_survive_serialization():
    model = initialized()
    set_chain(model, random_chain())
    for other in (make_model(), initialized()):
        other.from_bytes(model.to_bytes())
        assert_equal(get_chain(other), random_chain())
        assert other.get_dim("nO") == N_TAGS


def test_gradients_are_accumulated():
    model = initialized()
    first, second = random_chain(1), random_chain(2)
    add_gradient(model, first)
    add_gradient(model, second)
    expected = first + second
    for name in Chain._fields:
        assert_array_equal(model.get_grad(name), getattr(expected, name))


def test_optimizer_updates_the_scores():
    model = initialized()
    set_chain(model, random_chain(1))
    add_gradient(model, random_chain(2))
    model.finish_update(SGD(0.5, L2=0.0, grad_clip=0.0))
    halved = Chain(*(-values / 2 for values in random_chain(2)))
    assert_equal(get_chain(model), random_chain(1) + halved)
    # The gradient has been reset.
    model.finish_update(SGD(0.5, L2=0.0, grad_clip=0.0))
    assert_equal(get_chain(model), random_chain(1) + halved)


def test_get_chain_returns_a_copy():
    model = initialized()
    get_chain(model).start[0] = 1
    assert_equal(get_chain(model), Chain.zeros(N_TAGS))
