from collections import Counter

import pytest
from transformers import AutoModelForTokenClassification

from benchmarks.speed.limits import (
    EncoderShapes,
    combined_rate,
    count_operations,
    linear_shapes,
    median_limits,
    read_encoder_shapes,
    stack_shapes,
)
from spacy_wnut.errors import WnutError

# Two layers of width 32, 64 inside, and a head of 13 tags.
TINY = EncoderShapes(
    Counter({(32, 32): 8, (32, 64): 2, (64, 32): 2, (32, 13): 1}), 32, 2
)


def test_checkpoint_is_read_by_its_linear_layers(tiny_encoder, tmp_path):
    model = AutoModelForTokenClassification.from_pretrained(tiny_encoder, num_labels=13)
    model.save_pretrained(tmp_path)
    assert read_encoder_shapes(tmp_path) == TINY


def test_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(WnutError, match="to-hf"):
        read_encoder_shapes(tmp_path)


def test_embedding_tables_are_not_products():
    header = {
        "__metadata__": {"format": "pt"},
        "encoder.embeddings.word_embeddings.weight": {"shape": [1000, 32]},
        "encoder.layer.0.ffn.weight": {"shape": [64, 32]},
        "encoder.layer.0.ffn.bias": {"shape": [64]},
    }
    assert linear_shapes(header) == {(32, 64): 1}


def test_operations_are_those_that_torch_counts(tiny_encoder):
    """One text, without padding."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = AutoModelForTokenClassification.from_pretrained(
        tiny_encoder, num_labels=13, attn_implementation="eager"
    )
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.ones(1, 17, dtype=torch.long))
    assert count_operations(TINY, [17]) == counter.get_total_flops()


def test_posts_do_not_attend_to_each_other():
    apart, together = count_operations(TINY, [10, 10]), count_operations(TINY, [20])
    # 200 more pairs of pieces in two layers with two products each.
    assert together - apart == 2 * 2 * 200 * 2 * 32


def test_head_is_not_stack_shapes():
    assert stack_shapes(TINY) == {(32, 32): 8, (32, 64): 2, (64, 32): 2}


def test_limit_takes_the_fastest_library_of_each_shape():
    linear = Counter({(10, 10): 2, (10, 20): 1})
    slow, fast = {(10, 10): 100.0, (10, 20): 50.0}, {(10, 10): 50.0, (10, 20): 400.0}
    # 400 operations at 100 per second, and 400 at 400.
    assert combined_rate(linear, [slow, fast]) == pytest.approx(800 / 5)


def test_no_limit_without_a_rate_of_each_shape():
    linear = Counter({(10, 10): 2, (10, 20): 1})
    assert combined_rate(linear, [{(10, 10): 100.0}]) == 0.0
    assert combined_rate(linear, []) == 0.0


def test_limits_are_medians_over_the_rounds():
    def rates(rate):
        shapes = dict.fromkeys(stack_shapes(TINY), rate)
        slower = dict.fromkeys(shapes, rate / 2)
        return {"fp32": {"numpy 0": slower, "torch 0": shapes}, "int8": {}}

    limits = median_limits(TINY, [rates(100.0), rates(300.0), rates(110.0)])
    assert set(limits) == {"fp32"}
    assert limits["fp32"]["rate"] == pytest.approx(110)
    assert limits["fp32"]["library"] == "torch"
    assert limits["fp32"]["libraries"] == pytest.approx({"numpy": 55, "torch": 110})
