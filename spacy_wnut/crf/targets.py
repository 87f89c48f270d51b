"""From annotated examples to the tags that training admits at each word and the spans
that it rules out, and from softly labelled ones to how probable each tag is.
"""

from typing import Any

import numpy
from spacy.errors import Errors
from spacy.tokens import Doc
from spacy.training import Example

from ..labels import OUTSIDE, Entity, LabelScheme, split_tag
from .chain import Bools, Floats

MISSING = None

# Where a doc holds the soft labels that other models gave it, in `doc.user_data`.
SOFT_LABELS = "spacy_wnut_soft_labels"


def set_soft_labels(doc: Doc, scheme: LabelScheme, probabilities: Floats) -> None:
    """Store how probable each tag is at each word of a doc. A `DocBin` keeps it with
    `store_user_data=True`, in half precision.

    probabilities (Floats2d): Shape (words, tags). A row of zeros tells nothing.
    """
    doc.user_data[SOFT_LABELS] = {
        "types": list(scheme.types),
        "probabilities": probabilities.astype(numpy.float16),
    }


def soft_targets(example: Example, scheme: LabelScheme) -> Floats | None:
    """The soft labels of an example's reference, for each word of the predicted doc.

    RETURNS (Optional[Floats2d]): Shape (words, tags), each row a distribution, or
        zeros where a word stands for none or several of the reference. None if the
        reference has no soft labels.

    Raises ValueError if they are of other entity types.
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
    given = stored["probabilities"].astype(numpy.float64)
    sums = given.sum(axis=1, keepdims=True)
    given = numpy.divide(given, sums, out=numpy.zeros_like(given), where=sums > 0)
    targets = numpy.zeros((len(example.predicted), len(scheme.tags)))
    words = example.alignment.y2x
    is_own = numpy.asarray(example.alignment.x2y.lengths) == 1
    for row, (first, count) in enumerate(
        zip(numpy.cumsum(words.lengths) - words.lengths, words.lengths, strict=True)
    ):
        if count == 1 and is_own[words.data[first]]:
            targets[words.data[first]] = given[row]
    return targets


def allowed_tags(example: Example, scheme: LabelScheme, has_pieces: Bools) -> Bools:
    """The tags that an example's annotation admits at each word with a piece.

    One tag where the reference says what stands there, all tags where its
    annotation is missing or can't be laid over the predicted words. The words
    without a piece are no positions in the chain and have no row: an entity
    that begins with one begins at the next.

    has_pieces (Bools1d): For each word of the predicted doc, whether it has
        an emission of its own.
    RETURNS (Bools2d): Shape (words with a piece, tags).
    """
    tags = _aligned_bio(example)
    kept: list[str | None] = []
    pending = ""
    for tag, has_piece in zip(tags, has_pieces, strict=True):
        prefix, label = split_tag(tag) if tag is not MISSING else ("", "")
        if not has_piece:
            pending = label if prefix == "B" else pending
        else:
            begins_here = prefix == "I" and label == pending
            kept.append(f"B-{label}" if begins_here else tag)
            pending = ""
    allowed = numpy.zeros((len(kept), len(scheme.tags)), dtype=bool)
    index = {tag: i for i, tag in enumerate(scheme.tags)}
    for row, tag in enumerate(kept):
        allowed[row, slice(None) if tag is MISSING else index[tag]] = True
    return allowed


def incorrect_spans(example: Example, key: str) -> list[Entity]:
    """The spans that an example's annotation says are no entities of their label.

    As with spaCy's `ner` they may overlap, count once each, and say nothing where
    they have no label or can't be laid over the predicted words.

    key (str): Where the reference's `doc.spans` has them.
    RETURNS (List[Entity]): The spans over the words of the predicted doc.

    Raises ValueError if one of them is an entity of the reference, too.
    """
    given = example.reference.spans.get(key, [])
    spans = dict.fromkeys(
        Entity(span.start, span.end, span.label_)
        for span in example.get_aligned_spans_y2x(given, allow_overlap=True)
        if span.label_
    )
    # Entities beside soft labels are only what those make most probable.
    if spans and SOFT_LABELS not in example.reference.user_data:
        entities, _ = example.get_aligned_ents_and_ner()
        for ent in entities:
            if Entity(ent.start, ent.end, ent.label_) in spans:
                where = (ent.start_char, ent.end_char, ent.label_)
                raise ValueError(Errors.E868.format(span=where))
    return list(spans)


def _aligned_bio(example: Example) -> list[str | None]:
    to_bio = {"U": "B", "L": "I"}
    iobs, types = example.get_aligned("ENT_IOB"), example.get_aligned("ENT_TYPE")
    tags: list[str | None] = []
    for biluo, iob, kind in zip(example.get_aligned_ner(), iobs, types, strict=True):
        # A beginning without a type marks a blocked word: it is no entity.
        if biluo == OUTSIDE or (iob == 3 and kind == 0):
            tags.append(OUTSIDE)
        elif biluo is None or biluo == "-":
            tags.append(MISSING)
        else:
            prefix, _, label = biluo.partition("-")
            tags.append(f"{to_bio.get(prefix, prefix)}-{label}")
    return tags
