"""The component: entities with their probabilities, from any model of emissions."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy
from spacy.attrs import ENT_IOB, ENT_TYPE
from spacy.errors import Errors
from spacy.language import Language
from spacy.pipeline.trainable_pipe import TrainablePipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from .chain import Bools, Chain, Floats, negative_log_likelihood
from .decoding import Decoded, Emitted, Layout, decode, legal_chain
from .errors import WnutError
from .gold import allowed_tags
from .labels import LabelScheme
from .models.linear_chain import add_gradient, get_chain, with_linear_chain

CONFIDENCE = "confidence"

DEFAULT_CONFIG_STR = """
[entity_tagger]
transitions = "learned"
threshold = 0.0
temperature = 1.0
bias = 0.0
overwrite = false
spans_key = "wnut"

[entity_tagger.model]
@architectures = "spacy-wnut.TransformerTagger.v1"
nO = null

[entity_tagger.model.tok2vec]
@architectures = "spacy-transformers.TransformerListener.v1"
grad_factor = 1.0
upstream = "*"

[entity_tagger.model.tok2vec.pooling]
@layers = "spacy-wnut.reduce_first.v1"

[entity_tagger.scorer]
@scorers = "spacy-wnut.scorer.v1"
"""

DEFAULT_CONFIG = Config().from_str(DEFAULT_CONFIG_STR)


@Language.factory(
    "entity_tagger",
    assigns=[
        "doc.ents",
        "doc.spans",
        "token.ent_iob",
        "token.ent_type",
        f"span._.{CONFIDENCE}",
    ],
    default_config=DEFAULT_CONFIG["entity_tagger"],
    default_score_weights={
        "ents_f": 1.0,
        "ents_p": 0.0,
        "ents_r": 0.0,
        "ents_acc": 0.0,
        "ents_surface_f": 0.0,
        "ents_per_type": None,
    },
)
def make_entity_tagger(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    transitions: str,
    threshold: float,
    temperature: float,
    bias: float,
    overwrite: bool,
    spans_key: str,
    scorer: Callable[..., dict[str, Any]] | None,
) -> "EntityTagger":
    """Construct an EntityTagger.

    model (Model[List[Doc], List[Floats2d]]): The emissions: for each doc a row
        a word and a column a BIO tag. A row of zeros says that the word has
        nothing to be seen (white space); it never starts or ends an entity.
    transitions (str): "learned" trains a linear-chain CRF, "constrained" trains
        cross-entropy a word. Both decode legal BIO sequences only.
    threshold (float): Entities with a lower confidence are left out.
    temperature (float): What the scores of the chain are divided by before they
        become confidences, from 0.001 to 1000; 1 leaves them as trained. Above 1 they are
        less sure, below surer. The entities found stay the same. Training
        doesn't know it: `spacy-wnut calibrate` fits it afterwards.
    bias (float): What is added to the scores of all tags but O in decoding, in
        nats. Above 0 it finds more entities, below fewer. Training doesn't know
        it either.
    overwrite (bool): Whether to replace entities that an earlier pipe set. If
        not, they stay, and new ones are found around them.
    spans_key (str): The key of `doc.spans` to save the entities under, with
        their confidences in `attrs["scores"]`.
    scorer (Optional[Callable]): The scoring method.
    """
    return EntityTagger(
        nlp.vocab,
        model,
        name,
        transitions=transitions,
        threshold=threshold,
        temperature=temperature,
        bias=bias,
        overwrite=overwrite,
        spans_key=spans_key,
        scorer=scorer,
    )


def install_extensions() -> None:
    """Register `span._.confidence`. It is None on spans of other origin."""
    if not Span.has_extension(CONFIDENCE):
        Span.set_extension(CONFIDENCE, default=None)


class EntityTagger(TrainablePipe):
    """Named entities with exact confidences, decoded by a linear chain.

    The settings are described at `make_entity_tagger`.

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
        scorer: Callable[..., dict[str, Any]] | None = None,
    ) -> None:
        if transitions not in ("learned", "constrained"):
            raise ValueError(
                f'transitions has to be "learned" or "constrained", got {transitions!r}'
            )
        self.vocab = vocab
        self.model = with_linear_chain(model)
        self.name = name
        self.scorer = scorer
        self.cfg: dict[str, Any] = {
            "labels": [],
            "transitions": transitions,
            "overwrite": overwrite,
            "spans_key": spans_key,
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
        chain = legal_chain(self.scheme) + self._chain
        return Emitted(flat, lengths, chain, barred)

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
            if self.cfg["overwrite"] or not (preset := _preset(doc)).any():
                doc.set_ents(ents)
            else:
                types = doc.to_array([ENT_TYPE]).reshape(-1)
                outside = numpy.flatnonzero(preset & (types == 0)).tolist()
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
            missing carry no loss.
        drop (float): The dropout rate.
        sgd (Optional[Optimizer]): The optimizer. If None, gradients are kept.
        losses (Optional[Dict[str, float]]): Updated with the loss of the batch,
            in nats a word.
        RETURNS (Dict[str, float]): The losses.
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
        chain, with constrained ones the cross-entropy a word.

        examples (Iterable[Example]): The examples.
        scores (List[Floats2d]): Their emissions.
        RETURNS (Tuple[float, Tuple[List[Floats2d], Chain]]): The loss, and the
            gradient by the emissions and by the chain's scores.
        """
        examples = list(examples)
        ops = self.model.ops
        lengths = numpy.asarray([len(eg.predicted) for eg in examples])
        flat = ops.to_numpy(ops.xp.concatenate(scores)).astype(numpy.float64)
        layout = Layout.of(flat, lengths)
        # The legal moves are part of the model only if it is a chain: summing
        # over legal paths alone is what makes the CRF's likelihood one.
        chain = Chain.zeros(flat.shape[1])
        if self.cfg["transitions"] == "learned":
            chain = legal_chain(self.scheme) + self._chain
        allowed = self._allowed(examples, flat, lengths)
        total, d_flat = 0.0, numpy.zeros_like(flat)
        d_chain = Chain.zeros(flat.shape[1])
        for _, doc_lengths, rows in layout.batches():
            loss, d_scores, d_moves = negative_log_likelihood(
                flat[rows], doc_lengths, chain, allowed[rows]
            )
            total += float(loss.sum())
            numpy.add.at(d_flat, rows, d_scores)
            d_chain = d_chain + d_moves
        n_words = max(len(layout.rows), 1)
        d_chain = Chain(*(d / n_words for d in d_chain))
        d_emissions = ops.asarray(d_flat / n_words, dtype="f")
        ends = numpy.cumsum(lengths)[:-1].tolist()
        return total / n_words, (ops.xp.split(d_emissions, ends), d_chain)

    def from_bytes(
        self, bytes_data: bytes, *, exclude: Iterable[str] = ()
    ) -> "EntityTagger":
        """Load the pipe from a bytestring.

        bytes_data (bytes): What `to_bytes` gave.
        exclude (Iterable[str]): Names of fields to leave out.

        Raises ValueError if it is damaged, or its model has other tags.
        """
        with self._loading("what was given"):
            super().from_bytes(bytes_data, exclude=exclude)
        self._check_tags()
        return self

    def from_disk(
        self, path: str | Path, *, exclude: Iterable[str] = ()
    ) -> "EntityTagger":
        """Load the pipe from disk.

        path (Union[str, Path]): Its folder.
        exclude (Iterable[str]): Names of fields to leave out.

        Raises ValueError if it is damaged, or its model has other tags.
        """
        with self._loading(str(path)):
            super().from_disk(path, exclude=exclude)
        self._check_tags()
        return self

    @contextmanager
    def _loading(self, source: str) -> Iterator[None]:
        try:
            yield
        except WnutError:
            raise
        # What msgpack raises is of many types, and its messages name no file.
        except (ValueError, TypeError, KeyError, IndexError) as err:
            raise WnutError(
                f"{source} can't be loaded as {self.name!r}: {err}. If it was made for "
                "this pipeline it is damaged: install or train it again"
            ) from err

    def _check_tags(self) -> None:
        """Raises WnutError if the model's tags aren't those of the entity types."""
        emissions, tags = self.model.layers[0], self.scheme.tags
        if not emissions.has_dim("nO") or not self.labels:
            return
        found = tags
        if "get_tags" in emissions.attrs:
            found = emissions.attrs["get_tags"](emissions)
        elif emissions.get_dim("nO") != len(tags):
            found = (f"{emissions.get_dim('nO')} of them",)
        if found != tags:
            raise WnutError(
                f"the model of {self.name!r} is for other entity types: its tags are "
                f"{', '.join(found)}, and those of the types are {', '.join(tags)}. "
                "Both have to come from one pipeline"
            )

    @property
    def _chain(self) -> Chain:
        return get_chain(self.model)

    def _allowed(self, examples: list[Example], flat: Floats, lengths: Any) -> Bools:
        allowed = numpy.ones(flat.shape, dtype=bool)
        has_pieces = flat.any(axis=1)
        scheme, start = self.scheme, 0
        for example, length in zip(examples, lengths, strict=True):
            rows = numpy.arange(start, start + length)
            seen = has_pieces[rows]
            allowed[rows[seen]] = allowed_tags(example, scheme, seen)
            start += length
        return allowed

    def _check_labels(self, examples: list[Example]) -> None:
        unknown = set(_entity_types(examples)) - set(self.labels)
        if unknown:
            raise ValueError(
                f"{self.name!r} has no entity types {', '.join(sorted(unknown))}: it "
                f"was initialized with {', '.join(self.labels)}. Add them to the "
                "labels of [initialize.components] or initialize with all the data"
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
    iob = doc.to_array([ENT_IOB]).reshape(-1)
    # Inside or beginning of an entity; blocked words count as beginnings.
    return cast(Bools, (iob == 1) | (iob == 3))
