"""A pipeline without torch: its encoder and head in one ONNX graph, and the proof
that both find the same entities.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy
from spacy import blank
from spacy.language import Language
from spacy.strings import StringStore
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model

from ..about import __version__
from ..calibration.fitting import fit_temperature
from ..calibration.sample import Sample, find_entities, read_sample
from ..corpus.docbin import read_corpus
from ..crf.decoding import decode
from ..errors import WnutError
from ..files import check_out, replacing
from ..models.linear_chain import PARAMS, with_linear_chain
from ..models.onnx_tagger import create_onnx_tagger
from ..pipeline.loading import load_pipeline
from ..pipeline.parts import Parts, find_parts
from ..scoring.measures import prf_of_counts
from .folding import fold_scales
from .model import FullPrecision, Head, Writer, build_model
from .quantization import EightBits, fit_eight_bits
from .weights import FAMILIES, Dense, read_encoder

PRECISIONS = ("fp32", "int8")
# By how much emissions may differ in full precision, and entity F1 in int8.
TOLERANCE = 1e-4
F1_TOLERANCE = 0.005
# On how many of the words that are in an entity of either both have to agree.
LEAST_AGREEMENT = {"fp32": 0.999, "int8": 0.9}
# What a pipeline reads at once, so that many texts are of the same length.
BATCH_SIZE = 1024
# Settings that the encoder had and the model keeps.
SIZES = ("window", "stride", "batch_pieces")
ARCHITECTURE = "spacy-wnut.OnnxTagger.v1"
# The tokenizer of spaCy's pipelines, and the one that starts as it is stored.
TOKENIZER = {"@tokenizers": "spacy.Tokenizer.v1"}
STORED_TOKENIZER = {"@tokenizers": "spacy-wnut.StoredTokenizer.v1"}


class Figures(TypedDict):
    """What an exported pipeline was measured at, as meta.json keeps it.

    `emissions` is the greatest difference of one. `entity_f1` and `agreement` are of
    the corpus: the latter is the share of words with the same tag, of all and of those
    that either side has in an entity.
    """

    precision: str
    spacy_wnut: str
    corpus: str
    posts: int
    emissions: float
    entity_f1: dict[str, float]
    agreement: dict[str, float]
    temperature: float


class Tagged(NamedTuple):
    """A corpus as a pipeline tags it: the `sample` it was decoded from, the tag of
    each word, and entity `f1`.
    """

    sample: Sample
    tags: Any
    f1: float


def export_pipeline(
    model: str,
    out: Path,
    precision: str,
    corpus: Path,
    calibration: Path | None = None,
) -> Figures:
    """Export a trained pipeline, and write it if it agrees with what it was made of.

    model (str): The folder of a pipeline, or the name of an installed one.
    out (Path): The folder to write.
    precision (str): "fp32" or "int8".
    corpus (Path): A DocBin of annotated posts that it wasn't trained on, to compare
        both on.
    calibration (Optional[Path]): A DocBin of posts like those it is for, which int8 is
        fitted to. What it was trained on is right.
    RETURNS (Figures): What was measured.

    Raises WnutError if the pipeline can't be exported, one of the corpora can't be
    used, or the exported pipeline differs by more than it may.
    """
    if precision not in PRECISIONS:
        raise WnutError(f"precision has to be fp32 or int8, got {precision!r}")
    if precision == "int8" and calibration is None:
        raise WnutError(
            "int8 is fitted to posts like those it is for: give the ones that the "
            "pipeline was trained on with --calibration"
        )
    if find_spec("onnx") is None:
        raise WnutError(
            'exporting takes the package onnx: pip install "spacy-wnut[train]"'
        )
    check_out(out, [model, corpus, calibration or ""], "meta.json")
    nlp = load_pipeline(model)
    parts = find_parts(nlp)
    name = parts.tagger.name
    # What it is compared with is calculated in full precision too.
    for shim in parts.encoder.layers[0].shims:
        shim.half, shim._mixed_precision = None, False
    before = tag_corpus(nlp, name, read_corpus(corpus, nlp))
    # As it is stored: what was read above is in the vocabulary now.
    nlp = load_pipeline(model)
    posts = None
    if calibration is not None and precision == "int8":
        # By another pipeline: only what is written stays as it is.
        posts = [eg.predicted for eg in read_corpus(calibration, load_pipeline(model))]
    convert(nlp, posts)
    with replacing(out) as beside:
        _store(nlp, beside)
        exported = load_pipeline(str(beside))
        after = tag_corpus(exported, name, read_corpus(corpus, exported))
        tagger: Any = exported.get_pipe(name)
        temperature = tagger.temperature
        if precision == "int8":
            temperature = _refit(after.sample, tagger.bias, temperature)
        compared = _compare(before, after)
        figures: Figures = {
            "precision": precision,
            "spacy_wnut": __version__,
            "corpus": corpus.name,
            "posts": len(after.sample.n_gold),
            "emissions": compared["emissions"],
            "entity_f1": compared["entity_f1"],
            "agreement": compared["agreement"],
            "temperature": temperature,
        }
        check(figures)
        tagger = nlp.get_pipe(name)
        tagger.temperature = temperature
        nlp.meta["export"] = figures
        _store(nlp, beside)
    return figures


def convert(nlp: Language, posts: Sequence[Doc] | None = None) -> None:
    """Put an ONNX model in the place of a pipeline's encoder and head.

    nlp (Language): The pipeline. It loses its transformer.
    posts (Optional[Sequence[Doc]]): What it is fitted to in int8. In full precision if
        there are none.

    Raises WnutError if it can't be done.
    """
    parts = find_parts(nlp)
    transformer = _find_transformer(nlp, parts)
    sizes = {key: parts.encoder.attrs[key] for key in SIZES}
    tokenizer = parts.encoder.tokenizer.backend_tokenizer.to_str()
    onnx = create_onnx_tagger(**sizes)
    shim: Any = onnx.shims[0]
    shim.set_model(build(parts, tokenizer, sizes, posts), tokenizer)
    onnx.initialize()
    tagger = parts.tagger
    chained: Model[Any, Any] = with_linear_chain(onnx)
    chained.set_dim("nO", onnx.get_dim("nO"))
    for name in PARAMS:
        chained.set_param(name, tagger.model.get_param(name))
    tagger.model = chained
    if transformer is not None:
        nlp.remove_pipe(transformer)
    nlp.get_pipe_config(tagger.name)["model"] = {
        "@architectures": ARCHITECTURE,
        **sizes,
        "threads": 0,
        "nO": None,
    }
    nlp.batch_size = nlp.config["nlp"]["batch_size"] = BATCH_SIZE
    if nlp.config["nlp"]["tokenizer"] == TOKENIZER:
        nlp.config["nlp"]["tokenizer"] = dict(STORED_TOKENIZER)
    # These are about training, and this pipeline is for use alone.
    for section in ("system", "training"):
        if "gpu_allocator" in nlp.config.get(section, {}):
            nlp.config[section]["gpu_allocator"] = None
    nlp.meta["requirements"] = [requirement()]


def requirement() -> str:
    """What a pipeline needs that this version exports."""
    return f"spacy-wnut[onnx]>={__version__}"


def build(
    parts: Parts,
    tokenizer_json: str,
    sizes: Mapping[str, int],
    posts: Sequence[Doc] | None,
) -> bytes:
    """The ONNX model of a pipeline's encoder and head, in int8 if there are posts.

    Raises WnutError if the encoder or the head can't be written.
    """
    encoder = parts.encoder.transformer.eval()
    weights = read_encoder(encoder)
    head, tags = read_head(parts), parts.tagger.scheme.tags

    def write(writer: Writer, source: Any = weights or encoder) -> bytes:
        return build_model(source, head, tags, writer)

    if posts is None:
        return write(FullPrecision())
    if weights is None:
        raise WnutError(
            f"int8 is for encoders of BERT's form ({', '.join(sorted(FAMILIES))}), and "
            f"{encoder.config.model_type} isn't one: export it with --precision fp32"
        )
    fits = fit_eight_bits(write, tokenizer_json, sizes, posts)
    folded, fits = fold_scales(weights, fits)
    return write(EightBits(fits), folded)


def read_head(parts: Parts) -> Head:
    """The weights between the encoder's vectors and the emissions.

    Raises WnutError if it has layers that aren't known.
    """
    _, head, *shapes = parts.network.layers
    dense = []
    leaves = [node for node in head.walk() if not node.layers]
    for node in leaves:
        if node.name in ("linear", "gelu"):
            W, b = (node.ops.to_numpy(node.get_param(n)) for n in ("W", "b"))
            dense.append(Dense(W.T, b))
        elif node.name != "dropout":
            raise WnutError(f"a head with the layer {node.name} can't be exported")
    *hidden, output = dense
    table = [layer.ops.to_numpy(layer.get_param("E")) for layer in shapes]
    if parts.pooling not in ("reduce_first", "reduce_mean"):
        raise WnutError(
            f"the pooling {parts.pooling} can't be exported: a word has to be the first "
            "or the mean of its pieces, reduce_first or reduce_mean"
        )
    return Head(
        table[0] if table else None,
        hidden[0] if hidden else None,
        output,
        parts.pooling == "reduce_mean",
    )


def tag_corpus(nlp: Language, name: str, examples: Sequence[Example]) -> Tagged:
    """Tag annotated posts with the component called so."""
    sample = read_sample(nlp, name, examples)
    tagger: Any = nlp.get_pipe(name)
    decoded = decode(sample.emitted, tagger.bias, tagger.temperature)
    lengths = sample.emitted.lengths
    first = (numpy.cumsum(lengths) - lengths)[decoded.docs]
    tags = numpy.zeros(len(sample.emitted.emissions), dtype=numpy.int64)
    for at, start, end, kind in zip(
        first, decoded.starts, decoded.ends, decoded.types, strict=True
    ):
        tags[at + start : at + end] = 2 * kind + 2
        tags[at + start] = 2 * kind + 1
    right = find_entities(sample, tagger.bias, tagger.temperature).right
    gold = int(sample.n_gold.sum())
    return Tagged(sample, tags, prf_of_counts(int(right.sum()), len(right), gold)["f1"])


def check(figures: Figures) -> None:
    """Raises WnutError if an exported pipeline differs by more than it may."""
    precision, f1 = figures["precision"], figures["entity_f1"]
    failures = []
    if precision == "fp32" and not figures["emissions"] <= TOLERANCE:
        failures.append(f"emissions differ by up to {figures['emissions']:.2g}")
    if f1["after"] < f1["before"] - F1_TOLERANCE:
        failures.append(f"entity F1 falls from {f1['before']:.4f} to {f1['after']:.4f}")
    agreement = figures["agreement"]["entities"]
    if agreement < LEAST_AGREEMENT[precision]:
        failures.append(
            f"of the words in entities only {agreement:.1%} have the same tag (at least "
            f"{LEAST_AGREEMENT[precision]:.1%} have to)"
        )
    if failures:
        raise WnutError(
            f"the pipeline in {precision} doesn't agree with the one it was made of, "
            f"and isn't written: {', and '.join(failures)}"
        )


def _store(nlp: Language, folder: Path) -> None:
    """Write a pipeline, if it is the component alone without the words of the texts it
    was trained on: nothing looks them up, and there may be a megabyte of them.
    """
    nlp.to_disk(folder)
    if len(nlp.pipeline) == 1:
        tagger: Any = nlp.pipeline[0][1]
        strings = StringStore([*blank(nlp.lang or "xx").vocab.strings, *tagger.labels])
        strings.to_disk(folder / "vocab" / "strings.json")


def _compare(before: Tagged, after: Tagged) -> Any:
    ours, theirs = after.sample.emitted.emissions, before.sample.emitted.emissions
    same = before.tags == after.tags
    in_entity = (before.tags > 0) | (after.tags > 0)
    return {
        "emissions": float(numpy.abs(ours - theirs).max(initial=0.0)),
        "entity_f1": {"before": before.f1, "after": after.f1},
        "agreement": {
            "all": _share(same),
            "entities": _share(same[in_entity]),
        },
    }


def _share(values: Any) -> float:
    return float(values.mean()) if len(values) else 1.0


def _refit(sample: Sample, bias: float, temperature: float) -> float:
    """The temperature that fits the confidences of a sample, or the one that is."""
    right = find_entities(sample, bias, 1.0).right
    if not len(right):
        return temperature
    return fit_temperature(
        lambda value: find_entities(sample, bias, value).confidences, right
    )


def _find_transformer(nlp: Language, parts: Parts) -> str | None:
    """The name of the pipe that the encoder is in, if it is one of its own."""
    if "window" not in parts.encoder.attrs:
        raise WnutError(
            "only an encoder of spacy-wnut.TransformerModel.v1 can be exported: others "
            "cut texts in another way"
        )
    for name, pipe in nlp.pipeline:
        if getattr(pipe, "model", None) is parts.encoder:
            others = set(getattr(pipe, "listening_components", ())) - {
                parts.tagger.name
            }
            if others:
                raise WnutError(
                    f"{', '.join(sorted(others))} listens to the encoder as well, and "
                    "would have none: take it out of the pipeline before you export it"
                )
            return name
    return None
