"""The component: entities with their probabilities, from any model of emissions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.pipeline.trainable_pipe import (  # type: ignore[import-not-found]
    TrainablePipe,
)
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from ..crf.chain import Bools, Chain
from ..crf.decoding import Decoded, Emitted, decode, legal_chain
from ..crf.loss import batch_loss, incorrect_spans_loss
from ..errors import WnutError
from ..labels import LabelScheme
from ..models.linear_chain import add_gradient, get_chain, with_linear_chain

FACTORY = "entity_tagger"
CONFIDENCE = "confidence"

# `doc.user_data` has two entries for the characters of each predicted span, under keys
# that spaCy moves along in `Span.as_doc` and `Doc.from_docs`:
# - ("._.", "confidence", start, end): the confidence, as `Doc.to_json` reads it;
# - ("._.", "entity_tagger", start, end): the predictions of these characters, each the
#   name of the component, the label and the confidence.
# Span groups hold the scores too, but `from_docs` drops their attributes, `as_doc` the
# groups, and the retokenizer leaves their token indices as they were.
PREDICTIONS = "entity_tagger"

# Where spacy-transformers has `doc._.trf_data`. The extension may not be registered.
_TRF_DATA: Any = ("._.", "trf_data", None, None)

# The key in the stored cfg for the settings that config.cfg had at that time.
CONFIG = "config"


def install_extensions() -> None:
    """Register `span._.confidence`, once per process: it runs on import.

    It is the probability of exactly this span with this label if an EntityTagger
    predicted it, and None otherwise.
    """
    if not Span.has_extension(CONFIDENCE):
        Span.set_extension(CONFIDENCE, getter=_get_confidence, setter=_set_confidence)


def _get_confidence(span: Span) -> Any:
    found = _predictions(span)
    if found:
        values = [value for _, label, value in found if label == span.label_]
        return values[-1] if values else None
    value = span.doc.user_data.get(_key(CONFIDENCE, span))
    if value is None:
        return None
    # Docs stored by earlier versions, and JSON, have a confidence without a label.
    # The span groups may still tell it.
    start, end, label = _characters(span)
    labels = {
        other.label
        for group in span.doc.spans.values()
        for other in _spans_of(group)
        if (other.start_char, other.end_char) == (start, end)
    }
    return value if not labels or label in labels else None


def _set_confidence(span: Span, value: Any) -> None:
    data = span.doc.user_data
    data[_key(CONFIDENCE, span)] = value
    found = _predictions(span)
    if not span.label:
        # `Doc.from_json` sets it on spans without a label.
        data.pop(_key(PREDICTIONS, span), None)
    elif any(label == span.label_ for _, label, _ in found):
        data[_key(PREDICTIONS, span)] = [
            (name, label, value if label == span.label_ else other)
            for name, label, other in found
        ]
    else:
        data[_key(PREDICTIONS, span)] = [*found, ("", span.label_, value)]


def _characters(span: Span) -> tuple[int, int, int]:
    return span.start_char, span.end_char, span.label


# The stub of Doc has strings alone as the keys of user_data.
def _key(name: str, span: Span) -> Any:
    return ("._.", name, span.start_char, span.end_char)


def _spans_of(group: SpanGroup) -> Iterator[Span]:
    """The spans of a group that can be had. The retokenizer leaves the token indices
    of groups as they were, and those may lie beyond the end of the doc.
    """
    for i in range(len(group)):
        try:
            yield group[i]
        except IndexError:
            continue


def _is_key(key: Any, name: str) -> bool:
    return isinstance(key, tuple) and key[:2] == ("._.", name)


def _predictions(span: Span) -> Sequence[tuple[str, str, Any]]:
    """The predictions of the span's characters: component, label, confidence."""
    found: Sequence[tuple[str, str, Any]] = span.doc.user_data.get(
        _key(PREDICTIONS, span), ()
    )
    return found


install_extensions()


