"""Emissions by ONNX Runtime: no torch, no transformers."""

from collections.abc import Callable
from typing import Any, cast

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..batching import batch_by_length
from .onnx_session import OnnxShim
from .word_shapes import shape_features
from .wordpieces import (
    Specials,
    Tokenized,
    Windows,
    cut_windows,
    pad_windows,
    tokenize,
    window_settings,
)

Ints = NDArray[numpy.int64]


def create_onnx_tagger(
    window: int = 254,
    stride: int = 192,
    batch_pieces: int = 512,
    threads: int = 0,
    nO: int | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """Emissions of a trained pipeline's encoder and head in one ONNX graph. It is what
    `spacy-wnut export` makes of `spacy-wnut.TransformerTagger.v1`, and can't be
    trained.

    Texts of the same number of pieces are run together, so that none is padded and
    each gets the same emissions in any company.

    window (int): The greatest number of word pieces in a window, special tokens
        not counted.
    stride (int): How many pieces a window starts behind the one before it.
    batch_pieces (int): The greatest number of pieces that are run at once. Changes
        speed and memory, not the results.
    threads (int): How many threads run the model. 0 stands for as many as there are
        processors, and one in the workers of `nlp.pipe(n_process=...)`.
    nO (Optional[int]): The number of tags. Known when the model is loaded.

    Raises ValueError if the numbers don't fit together.
    """
    settings = window_settings(window, stride, batch_pieces)
    if threads < 0:
        raise ValueError(f"threads has to be at least 0, got {threads}")
    return Model(
        "onnx_tagger",
        forward,
        init=init,
        shims=[OnnxShim(threads)],
        dims={"nO": nO},
        attrs={**settings, "get_tags": get_tags},
    )


def get_tags(model: Model[list[Doc], list[Floats2d]]) -> tuple[str, ...]:
    """The tags that a model has emissions for, in their order."""
    return _shim(model).tags


def init(
    model: Model[list[Doc], list[Floats2d]],
    X: list[Doc] | None = None,
    Y: list[Floats2d] | None = None,
) -> None:
    # Says what to do if there is no model.
    model.set_dim("nO", len(_shim(model).tags))


def forward(
    model: Model[list[Doc], list[Floats2d]], docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    if is_train:
        raise ValueError(
            "an exported model can't be trained: train the pipeline that it was made "
            "from and export that again"
        )
    shim = _shim(model)
    specials = shim.specials
    pieces = tokenize(shim.tokenizer, docs)
    windows = cut_windows(pieces.n_pieces, model.attrs["window"], model.attrs["stride"])
    emissions = numpy.zeros((int(pieces.n_words.sum()), len(shim.tags)), dtype="f")
    shapes = None
    if shim.has_shapes and docs:
        shapes = numpy.concatenate([shape_features(doc) for doc in docs])
    run = _run_means if shim.is_mean else _run_firsts
    run(model, pieces, windows, specials, shapes, emissions)
    ends = numpy.cumsum(pieces.n_words)[:-1]
    # An array of whichever library, as thinc's ops make it.
    on_device: Any = cast(Any, model.ops).asarray(emissions)
    found = model.ops.xp.split(on_device, ends.tolist()) if docs else []

    def backprop(d_emissions: list[Floats2d]) -> list[Doc]:
        return docs

    return cast(list[Floats2d], found), backprop


def _run_firsts(
    model: Model[Any, Any],
    pieces: Tokenized,
    windows: Windows,
    specials: Specials,
    shapes: Ints | None,
    emissions: NDArray[numpy.float32],
) -> None:
    """Fill in the emissions of words by their first pieces."""
    words = numpy.flatnonzero(pieces.counts)
    for batch, chosen, rows in _batches(
        model, windows, specials, pieces, words, pieces.firsts[words]
    ):
        inputs = _inputs(pieces, windows, specials, batch, rows)
        if shapes is not None:
            inputs["shapes"] = shapes[chosen]
        emissions[chosen] = _shim(model).run(inputs)[0]


def _run_means(
    model: Model[Any, Any],
    pieces: Tokenized,
    windows: Windows,
    specials: Specials,
    shapes: Ints | None,
    emissions: NDArray[numpy.float32],
) -> None:
    """Fill in the emissions of words by the mean of their pieces.

    A long doc's word may lie in several windows. Its sum is carried from one to the
    next, and the last one has it whole.
    """
    shim = _shim(model)
    width = shim.width
    sums: dict[int, NDArray[numpy.float32]] = {}
    words = numpy.repeat(numpy.arange(len(pieces.counts)), pieces.counts)
    within = numpy.arange(len(words)) - numpy.repeat(
        numpy.cumsum(pieces.counts) - pieces.counts, pieces.counts
    )
    for batch, of_piece, rows in _batches(
        model, windows, specials, pieces, words, pieces.firsts[words] + within
    ):
        chosen, index, here = numpy.unique(
            of_piece, return_inverse=True, return_counts=True
        )
        carried = numpy.zeros((len(chosen), width), dtype="f")
        is_split = here < pieces.counts[chosen]
        for i in numpy.flatnonzero(is_split):
            carried[i] = sums.get(int(chosen[i]), 0.0)
        inputs = _inputs(pieces, windows, specials, batch, rows)
        inputs["words"] = index.reshape(-1, 1)
        inputs["counts"] = pieces.counts[chosen].astype("f").reshape(-1, 1)
        inputs["carried"] = carried
        if shapes is not None:
            inputs["shapes"] = shapes[chosen]
        emissions[chosen], summed = shim.run(inputs)
        for i in numpy.flatnonzero(is_split):
            sums[int(chosen[i])] = summed[i]


def _batches(
    model: Model[Any, Any],
    windows: Windows,
    specials: Specials,
    pieces: Tokenized,
    words: Ints,
    wanted: Ints,
) -> Any:
    """Windows of the same length, and the pieces whose vectors are wanted of them.

    words (Ints1d): The word that each wanted piece belongs to.
    wanted (Ints1d): The index of each wanted piece.
    YIELDS (Tuple[Ints1d, Ints1d, Ints1d]): The indices of a batch's windows, the words
        of the pieces in it, and which rows of the encoder's output are theirs.
    """
    lengths = windows.ends - windows.starts + sum(map(len, specials))
    batches = list(batch_by_length(lengths, model.attrs["batch_pieces"], equal=True))
    if not batches:
        return
    offsets = pieces.offsets[windows.docs]
    # The windows' own pieces are side by side in the order of all pieces.
    window = numpy.searchsorted(offsets + windows.own_ends, wanted, side="right")
    place = wanted - offsets[window] - windows.starts[window] + len(specials.before)
    batch_of = numpy.empty(len(lengths), dtype=numpy.int64)
    row_of = numpy.empty(len(lengths), dtype=numpy.int64)
    for i, batch in enumerate(batches):
        batch_of[batch] = i
        row_of[batch] = numpy.arange(len(batch))
    rows = row_of[window] * lengths[window] + place
    order = numpy.argsort(batch_of[window], kind="stable")
    ends = numpy.searchsorted(batch_of[window][order], numpy.arange(len(batches) + 1))
    for batch, start, end in zip(batches, ends[:-1], ends[1:], strict=True):
        chosen = order[start:end]
        if len(chosen):
            yield batch, words[chosen], rows[chosen]


def _inputs(
    pieces: Tokenized, windows: Windows, specials: Specials, batch: Ints, rows: Ints
) -> dict[str, NDArray[Any]]:
    ids, _ = pad_windows(pieces, windows, batch, specials, pad=0)
    return {"input_ids": ids, "rows": rows}


def _shim(model: Model[Any, Any]) -> OnnxShim:
    return cast(OnnxShim, model.shims[0])
