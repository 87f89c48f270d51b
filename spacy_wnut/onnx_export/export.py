"""Export a pipeline: encoder and head become one ONNX model that needs no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spacy import blank
from spacy.language import Language
from spacy.strings import StringStore
from spacy.tokens import Doc
from thinc.api import Model

from ..about import __version__
from ..calibration.fitting import fit_temperature
from ..calibration.sample import Sample, find_entities
from ..corpus.examples import read_corpus
from ..errors import WnutError
from ..files import replacing
from ..models.linear_chain import PARAMS, with_linear_chain
from ..models.onnx_tagger import create_onnx_tagger
from ..pipeline.loading import load_pipeline
from ..pipeline.parts import Parts, find_parts
from .arguments import check_arguments
from .comparison import ExportFigures, check_agreement, compare, tag_corpus
from .folding import fold_smoothing
from .model import Float32Writer, LayerWriter, build_model
from .quantization import Int8Writer, quantize_layers
from .weights import FAMILIES, read_encoder_weights, read_head_weights

# The batch size of exported pipelines, in posts. The model batches posts of equal
# length, so large batches hold more posts to batch.
BATCH_SIZE = 1024
# Settings of the encoder's layer that the exported layer has too.
WINDOW_SETTINGS = ("window", "stride", "batch_pieces")
ARCHITECTURE = "spacy-wnut.OnnxTagger.v1"
# spaCy's default tokenizer, and its replacement: STORED_TOKENIZER starts without rules,
# since the stored rules replace those of the language anyway.
DEFAULT_TOKENIZER = {"@tokenizers": "spacy.Tokenizer.v1"}
STORED_TOKENIZER = {"@tokenizers": "spacy-wnut.StoredTokenizer.v1"}


def export_pipeline(
    model: str,
    out: Path,
    precision: str,
    corpus: Path,
    calibration: Path | None = None,
) -> ExportFigures:
    """Export a trained pipeline, and write it if it agrees with the original.

    model (str): The folder of a pipeline, or the name of an installed one.
    out (Path): The folder to write.
    precision (str): "fp32" or "int8".
    corpus (Path): A DocBin of annotated posts to compare both pipelines on. They should
        not be part of the training data.
    calibration (Optional[Path]): A DocBin of posts for the calibration of int8 scales,
        for example the training data. Required for int8, ignored for fp32.
    RETURNS (ExportFigures): The measurements that are stored in meta.json.

    Raises WnutError if an argument is invalid, the pipeline cannot be exported, a
    corpus cannot be read, or the exported pipeline differs from the original by more
    than the tolerance.
    """
    check_arguments(model, out, precision, corpus, calibration)
    nlp = load_pipeline(model)
    name = find_parts(nlp).tagger.name
    # The memory zone keeps words of the corpora out of the vocabulary that is stored.
    with nlp.memory_zone():
        _disable_mixed_precision(nlp)
        before = tag_corpus(nlp, name, read_corpus(corpus, nlp))
        docs = None
        if precision == "int8" and calibration is not None:
            docs = [example.predicted for example in read_corpus(calibration, nlp)]
        convert(nlp, docs)
    with replacing(out) as beside:
        _store(nlp, beside)
        # Compare the stored pipeline, not the one in memory.
        exported = load_pipeline(str(beside))
        after = tag_corpus(exported, name, read_corpus(corpus, exported))
        tagger: Any = nlp.get_pipe(name)
        if precision == "int8":
            tagger.temperature = _refit_temperature(
                after.sample, tagger.bias, tagger.temperature
            )
        figures: ExportFigures = {
            "precision": precision,
            "spacy_wnut": __version__,
            "corpus": corpus.name,
            "posts": len(after.sample.n_gold),
            **compare(before, after),
            "temperature": tagger.temperature,
        }
        check_agreement(figures)
        nlp.meta["export"] = figures
        _store(nlp, beside)
    return figures


def convert(nlp: Language, docs: Sequence[Doc] | None = None) -> None:
    """Replace the encoder and the head of a pipeline by an ONNX model, in place.

    A `transformer` component that only the EntityTagger listens to is removed.

    nlp (Language): The pipeline.
    docs (Optional[Sequence[Doc]]): Posts for the calibration of int8 scales. If None,
        the model is in fp32.

    Raises WnutError if the pipeline cannot be exported.
    """
    parts = find_parts(nlp)
    transformer = _find_transformer(nlp, parts)
    settings = {key: parts.encoder.attrs[key] for key in WINDOW_SETTINGS}
    tokenizer_json = parts.encoder.tokenizer.backend_tokenizer.to_str()
    onnx_tagger = create_onnx_tagger(**settings)
    shim: Any = onnx_tagger.shims[0]
    shim.set_model(build(parts, tokenizer_json, settings, docs), tokenizer_json)
    onnx_tagger.initialize()
    tagger = parts.tagger
    chained: Model[Any, Any] = with_linear_chain(onnx_tagger)
    chained.set_dim("nO", onnx_tagger.get_dim("nO"))
    for name in PARAMS:
        chained.set_param(name, tagger.model.get_param(name))
    tagger.model = chained
    if transformer is not None:
        nlp.remove_pipe(transformer)
    nlp.get_pipe_config(tagger.name)["model"] = {
        "@architectures": ARCHITECTURE,
        **settings,
        "threads": 0,
        "nO": None,
    }
    nlp.batch_size = nlp.config["nlp"]["batch_size"] = BATCH_SIZE
    if nlp.config["nlp"]["tokenizer"] == DEFAULT_TOKENIZER:
        nlp.config["nlp"]["tokenizer"] = dict(STORED_TOKENIZER)
    # The GPU allocator is a setting of training, and this pipeline cannot train.
    for section in ("system", "training"):
        if "gpu_allocator" in nlp.config.get(section, {}):
            nlp.config[section]["gpu_allocator"] = None
    nlp.meta["requirements"] = [requirement()]


def requirement() -> str:
    """Return the requirement specifier of exported pipelines: the version of
    spacy-wnut that exported them, or a later one.
    """
    return f"spacy-wnut[onnx]>={__version__}"


def build(
    parts: Parts,
    tokenizer_json: str,
    settings: Mapping[str, int],
    docs: Sequence[Doc] | None,
) -> bytes:
    """Build the ONNX model of a pipeline's encoder and head.

    parts (Parts): The encoder and the head.
    tokenizer_json (str): The content of the encoder's tokenizer.json.
    settings (Mapping[str, int]): Values for WINDOW_SETTINGS.
    docs (Optional[Sequence[Doc]]): Posts for the calibration of int8 scales. If None,
        the model is in fp32.
    RETURNS (bytes): The content of an ONNX file.

    Raises WnutError if the encoder or the head cannot be exported.
    """
    encoder = parts.encoder.transformer.eval()
    weights = read_encoder_weights(encoder)
    head, tags = read_head_weights(parts), parts.tagger.scheme.tags

    def write(writer: LayerWriter, source: Any = weights or encoder) -> bytes:
        return build_model(source, head, tags, writer)

    if docs is None:
        return write(Float32Writer())
    if weights is None:
        raise WnutError(
            f"int8 supports encoders of BERT's form ({', '.join(sorted(FAMILIES))}), "
            f"which this {encoder.config.model_type} encoder does not have: export it "
            "with --precision fp32"
        )
    quantized = quantize_layers(write, tokenizer_json, settings, docs)
    folded, quantized = fold_smoothing(weights, quantized)
    return write(Int8Writer(quantized), folded)


def _disable_mixed_precision(nlp: Language) -> None:
    """Run the encoder in full precision, as the ONNX model does."""
    for shim in find_parts(nlp).encoder.layers[0].shims:
        shim.half, shim._mixed_precision = None, False


def _store(nlp: Language, folder: Path) -> None:
    """Write a pipeline. If the EntityTagger is its only component, leave the words of
    the training data out of strings.json: no component looks them up, and they can
    take a megabyte.
    """
    nlp.to_disk(folder)
    if len(nlp.pipeline) == 1:
        tagger: Any = nlp.pipeline[0][1]
        strings = StringStore([*blank(nlp.lang or "xx").vocab.strings, *tagger.labels])
        strings.to_disk(folder / "vocab" / "strings.json")


def _refit_temperature(sample: Sample, bias: float, temperature: float) -> float:
    """Return the temperature that fits the confidences of a sample, or the present
    one if the sample has no predicted entities.
    """
    right = find_entities(sample, bias, 1.0).right
    if not len(right):
        return temperature
    return fit_temperature(
        lambda value: find_entities(sample, bias, value).confidences, right
    )


def _find_transformer(nlp: Language, parts: Parts) -> str | None:
    """Return the name of the component that holds the encoder, or None if the encoder
    is inside the EntityTagger.
    """
    if "window" not in parts.encoder.attrs:
        raise WnutError(
            "only encoders of spacy-wnut.TransformerModel.v1 can be exported, since "
            "other layers split long texts in another way"
        )
    for name, pipe in nlp.pipeline:
        if getattr(pipe, "model", None) is parts.encoder:
            listeners = set(getattr(pipe, "listening_components", ()))
            others = sorted(listeners - {parts.tagger.name})
            if others:
                raise WnutError(
                    f"{', '.join(others)} listens to the encoder as well and cannot "
                    "run without it: remove it from the pipeline before the export"
                )
            return name
    return None
