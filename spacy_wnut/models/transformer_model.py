"""Encoder layer of spaCy's `transformer` component.

It replaces `spacy-transformers.TransformerModel.v3` and differs in two ways. Windows
are limited in word pieces, not words, so that nothing is truncated and a very long word
does not affect the words after it. And windows of similar length are run together
within a budget of padded pieces, in training as in prediction, so that little time is
spent on padding.
"""

import copy
from collections.abc import Callable
from typing import Any, cast

import numpy
import torch
from spacy.tokens import Doc
from spacy_transformers.data_classes import (
    FullTransformerBatch,
    HFObjects,
    TransformerData,
    WordpieceBatch,
)
from spacy_transformers.layers import TransformerModel, split_trf_batch, trfs2arrays
from spacy_transformers.layers.transformer_model import set_pytorch_transformer
from spacy_transformers.span_getters import get_doc_spans
from thinc.api import Model, chain, torch2xp, xp2torch
from thinc.types import Floats2d, Ints2d, Ragged
from transformers.modeling_outputs import BaseModelOutput

from ..batching import batch_by_length
from ..errors import WnutError
from .checkpoints import max_window
from .encoder_shim import EncoderShim, convert_inputs, load_encoder
from .stored_encoder import naming_file
from .wordpieces import (
    Pieces,
    Setting,
    Specials,
    Tokenized,
    Windows,
    cut_windows,
    pad_windows,
    tokenize,
    window_settings,
)


def create_transformer_model(
    name: str,
    window: int = 254,
    stride: int = 192,
    batch_pieces: int = 512,
    max_grad_norm: float = 1.0,
    learn_rate_factor: float = 1.0,
    freeze_embeddings: bool = False,
    tokenizer_config: dict[str, Any] = {},  # noqa: B006
    transformer_config: dict[str, Any] = {},  # noqa: B006
    mixed_precision: bool = False,
    grad_scaler_config: dict[str, Any] = {},  # noqa: B006
) -> Model[list[Doc], FullTransformerBatch]:
    """Create an encoder layer. Supports encoders that `AutoModel` loads and that have a
    fast tokenizer.

    name (str): A model on the hub or a folder. Weights in half precision are loaded in
        full precision.
    window (int): Maximum number of word pieces in a window, without special tokens.
    stride (int): Number of pieces between the starts of two windows. The overlap of
        window - stride pieces is context for both.
    batch_pieces (int): Maximum number of pieces in a batch, with special tokens and
        padding. Changes speed and memory, not the results.
    max_grad_norm (float): Maximum norm of the gradient of all parameters of the encoder
        together. 0 disables clipping.
    learn_rate_factor (float): Factor on the learning rate of the optimizer for the
        encoder, so that the components that listen to it can have a higher one.
    freeze_embeddings (bool): Do not train the vectors of word pieces. They are half of
        the parameters of a small encoder, so a step is faster. And the vectors of words
        that are not in the training data stay consistent with the others.
    tokenizer_config (Dict[str, Any]): Settings for `AutoTokenizer`.
    transformer_config (Dict[str, Any]): Settings for `AutoConfig`.
    mixed_precision (bool): Multiply matrices in half precision where it is faster:
        bfloat16 on newer GPUs and some CPUs, float16 on older GPUs.
    grad_scaler_config (Dict[str, Any]): Settings for gradient scaling.
    RETURNS (Model[List[Doc], FullTransformerBatch]): The layer. Its output has shape
        (1, special tokens + pieces, width) per doc, stitched together from the windows
        of the doc, without padding.

    Raises ValueError if stride is not between 1 and window, or batch_pieces is less
    than 1.
    """
    settings = window_settings(window, stride, batch_pieces)
    shim = EncoderShim(
        HFObjects(None, None, None, dict(tokenizer_config), dict(transformer_config)),
        max_grad_norm=max_grad_norm,
        learn_rate_factor=learn_rate_factor,
        freeze_embeddings=freeze_embeddings,
        mixed_precision=mixed_precision,
        grad_scaler_config=dict(grad_scaler_config),
    )
    return WordPieceTransformer(name, shim, settings)


