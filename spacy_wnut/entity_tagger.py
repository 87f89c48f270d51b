"""The component: entities with their probabilities, from any model of emissions."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy
from spacy.attrs import (  # type: ignore[import-not-found]
    ENT_IOB,
    ENT_TYPE,
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

from .chain import Bools, Chain
from .decoding import Decoded, Emitted, decode, legal_chain
from .errors import WnutError
from .labels import LabelScheme
from .loss import batch_loss, incorrect_spans_loss
from .models.linear_chain import add_gradient, get_chain, with_linear_chain

CONFIDENCE = "confidence"


def install_extensions() -> None:
    """Register `span._.confidence`. It is None on spans of other origin."""
    if not Span.has_extension(CONFIDENCE):
        Span.set_extension(CONFIDENCE, default=None)


# Cython without a stub: what it is made from is unknown to mypy.
class EntityTagger(TrainablePipe):  # type: ignore[misc]
    """Named entities with exact confidences, decoded by a linear chain.

    The settings are described at `spacy_wnut.factory.make_entity_tagger`.

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
        _check_transitions(transitions)
        # It is the name of a folder, in a pipeline's.
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
        install_extensions()

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The entity types, in the scheme's order."""
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
        """RETURNS (float): Entities with a lower confidence are left out."""
        return float(self.cfg["threshold"])

    @threshold.setter
    def threshold(self, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"threshold has to be between 0 and 1, got {value}")
        self.cfg["threshold"] = value

    @property
    def temperature(self) -> float:
        """RETURNS (float): What the chain's scores are divided by for confidences."""
        return _rounded(self.cfg["temperature"])

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not 0.001 <= value <= 1000.0:
            raise ValueError(f"temperature has to be from 0.001 to 1000, got {value}")
        self.cfg["temperature"] = _rounded(value)

    @property
    def bias(self) -> float:
        """RETURNS (float): What is added to the scores of all tags but O."""
        return _rounded(self.cfg["bias"])

    @bias.setter
    def bias(self, value: float) -> None:
        if not -1000.0 <= value <= 1000.0:
            raise ValueError(f"bias has to be from -1000 to 1000, got {value}")
        self.cfg["bias"] = _rounded(value)

    def add_label(self, label: str) -> int:
        """Add an entity type. Only possible before the model is initialized.

        label (str): The entity type.
        RETURNS (int): 0 if it is there already, otherwise 1.
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
        """
        return decode(self.emit(docs), self.bias, self.temperature)

    def emit(self, docs: Iterable[Doc]) -> Emitted:
        """Run the model on a batch of docs, without decoding or modifying them.

        docs (Iterable[Doc]): The docs.
        RETURNS (Emitted): What `decode` takes, with any bias and temperature.
        """
        docs = list(docs)
        lengths = numpy.asarray([len(doc) for doc in docs], dtype=numpy.int64)
        if not lengths.sum():
            flat = numpy.zeros((0, len(self.scheme.tags)))
        else:
            ops = self.model.ops
            flat = ops.to_numpy(ops.xp.concatenate(self.model.predict(docs)))
        barred = None
        if not self.cfg["overwrite"]:
            barred = numpy.concatenate([_preset(doc) for doc in docs]) if docs else None
        return Emitted(flat, lengths, self._legal_chain, barred)

    def set_annotations(self, docs: Iterable[Doc], scores: Decoded) -> None:
        """Set the entities of a batch of docs and their confidences.

        Sets `doc.ents`, `doc.spans[spans_key]` with `attrs["scores"]`, and
        `span._.confidence`.

        docs (Iterable[Doc]): The docs to modify.
        scores (Decoded): What `predict` returned for them.
        """
        install_extensions()
        docs = list(docs)
        found, labels = scores, self.labels
        sure = found.confidences >= self.threshold
        bounds = numpy.searchsorted(found.docs, numpy.arange(len(docs) + 1))
        for doc, first, last in zip(docs, bounds[:-1], bounds[1:], strict=True):
            ents = []
            confidences = []
            for i in range(first, last):
                if sure[i]:
                    start, end = int(found.starts[i]), int(found.ends[i])
                    ent = Span(doc, start, end, label=labels[found.types[i]])
                    ent._.set(CONFIDENCE, float(found.confidences[i]))
                    ents.append(ent)
                    confidences.append(found.confidences[i])
            group = SpanGroup(doc, name=self.cfg["spans_key"], spans=ents)
            group.attrs["scores"] = numpy.asarray(confidences)
            doc.spans[self.cfg["spans_key"]] = group
            if self.cfg["overwrite"] or not _preset(doc).any():
                doc.set_ents(ents)
            else:
                iob, types = doc.to_array([ENT_IOB, ENT_TYPE]).T
                outside = numpy.flatnonzero((iob == 3) & (types == 0)).tolist()
                blocked = [doc[i : i + 1] for i in outside]
                doc.set_ents([*doc.ents, *ents], blocked=blocked)

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
            missing carry no loss, but for the spans of `incorrect_spans_key`.
        drop (float): The dropout rate.
        sgd (Optional[Optimizer]): The optimizer. If None, gradients are kept.
        losses (Optional[Dict[str, float]]): Updated with the loss of the batch,
            in nats a word.
        RETURNS (Dict[str, float]): The losses.

        Raises ValueError for entity types that the component doesn't have, and for a
        span that is an entity and incorrect at once.
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
        """The loss of a batch in nats a word, and its gradient.

        With learned transitions it is the negative log-likelihood of the linear
        chain, with constrained ones the cross-entropy a word. Examples with soft
        labels (`pseudo-label` makes them) give it by what their teachers expect, and
        leave the chain's scores to the others. Incorrect spans add -log(1 - P), with P
        the confidence that they would be found with (at temperature 1, without bias).

        examples (Iterable[Example]): The examples.
        scores (List[Floats2d]): Their emissions.
        RETURNS (Tuple[float, Tuple[List[Floats2d], Chain]]): The loss, and the
            gradient by the emissions and by the chain's scores.
        """
        examples = list(examples)
        ops = self.model.ops
        lengths = numpy.asarray([len(eg.predicted) for eg in examples])
        flat = ops.to_numpy(ops.xp.concatenate(scores)).astype(numpy.float64)
        # The legal moves are part of the model only if it is a chain: summing
        # over legal paths alone is what makes the CRF's likelihood one.
        chain = Chain.zeros(flat.shape[1])
        if self.cfg["transitions"] == "learned":
            chain = self._legal_chain
        loss, d_flat, d_chain = batch_loss(examples, self.scheme, flat, lengths, chain)
        key = self.cfg["incorrect_spans_key"]
        if key is not None:
            # These always over legal paths, as decoding sees them: over all paths a span
            # may be improbable that is found nevertheless.
            found, d_found, d_moves = incorrect_spans_loss(
                examples, self.scheme, flat, lengths, self._legal_chain, key
            )
            loss, d_flat, d_chain = loss + found, d_flat + d_found, d_chain + d_moves
        ends = numpy.cumsum(lengths)[:-1].tolist()
        d_emissions = cast(Any, ops).asarray(d_flat, dtype="f")
        return loss, (ops.xp.split(d_emissions, ends), d_chain)

    def from_disk(
        self, path: str | Path, *, exclude: Iterable[str] = ()
    ) -> "EntityTagger":
        """Load the pipe from a folder.

        path (Union[str, Path]): What `to_disk` wrote.
        exclude (Iterable[str]): What to leave out of "cfg", "model" and "vocab".
        RETURNS (EntityTagger): The pipe itself.

        Raises ValueError, with the file, for one that is damaged or of another pipe.
        """
        return self._load(super().from_disk, path, exclude, f"{path}/")

    def from_bytes(
        self, bytes_data: bytes, *, exclude: Iterable[str] = ()
    ) -> "EntityTagger":
        """Load the pipe from what `to_bytes` gave.

        bytes_data (bytes): The stored pipe.
        exclude (Iterable[str]): What to leave out of "cfg", "model" and "vocab".
        RETURNS (EntityTagger): The pipe itself.

        Raises ValueError, with the part, for one that is damaged or of another pipe.
        """
        return self._load(super().from_bytes, bytes_data, exclude, "")

    def _load(
        self,
        load: Callable[..., Any],
        source: Any,
        exclude: Iterable[str],
        folder: str,
    ) -> "EntityTagger":
        skipped = set(exclude)
        for part in ("cfg", "vocab", "model"):
            if part in skipped:
                continue
            try:
                load(source, exclude=[*skipped, *({"cfg", "vocab", "model"} - {part})])
                self._check_loaded(part)
            except FileNotFoundError:
                raise
            # A type of its own for all that msgpack, JSON and thinc find wrong.
            except Exception as err:
                raise WnutError(
                    f"{folder}{part} of the component {self.name!r} is damaged or of "
                    f"another pipeline: {str(err).strip() or type(err).__name__}"
                ) from err
        return self

    def _check_loaded(self, part: str) -> None:
        if part == "cfg":
            # Values go the way that settings go.
            LabelScheme(tuple(self.cfg["labels"]))
            for name in ("threshold", "temperature", "bias"):
                setattr(self, name, self.cfg[name])
            _check_transitions(self.cfg["transitions"])
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
            # Without a label they say nothing.
            found |= {span.label_ for span in spans} - {""}
        unknown = found - set(self.labels)
        if unknown:
            raise ValueError(
                f"{self.name!r} has no entity types {', '.join(sorted(unknown))}: it "
                f"was initialized with {', '.join(self.labels)}. Add them to the "
                "labels of [initialize.components] or initialize with all the data"
            )


def find_tagger(nlp: Language, missing: type[WnutError] = WnutError) -> EntityTagger:
    """The one EntityTagger of a pipeline.

    nlp (Language): The pipeline.
    missing (Type[WnutError]): What to raise if it has none.
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


def _check_transitions(transitions: Any) -> None:
    if transitions not in ("learned", "constrained"):
        raise ValueError(
            f'transitions has to be "learned" or "constrained", got {transitions!r}'
        )


def _entity_types(examples: Iterable[Example]) -> Iterator[str]:
    for example in examples:
        for ent in example.reference.ents:
            yield ent.label_


def _rounded(value: float) -> float:
    # The JSON of a stored pipeline keeps 10 decimals, and 0.3 comes out of it as
    # 0.30000000000000004: what is loaded has to give the same confidences.
    return round(float(value), 6)


def _preset(doc: Doc) -> Bools:
    iob: Any = doc.to_array([ENT_IOB]).reshape(-1)
    # Inside or beginning of an entity; blocked words count as beginnings.
    return cast(Bools, (iob == 1) | (iob == 3))
