"""Emissions computed by ONNX Runtime, without torch and transformers."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..batching import batch_by_length
from ..crf.arrays import Ints
from .onnx_session import OnnxShim
from .word_shapes import shape_features
from .wordpieces import (
    Tokenized,
    Windows,
    cut_windows,
    pad_windows,
    tokenize,
    window_settings,
)

Floats32 = NDArray[numpy.float32]


def create_onnx_tagger(
    window: int = 254,
    stride: int = 192,
    batch_pieces: int = 512,
    threads: int = 0,
    nO: int | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """Create a layer that computes emissions with an ONNX graph of a trained encoder
    and head. `spacy-wnut export` replaces `spacy-wnut.TransformerTagger.v1` with it. It
    cannot be trained.

    Only windows of equal length are run together, without padding. The emissions of a
    doc therefore do not depend on the other docs in a batch.

    window (int): Maximum number of word pieces in a window, without special tokens.
    stride (int): Number of pieces between the starts of two windows.
    batch_pieces (int): Maximum number of pieces in a batch. Changes speed and memory,
        not the results.
    threads (int): Number of threads that run the model. 0 means one per available
        processor, or one thread in the workers of `nlp.pipe(n_process=...)`.
    nO (Optional[int]): Number of tags. Set when the model is loaded.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer. Its output has shape
        (words, nO) per doc, with zeros for words without pieces.

    Raises ValueError if stride is not between 1 and window, batch_pieces is less than
    1, or threads is negative.
    """
    settings = window_settings(window, stride, batch_pieces)
    if threads < 0:
        raise ValueError(f"threads has to be at least 0, got {threads}")
    return Model(
        "onnx_tagger",
        onnx_tagger_forward,
        init=onnx_tagger_init,
        shims=[OnnxShim(threads)],
        dims={"nO": nO},
        attrs={**settings, "get_tags": get_tags},
    )


def get_tags(model: Model[list[Doc], list[Floats2d]]) -> tuple[str, ...]:
    """Return the tags of the columns of the emissions.

    model (Model): A layer from `create_onnx_tagger`.
    RETURNS (Tuple[str, ...]): The tags.

    Raises WnutError if the layer has no model, or one that cannot be run.
    """
    return _shim(model).tags


def onnx_tagger_init(
    model: Model[list[Doc], list[Floats2d]],
    X: list[Doc] | None = None,
    Y: list[Floats2d] | None = None,
) -> None:
    # Without a model, `tags` raises an error that explains how to get one.
    model.set_dim("nO", len(_shim(model).tags))


def onnx_tagger_forward(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    if is_train:
        raise ValueError(
            "an exported model can't be trained: train the pipeline that it was made "
            "from and export that again"
        )
    shim = _shim(model)
    pieces = tokenize(shim.tokenizer, docs)
    windows = cut_windows(pieces.n_pieces, model.attrs["window"], model.attrs["stride"])
    n_words = int(pieces.n_words.sum())
    emissions = numpy.zeros((n_words, len(shim.tags)), dtype="f")  # (words, T)
    # (words, N_FEATURES)
    shapes = cast(Ints, shape_features(*docs)) if shim.has_shapes else None
    sums: dict[int, Floats32] = {}
    for batch, piece_words, rows in _batches(model, pieces, windows):
        ids, _ = pad_windows(pieces, windows, batch, shim.specials, pad=0)  # (B, L)
        inputs: dict[str, NDArray[Any]] = {"input_ids": ids, "rows": rows}
        words, index = numpy.unique(piece_words, return_inverse=True)  # (w,), (p,)
        if shim.is_mean:
            inputs["words"] = index.reshape(-1, 1)  # (p, 1)
            inputs["counts"] = pieces.counts[words].astype("f").reshape(-1, 1)  # (w, 1)
            inputs["carried"] = _carried_sums(words, sums, shim.width)  # (w, width)
        if shapes is not None:
            inputs["shapes"] = shapes[words]  # (w, N_FEATURES)
        emissions[words], *summed = shim.run(inputs)  # (w, T), (w, width)
        if shim.is_mean:
            # A word of several windows may lie in several batches. Its sum is carried
            # from one to the next, and its emissions in the last are complete.
            is_partial = numpy.bincount(index) < pieces.counts[words]  # (w,)
            for i in numpy.flatnonzero(is_partial):
                sums[int(words[i])] = summed[0][i]
    ends = numpy.cumsum(pieces.n_words)[:-1]
    on_device: Any = cast(Any, model.ops).asarray(emissions)
    split = model.ops.xp.split(on_device, ends.tolist()) if docs else []

    def backprop(d_emissions: list[Floats2d]) -> list[Doc]:
        return docs

    return cast(list[Floats2d], split), backprop


def _batches(
    model: Model[Any, Any], pieces: Tokenized, windows: Windows
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Group windows of equal length, with the pieces whose vectors are taken from them.

    YIELDS (Tuple[Ints1d, Ints1d, Ints1d]): The indices of the windows, shape (B,); the
        words of the p pooled pieces, ascending, shape (p,); the rows of these pieces in
        the flat output of the encoder, of shape (B * L, width). Shape (p,).
    """
    specials = _shim(model).specials
    words, pooled = _pooled_pieces(pieces, _shim(model).is_mean)  # (pooled,) each
    lengths = windows.lengths + specials.total  # (windows,)
    batches = list(batch_by_length(lengths, model.attrs["batch_pieces"], equal=True))
    if not batches:
        return
    offsets = pieces.offsets[windows.docs]  # (windows,)
    # Own pieces of consecutive windows are contiguous in the order of all pieces.
    window = numpy.searchsorted(offsets + windows.own_ends, pooled, side="right")
    place = pooled - offsets[window] - windows.starts[window] + len(specials.before)
    batch_of = numpy.empty(len(lengths), dtype=numpy.int64)  # (windows,)
    row_of = numpy.empty(len(lengths), dtype=numpy.int64)  # (windows,)
    for i, batch in enumerate(batches):
        batch_of[batch] = i
        row_of[batch] = numpy.arange(len(batch))
    rows = row_of[window] * lengths[window] + place  # (pooled,)
    order = numpy.argsort(batch_of[window], kind="stable")  # (pooled,)
    ends = numpy.searchsorted(batch_of[window][order], numpy.arange(len(batches) + 1))
    for batch, start, end in zip(batches, ends[:-1], ends[1:], strict=True):
        chosen = order[start:end]  # (p,)
        if len(chosen):
            yield batch, words[chosen], rows[chosen]


def _pooled_pieces(pieces: Tokenized, is_mean: bool) -> tuple[Ints, Ints]:
    """Select the pieces that represent words: the first piece of each, or all pieces if
    a word is the mean of its pieces.

    RETURNS (Tuple[Ints1d, Ints1d]): The words of the pieces, ascending, and the indices
        of the pieces. Both of shape (pooled,).
    """
    counts = pieces.counts if is_mean else numpy.minimum(pieces.counts, 1)  # (words,)
    words = numpy.repeat(numpy.arange(len(counts)), counts)  # (pooled,)
    first_of_word = numpy.repeat(numpy.cumsum(counts) - counts, counts)  # (pooled,)
    return words, pieces.firsts[words] + numpy.arange(len(words)) - first_of_word


def _carried_sums(words: Ints, sums: dict[int, Floats32], width: int) -> Floats32:
    """Collect the sums of pieces from earlier batches, shape (w, width)."""
    carried = numpy.zeros((len(words), width), dtype="f")
    if sums:
        for i, word in enumerate(words.tolist()):
            if word in sums:
                carried[i] = sums[word]
    return carried


def _shim(model: Model[Any, Any]) -> OnnxShim:
    return cast(OnnxShim, model.shims[0])
