"""The encoder as a layer of spaCy's `transformer` component, batched by pieces.

It stands in the place of `spacy-transformers.TransformerModel.v3` and differs in
two ways. Docs are cut into windows that are bounded in word pieces, not words,
so that nothing is truncated and a very long word harms none after it. And
windows of similar length are run together under a budget of padded pieces, so
that little time goes into padding, in training as in use.
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
    """Any encoder that `AutoModel` loads and that has a fast tokenizer.

    The output has for each doc the vectors of its special tokens and pieces in
    one row, stitched together from the doc's windows, without padding.

    name (str): A model on the hub or a folder. Weights in half precision are
        loaded in full precision.
    window (int): The greatest number of word pieces in a window, special tokens
        not counted.
    stride (int): How many pieces a window starts behind the one before it. The
        overlap of window - stride pieces gives both sides context.
    batch_pieces (int): The greatest number of pieces in a batch that is run at
        once, special tokens and padding counted. Changes speed and memory, not
        the results.
    max_grad_norm (float): The norm that the encoder's gradient, all parameters
        together, is clipped to in an update. 0 switches it off.
    learn_rate_factor (float): Factor on the optimizer's learning rate for the
        encoder, so that the pipes that listen can have a higher one.
    freeze_embeddings (bool): Leave the vectors of the vocabulary's pieces as they
        are. They are half of a small encoder: a step is faster without them, and
        those of words that training doesn't see stay in line with the others.
    tokenizer_config (Dict[str, Any]): Settings for `AutoTokenizer`.
    transformer_config (Dict[str, Any]): Settings for `AutoConfig`.
    mixed_precision (bool): Multiply matrices in half precision where the device has
        instructions for it: bfloat16 on newer GPUs and CPUs, float16 on older GPUs.
    grad_scaler_config (Dict[str, Any]): Settings for gradient scaling.

    Raises ValueError if window, stride and batch_pieces don't fit together.
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
    """The encoder inside of a component, in place of a listener. It is what
    `nlp.replace_listeners` makes of `spacy-wnut.TransformerModel.v1`.

    transformer (Model[List[Doc], FullTransformerBatch]): The encoder.
    pooling (Model[Ragged, Floats2d]): From a word's pieces to the word.
    grad_factor (float): Factor on the gradient that goes into the encoder.
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
        self.replace_callbacks(forward, init=init)
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
        """A copy with a model id of its own; layers are copied deeply."""
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
        """Load what `to_bytes` gave.

        Raises WnutError if it can't be read, or if the encoder can't take windows of
        the length that the config states.
        """
        with naming_file():
            super().from_bytes(bytes_data)
        if self.transformer is not None:
            _check_window(self)
        return self


def init(
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
    # A checkpoint in half precision is a matter of storage. Training in it
    # would lose small updates, and the config would have it loaded back so.
    model.transformer.float()
    config.torch_dtype = torch.float32
    _check_window(model)


def _check_window(model: WordPieceTransformer) -> None:
    n_specials = sum(map(len, model.shim.specials))
    most = max_window(model.transformer, model.tokenizer, n_specials)
    if most is not None and most < model.attrs["window"]:
        raise WnutError(
            f"window is {model.attrs['window']} pieces, but {model.attrs['name']!r} "
            f"takes at most {most} besides special tokens. Set "
            f"components.transformer.model.window to {most} or less"
        )


def forward(
    model: WordPieceTransformer, docs: list[Doc], is_train: bool
) -> tuple[FullTransformerBatch, Callable[[FullTransformerBatch], list[Doc]]]:
    specials = model.shim.specials
    pieces = tokenize(model.shim.tokenizer, docs)
    n_pieces = pieces.n_pieces
    windows = cut_windows(n_pieces, model.attrs["window"], model.attrs["stride"])
    # Every doc with words has at least one row, even if it has no pieces.
    n_rows = numpy.maximum(n_pieces + sum(map(len, specials)), 1)
    offsets = numpy.cumsum(n_rows) - n_rows
    stitched = model.ops.alloc2f(int(n_rows.sum()), model.get_dim("nO"))
    runs = []
    lengths = windows.ends - windows.starts + sum(map(len, specials))
    for batch in batch_by_length(lengths, model.attrs["batch_pieces"]):
        output, backprop_run = model.layers[0](
            _as_wordpieces(model, pieces, windows, batch, specials), is_train
        )
        hidden = output.last_hidden_state
        sources, targets = _stitches(windows, batch, specials, n_pieces, offsets)
        flat = torch2xp(hidden.detach().reshape(-1, hidden.shape[-1]).float())
        stitched[targets] = flat[sources]
        runs.append((hidden.shape, sources, targets, backprop_run))
    data = _split(model, pieces.by_doc(), specials, stitched, offsets, n_rows)
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
        d_stitched = model.ops.alloc2f(*stitched.shape)
        filled = [offset for offset, doc in zip(offsets, docs, strict=True) if len(doc)]
        d_parts = d_output.model_output["last_hidden_state"]
        for offset, d_part in zip(filled, d_parts, strict=True):
            d_stitched[offset : offset + d_part.shape[1]] = d_part[0]
        for shape, sources, targets, backprop_run in runs:
            d_flat: Any = model.ops.alloc2f(shape[0] * shape[1], shape[2])
            d_flat[sources] = d_stitched[targets]
            d_hidden: Any = xp2torch(d_flat.reshape(shape))
            backprop_run(BaseModelOutput(last_hidden_state=d_hidden))
        return docs

    return output, backprop


class StitchedBatch(FullTransformerBatch):
    """A `FullTransformerBatch` whose docs have rows of different lengths."""

    def unsplit_by_doc(self, arrays: list[list[Any]]) -> FullTransformerBatch:
        """Collect the gradients by the docs' vectors, one (1, n, width) a doc."""
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
    ids, lengths = pad_windows(pieces, windows, batch, specials, pad)
    mask: Any = numpy.arange(ids.shape[1]) < lengths[:, None]
    has_types = "token_type_ids" in model.tokenizer.model_input_names
    return WordpieceBatch(
        strings=[],
        input_ids=ids,
        attention_mask=mask.astype("f"),
        lengths=lengths.tolist(),
        token_type_ids=cast(Ints2d, numpy.zeros_like(ids)) if has_types else None,
    )


