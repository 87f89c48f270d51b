"""Shallower encoders: the first layers of an encoder, without the others."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ..errors import WnutError

if TYPE_CHECKING:
    import torch

# Settings with one value per layer. Their classes compare the number of values with the
# number of layers.
PER_LAYER = ("attention_window", "layer_types")
# Maximum difference between the outputs of the last layer kept, before and after.
TOLERANCE = 1e-5


def keep_layers(model: Any, n_layers: int) -> Any:
    """Create an encoder of the first layers of another one.

    Everything around the stack of layers is kept: the embeddings, and a pooler or a
    final layer norm if the encoder has one. Without a final layer norm, the output is
    the hidden state of layer `n_layers` of the whole encoder.

    model (PreTrainedModel): The encoder. Not modified, but set to evaluation mode.
    n_layers (int): Number of layers to keep, from the first.
    RETURNS (PreTrainedModel): The shallower encoder, in evaluation mode. The encoder
        itself if it has just as many layers.

    Raises WnutError if `n_layers` is not between 1 and the number of layers, or the
    encoder is not one stack of separate layers.
    """
    check_layers(n_layers)
    total = getattr(model.config, "num_hidden_layers", None)
    if not isinstance(total, int):
        raise _unfit(model, "its config has no number of layers")
    if n_layers > total:
        raise WnutError(
            f"{n_layers} layers can't be kept, since the encoder has {total}: give a "
            f"number between 1 and {total} to --layers (--vars.layers)"
        )
    if n_layers == total:
        return model
    stack = _find_stack(model, total)
    try:
        shallow = _build(model, stack, n_layers)
        before = _run_layer(model, stack, n_layers - 1)
        after = _run_layer(shallow, stack, n_layers - 1)
    # A config that can't be changed, weights that don't fit it, inputs besides word
    # pieces: transformers and torch raise exceptions of many types.
    except Exception as err:
        reason = str(err).strip().split("\n")[0] or type(err).__name__
        raise _unfit(model, reason) from err
    if before.shape != after.shape or (before - after).abs().max() > TOLERANCE:
        raise _unfit(model, "without the other layers, the first ones differ")
    return shallow


def check_layers(n_layers: int) -> None:
    """Check a number of layers before the encoder is loaded.

    Raises WnutError if the number is less than 1.
    """
    if n_layers < 1:
        raise WnutError(
            f"{n_layers} layers can't be kept: give 1 or more to --layers "
            "(--vars.layers), or nothing to keep all"
        )


def _find_stack(model: Any, total: int) -> str:
    """Find the name of the list of layers.

    Raises WnutError if the encoder has a decoder, or no list or several lists of as
    many modules.
    """
    from torch.nn import ModuleList

    if model.config.is_encoder_decoder:
        raise _unfit(model, "it has a decoder")
    lists = {
        name: len(module)
        for name, module in model.named_modules()
        if isinstance(module, ModuleList)
    }
    found: list[str] = [
        name
        for name, length in lists.items()
        # A list in another one is part of a layer.
        if length == total and not any(name.startswith(f"{n}.") for n in lists)
    ]
    if len(found) != 1:
        raise _unfit(
            model,
            f"it has several stacks of modules ({', '.join(found)})"
            if found
            else f"its {total} layers are not separate modules of one stack",
        )
    return found[0]


def _build(model: Any, stack: str, n_layers: int) -> Any:
    """Build an encoder from a changed config, and fill in the weights of all layers that
    it has. Raises exceptions of transformers and torch if they do not fit.
    """
    config = deepcopy(model.config)
    total = config.num_hidden_layers
    # Some classes have another name for it.
    config.num_hidden_layers = n_layers
    for name in PER_LAYER:
        values = getattr(config, name, None)
        if isinstance(values, list) and len(values) == total:
            setattr(config, name, values[:n_layers])
    # Created again, so that the class checks the settings as it does on loading.
    shallow = type(model)(type(config).from_dict(config.to_dict()))
    dropped = tuple(f"{stack}.{i}." for i in range(n_layers, total))
    weights = model.state_dict()
    shallow.load_state_dict(
        {name: w for name, w in weights.items() if not name.startswith(dropped)}
    )
    return shallow.eval()


def _run_layer(model: Any, stack: str, index: int) -> torch.Tensor:
    """Return the output of one layer for a few word pieces.

    Raises ValueError if the layer does not run exactly once.
    """
    import torch

    outputs: list[Any] = []
    layer = model.eval().get_submodule(f"{stack}.{index}")
    original = layer.forward

    def layer_forward(*args: Any, **options: Any) -> Any:
        outputs.append(original(*args, **options))
        return outputs[-1]

    # Without padding, since not all encoders have an attention mask.
    pieces = torch.arange(9)[None]
    pieces = pieces[:, pieces[0] != model.config.pad_token_id]
    # Not a hook of torch: SqueezeBERT calls `forward` itself, which skips hooks.
    layer.forward = layer_forward
    try:
        with torch.inference_mode():
            model(input_ids=pieces % model.config.vocab_size)
    finally:
        del layer.forward
    if len(outputs) != 1:
        raise ValueError(f"a layer runs {len(outputs)} times")
    [output] = outputs
    # A tensor, a tuple that begins with it, or a dictionary.
    while not isinstance(output, torch.Tensor):
        values = output.values() if isinstance(output, Mapping) else output
        output = next(iter(values))
    return output


def _unfit(model: Any, reason: str) -> WnutError:
    return WnutError(
        f"Encoders of the family {model.config.model_type} can't be reduced to their "
        f"first layers: {reason}. Leave --layers out, or use an encoder with one stack "
        "of layers, such as BERT, DistilBERT or RoBERTa"
    )
