"""Confidences of entities: `span._.confidence`, stored in `doc.user_data`."""

from collections.abc import Iterator, Sequence
from typing import Any

from spacy.tokens import Doc, Span, SpanGroup

CONFIDENCE = "confidence"

# `doc.user_data` has two entries for the characters of each predicted span, under keys
# that `Span.as_doc` and `Doc.from_docs` shift along with the text:
# - ("._.", "confidence", start, end): the confidence, as `Doc.to_json` reads it;
# - ("._.", "entity_tagger", start, end): the predictions for these characters, each with
#   the name of the component, the label and the confidence.
# Span groups hold the scores too, but `from_docs` drops their attributes, `as_doc` drops
# the groups, and the retokenizer does not update their token indices.
PREDICTIONS = "entity_tagger"


def install_extensions() -> None:
    """Register the extension `span._.confidence`. Runs on import, once per process.

    Its value is the probability of exactly this span with this label if an EntityTagger
    predicted it, and None otherwise.
    """
    if not Span.has_extension(CONFIDENCE):
        Span.set_extension(CONFIDENCE, getter=_get_confidence, setter=_set_confidence)


def add_prediction(ent: Span, component: str, confidence: float) -> None:
    """Store the confidence of an entity.

    ent (Span): The entity.
    component (str): The name of the component that predicts it.
    confidence (float): Its confidence, between 0 and 1.
    """
    data: dict[Any, Any] = ent.doc.user_data
    # `ent._` is slower than the rest of setting the annotations.
    data[_key(CONFIDENCE, ent)] = confidence
    data[_key(PREDICTIONS, ent)] = [
        *_predictions(ent),
        (component, ent.label_, confidence),
    ]


def own_entities(doc: Doc, component: str, spans_key: str) -> list[Span]:
    """Return the entities that a component set when it ran on the doc earlier.

    doc (Doc): The doc.
    component (str): The name of the component.
    spans_key (str): The key of its span group.
    """
    own = []
    group = doc.spans.get(spans_key)
    stored = set()
    if group is not None and "scores" in group.attrs:
        stored = {_characters(span) for span in _spans_of(group)}
    for ent in doc.ents:
        found = _predictions(ent)
        if found:
            is_own = (component, ent.label_) in {
                (name, label) for name, label, _ in found
            }
        else:
            # Docs stored without user data still have the span group.
            is_own = _characters(ent) in stored
        if is_own:
            own.append(ent)
    return own


def forget_predictions(doc: Doc, component: str, own: Sequence[Span]) -> None:
    """Remove the confidences that a component set on the doc earlier.

    doc (Doc): The doc to modify.
    component (str): The name of the component.
    own (Sequence[Span]): Its entities, as `own_entities` returns them.
    """
    data: dict[Any, Any] = doc.user_data
    for ent in own:
        data.pop(_key(CONFIDENCE, ent), None)
    for key in [key for key in data if _is_key(key, PREDICTIONS)]:
        rest = [found for found in data[key] if found[0] != component]
        if len(rest) < len(data[key]):
            value_key = ("._.", CONFIDENCE, *key[2:])
            if rest:
                data[key], data[value_key] = rest, rest[-1][2]
            else:
                del data[key]
                data.pop(value_key, None)


def predicted_spans(doc: Doc, spans_key: str) -> tuple[list[Span], list[float]]:
    """Return the spans of a span group that have a prediction, and their confidences.

    doc (Doc): The doc.
    spans_key (str): The key of the group.
    """
    spans: list[Span] = []
    confidences: list[float] = []
    group = doc.spans.get(spans_key)
    for old in () if group is None else _spans_of(group):
        values = [value for _, label, value in _predictions(old) if label == old.label_]
        # By characters, since token indices are outdated after retokenization.
        span = doc.char_span(
            old.start_char, old.end_char, old.label, old.kb_id, span_id=old.id
        )
        if values and span is not None:
            spans.append(span)
            confidences.append(values[-1])
    return spans, confidences


def _get_confidence(span: Span) -> Any:
    found = _predictions(span)
    if found:
        values = [value for _, label, value in found if label == span.label_]
        return values[-1] if values else None
    value = span.doc.user_data.get(_key(CONFIDENCE, span))
    if value is None:
        return None
    # Docs stored by earlier versions, and JSON, have a confidence without a label.
    # The span groups may still have the label.
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
        # `Doc.from_json` sets the confidence of spans without a label.
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


# In the stub of Doc, the keys of user_data are strings.
def _key(name: str, span: Span) -> Any:
    return ("._.", name, span.start_char, span.end_char)


def _spans_of(group: SpanGroup) -> Iterator[Span]:
    """Iterate over the valid spans of a group. The retokenizer does not update token
    indices of groups, so they may lie beyond the end of the doc.
    """
    for i in range(len(group)):
        try:
            yield group[i]
        except IndexError:
            continue


def _is_key(key: Any, name: str) -> bool:
    return isinstance(key, tuple) and key[:2] == ("._.", name)


def _predictions(span: Span) -> Sequence[tuple[str, str, Any]]:
    """Return the predictions for the characters of a span: tuples of component, label and
    confidence.
    """
    found: Sequence[tuple[str, str, Any]] = span.doc.user_data.get(
        _key(PREDICTIONS, span), ()
    )
    return found


install_extensions()
