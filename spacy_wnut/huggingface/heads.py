"""Heads that can be converted: one linear layer on the encoder."""

from typing import Any

from spacy.tokens import Doc

from ..errors import WnutError
from ..models.checkpoints import accepts

# The text for the comparison of two encoders.
PROBE = "Ada Lovelace moved to Oslo, in 1843."
TOLERANCE = 1e-4


def linear_head(model: Any) -> Any:
    """Return the linear layer of a model for token classification.

    model (PreTrainedModel): The model, made by `AutoModelForTokenClassification`.
    RETURNS (torch.nn.Linear): The layer, with weights of shape (n_labels, width).

    Raises WnutError if there are other layers than dropout and one linear layer on the
    encoder.
    """
    from torch.nn import Linear

    encoder = model.base_model
    parts = [part for part in model.children() if part is not encoder]
    linear = [part for part in parts if isinstance(part, Linear)]
    # Some architectures have their own dropout class.
    others = [
        type(part).__name__
        for part in parts
        if not isinstance(part, Linear) and "Dropout" not in type(part).__name__
    ]
    if encoder is model or len(linear) != 1 or others:
        names = [type(part).__name__ for part in parts]
        raise WnutError(
            f"{type(model).__name__} can't be converted: between its encoder and "
            f"its labels there has to be one linear layer, and it has "
            f"{', '.join(names) or 'none'}"
        )
    return linear[0]


def copy_encoder(source: Any, target: Any) -> None:
    """Copy the weights of an encoder to another one of the same architecture.

    A pooler, which computes one vector per text, may be missing in one of them. It is
    skipped or filled with zeros, since no tag depends on it.

    source, target (PreTrainedModel): The encoders.

    Raises WnutError if the target has weights that the source lacks.
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
                f"{type(source).__name__} can't be converted: {type(target).__name__} "
                f"has weights {name} of shape {tuple(weights.shape)}, which it hasn't"
            )
    target.load_state_dict(state)


def check_same(model: Any, encoder: Any, tokenizer: Any) -> None:
    """Check that the logits of a model are its linear head on the vectors of an encoder.

    model (PreTrainedModel): The model, made by `AutoModelForTokenClassification`.
    encoder (PreTrainedModel): The encoder with the same weights, made by `AutoModel`.
    tokenizer (PreTrainedTokenizerFast): The tokenizer for the test text.

    Raises WnutError if they differ by more than 1e-4, or one of them needs other inputs
    than text.
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
    # Exceptions of architectures that need an image, boxes or a kernel.
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
            f"{type(model).__name__} can't be converted: its logits depend on more "
            "than the vectors of its encoder"
        )


def encode(
    tokenizer: Any, backend: Any, text: str, model: Any
) -> tuple[dict[str, Any], int]:
    """Encode a text as the input of a model, truncated to the limit of the tokenizer.

    tokenizer (PreTrainedTokenizerFast): The tokenizer, with the names of the inputs and
        the limit.
    backend (Tokenizer): `unbounded_tokenizer` of the same tokenizer, which encodes the
        text. Some tokenizer classes of transformers need other inputs than text.
    text (str): The text.
    model (PreTrainedModel): The model.
    RETURNS (Tuple[Dict[str, Tensor], int]): Tensors of shape (1, n_pieces) with special
        tokens, and the number of special tokens before the text.
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


def best_labels(model: Any, tokenizer: Any, backend: Any, doc: Doc) -> dict[int, int]:
    """Compute the best label of each word's first piece, as transformers would.

    model (PreTrainedModel): The model, made by `AutoModelForTokenClassification`.
    tokenizer (PreTrainedTokenizerFast): Its tokenizer.
    backend (Tokenizer): `unbounded_tokenizer` of the same tokenizer.
    doc (Doc): The doc.
    RETURNS (Dict[int, int]): The index of the label by the index of the word: -1 beyond
        the limit of the tokenizer. Words without pieces (white space) are left out.
    """
    import torch

    from ..models.wordpieces import tokenize

    [pieces] = tokenize(backend, [doc]).by_doc()
    inputs, n_before = encode(tokenizer, backend, doc.text, model)
    with torch.no_grad():
        best = model(**inputs).logits[0].argmax(dim=1).tolist()
    return {
        word: best[first + n_before] if first + n_before < len(best) else -1
        for word, (first, count) in enumerate(
            zip(pieces.firsts, pieces.counts, strict=True)
        )
        if count
    }