def create_tok2vec_transformer(
    transformer: Model[list[Doc], FullTransformerBatch],
    pooling: Model[Ragged, Floats2d],
    grad_factor: float = 1.0,
) -> Model[list[Doc], list[Floats2d]]:
    """Create a layer with an encoder of its own, in place of a listener.
    `nlp.replace_listeners` converts `spacy-wnut.TransformerModel.v1` to it.

    transformer (Model[List[Doc], FullTransformerBatch]): The encoder layer.
    pooling (Model[Ragged, Floats2d]): Reduces the vectors of the pieces of a word to
        the vector of the word.
    grad_factor (float): Factor on the gradient of the encoder.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer. Its output has shape
        (words, width) per doc.
    """
    encoder = cast(WordPieceTransformer, transformer)
    return chain(_replace_listener(encoder), trfs2arrays(pooling, grad_factor))


class WordPieceTransformer(TransformerModel):
    """A `TransformerModel` that runs windows of word pieces."""

    def __init__(
        self,
        name: str,
        shim: EncoderShim,
        settings: dict[str, Setting],
    ) -> None:
        super().__init__(name, get_doc_spans)
        self.replace_callbacks(transformer_model_forward, init=transformer_model_init)
        self.layers[0].shims[0] = shim
        self.layers[0].attrs["convert_inputs"] = convert_inputs
        self.attrs.update(
            settings,
            replace_listener=_replace_listener,
            replace_listener_cfg=_replace_listener_cfg,
            set_transformer=_set_transformer,
        )

    @property
    def shim(self) -> EncoderShim:
        """RETURNS (EncoderShim): The encoder and its tokenizer."""
        return cast(EncoderShim, self.layers[0].shims[0])

    def copy(self) -> "WordPieceTransformer":
        """Copy the layer.

        RETURNS (WordPieceTransformer): A deep copy with a new model id.
        """
        settings = window_settings(
            *(self.attrs[key] for key in ("window", "stride", "batch_pieces"))
        )
        shim = copy.deepcopy(self.shim)
        copied = WordPieceTransformer(self.attrs["name"], shim, settings)
        copied.attrs["has_transformer"] = self.attrs["has_transformer"]
        copied._dims = dict(self._dims)
        copied.layers[0]._dims = dict(self.layers[0]._dims)
        return copied

    def from_bytes(self, bytes_data: bytes) -> "WordPieceTransformer":
        """Load the output of `to_bytes`.

        bytes_data (bytes): The stored layer.
        RETURNS (WordPieceTransformer): The layer.

        Raises WnutError if the data are damaged, or the window of the config is longer
        than the encoder supports.
        """
        with naming_file():
            super().from_bytes(bytes_data)
        if self.transformer is not None:
            _check_window(self)
        return self


def transformer_model_init(
    model: WordPieceTransformer,
    X: list[Doc] | None = None,
    Y: Any = None,
) -> None:
    if not model.attrs["has_transformer"]:
        model.attrs["set_transformer"](
            model,
            load_encoder(
                model.attrs["name"],
                model._init_tokenizer_config,
                model._init_transformer_config,
            ),
        )
    config = model.transformer.config
    # Training in half precision would lose small updates. With another dtype in the
    # config, transformers would load the weights in half precision again.
    model.transformer.float()
    config.torch_dtype = torch.float32
    _check_window(model)


def _check_window(model: WordPieceTransformer) -> None:
    """Raise WnutError if the window is longer than the encoder supports."""
    limit = max_window(model.transformer, model.tokenizer, model.shim.specials.total)
    if limit is not None and limit < model.attrs["window"]:
        raise WnutError(
            f"window is {model.attrs['window']} pieces, but {model.attrs['name']!r} "
            f"takes at most {limit} besides special tokens. Set "
            f"components.transformer.model.window to {limit} or less"
        )