def _stitches(
    windows: Windows, batch: Any, specials: Specials, n_pieces: Any, offsets: Any
) -> tuple[Any, Any]:
    """Which rows of a batch's flat output go to which rows of the stitched one.

    The special tokens before come from a doc's first window, those after from
    its last.
    """
    n_before, n_after = len(specials.before), len(specials.after)
    width = (windows.ends - windows.starts)[batch].max() + n_before + n_after
    starts, docs = windows.starts[batch], windows.docs[batch]
    firsts, lasts = windows.own_starts[batch], windows.own_ends[batch]
    # In positions of the doc's row, where its first piece stands at n_before.
    firsts = numpy.where(firsts == 0, 0, firsts + n_before)
    lasts = lasts + n_before + numpy.where(lasts == n_pieces[docs], n_after, 0)
    counts = lasts - firsts
    row = numpy.repeat(numpy.arange(len(batch)), counts)
    within = numpy.arange(counts.sum()) - numpy.repeat(counts.cumsum() - counts, counts)
    position = firsts[row] + within
    return row * width + position - starts[row], offsets[docs][row] + position


def _split(
    model: WordPieceTransformer,
    pieces: list[Pieces],
    specials: Specials,
    stitched: Any,
    offsets: Any,
    n_rows: Any,
) -> list[TransformerData]:
    to_strings = model.tokenizer.convert_ids_to_tokens
    before, after = to_strings(specials.before), to_strings(specials.after)
    data = []
    for part, offset, length in zip(pieces, offsets, n_rows, strict=True):
        total = int(part.counts.sum())
        within = numpy.arange(total) - numpy.repeat(
            part.counts.cumsum() - part.counts, part.counts
        )
        firsts: Any = numpy.repeat(part.firsts, part.counts)
        align = firsts + within + len(specials.before)
        counts: Any = part.counts.astype("i")
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
