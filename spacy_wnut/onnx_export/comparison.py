"""Compare an exported pipeline with its original on an annotated corpus."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training import Example

from ..calibration.sample import Sample, find_entities, read_sample
from ..crf.decoding import decode
from ..errors import WnutError
from ..scoring.measures import prf_of_counts

# Maximum absolute difference of an emission in fp32.
MAX_EMISSION_DIFFERENCE = 1e-4
# Maximum loss of entity F1, in both precisions. F1 is a fraction between 0 and 1.
MAX_F1_LOSS = 0.005
# Minimum share of words with equal tags, among words in an entity of either pipeline.
MIN_AGREEMENT = {"fp32": 0.999, "int8": 0.9}


class Comparison(TypedDict):
    """Differences between two pipelines on one corpus.

    emissions (float): The largest absolute difference of an emission.
    entity_f1 (Dict[str, float]): Entity F1 of the original ("before") and of the
        exported pipeline ("after"), between 0 and 1.
    agreement (Dict[str, float]): The share of words with equal tags, between 0 and 1:
        among all words ("all"), and among the words that are in an entity of either
        pipeline ("entities"). 1 if there are no such words.
    """

    emissions: float
    entity_f1: dict[str, float]
    agreement: dict[str, float]


class ExportFigures(Comparison):
    """Settings and measurements of an export, as stored in meta.json.

    precision (str): "fp32" or "int8".
    spacy_wnut (str): The version that exported the pipeline.
    corpus (str): The file name of the corpus.
    posts (int): The number of posts in the corpus.
    temperature (float): The temperature of the exported pipeline.
    """

    precision: str
    spacy_wnut: str
    corpus: str
    posts: int
    temperature: float


class TaggedCorpus(NamedTuple):
    """Annotated posts with the predictions of one pipeline.

    sample (Sample): The emissions and the gold entities.
    tags (Ints1d): The index of each word's predicted tag. Shape (n_words,), with the
        words of all posts in order.
    f1 (float): Entity F1, between 0 and 1.
    """

    sample: Sample
    tags: NDArray[numpy.int64]
    f1: float


def tag_corpus(nlp: Language, name: str, examples: Sequence[Example]) -> TaggedCorpus:
    """Tag annotated posts with one component of a pipeline.

    nlp (Language): The pipeline.
    name (str): The name of its EntityTagger.
    examples (Sequence[Example]): The posts, without predictions.
    RETURNS (TaggedCorpus): The emissions, the predicted tags and entity F1.
    """
    sample = read_sample(nlp, name, examples)
    tagger: Any = nlp.get_pipe(name)
    decoded = decode(sample.emitted, tagger.bias, tagger.temperature)
    lengths = sample.emitted.lengths
    first_rows = (numpy.cumsum(lengths) - lengths)[decoded.docs]
    tags = numpy.zeros(len(sample.emitted.emissions), dtype=numpy.int64)
    for first_row, start, end, label in zip(
        first_rows, decoded.starts, decoded.ends, decoded.types, strict=True
    ):
        # Tags are O, then B and I of each type in turn.
        tags[first_row + start : first_row + end] = 2 * label + 2
        tags[first_row + start] = 2 * label + 1
    right = find_entities(sample, tagger.bias, tagger.temperature).right
    n_gold = int(sample.n_gold.sum())
    f1 = prf_of_counts(int(right.sum()), len(right), n_gold)["f1"]
    return TaggedCorpus(sample, tags, f1)


def compare(before: TaggedCorpus, after: TaggedCorpus) -> Comparison:
    """Compare the predictions of two pipelines on the same posts.

    before (TaggedCorpus): The predictions of the original.
    after (TaggedCorpus): The predictions of the exported pipeline.
    RETURNS (Comparison): The differences.
    """
    difference = after.sample.emitted.emissions - before.sample.emitted.emissions
    is_equal = before.tags == after.tags
    in_entity = (before.tags > 0) | (after.tags > 0)
    return {
        "emissions": float(numpy.abs(difference).max(initial=0.0)),
        "entity_f1": {"before": before.f1, "after": after.f1},
        "agreement": {
            "all": _share(is_equal),
            "entities": _share(is_equal[in_entity]),
        },
    }


def check_agreement(figures: ExportFigures) -> None:
    """Check that an exported pipeline agrees with its original.

    figures (ExportFigures): The precision and the measured differences.

    Raises WnutError if a difference exceeds its tolerance.
    """
    precision, f1 = figures["precision"], figures["entity_f1"]
    failures = []
    difference = figures["emissions"]
    # Negated, so that NaN fails too.
    if precision == "fp32" and not difference <= MAX_EMISSION_DIFFERENCE:
        failures.append(
            f"emissions differ by up to {difference:.2g} (at most "
            f"{MAX_EMISSION_DIFFERENCE:g} is allowed)"
        )
    if f1["after"] < f1["before"] - MAX_F1_LOSS:
        failures.append(
            f"entity F1 falls from {f1['before']:.4f} to {f1['after']:.4f} (at most "
            f"{MAX_F1_LOSS:g} is allowed)"
        )
    agreement = figures["agreement"]["entities"]
    if agreement < MIN_AGREEMENT[precision]:
        failures.append(
            f"only {agreement:.1%} of the words in entities have the same tag (at "
            f"least {MIN_AGREEMENT[precision]:.1%} is required)"
        )
    if failures:
        raise WnutError(
            f"the exported pipeline ({precision}) does not agree with the original, "
            f"so it is not written: {'; '.join(failures)}"
        )


def _share(values: NDArray[numpy.bool_]) -> float:
    return float(values.mean()) if len(values) else 1.0