def transformer_model_forward(
    model: WordPieceTransformer, docs: list[Doc], is_train: bool
) -> tuple[FullTransformerBatch, Callable[[FullTransformerBatch], list[Doc]]]:
    specials = model.shim.specials
    pieces = tokenize(model.shim.tokenizer, docs)
    n_pieces = pieces.n_pieces  # (docs,)
    windows = cut_windows(n_pieces, model.attrs["window"], model.attrs["stride"])
    # Docs without pieces have at least one row as well, of zeros.
    n_rows = numpy.maximum(n_pieces + specials.total, 1)  # (docs,)
    offsets = numpy.cumsum(n_rows) - n_rows  # (docs,)
    stitched = model.ops.alloc2f(int(n_rows.sum()), model.get_dim("nO"))  # (rows, nO)
    runs = []
    lengths = windows.lengths + specials.total  # (windows,)
    for batch in batch_by_length(lengths, model.attrs["batch_pieces"]):
        output, backprop_run = model.layers[0](
            _as_wordpieces(model, pieces, windows, batch, specials), is_train
        )
        hidden = output.last_hidden_state  # (B, L, nO)
        sources, targets = _stitched_rows(windows, batch, specials, n_pieces, offsets)
        flat = torch2xp(hidden.detach().reshape(-1, hidden.shape[-1]).float())
        stitched[targets] = flat[sources]  # from (B * L, nO) to (rows, nO)
        runs.append((hidden.shape, sources, targets, backprop_run))
    data = _split_by_doc(model, pieces.by_doc(), specials, stitched, offsets, n_rows)
    no_numbers: Any = numpy.zeros(0, dtype="i")
    output = StitchedBatch(
        spans=[[doc[:]] if len(doc) else [] for doc in docs],
        wordpieces=WordpieceBatch.empty(),
        model_output=BaseModelOutput(),
        align=Ragged(no_numbers, no_numbers),
        cached_doc_data=[
            part if len(doc) else TransformerData.empty()
            for doc, part in zip(docs, data, strict=True)
        ],
    )

    def backprop(d_output: FullTransformerBatch) -> list[Doc]:
        d_stitched = model.ops.alloc2f(*stitched.shape)  # (rows, nO)
        filled = [offset for offset, doc in zip(offsets, docs, strict=True) if len(doc)]
        d_parts = d_output.model_output["last_hidden_state"]
        for offset, d_part in zip(filled, d_parts, strict=True):
            # d_part: (1, rows of the doc, nO)
            d_stitched[offset : offset + d_part.shape[1]] = d_part[0]
        for shape, sources, targets, backprop_run in runs:
            d_flat: Any = model.ops.alloc2f(shape[0] * shape[1], shape[2])
            d_flat[sources] = d_stitched[targets]  # (B * L, nO)
            d_hidden: Any = xp2torch(d_flat.reshape(shape))  # (B, L, nO)
            backprop_run(BaseModelOutput(last_hidden_state=d_hidden))
        return docs

    return output, backprop


class StitchedBatch(FullTransformerBatch):
    """A `FullTransformerBatch` with a different number of rows per doc."""

    def unsplit_by_doc(self, arrays: list[list[Any]]) -> FullTransformerBatch:
        """Collect the gradients with respect to the vectors of docs.

        arrays (List[List[Floats3d]]): Per doc a list of one array of shape
            (1, rows, width).
        RETURNS (FullTransformerBatch): The input of backprop.
        """
        gradients: Any = {"last_hidden_state": [tensors[0] for tensors in arrays]}
        return FullTransformerBatch(
            spans=self.spans,
            wordpieces=self.wordpieces,
            model_output=gradients,
            align=self.align,
        )