# Cython without a stub: what it is made from is unknown to mypy.
class EntityTagger(TrainablePipe):  # type: ignore[misc]
    """Named entities with exact confidences, decoded by a linear chain.

    The settings are described at `spacy_wnut.pipeline.factory.make_entity_tagger`.

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
        # As the config of the pipeline has them, whatever is set or loaded later.
        self._configured = self._settings

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

    @property
    def _settings(self) -> dict[str, Any]:
        """The settings that the config has, too."""
        return {name: value for name, value in self.cfg.items() if name != "labels"}

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

        Raises WnutError as `emit` does.
        """
        return decode(self.emit(docs), self.bias, self.temperature)

    def emit(self, docs: Iterable[Doc]) -> Emitted:
        """Run the model on a batch of docs, without decoding or modifying them.

        docs (Iterable[Doc]): The docs.
        RETURNS (Emitted): What `decode` takes, with any bias and temperature. The
            emissions of white space are zeros.

        Raises WnutError if the component listens to one that hasn't run on the docs,
        or if the emissions or the scores of the chain aren't finite.
        """
        docs = list(docs)
        self._check_upstream(docs)
        lengths = numpy.asarray([len(doc) for doc in docs], dtype=numpy.int64)
        if not lengths.sum():
            flat = numpy.zeros((0, len(self.scheme.tags)))
        else:
            ops = self.model.ops
            flat = ops.to_numpy(ops.xp.concatenate(self.model.predict(docs)))
            self._check_finite(flat)
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
            spans, confidences = self._kept_spans(doc)
            ents = []
            for i in range(first, last):
                if sure[i]:
                    start, end = int(found.starts[i]), int(found.ends[i])
                    ent = Span(doc, start, end, label=labels[found.types[i]])
                    confidence = float(found.confidences[i])
                    # Not by way of `ent._`, which takes longer than all else here.
                    doc.user_data[_key(CONFIDENCE, ent)] = confidence
                    doc.user_data[_key(PREDICTIONS, ent)] = [
                        *_predictions(ent),
                        (self.name, ent.label_, confidence),
                    ]
                    ents.append(ent)
                    confidences.append(confidence)
            group = SpanGroup(doc, name=self.cfg["spans_key"], spans=[*spans, *ents])
            group.attrs["scores"] = numpy.asarray(confidences)
            doc.spans[self.cfg["spans_key"]] = group
            doc.set_ents([*kept, *ents], blocked=blocked)

    def _barred(self, doc: Doc) -> Bools:
        """The words in entities of other components, and the blocked ones."""
        barred = _preset(doc)
        if barred.any():
            for ent in self._own_entities(doc):
                barred[ent.start : ent.end] = False
        return barred

    def _own_entities(self, doc: Doc) -> list[Span]:
        """The entities that this component set when it ran on the doc earlier."""
        own = []
        group = doc.spans.get(self.cfg["spans_key"])
        stored = set()
        if group is not None and "scores" in group.attrs:
            stored = {_characters(span) for span in _spans_of(group)}
        for ent in doc.ents:
            found = _predictions(ent)
            if found:
                pairs = {(name, label) for name, label, _ in found}
                is_own = (self.name, ent.label_) in pairs
            else:
                # Docs stored without user data still have the span group.
                is_own = _characters(ent) in stored
            if is_own:
                own.append(ent)
        return own

    def _forget(self, doc: Doc) -> tuple[list[Span], list[Span]]:
        """Remove the confidences that this component set on the doc earlier.

        RETURNS (Tuple[List[Span], List[Span]]): The entities of other components that
            stay, and the blocked words.
        """
        data: dict[Any, Any] = doc.user_data
        kept: list[Span] = []
        blocked: list[Span] = []
        if _preset(doc).any():
            own = self._own_entities(doc)
            for ent in own:
                data.pop(_key(CONFIDENCE, ent), None)
            if not self.cfg["overwrite"]:
                kept = [ent for ent in doc.ents if ent not in own]
                iob, types = doc.to_array([ENT_IOB, ENT_TYPE]).T
                outside = numpy.flatnonzero((iob == 3) & (types == 0)).tolist()
                blocked = [doc[i : i + 1] for i in outside]
        for key in [key for key in data if _is_key(key, PREDICTIONS)]:
            rest = [found for found in data[key] if found[0] != self.name]
            if len(rest) < len(data[key]):
                value_key = ("._.", CONFIDENCE, *key[2:])
                if rest:
                    data[key], data[value_key] = rest, rest[-1][2]
                else:
                    del data[key]
                    data.pop(value_key, None)
        return kept, blocked

    def _kept_spans(self, doc: Doc) -> tuple[list[Span], list[float]]:
        """The spans that other EntityTaggers have in the span group, and their
        confidences.
        """
        spans: list[Span] = []
        confidences: list[float] = []
        group = doc.spans.get(self.cfg["spans_key"])
        for old in () if group is None else _spans_of(group):
            values = [c for _, label, c in _predictions(old) if label == old.label_]
            # The characters count: after retokenization the token indices are stale.
            span = doc.char_span(
                old.start_char, old.end_char, old.label, old.kb_id, span_id=old.id
            )
            if values and span is not None:
                spans.append(span)
                confidences.append(values[-1])
        return spans, confidences

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
        span that is an entity and incorrect at once; WnutError if the emissions or the
        scores of the chain aren't finite.
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

        Raises WnutError if the emissions or the scores of the chain aren't finite.
        """
        examples = list(examples)
        ops = self.model.ops
        docs = [eg.predicted for eg in examples]
        lengths = numpy.asarray([len(doc) for doc in docs])
        flat = ops.to_numpy(ops.xp.concatenate(scores)).astype(numpy.float64)
        self._check_finite(flat)
        flat[_is_space(docs)] = 0
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

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Store the pipe in a folder. As a part of a pipeline's folder it also writes
        its current settings to the pipeline's config.cfg.

        path (Union[str, Path]): The folder.
        exclude (Iterable[str]): What to leave out of "cfg", "model" and "vocab".
        """
        folder = Path(path)
        config = self._configured
        # nlp.to_disk stores the vocab itself, and has just written config.cfg.
        if "vocab" in exclude and "cfg" not in exclude:
            config = _update_config(folder, self._settings) or config
        writers = {
            "cfg": lambda p: srsly.write_json(p, {**self.cfg, CONFIG: config}),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": lambda p: self.model.to_disk(p),
        }
        util.to_disk(folder, writers, exclude)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Store the pipe as bytes.

        exclude (Iterable[str]): What to leave out of "cfg", "model" and "vocab".
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
        """Load the pipe from a folder. As a part of a pipeline, settings that were
        overridden (`spacy.load(..., config=...)`) keep the value given.

        path (Union[str, Path]): What `to_disk` wrote.
        exclude (Iterable[str]): What to leave out of "cfg", "model" and "vocab".
        RETURNS (EntityTagger): The pipe itself.

        Raises ValueError, with the file, for one that is damaged or of another pipe.
        """
        return self._load(super().from_disk, path, exclude, Path(path))

    def from_bytes(
        self, bytes_data: bytes, *, exclude: Iterable[str] = ()
    ) -> "EntityTagger":
        """Load the pipe from what `to_bytes` gave. As a part of a pipeline, settings
        that were changed in its config keep the value given, unless that is the
        default.

        bytes_data (bytes): The stored pipe.
        exclude (Iterable[str]): What to leave out of "cfg", "model" and "vocab".
        RETURNS (EntityTagger): The pipe itself.

        Raises ValueError, with the part, for one that is damaged or of another pipe.
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
            # A type of its own for all that msgpack, JSON and thinc find wrong.
            except Exception as err:
                where = "" if folder is None else f"{folder}/"
                raise WnutError(
                    f"{where}{part} of the component {self.name!r} is damaged or of "
                    f"another pipeline: {str(err).strip() or type(err).__name__}"
                ) from err
        return self

    def _take_overrides(self, folder: Path | None, is_pipeline: bool) -> None:
        """Give settings the value that the pipeline was created with, if that isn't
        the one of the stored pipeline's config. Otherwise the stored value holds: it
        may have been set in Python, which earlier versions didn't write to config.cfg.
        """
        config = self.cfg.pop(CONFIG, None)
        if not is_pipeline:
            return
        if config is None:
            config = {} if folder is None else _read_config(folder)
        # Bytes come without a config: what they are loaded into may have been created
        # with defaults, which nobody asked for.
        defaults = cast(Any, EntityTagger.__init__).__kwdefaults__
        ignored = defaults if folder is None else config
        config, given, ignored = map(_as_stored, (config, self._configured, ignored))
        for name, value in given.items():
            if name in config and value not in (config[name], ignored[name]):
                self.cfg[name] = self._configured[name]

    def _check_loaded(self, part: str) -> None:
        if part == "cfg":
            # Values go the way that settings go.
            LabelScheme(tuple(self.cfg["labels"]))
            for name in ("threshold", "temperature", "bias"):
                setattr(self, name, self.cfg[name])
            # The file has 10 decimals, and 0.7 is read as 0.7000000000000001.
            self.threshold = round(self.threshold, 10)
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

    def _check_upstream(self, docs: list[Doc]) -> None:
        """Raises WnutError if the component listens to one that didn't run: listeners
        then return zeros.
        """
        for node in self.model.walk():
            if node.name == "transformer-listener":
                upstream = "transformer"
                missing = [doc for doc in docs if doc.user_data.get(_TRF_DATA) is None]
            elif isinstance(node, Tok2VecListener):
                upstream = "tok2vec"
                missing = [doc for doc in docs if not doc.tensor.size]
            else:
                continue
            if any(not token.is_space for doc in missing for token in doc):
                name: str = cast(Any, node).upstream_name
                raise _no_upstream(self.name, upstream if name == "*" else name)

    def _check_finite(self, emissions: Any) -> None:
        """Raises WnutError if the emissions or the scores of the chain aren't finite:
        no path has a highest score then.
        """
        arrays = [emissions, *self._chain]
        if all(numpy.isfinite(array).all() for array in arrays):
            return
        names = [
            f"{node.name}.{name}"
            for node in self.model.walk()
            for name in node.param_names
            if node.has_param(name)
            and not node.ops.xp.isfinite(node.get_param(name)).all()
        ]
        where = f"the weights of the component {self.name!r} ({', '.join(names)})"
        if not names:
            where = (
                f"the emissions of the component {self.name!r} hold NaN or infinity and "
                "its own weights don't, so the weights of its encoder"
            )
        raise WnutError(
            f"{where} hold NaN or infinity: the training has diverged, or the file was "
            "changed. Take an earlier checkpoint, or train again with a lower learning "
            "rate"
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


def _no_upstream(name: str, upstream: str) -> WnutError:
    return WnutError(
        f"the component {name!r} listens to the component {upstream!r}, which hasn't run "
        "on these docs, so there are no vectors to find entities by. Add "
        f"{upstream!r} to the pipeline before {name!r} and keep it enabled. Or put a "
        f"copy of it into {name!r}: call source_nlp.replace_listeners({upstream!r}, "
        f'{name!r}, ["model.tok2vec"]) before '
        f"nlp.add_pipe({name!r}, source=source_nlp); in a config it is "
        f'replace_listeners = ["model.tok2vec"] beside source'
    )


def _update_config(folder: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Write settings to the config.cfg of the pipeline that a component's folder is of.

    RETURNS (Optional[Dict[str, Any]]): The settings, or None if there is no such file.
    """
    path = folder.parent / "config.cfg"
    if not path.is_file():
        return None
    config = util.load_config(path)
    section = config.get("components", {}).get(folder.name, {})
    if section.get("factory") != FACTORY:
        return None
    if any(section.get(name) != value for name, value in settings.items()):
        section.update(settings)
        config.to_disk(path, interpolate=False)
    return settings


