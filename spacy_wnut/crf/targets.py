"""Training targets of examples: allowed tags, soft labels, incorrect spans."""

from typing import Any

import numpy
from spacy.errors import Errors
from spacy.tokens import Doc
from spacy.training import Example

from ..labels import OUTSIDE, Entity, LabelScheme, split_tag
from .arrays import Bools, Floats64

# Key in `doc.user_data` of the soft labels that other models predicted.
SOFT_LABELS = "spacy_wnut_soft_labels"


def set_soft_labels(doc: Doc, scheme: LabelScheme, probabilities: Floats64) -> None:
    """Store the probability of each tag at each word in `doc.user_data`, in half
    precision. A `DocBin` keeps it with `store_user_data=True`.

    doc (Doc): The doc. Earlier soft labels are replaced.
    scheme (LabelScheme): The tags.
    probabilities (Floats2d): Shape (words, tags). A row of zeros is a word without a
        soft label.
    """
    doc.user_data[SOFT_LABELS] = {
        "types": list(scheme.types),
        "probabilities": probabilities.astype(numpy.float16),
    }


def soft_targets(example: Example, scheme: LabelScheme) -> Floats64 | None:
    """Align the soft labels of an example's reference with the predicted words.

    example (Example): The example.
    scheme (LabelScheme): The tags.
    RETURNS (Optional[Floats2d]): Shape (words of the predicted doc, tags). Each row
        sums to 1, or is zeros where a word is not aligned one-to-one with a word of the
        reference or has no soft label. None if the reference has no soft labels.

    Raises ValueError if the soft labels are of other entity types.
    """
    stored: dict[str, Any] | None = example.reference.user_data.get(SOFT_LABELS)
    if stored is None:
        return None
    if tuple(stored["types"]) != scheme.types:
        raise ValueError(
            f"the soft labels are of the types {', '.join(stored['types'])}, but the "
            f"component has {', '.join(scheme.types)}. Label the posts with teachers "
            "of the same types in the same order"
        )
    # Half precision does not sum to 1 exactly.
    given = stored["probabilities"].astype(numpy.float64)  # (reference words, tags)
    sums = given.sum(axis=1, keepdims=True)
    given = numpy.divide(given, sums, out=numpy.zeros_like(given), where=sums > 0)
    targets = numpy.zeros((len(example.predicted), len(scheme.tags)))
    words = example.alignment.y2x
    is_single = numpy.asarray(example.alignment.x2y.lengths) == 1  # (predicted words,)
    for row, (first, count) in enumerate(
        zip(numpy.cumsum(words.lengths) - words.lengths, words.lengths, strict=True)
    ):
        if count == 1 and is_single[words.data[first]]:
            targets[words.data[first]] = given[row]
    return targets


def allowed_tags(example: Example, scheme: LabelScheme, has_pieces: Bools) -> Bools:
    """Compute the tags that an example's annotation allows at each word with pieces.

    An annotated word allows one tag. A word allows all tags where its annotation is
    missing or cannot be aligned with the predicted words. Words without pieces are no
    positions of the chain and have no row: an entity that begins with such a word
    begins at the next one.

    example (Example): The example.
    scheme (LabelScheme): The tags.
    has_pieces (Bools1d): Shape (words of the predicted doc,), whether a word has word
        pieces.
    RETURNS (Bools2d): Shape (words with pieces, tags).

    Raises KeyError if an annotated tag is not in the scheme.
    """
    tags = _aligned_bio(example)
    kept: list[str | None] = []
    pending = ""  # type of an entity that begins with a word without pieces
    for tag, has_piece in zip(tags, has_pieces, strict=True):
        prefix, label = split_tag(tag) if tag is not None else ("", "")
        if not has_piece:
            pending = label if prefix == "B" else pending
        else:
            begins_here = prefix == "I" and label == pending
            kept.append(f"B-{label}" if begins_here else tag)
            pending = ""
    allowed = numpy.zeros((len(kept), len(scheme.tags)), dtype=bool)
    index = {tag: i for i, tag in enumerate(scheme.tags)}
    for row, tag in enumerate(kept):
        allowed[row, slice(None) if tag is None else index[tag]] = True
    return allowed


def aligned_incorrect_spans(example: Example, key: str) -> list[Entity]:
    """Align the spans annotated as not entities with the predicted words.

    As with spaCy's `ner`, spans may overlap and duplicates count once. Spans without a
    label and spans that cannot be aligned are ignored.

    example (Example): The example.
    key (str): The key of the spans in `doc.spans` of the reference.
    RETURNS (List[Entity]): The spans, in words of the predicted doc.

    Raises ValueError if a span is also an entity of the reference.
    """
    given = example.reference.spans.get(key, [])
    spans = dict.fromkeys(
        Entity(span.start, span.end, span.label_)
        for span in example.get_aligned_spans_y2x(given, allow_overlap=True)
        if span.label_
    )
    # Entities of a reference with soft labels are predictions of the teachers, not
    # annotation.
    if spans and SOFT_LABELS not in example.reference.user_data:
        entities, _ = example.get_aligned_ents_and_ner()
        for ent in entities:
            if Entity(ent.start, ent.end, ent.label_) in spans:
                where = (ent.start_char, ent.end_char, ent.label_)
                raise ValueError(Errors.E868.format(span=where))
    return list(spans)


def _aligned_bio(example: Example) -> list[str | None]:
    """Align the BIO tags of the reference with the predicted words; None where the
    annotation is missing.
    """
    to_bio = {"U": "B", "L": "I"}
    iobs, types = example.get_aligned("ENT_IOB"), example.get_aligned("ENT_TYPE")
    tags: list[str | None] = []
    for biluo, iob, kind in zip(example.get_aligned_ner(), iobs, types, strict=True):
        # B without a type marks a blocked word, which is outside of entities.
        if biluo == OUTSIDE or (iob == 3 and kind == 0):
            tags.append(OUTSIDE)
        elif biluo is None or biluo == "-":
            tags.append(None)
        else:
            prefix, _, label = biluo.partition("-")
            tags.append(f"{to_bio.get(prefix, prefix)}-{label}")
    return tags