def _as_wordpieces(
    model: WordPieceTransformer,
    pieces: Tokenized,
    windows: Windows,
    batch: Any,
    specials: Specials,
) -> WordpieceBatch:
    pad = model.tokenizer.pad_token_id or 0
    ids: Any
    ids, lengths = pad_windows(pieces, windows, batch, specials, pad)  # (B, L), (B,)
    mask: Any = numpy.arange(ids.shape[1]) < lengths[:, None]  # (B, L)
    has_types = "token_type_ids" in model.tokenizer.model_input_names
    return WordpieceBatch(
        strings=[],
        input_ids=ids,
        attention_mask=mask.astype("f"),
        lengths=lengths.tolist(),
        token_type_ids=cast(Ints2d, numpy.zeros_like(ids)) if has_types else None,
    )


def _stitched_rows(
    windows: Windows, batch: Any, specials: Specials, n_pieces: Any, offsets: Any
) -> tuple[Any, Any]:
    """Map rows of the output of a batch to rows of the stitched output.

    The special tokens before the pieces are taken from the first window of a doc, those
    after the pieces from its last window.

    RETURNS (Tuple[Ints1d, Ints1d]): Rows of the flat output, of shape (B * L, nO), and
        rows of the stitched output. Both of shape (k,).
    """
    n_before, n_after = len(specials.before), len(specials.after)
    length = windows.lengths[batch].max() + specials.total  # L
    starts, docs = windows.starts[batch], windows.docs[batch]  # (B,) each
    firsts, lasts = windows.own_starts[batch], windows.own_ends[batch]  # (B,) each
    # From indices of pieces to rows of the doc, whose first piece is in row n_before.
    firsts = numpy.where(firsts == 0, 0, firsts + n_before)  # (B,)
    lasts = lasts + n_before + numpy.where(lasts == n_pieces[docs], n_after, 0)  # (B,)
    counts = lasts - firsts  # (B,)
    row = numpy.repeat(numpy.arange(len(batch)), counts)  # (k,)
    within = numpy.arange(counts.sum()) - numpy.repeat(counts.cumsum() - counts, counts)
    position = firsts[row] + within  # (k,)
    return row * length + position - starts[row], offsets[docs][row] + position


def _split_by_doc(
    model: WordPieceTransformer,
    pieces: list[Pieces],
    specials: Specials,
    stitched: Any,
    offsets: Any,
    n_rows: Any,
) -> list[TransformerData]:
    """Split the stitched output of shape (rows, nO), and align it with the words."""
    to_strings = model.tokenizer.convert_ids_to_tokens
    before, after = to_strings(specials.before), to_strings(specials.after)
    data = []
    for part, offset, length in zip(pieces, offsets, n_rows, strict=True):
        total = int(part.counts.sum())
        within = numpy.arange(total) - numpy.repeat(
            part.counts.cumsum() - part.counts, part.counts
        )
        firsts: Any = numpy.repeat(part.firsts, part.counts)
        align = firsts + within + len(specials.before)  # (total,), rows of the doc
        counts: Any = part.counts.astype("i")  # (words,)
        ids: Any = numpy.concatenate([specials.before, part.ids, specials.after])
        data.append(
            TransformerData(
                wordpieces=WordpieceBatch(
                    strings=[before + part.strings + after],
                    input_ids=ids[None].astype("int64"),
                    attention_mask=cast(Floats2d, numpy.ones((1, len(ids)), dtype="f")),
                    lengths=[len(ids)],
                    token_type_ids=None,
                ),
                model_output=BaseModelOutput(
                    last_hidden_state=stitched[offset : offset + length][None]
                ),
                align=Ragged(align.astype("i"), counts),
            )
        )
    return data


def _set_transformer(model: WordPieceTransformer, objects: HFObjects) -> None:
    set_pytorch_transformer(model, objects)
    model.shim.set_encoder(objects)


def _replace_listener(
    model: WordPieceTransformer,
) -> Model[list[Doc], list[TransformerData]]:
    return chain(model, split_trf_batch())


def _replace_listener_cfg(
    transformer: dict[str, Any], listener: dict[str, Any]
) -> dict[str, Any]:
    return {
        "@architectures": "spacy-wnut.Tok2VecTransformer.v1",
        "transformer": transformer,
        "pooling": listener["pooling"],
        "grad_factor": listener["grad_factor"],
    }