def _read_config(folder: Path) -> dict[str, Any]:
    """The settings in the config.cfg of the pipeline that a component's folder is of."""
    path = folder.parent / "config.cfg"
    if not path.is_file():
        return {}
    components = util.load_config(path, interpolate=True).get("components", {})
    return dict(components.get(folder.name, {}))


def _as_stored(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they come back from a file, with fewer decimals."""
    rounded = {
        name: _rounded(value) if name in ("temperature", "bias") else value
        for name, value in settings.items()
    }
    stored: dict[str, Any] = srsly.json_loads(srsly.json_dumps(rounded))
    return stored


def _is_space(docs: Iterable[Doc]) -> Bools:
    """The words that are white space, shape (sum of lengths,)."""
    flags = [doc.to_array([IS_SPACE]).reshape(-1) for doc in docs]
    return cast(Bools, numpy.concatenate(flags).astype(bool))


def _rounded(value: float) -> float:
    # The JSON of a stored pipeline keeps 10 decimals, and 0.3 comes out of it as
    # 0.30000000000000004: what is loaded has to give the same confidences.
    return round(float(value), 6)


def _preset(doc: Doc) -> Bools:
    iob: Any = doc.to_array([ENT_IOB]).reshape(-1)
    # Inside or beginning of an entity; blocked words count as beginnings.
    return cast(Bools, (iob == 1) | (iob == 3))
