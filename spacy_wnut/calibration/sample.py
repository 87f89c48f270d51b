"""Samples for calibration: emissions of annotated posts, decoded with many settings."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import numpy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch
from tqdm import tqdm  # type: ignore[import-untyped]

from ..crf.arrays import Bools, Floats64, Ints
from ..crf.decoding import Emitted, decode
from ..pipeline.entity_tagger import EntityTagger
from ..scoring.examples import UNANNOTATED

# First word, the word after the last one, and index of the entity type.
Mention = tuple[int, int, int]


class Sample(NamedTuple):
    """Emissions and gold entities of annotated posts.

    A sample can be decoded and scored with any settings, without running the model
    again.

    emitted (Emitted): The emissions of the posts. One row per word.
    gold (List[FrozenSet[Tuple[int, int, int]]]): The gold entities of each post: first
        word, the word after the last one, and index of the entity type. Gold entities
        that are impossible for the component, because they don't match its tokens or
        its types, are left out.
    n_gold (Ints1d): The number of all gold entities of each post. Shape (n_posts,).
    unjudged (Bools1d): Whether each word is unannotated. Shape (n_words,).
    """

    emitted: Emitted
    gold: list[frozenset[Mention]]
    n_gold: Ints
    unjudged: Bools


class PredictedEntities(NamedTuple):
    """Entities predicted in a sample.

    posts (Ints1d): The index of the post of each entity. Shape (n_entities,).
    confidences (Floats1d): The confidences, fractions between 0 and 1. Shape
        (n_entities,).
    right (Bools1d): Whether a gold entity has the same span and type. Shape
        (n_entities,).
    """

    posts: Ints
    confidences: Floats64
    right: Bools

    def of_posts(self, posts: Bools) -> "PredictedEntities":
        """Select the entities of some posts.

        posts (Bools1d): Whether to select each post. Shape (n_posts,).
        RETURNS (PredictedEntities): The selected entities.
        """
        chosen = posts[self.posts]
        return PredictedEntities(
            self.posts[chosen], self.confidences[chosen], self.right[chosen]
        )


def find_entities(sample: Sample, bias: float, temperature: float) -> PredictedEntities:
    """Decode a sample, and compare the predicted entities with gold.

    No threshold is applied. An entity that contains an unannotated word is left out, as
    in `scoring.examples`.

    sample (Sample): The sample.
    bias (float): The bias in nats.
    temperature (float): The temperature, above 0.
    RETURNS (PredictedEntities): The predicted entities.
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
    """Compute the emissions of an EntityTagger on examples, with a progress bar on stderr.

    The components before the EntityTagger run, those after it do not. If entities of
    earlier components take precedence, gold entities that overlap them are not part of
    the sample, because the EntityTagger cannot predict them.

    nlp (Language): The pipeline.
    name (str): The name of the EntityTagger in the pipeline.
    examples (Sequence[Example]): Examples without predictions. Both docs of an example
        have the same text.
    RETURNS (Sample): The sample.
    """
    tagger = cast(EntityTagger, nlp.get_pipe(name))
    earlier = nlp.pipe_names[: nlp.pipe_names.index(name)]
    emitted, gold, n_gold, unjudged = [], [], [], []
    with nlp.select_pipes(enable=earlier):
        # Copies, so that docs are freed batch by batch: otherwise the encoder's vectors
        # would stay in memory with the examples.
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
    """Align the gold entities of a reference with the tokens of a doc.

    RETURNS: The gold entities that match tokens and labels, the number of all gold
        entities, and whether each token of the doc is unannotated.
    """
    # Offsets can't be compared if one of two docs with the same tokens has unknown
    # spaces.
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
