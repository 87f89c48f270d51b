"""Soft pseudo-labels of unlabelled posts, predicted by trained pipelines (teachers)."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.util import get_package_path, minibatch
from tqdm import tqdm  # type: ignore[import-untyped]

from ..crf.arrays import Floats64, Ints
from ..crf.decoding import Emitted, decode, legal_chain, tag_probabilities
from ..crf.targets import set_soft_labels
from ..digests import digest_path, digest_values, read_digests, write_digests
from ..errors import WnutError
from ..files import replacing
from ..labels import LabelScheme
from ..pipeline.entity_tagger import EntityTagger, find_tagger
from ..pipeline.loading import load_pipeline

# Probability floor before the log, below float16 resolution.
SMALLEST = 1e-8


class Labelled(NamedTuple):
    """The result of pseudo-labelling.

    posts (int): The number of posts that were read.
    kept (int): The number of posts that were written.
    entities (float): The expected number of entities in the written posts.
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
) -> Labelled | None:
    """Label posts with the mean tag probabilities of trained pipelines.

    The docs in the output hold the probability of each tag at each word, the training
    targets of an `entity_tagger` (self-training: Scudder 1965; soft labels: Hinton et
    al. 2015). Their entities are the most probable ones.

    teachers (Sequence[str]): Folders or names of pipelines with one `entity_tagger`
        each, all with the same entity types. The probabilities include the stored
        temperature and bias.
    texts (Iterable[str]): The posts. Duplicates are labelled once.
    out (Path): The DocBin file to write. Digests of the inputs are written beside it.
    min_entities (float): Skip posts with a lower expected number of entities: the sum
        over all words of the probability that an entity starts there.
    limit (Optional[int]): The maximum number of posts to keep.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    RETURNS (Optional[Labelled]): The numbers of posts and entities. None if `out` is
        the result of an earlier call with the same teachers, posts and settings: it
        does not change then.

    Raises WnutError if a pipeline can't be used, if the pipelines differ in their entity
    types or in their tokenization of a post, or if no post is kept.
    """
    texts = list(dict.fromkeys(texts))
    record = out.with_name(f"{out.name}.made-of.json")
    made_of = _made_of(teachers, texts, [min_entities, limit])
    if out.is_file() and read_digests(record) == {**made_of, "out": digest_path(out)}:
        return None
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
    unique = tqdm(texts, unit="post", leave=False, disable=None)
    for batch in minibatch(unique, 512):
        n_read += len(batch)
        docs = [pipelines[0].make_doc(text) for text in batch]
        by_teacher = []
        for nlp, tagger, name in zip(pipelines, taggers, teachers, strict=True):
            tokenized = [nlp.make_doc(text) for text in batch]
            _check_words(docs, tokenized, teachers[0], name)
            by_teacher.append(_probabilities(nlp, tagger, tokenized))
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
    write_digests(record, {**made_of, "out": digest_path(out)})
    return Labelled(n_read, len(docbin), n_entities)


def _made_of(
    teachers: Sequence[str], texts: list[str], settings: list[float | None]
) -> dict[str, str]:
    made_of = {"texts": digest_values(texts), "settings": digest_values(settings)}
    for i, teacher in enumerate(teachers):
        folder = Path(teacher)
        if not folder.exists():
            # An installed pipeline. Loading reports a missing one.
            with suppress(OSError, ImportError):
                folder = get_package_path(teacher)
        made_of[f"teacher {i}"] = digest_path(folder)
    return made_of


def _check_words(
    docs: list[Doc], others: list[Doc], teacher: str, other_teacher: str
) -> None:
    for doc, other in zip(docs, others, strict=True):
        words, other_words = ([token.text for token in d] for d in (doc, other))
        if words != other_words:
            raise WnutError(
                f"{teacher} splits the post {doc.text!r} into the words {words}, and "
                f"{other_teacher} into {other_words}: teachers need the same tokenizer"
            )


def _probabilities(nlp: Language, tagger: EntityTagger, docs: list[Doc]) -> Floats64:
    with nlp.select_pipes(disable=[tagger.name]):
        docs = list(nlp.pipe(docs))
    emitted = tagger.emit(docs)
    return tag_probabilities(emitted, tagger.bias, tagger.temperature)


def _set_entities(
    docs: list[Doc], lengths: Ints, mean: Floats64, scheme: LabelScheme
) -> None:
    """Set the entities of the best path under the mean probabilities.

    mean: Shape (n_words, n_tags), the words of all docs.
    """
    # Rows of zeros (words without pieces) stay zeros: decoding skips these words.
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
