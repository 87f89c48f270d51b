"""A pipeline that annotates chunks of records, the same for every engine."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, Span

from ..errors import WnutError
from ..pipeline.entity_tagger import EntityTagger
from ..pipeline.loading import load_pipeline, no_entities
from ..scoring.examples import confidence_of
from .offsets import CODE_POINTS, to_unit
from .records import Chunk, Found, rejection, token_places
from .settings import Settings
from .unescape import Unescaped, unescape_html

PROBE = "Somebody said that it works."


class Annotator:
    """A loaded pipeline that annotates chunks.

    settings (Settings): The settings.

    Raises WnutError if the pipeline cannot be used with the settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.nlp = load_pipeline(settings.model, settings.gpu_id)
        _check_confidences(self.nlp, settings)
        _set_threshold(self.nlp, settings)
        _check_doubtful(self.nlp, settings)
        _check_labels(self.nlp, settings)
        _check_works(self.nlp, settings.model)

    def annotate(
        self, chunk: Chunk, objection: Callable[[Found], str]
    ) -> tuple[dict[int, Found], list[str]]:
        """Annotate the records of a chunk. All engines use this method.

        chunk (Chunk): The records.
        objection (Callable[[Found], str]): Returns the reason why a result cannot be
            written, or "".
        RETURNS (Tuple[Dict[int, Found], List[str]]): The results, by the index of their
            record, and the rejected records, as lines of JSON. A record that is in
            neither is not selected by `only_doubtful`.
        """
        reasons = {i: record.problem for i, record in enumerate(chunk.records)}
        good = [i for i, reason in reasons.items() if not reason]
        unescaped = {}
        if self.settings.unescape:
            unescaped = {i: unescape_html(chunk.records[i].text) for i in good}
        texts = [
            unescaped[i].text
            if i in unescaped
            else chunk.records[i].words or chunk.records[i].text
            for i in good
        ]
        # The zone frees the lexemes of new words, so that memory stays constant over
        # millions of posts. No Doc may leave it.
        with self.nlp.memory_zone():
            outcomes = self._run(texts)
        found = {}
        for i, outcome in zip(good, outcomes, strict=True):
            if isinstance(outcome, Found):
                text = chunk.records[i].text
                outcome = _in_record(
                    outcome, text, unescaped.get(i), self.settings.offsets
                )
            if isinstance(outcome, str):
                reasons[i] = outcome
            elif self._is_selected(outcome):
                reasons[i] = objection(outcome)
                if not reasons[i]:
                    found[i] = outcome
        rejected = [rejection(chunk, i, why) for i, why in reasons.items() if why]
        return found, rejected

    def identity(self) -> str:
        """RETURNS (str): A digest of the files of the pipeline."""
        digest = hashlib.blake2b(digest_size=16)
        root = Path(self.nlp.path) if self.nlp.path else Path()
        for path in sorted(root.rglob("*")) if self.nlp.path else ():
            if path.is_file():
                digest.update(path.relative_to(root).as_posix().encode("utf8"))
                with path.open("rb") as file:
                    while piece := file.read(2**20):
                        digest.update(piece)
        return digest.hexdigest()

    def note(self) -> str:
        """RETURNS (str): A warning about the settings, or ""."""
        doubtful = self.settings.only_doubtful
        if doubtful is None:
            return ""
        highest = max(tagger.threshold for tagger in _taggers(self.nlp))
        if highest <= doubtful[0]:
            return ""
        return (
            f"entities with a confidence below {highest:g}, the threshold, are not found: "
            f"--threshold {doubtful[0]:g} finds all that --only-doubtful asks for"
        )

    def _is_selected(self, found: Found) -> bool:
        doubtful = self.settings.only_doubtful
        if doubtful is None:
            return True
        low, high = doubtful
        confidences = [entity["confidence"] for entity in found.entities]
        return any(value is not None and low <= value <= high for value in confidences)

    def _run(self, texts: Sequence[str | list[str]]) -> list[Found | str]:
        """Return the result for each text, or the reason for its rejection."""
        if not texts:
            return []
        try:
            docs = self.nlp.pipe(
                # A list would keep all docs, with their vectors, in memory.
                (_make_input(self.nlp, text) for text in texts),
                batch_size=self.settings.batch_size,
            )
            found: list[Found | str] = [self._read(doc) for doc in docs]
            # A custom error handler may drop docs.
            reason = "" if len(found) == len(texts) else "the pipeline left it out"
        except Exception as err:
            # The texts are halved below until only the failing ones are rejected.
            reason = f"the pipeline fails: {type(err).__name__}: {err}"
        if not reason:
            return found
        if len(texts) == 1:
            return [reason]
        half = len(texts) // 2
        return self._run(texts[:half]) + self._run(texts[half:])

    def _read(self, doc: Doc) -> Found:
        labels = self.settings.labels
        ents = [ent for ent in doc.ents if labels is None or ent.label_ in labels]
        return Found(
            [
                {
                    "start": ent.start_char,
                    "end": ent.end_char,
                    "label": ent.label_,
                    "text": ent.text,
                    "confidence": _confidence(ent),
                }
                for ent in ents
            ],
            [token.text for token in doc],
            [bool(token.whitespace_) for token in doc],
            [(ent.start, ent.end) for ent in ents],
        )


