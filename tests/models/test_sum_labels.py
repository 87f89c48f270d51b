import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thinc.api import Model

from spacy_wnut.models.sum_labels import sum_labels
from spacy_wnut.models.transformer_tagger import create_transformer_tagger

# The second label belongs to two tags, the last one to none but the third tag.
LABELS = [[0], [1, 3], [1, 4], [2]]


def by_torch(logits):
    p = torch.log_softmax(logits, dim=1)
    return torch.stack([torch.logsumexp(p[:, row], dim=1) for row in LABELS], dim=1)


@settings(deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.1, 3.0, 20.0]))
def test_values_and_gradient_are_those_of_torch(seed, scale):
    random = numpy.random.default_rng(seed)
    logits = (scale * random.standard_normal((4, 5))).astype("f")
    d_tags = random.standard_normal((4, 4)).astype("f")
    tags, backprop = sum_labels(LABELS).begin_update(logits)
    given_logits = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    expected = by_torch(given_logits)
    expected.backward(torch.tensor(d_tags, dtype=torch.float64))
    # Below, probabilities are cut off.
    is_above = expected.detach().numpy() > -60
    numpy.testing.assert_allclose(
        tags[is_above], expected.detach().numpy()[is_above], rtol=1e-4, atol=1e-4
    )
    if is_above.all():
        numpy.testing.assert_allclose(
            backprop(d_tags), given_logits.grad, rtol=1e-3, atol=1e-4
        )


def test_tag_without_labels_is_nearly_impossible():
    tags = sum_labels([[0], []]).predict(numpy.asarray([[5.0]], dtype="f"))
    assert tags[0, 0] == 0
    assert -70 < tags[0, 1] < -69


def test_extreme_logits_are_finite():
    layer = sum_labels([[0], [1], [1]])
    logits = numpy.asarray([[1e4, -1e4], [-1e4, 1e4]], dtype="f")
    tags, backprop = layer.begin_update(logits)
    assert numpy.isfinite(tags).all()
    assert numpy.isfinite(backprop(numpy.ones_like(tags))).all()


def test_head_of_labels_is_for_its_own_tags():
    def make():
        return create_transformer_tagger(
            Model("vectors", lambda m, X, _: ([], None), dims={"nO": 2}),
            labels_of_tags=[[0], [1, 2], [3]],
        )

    with pytest.raises(ValueError, match="is for 3 tags, and the data has 5"):
        make().initialize(Y=[numpy.zeros((1, 5), dtype="f")])
    model = make()
    model.initialize(Y=[numpy.zeros((1, 3), dtype="f")])
    assert model.get_dim("nO") == 3
    assert model.get_ref("output_layer").get_dim("nO") == 4
