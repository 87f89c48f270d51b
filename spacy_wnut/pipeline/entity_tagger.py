"""The component: entities with exact confidences, from any model that yields emissions."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy
import srsly  # type: ignore[import-untyped]
from spacy import util
from spacy.attrs import (  # type: ignore[import-not-found]
    ENT_IOB,
    ENT_TYPE,
    IS_SPACE,
)
from spacy.errors import Errors
from spacy.language import Language
from spacy.pipeline.trainable_pipe import (  # type: ignore[import-not-found]
    TrainablePipe,
)
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from ..crf.arrays import Bools
from ..crf.chain import Chain
from ..crf.decoding import Decoded, Emitted, decode, legal_chain
from ..crf.loss import batch_loss, incorrect_spans_loss
from ..errors import WnutError
from ..labels import LabelScheme
from ..models.linear_chain import add_gradient, get_chain, with_linear_chain
from .checks import check_finite, check_upstream
from .confidences import (
    add_prediction,
    forget_predictions,
    install_extensions,
    own_entities,
    predicted_spans,
)
from .settings import (
    CONFIG,
    check_transitions,
    overridden,
    read_config,
    rounded,
    update_config,
)

install_extensions()


# TrainablePipe is a Cython class without a stub.
class EntityTagger(TrainablePipe):  # type: ignore[misc]
    """Predicts named entities with exact confidences, decoded by a linear chain.

    The settings are documented at `spacy_wnut.pipeline.factory.make_entity_tagger`.

    Example:
        >>> nlp = spacy.load("en_wnut_ner")
        >>> doc = nlp("Pretty bad storm in New York last evening.")
        >>> [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents]
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], list[Floats2d]],
        name: str = "ner",
        *,
        transitions: str = "learned",
        threshold: float = 0.0,
        temperature: float = 1.0,
        bias: float = 0.0,
        overwrite: bool = False,
        spans_key: str = "wnut",
        incorrect_spans_key: str | None = None,
        scorer: Callable[..., dict[str, Any]] | None = None,
    ) -> None:
        check_transitions(transitions)
        # A stored pipeline has a folder of this name.
        if name in ("", ".", "..") or {"/", "\\"} & set(name):
            raise ValueError(f"{name!r} can't be the name of a component: it is a path")
        self.vocab = vocab
        self.model = with_linear_chain(model)
        self.name = name
        self.scorer = scorer
        self.cfg: dict[str, Any] = {
            "labels": [],
            "transitions": transitions,
            "overwrite": overwrite,
            "spans_key": spans_key,
            "incorrect_spans_key": incorrect_spans_key,
        }
        self.threshold = threshold
        self.temperature = temperature
        self.bias = bias
        # The settings in the config of the pipeline, without later changes.
        self._configured = self._settings

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The entity types, in the order of the scheme."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> list[str]:
        """RETURNS (List[str]): The entity types, for `spacy init labels`."""
        return list(self.labels)

    @property
    def scheme(self) -> LabelScheme:
        """RETURNS (LabelScheme): The BIO tags of the entity types."""
        return LabelScheme(self.labels)

    @property
    def threshold(self) -> float:
        """RETURNS (float): The least confidence of an entity, between 0 and 1."""
        return float(self.cfg["threshold"])

    @threshold.setter
    def threshold(self, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"threshold has to be between 0 and 1, got {value}")
        self.cfg["threshold"] = value

    @property
    def temperature(self) -> float:
        """RETURNS (float): The divisor of all scores of the chain for confidences."""
        return rounded(self.cfg["temperature"])

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not 0.001 <= value <= 1000.0:
            raise ValueError(f"temperature has to be from 0.001 to 1000, got {value}")
        self.cfg["temperature"] = rounded(value)

    @property
    def bias(self) -> float:
        """RETURNS (float): The number added to the emissions of all tags but O, in nats."""
        return rounded(self.cfg["bias"])

    @bias.setter
    def bias(self, value: float) -> None:
        if not -1000.0 <= value <= 1000.0:
            raise ValueError(f"bias has to be from -1000 to 1000, got {value}")
        self.cfg["bias"] = rounded(value)

    @property
    def _settings(self) -> dict[str, Any]:
        """The settings that are also in the config."""
        return {name: value for name, value in self.cfg.items() if name != "labels"}

    def add_label(self, label: str) -> int:
        """Add an entity type. Only possible before the model is initialized.

        label (str): The entity type.
        RETURNS (int): 0 if the component has it already, otherwise 1.

        Raises ValueError if it is no string, or the model is initialized.
        """
        if not isinstance(label, str):
            raise ValueError(Errors.E187)
        if label in self.labels:
            return 0
        if self.model.has_dim("nO"):
            raise ValueError(Errors.E922.format(name=self.name, nO=len(self.labels)))
        self.cfg["labels"] = list(LabelScheme((*self.labels, label)).types)
        self.vocab.strings.add(label)
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: list[str] | None = None,
    ) -> None:
        """Initialize the pipe for training.

        get_examples (Callable[[], Iterable[Example]]): A representative sample
            of examples.
        nlp (Optional[Language]): The current nlp object.
        labels (Optional[List[str]]): The entity types, as `spacy init labels`
            writes them. If None they are taken from the examples, sorted.
        """
        examples = get_examples()
        sample = list(islice(examples, 10))
        validate_examples(sample, "EntityTagger.initialize")
        if labels is None:
            found = set(_entity_types(sample)) | set(_entity_types(examples))
            labels = sorted(found)
        for label in labels:
            self.add_label(label)
        self._require_labels()
        docs = [eg.predicted for eg in sample]
        n_tags = len(self.scheme.tags)
        self.model.initialize(
            X=docs, Y=[self.model.ops.alloc2f(len(doc), n_tags) for doc in docs]
        )

    def predict(self, docs: Iterable[Doc]) -> Decoded:
        """Find the entities of a batch of docs, without modifying them.

        docs (Iterable[Doc]): The docs.
        RETURNS (Decoded): Their entities and confidences.

        Raises WnutError as `emit` does.
        """
        return decode(self.emit(docs), self.bias, self.temperature)

    def emit(self, docs: Iterable[Doc]) -> Emitted:
        """Run the model on a batch of docs, without decoding or modifying them.

        docs (Iterable[Doc]): The docs.
        RETURNS (Emitted): The emissions, shape (sum of lengths, n_tags), with the
            lengths and the chain: the input of `decode`, for any bias and temperature.
            The rows of white space are zeros.

        Raises WnutError if the component listens to another that has not run on the
        docs, or if the emissions or the scores of the chain are not finite.
        """
        docs = list(docs)
        check_upstream(self.model, self.name, docs)
        lengths = numpy.asarray([len(doc) for doc in docs], dtype=numpy.int64)
        if not lengths.sum():
            flat = numpy.zeros((0, len(self.scheme.tags)))
        else:
            ops = self.model.ops
            flat = ops.to_numpy(ops.xp.concatenate(self.model.predict(docs)))
            check_finite(self.model, self.name, flat, self._chain)
            flat[_is_space(docs)] = 0
        barred = None
        if docs and not self.cfg["overwrite"]:
            barred = numpy.concatenate([self._barred(doc) for doc in docs])
        return Emitted(flat, lengths, self._legal_chain, barred)

    def set_annotations(self, docs: Iterable[Doc], scores: Decoded) -> None:
        """Set the entities of a batch of docs and their confidences.

        Sets `doc.ents`, `doc.spans[spans_key]` with `attrs["scores"]`, and
        `span._.confidence`. Replaces what this component set on the docs earlier.
        Spans of other EntityTaggers with the same key stay in the group.

        docs (Iterable[Doc]): The docs to modify.
        scores (Decoded): What `predict` returned for them.
        """
        docs = list(docs)
        found, labels = scores, self.labels
        sure = found.confidences >= self.threshold
        bounds = numpy.searchsorted(found.docs, numpy.arange(len(docs) + 1))
        for doc, first, last in zip(docs, bounds[:-1], bounds[1:], strict=True):
            kept, blocked = self._forget(doc)
            spans, confidences = predicted_spans(doc, self.cfg["spans_key"])
            ents = []
            for i in range(first, last):
                if sure[i]:
                    start, end = int(found.starts[i]), int(found.ends[i])
                    ent = Span(doc, start, end, label=labels[found.types[i]])
                    confidence = float(found.confidences[i])
                    add_prediction(ent, self.name, confidence)
                    ents.append(ent)
                    confidences.append(confidence)
            group = SpanGroup(doc, name=self.cfg["spans_key"], spans=[*spans, *ents])
            group.attrs["scores"] = numpy.asarray(confidences)
            doc.spans[self.cfg["spans_key"]] = group
            doc.set_ents([*kept, *ents], blocked=blocked)

    def _barred(self, doc: Doc) -> Bools:
        """Return the mask of words that are blocked or in entities of other components."""
        barred = _preset(doc)
        if barred.any():
            for ent in own_entities(doc, self.name, self.cfg["spans_key"]):
                barred[ent.start : ent.end] = False
        return barred

    def _forget(self, doc: Doc) -> tuple[list[Span], list[Span]]:
        """Remove the confidences that this component set on the doc earlier.

        RETURNS (Tuple[List[Span], List[Span]]): The entities of other components that
            stay, and the blocked words.
        """
        own: list[Span] = []
        kept: list[Span] = []
        blocked: list[Span] = []
        if _preset(doc).any():
            own = own_entities(doc, self.name, self.cfg["spans_key"])
            if not self.cfg["overwrite"]:
                kept = [ent for ent in doc.ents if ent not in own]
                iob, types = doc.to_array([ENT_IOB, ENT_TYPE]).T
                outside = numpy.flatnonzero((iob == 3) & (types == 0)).tolist()
                blocked = [doc[i : i + 1] for i in outside]
        forget_predictions(doc, self.name, own)
        return kept, blocked

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch of examples.

        examples (Iterable[Example]): The examples. Words whose annotation is
            missing have no loss, except for the spans of `incorrect_spans_key`.
        drop (float): The dropout rate.
        sgd (Optional[Optimizer]): The optimizer. If None, gradients are kept.
        losses (Optional[Dict[str, float]]): Updated with the loss of the batch,
            in nats per word.
        RETURNS (Dict[str, float]): The losses.

        Raises ValueError for unknown entity types, and for a span that is both an entity
        and incorrect; WnutError if the emissions or the scores of the chain are not
        finite.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "EntityTagger.update")
        self._check_labels(examples)
        if not any(len(eg.predicted) for eg in examples):
            return losses
        set_dropout_rate(self.model, drop)
        docs = [eg.predicted for eg in examples]
        emissions, backprop = self.model.begin_update(docs)
        loss, (d_emissions, d_chain) = self.get_loss(examples, emissions)
        backprop(d_emissions)
        if self.cfg["transitions"] == "learned":
            add_gradient(self.model, d_chain)
        if sgd is not None:
            self.finish_update(sgd)
        losses[self.name] += loss
        return losses

    def get_loss(
        self, examples: Iterable[Example], scores: list[Floats2d]
    ) -> tuple[float, tuple[list[Floats2d], Chain]]:
        """Compute the loss of a batch, in nats per word, and its gradient.

        With learned transitions the loss is the negative log-likelihood of the linear
        chain, with constrained transitions the cross-entropy of each word. For examples
        with soft labels (from `pseudo-label`) it is the cross-entropy against the
        teachers' marginals, without a gradient for the scores of the chain. Each
        incorrect span adds -log(1 - P), where P is its confidence at temperature 1 and
        bias 0.

        examples (Iterable[Example]): The examples.
        scores (List[Floats2d]): Their emissions, each of shape (n_words, n_tags).
        RETURNS (Tuple[float, Tuple[List[Floats2d], Chain]]): The loss, and its gradient
            with respect to the emissions and to the scores of the chain.

        Raises WnutError if the emissions or the scores of the chain are not finite.
        """
        examples = list(examples)
        ops = self.model.ops
        docs = [eg.predicted for eg in examples]
        lengths = numpy.asarray([len(doc) for doc in docs])
        flat = ops.to_numpy(ops.xp.concatenate(scores)).astype(numpy.float64)
        check_finite(self.model, self.name, flat, self._chain)
        flat[_is_space(docs)] = 0
        # The likelihood of a CRF is normalized over legal paths only. Cross-entropy has
        # no transitions.
        chain = Chain.zeros(flat.shape[1])
        if self.cfg["transitions"] == "learned":
            chain = self._legal_chain
        loss, d_flat, d_chain = batch_loss(examples, self.scheme, flat, lengths, chain)
        key = self.cfg["incorrect_spans_key"]
        if key is not None:
            # Over legal paths in both cases, as in decoding: over all paths, a span may be
            # improbable although it is found.
            found, d_found, d_found_chain = incorrect_spans_loss(
                examples, self.scheme, flat, lengths, self._legal_chain, key
            )
            loss, d_flat, d_chain = (
                loss + found,
                d_flat + d_found,
                d_chain + d_found_chain,
            )
        ends = numpy.cumsum(lengths)[:-1].tolist()
        d_emissions = cast(Any, ops).asarray(d_flat, dtype="f")
        return loss, (ops.xp.split(d_emissions, ends), d_chain)

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Store the pipe in a folder. Within the folder of a pipeline, also write the
        current settings to its config.cfg.

        path (Union[str, Path]): The folder.
        exclude (Iterable[str]): Parts to exclude: "cfg", "model" or "vocab".
        """
        folder = Path(path)
        config = self._configured
        # nlp.to_disk stores the vocab itself, and has just written config.cfg.
        if "vocab" in exclude and "cfg" not in exclude:
            config = update_config(folder, self._settings) or config
        writers = {
            "cfg": lambda p: srsly.write_json(p, {**self.cfg, CONFIG: config}),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": lambda p: self.model.to_disk(p),
        }
        util.to_disk(folder, writers, exclude)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Store the pipe as bytes.

        exclude (Iterable[str]): Parts to exclude: "cfg", "model" or "vocab".
        RETURNS (bytes): The stored pipe.
        """
        cfg = {**self.cfg, CONFIG: self._configured}
        getters = {
            "cfg": lambda: srsly.json_dumps(cfg),
            "vocab": lambda: self.vocab.to_bytes(exclude=exclude),
            "model": self.model.to_bytes,
        }
        return util.to_bytes(getters, exclude)

    def from_disk(
        self, path: str | Path, *, exclude: Iterable[str] = ()
    ) -> "EntityTagger":
        """Load the pipe from a folder. Within a pipeline, settings that were overridden
        (`spacy.load(..., config=...)`) keep the given value.

        path (Union[str, Path]): The folder, as `to_disk` writes it.
        exclude (Iterable[str]): Parts to exclude: "cfg", "model" or "vocab".
        RETURNS (EntityTagger): The pipe itself.

        Raises WnutError, with the file, if it is damaged or of another pipe.
        """
        return self._load(super().from_disk, path, exclude, Path(path))

    def from_bytes(
        self, bytes_data: bytes, *, exclude: Iterable[str] = ()
    ) -> "EntityTagger":
        """Load the pipe from bytes. Within a pipeline, settings that its config overrides
        keep the given value, unless that is the default.

        bytes_data (bytes): The stored pipe.
        exclude (Iterable[str]): Parts to exclude: "cfg", "model" or "vocab".
        RETURNS (EntityTagger): The pipe itself.

        Raises WnutError, with the part, if it is damaged or of another pipe.
        """
        return self._load(super().from_bytes, bytes_data, exclude, None)

    def _load(
        self,
        load: Callable[..., Any],
        source: Any,
        exclude: Iterable[str],
        folder: Path | None,
    ) -> "EntityTagger":
        skipped = set(exclude)
        for part in ("cfg", "vocab", "model"):
            if part in skipped:
                continue
            try:
                load(source, exclude=[*skipped, *({"cfg", "vocab", "model"} - {part})])
                if part == "cfg":
                    self._take_overrides(folder, is_pipeline="vocab" in skipped)
                self._check_loaded(part)
            except FileNotFoundError:
                raise
            # msgpack, JSON, thinc and torch raise many types of exceptions.
            except Exception as err:
                where = "" if folder is None else f"{folder}/"
                raise WnutError(
                    f"{where}{part} of the component {self.name!r} is damaged or of "
                    f"another pipeline: {str(err).strip() or type(err).__name__}"
                ) from err
        return self

    def _take_overrides(self, folder: Path | None, is_pipeline: bool) -> None:
        """Set the overridden settings: those that the component was created with, if they
        differ from the config of the stored pipeline. The other settings keep the stored
        value, which may have been set in Python: earlier versions did not write it to
        config.cfg.
        """
        config = self.cfg.pop(CONFIG, None)
        if not is_pipeline:
            return
        if config is None:
            config = {} if folder is None else read_config(folder)
        # Bytes have no config, and the component that loads them may have been created
        # with defaults, which are no overrides.
        defaults = cast(Any, EntityTagger.__init__).__kwdefaults__
        ignored = defaults if folder is None else config
        for name in overridden(self._configured, config, ignored):
            self.cfg[name] = self._configured[name]

    def _check_loaded(self, part: str) -> None:
        if part == "cfg":
            # The setters check the values.
            LabelScheme(tuple(self.cfg["labels"]))
            for name in ("threshold", "temperature", "bias"):
                setattr(self, name, self.cfg[name])
            # The file has 10 decimals, and 0.7 is read from it as 0.7000000000000001.
            self.threshold = round(self.threshold, 10)
            check_transitions(self.cfg["transitions"])
        emissions, tags = self.model.layers[0], self.scheme.tags
        if part == "model" and "get_tags" in emissions.attrs:
            found = emissions.attrs["get_tags"](emissions)
            if found != tags:
                raise ValueError(
                    f"its tags are {', '.join(found)}, and those of the labels are "
                    f"{', '.join(tags)}"
                )
        if part == "model" and self.model.has_dim("nO"):
            n_tags, given = len(tags), self.model.get_dim("nO")
            chain = [scores.shape for scores in self._chain]
            if given != n_tags or chain != [(n_tags, n_tags), (n_tags,), (n_tags,)]:
                raise ValueError(
                    f"it is a model of {given} tags, and the labels have {n_tags}: "
                    f"{', '.join(self.labels)}"
                )

    @property
    def _chain(self) -> Chain:
        return get_chain(self.model)

    @property
    def _legal_chain(self) -> Chain:
        return legal_chain(self.scheme) + self._chain

    def _check_labels(self, examples: list[Example]) -> None:
        found = {*_entity_types(examples)}
        key = self.cfg["incorrect_spans_key"]
        if key is not None:
            spans = [s for eg in examples for s in eg.reference.spans.get(key, [])]
            # Spans without a label are ignored.
            found |= {span.label_ for span in spans} - {""}
        unknown = found - set(self.labels)
        if unknown:
            raise ValueError(
                f"{self.name!r} has no entity types {', '.join(sorted(unknown))}: it "
                f"was initialized with {', '.join(self.labels)}. Add them to the "
                "labels of [initialize.components] or initialize with all the data"
            )


