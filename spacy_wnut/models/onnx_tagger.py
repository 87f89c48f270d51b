"""Emissions computed by ONNX Runtime, without torch and transformers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

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
    threads (int): Number of threads that run the model: different batches or, if there
        are fewer batches than threads, parts of one. 0 means one per available
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
    batches = list(_batches(model, pieces, windows))
    inputs = [_inputs(shim, pieces, windows, shapes, batch) for batch in batches]
    if shim.is_mean:
        # Each batch needs the sums of the batches before it.
        outputs = _run_in_order(shim, pieces, batches, inputs)
    else:
        outputs = (found for [found] in shim.run_batches(inputs))
    for batch, found in zip(batches, outputs, strict=True):
        emissions[batch.words] = found  # (w, T)
    ends = numpy.cumsum(pieces.n_words)[:-1]
    on_device: Any = cast(Any, model.ops).asarray(emissions)
    split = model.ops.xp.split(on_device, ends.tolist()) if docs else []

    def backprop(d_emissions: list[Floats2d]) -> list[Doc]:
        return docs

    return cast(list[Floats2d], split), backprop


class _Batch(NamedTuple):
    """Windows of equal length, and the words whose vectors are taken from them.

    windows (Ints1d): The indices of the windows, shape (B,).
    words (Ints1d): The indices of the words, ascending, shape (w,).
    places (Ints1d): The index in `words` of the word of each pooled piece, shape (p,).
    rows (Ints1d): The rows of the pooled pieces in the flat output of the encoder, of
        shape (B * L, width). Shape (p,).
    """

    windows: Ints
    words: Ints
    places: Ints
    rows: Ints


def _batches(
    model: Model[Any, Any], pieces: Tokenized, windows: Windows
) -> Iterator[_Batch]:
    """Group windows of equal length, with the pieces whose vectors are taken from them."""
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
            # (w,), (p,)
            unique, places = numpy.unique(words[chosen], return_inverse=True)
            yield _Batch(batch, unique, places, rows[chosen])


def _inputs(
    shim: OnnxShim,
    pieces: Tokenized,
    windows: Windows,
    shapes: Ints | None,
    batch: _Batch,
) -> dict[str, NDArray[Any]]:
    """Make the inputs of the graph for a batch, except for "carried"."""
    ids, _ = pad_windows(pieces, windows, batch.windows, shim.specials, pad=0)  # (B, L)
    inputs: dict[str, NDArray[Any]] = {"input_ids": ids, "rows": batch.rows}
    if shim.is_mean:
        inputs["words"] = batch.places.reshape(-1, 1)  # (p, 1)
        counts = pieces.counts[batch.words]
        inputs["counts"] = counts.astype("f").reshape(-1, 1)  # (w, 1)
    if shapes is not None:
        inputs["shapes"] = shapes[batch.words]  # (w, N_FEATURES)
    return inputs


def _run_in_order(
    shim: OnnxShim,
    pieces: Tokenized,
    batches: Sequence[_Batch],
    inputs: Sequence[dict[str, NDArray[Any]]],
) -> Iterator[Floats32]:
    """Run batches one after the other, for words that are the mean of their pieces.

    A word of several windows may lie in several batches. Its sum is carried from one to
    the next, and its emissions in the last are complete.

    YIELDS (Floats2d): The emissions of the words of a batch, shape (w, tags).
    """
    sums: dict[int, Floats32] = {}
    for batch, given in zip(batches, inputs, strict=True):
        carried = _carried_sums(batch.words, sums, shim.width)  # (w, width)
        emissions, summed = shim.run({**given, "carried": carried})
        is_partial = numpy.bincount(batch.places) < pieces.counts[batch.words]  # (w,)
        for i in numpy.flatnonzero(is_partial):
            sums[int(batch.words[i])] = summed[i]
        yield emissions


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
