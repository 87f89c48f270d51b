from types import SimpleNamespace

import pytest

from benchmarks.speed.measure import check_encoders
from benchmarks.speed.systems import SYSTEMS
from spacy_wnut.errors import WnutError


def loaded(**layers):
    """Workers of systems by their keys, each with the number of its encoder's layers;
    None if unknown.
    """
    systems = {system.key.replace("-", "_"): system for system in SYSTEMS}
    return [
        SimpleNamespace(
            contender=SimpleNamespace(system=systems[key]),
            loaded={"encoder": n and {"num_hidden_layers": n}},
        )
        for key, n in layers.items()
    ]


def test_systems_with_another_encoder_are_no_comparison():
    check_encoders(loaded(transformers=6, spacy_ner=6, torch=6, onnx_int8=None))
    for key in ("transformers", "spacy_ner", "torch", "onnx_int8"):
        layers = {"transformers": 6, "torch": 6, "onnx_int8": 6, "cnn": None, key: 5}
        with pytest.raises(WnutError, match="different encoders"):
            check_encoders(loaded(**layers))


def test_cnn_and_three_layers_may_differ():
    check_encoders(loaded(transformers=6, torch=6, onnx_int8_3=3, cnn=None))
