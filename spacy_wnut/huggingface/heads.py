"""The one kind of head that crosses the bridge: a linear layer on the encoder."""

from typing import Any

from ..errors import WnutError
from ..models.checkpoints import accepts

# Goes through an encoder on both sides, to see that they agree.
PROBE = "Ada Lovelace moved to Oslo, in 1843."
TOLERANCE = 1e-4


def linear_head(model: Any) -> Any:
    """The linear layer that a model for token classification ends in.

    model (PreTrainedModel): What `AutoModelForTokenClassification` makes.
    RETURNS (torch.nn.Linear): Its weights have shape (labels, width).

    Raises WnutError if there is more between the encoder and the labels than
    dropout and one linear layer.
    """
    from torch.nn import Linear

    encoder = model.base_model
    parts = [part for part in model.children() if part is not encoder]
    linear = [part for part in parts if isinstance(part, Linear)]
    # Some architectures have a dropout of their own.
    others = [
        type(part).__name__
        for part in parts
        if not isinstance(part, Linear) and "Dropout" not in type(part).__name__
    ]
    if encoder is model or len(linear) != 1 or others:
        names = [type(part).__name__ for part in parts]
        raise WnutError(
            f"{type(model).__name__} can't be carried over: between its encoder and "
            f"its labels there has to be one linear layer, and it has "
            f"{', '.join(names) or 'none'}"
        )
    return linear[0]


def copy_encoder(source: Any, target: Any) -> None:
    """Give an encoder the weights of another one of the same architecture.

    A pooler, which makes one vector of a text and which only one of the two may
    have, is left out, or else filled with zeros: no tag depends on it.

    source, target (PreTrainedModel): The encoders.

    Raises WnutError if the target has other weights than the source.
    """
    import torch

    given = source.state_dict()
    state = {}
    for name, weights in target.state_dict().items():
        if name in given and given[name].shape == weights.shape:
            state[name] = given[name]
        elif "pooler" in name.split("."):
            state[name] = torch.zeros_like(weights)
        else:
            raise WnutError(
                f"{type(source).__name__} can't be carried over: {type(target).__name__} "
                f"has weights {name} of shape {tuple(weights.shape)}, which it hasn't"
            )
    target.load_state_dict(state)


def check_same(model: Any, encoder: Any, tokenizer: Any) -> None:
    """See that a model's logits are its linear head on the vectors of an encoder.

    model (PreTrainedModel): What `AutoModelForTokenClassification` makes.
    encoder (PreTrainedModel): What `AutoModel` makes, with the same weights.
    tokenizer (PreTrainedTokenizerFast): Cuts the text that both are tried on.

    Raises WnutError if they differ by more than 1e-4, or one of them can't be run
    on a text alone.
    """
    import torch

    from ..models.wordpieces import unbounded_tokenizer

    for part in (model, encoder):
        part.eval()
    backend = unbounded_tokenizer(tokenizer.backend_tokenizer)
    try:
        with torch.no_grad():
            inputs, _ = encode(tokenizer, backend, PROBE, model)
            logits = model(**inputs).logits
            vectors = encoder(**inputs).last_hidden_state
            expected = linear_head(model)(vectors)
    # What architectures raise that miss an image, boxes or a kernel.
    except (
        AttributeError,
        AssertionError,
        ImportError,
        IndexError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as err:
        raise WnutError(
            f"{type(model).__name__} can't be run on a text alone: {err}"
        ) from err
    same = logits.shape == expected.shape and torch.allclose(
        logits, expected, atol=TOLERANCE, rtol=TOLERANCE
    )
    if not same:
        raise WnutError(
            f"{type(model).__name__} can't be carried over: its labels don't come "
            "from the vectors of its encoder alone"
        )


def encode(
    tokenizer: Any, backend: Any, text: str, model: Any
) -> tuple[dict[str, Any], int]:
    """A text as a model's input, of as many pieces as the tokenizer allows.

    tokenizer (PreTrainedTokenizerFast): Knows the model's inputs and its limit.
    backend (Tokenizer): Encodes the text: `unbounded_tokenizer` of the same tokenizer.
        Some of the classes of transformers want more than a text.
    text (str): The text.
    model (PreTrainedModel): The model.
    RETURNS (Tuple[Dict[str, Tensor], int]): Tensors of shape (1, L), special tokens
        around, and the number of special tokens before the text.
    """
    import torch

    from ..models.wordpieces import Specials

    before, after = Specials.of(backend)
    encoding = backend.encode(text)
    ids, types = encoding.ids, encoding.type_ids
    if len(ids) > tokenizer.model_max_length:
        last = tokenizer.model_max_length - len(after)
        ids = ids[:last] + after
        types = types[:last] + types[len(types) - len(after) :]
    inputs = {"input_ids": torch.tensor([ids], device=model.device)}
    if accepts(model, "attention_mask"):
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    has_types = "token_type_ids" in tokenizer.model_input_names
    if has_types and accepts(model, "token_type_ids"):
        inputs["token_type_ids"] = torch.tensor([types], device=model.device)
    return inputs, len(before)
