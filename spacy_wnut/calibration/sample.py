"""Annotated posts, run through the model once, to be decoded many times."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import numpy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch
from tqdm import tqdm  # type: ignore[import-untyped]

from ..crf.chain import Bools, Floats, Ints
from ..crf.decoding import Emitted, decode
from ..pipeline.entity_tagger import EntityTagger
from ..scoring.examples import UNANNOTATED

Mention = tuple[int, int, int]


class Sample(NamedTuple):
    """Annotated posts as a component sees them: enough to decode them with any
    settings and to judge what is found.

    emitted (Emitted): The emissions of the posts.
    gold (List[FrozenSet[Tuple[int, int, int]]]): For each post the right entities:
        first word, the one after the last, index of the type. Those that the
        component can't find as its tokens or types are others are left out.
    n_gold (Ints1d): For each post how many right entities there are in all.
    unjudged (Bools1d): The words without annotation, one a row of the emissions.
    """

    emitted: Emitted
    gold: list[frozenset[Mention]]
    n_gold: Ints
    unjudged: Bools


class PredictedEntities(NamedTuple):
    """Entities found in a sample.

    posts (Ints1d): The index of each entity's post.
    confidences (Floats1d): Its confidence.
    right (Bools1d): Whether its exact span and type are right.
    """

    posts: Ints
    confidences: Floats
    right: Bools

    def of_posts(self, posts: Bools) -> "PredictedEntities":
        """Those of some posts alone: a mask, one value a post."""
        chosen = posts[self.posts]
        return PredictedEntities(
            self.posts[chosen], self.confidences[chosen], self.right[chosen]
        )


def find_entities(sample: Sample, bias: float, temperature: float) -> PredictedEntities:
    """Decode a sample and judge what is found.

    An entity that touches a word without annotation is left out, as in scoring.
    No threshold is applied.
    """
    decoded = decode(sample.emitted, bias, temperature)
    lengths = sample.emitted.lengths
    first_row = (numpy.cumsum(lengths) - lengths)[decoded.docs]
    unjudged_before = numpy.concatenate([[0], numpy.cumsum(sample.unjudged)])
    is_judged = (
        unjudged_before[first_row + decoded.starts]
        == unjudged_before[first_row + decoded.ends]
    )
    mentions = zip(decoded.starts, decoded.ends, decoded.types, strict=True)
    right = numpy.asarray(
        [
            (int(start), int(end), int(label)) in sample.gold[post]
            for post, (start, end, label) in zip(decoded.docs, mentions, strict=True)
        ],
        dtype=bool,
    )
    return PredictedEntities(
        decoded.docs[is_judged], decoded.confidences[is_judged], right[is_judged]
    )


def read_sample(nlp: Language, name: str, examples: Sequence[Example]) -> Sample:
    """Run a pipeline up to a component over examples, with a progress bar on stderr.

    Where entities of earlier pipes stay, the component has nothing to find, and
    gold entities that touch such words are no part of the sample.

    nlp (Language): The pipeline.
    name (str): The name of its EntityTagger.
    examples (Sequence[Example]): Nothing predicted yet, both docs of one text.
    RETURNS (Sample): The posts.
    """
    tagger = cast(EntityTagger, nlp.get_pipe(name))
    earlier = nlp.pipe_names[: nlp.pipe_names.index(name)]
    emitted, gold, n_gold, unjudged = [], [], [], []
    with nlp.select_pipes(enable=earlier):
        # Copies are freed batch by batch. An encoder's vectors would stay on the docs
        # of the examples.
        docs = nlp.pipe(example.predicted.copy() for example in examples)
        posts = tqdm(docs, total=len(examples), unit="post", leave=False, disable=None)
        pairs = zip(posts, (eg.reference for eg in examples), strict=True)
        for batch in minibatch(pairs, nlp.batch_size):
            part = tagger.emit([doc for doc, _ in batch])
            emitted.append(part)
            row = 0
            for doc, reference in batch:
                rows = slice(row, row + len(doc))
                barred = part.barred[rows] if part.barred is not None else None
                mentions, n_mentions, missing = _align(
                    doc, reference, tagger.labels, barred
                )
                gold.append(mentions)
                n_gold.append(n_mentions)
                unjudged.append(missing)
                row += len(doc)
    return Sample(
        _concatenate(emitted),
        gold,
        numpy.asarray(n_gold, dtype=numpy.int64),
        numpy.concatenate(unjudged),
    )


def _align(
    doc: Doc, reference: Doc, labels: Sequence[str], barred: Bools | None
) -> tuple[frozenset[Mention], int, Bools]:
    """The gold entities in the tokens of a doc, how many there are with those that
    don't fit them, and the doc's tokens without annotation.
    """
    # The same tokens are the same words, though one doc may not know its spaces.
    is_same = [token.text for token in doc] == [token.text for token in reference]
    tokens = reference if is_same else doc
    starts = {token.idx: token.i for token in tokens}
    ends = {token.idx + len(token): token.i + 1 for token in tokens}
    types = {label: index for index, label in enumerate(labels)}
    mentions, n_mentions = set(), 0
    for ent in reference.ents:
        touched = [
            token.i
            for token in tokens
            if token.idx < ent.end_char and ent.start_char < token.idx + len(token)
        ]
        if barred is not None and barred[touched].any():
            continue
        n_mentions += 1
        start, end = starts.get(ent.start_char), ends.get(ent.end_char)
        if start is not None and end is not None and ent.label_ in types:
            mentions.add((start, end, types[ent.label_]))
    missing = {
        char
        for token in reference
        if token.ent_iob == UNANNOTATED
        for char in range(token.idx, token.idx + len(token))
    }
    unjudged = [
        not missing.isdisjoint(range(token.idx, token.idx + len(token)))
        for token in tokens
    ]
    return frozenset(mentions), n_mentions, numpy.asarray(unjudged, dtype=bool)


def _concatenate(parts: Iterable[Emitted]) -> Emitted:
    emissions, lengths, chains, barred = zip(*parts, strict=True)
    return Emitted(
        numpy.concatenate(emissions),
        numpy.concatenate(lengths),
        chains[0],
        None if barred[0] is None else numpy.concatenate(barred),
    )
