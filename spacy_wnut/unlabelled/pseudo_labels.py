"""Labelling unlabelled posts softly with one or several trained pipelines."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.util import minibatch
from tqdm import tqdm  # type: ignore[import-untyped]

from ..chain import Floats, Ints
from ..decoding import Emitted, decode, legal_chain, tag_probabilities
from ..entity_tagger import EntityTagger, find_tagger
from ..errors import WnutError
from ..files import replacing
from ..gold import set_soft_labels
from ..labels import LabelScheme
from ..scoring.evaluation import load_pipeline

# Less is left out of a logarithm, more than float16 tells apart.
SMALLEST = 1e-8


class Labelled(NamedTuple):
    """How many `posts` were read, how many of them were `kept`, and how many
    `entities` are probably in those.
    """

    posts: int
    kept: int
    entities: float


def pseudo_label(
    teachers: Sequence[str],
    texts: Iterable[str],
    out: Path,
    *,
    min_entities: float = 0.0,
    limit: int | None = None,
    gpu_id: int = -1,
) -> Labelled:
    """Label posts with what trained pipelines expect on the average.

    The docs hold how probable each tag is at each word, which an `entity_tagger`
    learns from (self-training: Scudder 1965; by soft labels: Hinton et al. 2015), and
    as their entities the most probable ones.

    teachers (Sequence[str]): Folders or names of pipelines with one `entity_tagger`,
        all of the same entity types. Their probabilities are those at the stored
        temperature and bias.
    texts (Iterable[str]): The posts. The same post is labelled once.
    out (Path): The DocBin to write.
    min_entities (float): Posts in which fewer entities are to be expected are left
        out: the sum of the probabilities that one begins, over all words.
    limit (Optional[int]): The greatest number of posts to keep.
    gpu_id (int): The GPU to run on, or -1 for the CPU.

    Raises WnutError if a pipeline can't be used, their types differ, or no post is
    kept.
    """
    pipelines = [load_pipeline(teacher, gpu_id) for teacher in teachers]
    taggers = [find_tagger(nlp) for nlp in pipelines]
    scheme = taggers[0].scheme
    for tagger, name in zip(taggers, teachers, strict=True):
        if tagger.scheme != scheme:
            raise WnutError(
                f"{name} finds {', '.join(tagger.labels)}, but {teachers[0]} finds "
                f"{', '.join(scheme.types)}: teachers need the same types in the same "
                "order"
            )
    docbin = DocBin(attrs=["ENT_IOB", "ENT_TYPE"], store_user_data=True)
    n_read, n_entities = 0, 0.0
    unique = tqdm(dict.fromkeys(texts), unit="post", leave=False, disable=None)
    for batch in minibatch(unique, 512):
        n_read += len(batch)
        docs = [pipelines[0].make_doc(text) for text in batch]
        by_teacher = [
            _probabilities(nlp, tagger, batch)
            for nlp, tagger in zip(pipelines, taggers, strict=True)
        ]
        mean = numpy.mean(by_teacher, axis=0)
        lengths = numpy.asarray([len(doc) for doc in docs])
        _set_entities(docs, lengths, mean, scheme)
        ends = numpy.cumsum(lengths)
        for doc, end in zip(docs, ends, strict=True):
            rows = mean[end - len(doc) : end]
            expected = float(rows[:, 1::2].sum())
            if expected >= min_entities and (limit is None or len(docbin) < limit):
                set_soft_labels(doc, scheme, rows)
                docbin.add(doc)
                n_entities += expected
        if limit is not None and len(docbin) >= limit:
            break
    if not len(docbin):
        raise WnutError(
            f"None of {n_read} posts was kept: give more posts, or a lower "
            "--min-entities"
        )
    with replacing(out) as beside:
        docbin.to_disk(beside)
    return Labelled(n_read, len(docbin), n_entities)


def _probabilities(nlp: Language, tagger: EntityTagger, texts: list[str]) -> Floats:
    with nlp.select_pipes(disable=[tagger.name]):
        docs = list(nlp.pipe(texts))
    emitted = tagger.emit(docs)
    return tag_probabilities(emitted, tagger.bias, tagger.temperature)


def _set_entities(
    docs: list[Doc], lengths: Ints, mean: Floats, scheme: LabelScheme
) -> None:
    """Set the entities that are best by the mean of the probabilities."""
    scores = numpy.where(
        mean.any(axis=1, keepdims=True), numpy.log(numpy.maximum(mean, SMALLEST)), 0.0
    )
    found = decode(Emitted(scores, lengths, legal_chain(scheme)))
    entities: list[list[Span]] = [[] for _ in docs]
    for doc, start, end, kind in zip(*found[:4], strict=True):
        label = scheme.types[kind]
        entities[doc].append(Span(docs[doc], int(start), int(end), label=label))
    for doc, spans in zip(docs, entities, strict=True):
        doc.set_ents(spans, default="outside")