def find_tagger(nlp: Language, missing: type[WnutError] = WnutError) -> EntityTagger:
    """Return the only EntityTagger of a pipeline.

    nlp (Language): The pipeline.
    missing (Type[WnutError]): The exception to raise if it has none.
    RETURNS (EntityTagger): The component.

    Raises WnutError if it has several.
    """
    found = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, EntityTagger)]
    if len(found) != 1:
        where = f" {nlp.path}" if nlp.path else ""
        error = WnutError if found else missing
        raise error(
            f"the pipeline{where} has {len(found) or 'no'} components of the factory "
            f"entity_tagger (it has: {', '.join(nlp.pipe_names) or 'none'}), and it "
            "has to be exactly one"
        )
    return found[0]


def _entity_types(examples: Iterable[Example]) -> Iterator[str]:
    for example in examples:
        for ent in example.reference.ents:
            yield ent.label_


def _is_space(docs: Iterable[Doc]) -> Bools:
    """Return the mask of white space, shape (sum of lengths,)."""
    flags = [doc.to_array(IS_SPACE) for doc in docs]
    return cast(Bools, numpy.concatenate(flags).astype(bool))


def _preset(doc: Doc) -> Bools:
    # Most docs have no entities yet. This check is much faster than `to_array`.
    if not doc.has_annotation("ENT_IOB"):
        return numpy.zeros(len(doc), dtype=bool)
    iob: Any = doc.to_array(ENT_IOB)
    # 1 is inside and 3 the beginning of an entity. Blocked words have 3 too.
    return cast(Bools, (iob == 1) | (iob == 3))
