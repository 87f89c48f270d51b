"""From annotated examples to the tags that training admits at each word."""

import numpy
from spacy.training import Example

from .chain import Bools
from .labels import OUTSIDE, LabelScheme, split_tag

MISSING = None


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