def _make_input(nlp: Language, text: str | list[str]) -> str | Doc:
    if isinstance(text, str):
        return text
    # The tokens of the file. Its text has single spaces between them.
    spaces = [True] * (len(text) - 1) + [False]
    return Doc(nlp.vocab, words=text, spaces=spaces)


def _confidence(ent: Span) -> float | None:
    value = confidence_of(ent)
    # Six significant digits, since the others depend on the batch and the machine.
    return None if value is None else float(f"{value:.6g}")


def _in_record(
    found: Found, text: str, unescaped: Unescaped | None, unit: str
) -> Found | str:
    """Return a result with the offsets of the record's text, or the reason for its
    rejection.

    found (Found): The result, with code points of the text that the pipeline got.
    text (str): The text of the record.
    unescaped (Optional[Unescaped]): The text that the pipeline got, if it is another.
    unit (str): The unit of the offsets.
    """
    if unescaped is None and unit == CODE_POINTS:
        return found
    entities = []
    last = 0
    for entity in found.entities:
        start, end = entity["start"], entity["end"]
        if unescaped is not None:
            start, end = unescaped.to_original(start, end)
        if start < last:
            return f"two entities share the escape before character {last}"
        last = end
        placed = {"start": to_unit(text, start, unit), "end": to_unit(text, end, unit)}
        entities.append({**entity, **placed, "text": text[start:end]})
    tokens = None
    if unescaped is not None:
        tokens = [unescaped.to_original(*token) for token in token_places(found)]
    return found._replace(entities=entities, tokens=tokens)


def _taggers(nlp: Language) -> list[EntityTagger]:
    return [pipe for _, pipe in nlp.pipeline if isinstance(pipe, EntityTagger)]


def _check_confidences(nlp: Language, settings: Settings) -> None:
    for option, value in (
        ("--threshold", settings.threshold),
        ("--only-doubtful", settings.only_doubtful),
    ):
        if value is not None and not _taggers(nlp):
            raise WnutError(
                f"no component of {settings.model} gives its entities a confidence (it "
                f"has: {', '.join(nlp.pipe_names) or 'none'}): leave {option} out, or "
                "give a pipeline with an entity_tagger"
            )


def _check_doubtful(nlp: Language, settings: Settings) -> None:
    if settings.only_doubtful is None:
        return
    low, high = settings.only_doubtful
    lowest = min(tagger.threshold for tagger in _taggers(nlp))
    if lowest > high:
        raise WnutError(
            f"--only-doubtful {low:g},{high:g} selects nothing: entities with a "
            f"confidence below {lowest:g}, the threshold, are not found. Give "
            f"--threshold {low:g}"
        )


def _set_threshold(nlp: Language, settings: Settings) -> None:
    if settings.threshold is None:
        return
    for tagger in _taggers(nlp):
        try:
            tagger.threshold = settings.threshold
        except ValueError as err:
            raise WnutError(f"--threshold can't be used: {err}") from None


def _check_labels(nlp: Language, settings: Settings) -> None:
    known = {label for labels in nlp.pipe_labels.values() for label in labels}
    for label in settings.labels or ():
        if label not in known:
            raise WnutError(
                f"no component of {settings.model} has the label {label!r}: the known "
                f"ones are {', '.join(sorted(known)) or 'none'}. Correct --labels"
            )


def _check_works(nlp: Language, model: str) -> None:
    try:
        doc = nlp(PROBE)
    except Exception as err:
        raise WnutError(
            f"the pipeline {model} fails on a plain sentence, so it wasn't run on the "
            f"input: {type(err).__name__}: {err}"
        ) from err
    if not doc.has_annotation("ENT_IOB"):
        raise no_entities(nlp, model)
