"""Measures on tagged posts: no spaCy in here, so that files can be scored too.

Every measure is a fraction from 0 to 1. Where a denominator is zero (nothing
predicted, nothing to find) the measure is 0.0, as in CoNLL's script and seqeval.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, TypedDict

from ..errors import WnutError
from ..labels import Entity, tags_to_entities


class PRF(TypedDict):
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


class TaggingScores(PRF):
    """PRF, and the share of positions whose tag is right."""

    accuracy: float


class Scores(TypedDict):
    """What `evaluate` and `score` write as JSON."""

    entity: PRF
    surface: PRF
    per_type: dict[str, PRF]
    seqeval: TaggingScores
    seqeval_strict: PRF


class SeenScores(TypedDict):
    """Scores of names that occur in the training data, and of those that don't."""

    seen: PRF
    unseen: PRF


class AllScores(Scores, total=False):
    """Scores, and where the training data is known those of SeenScores."""

    seen: PRF
    unseen: PRF


class Counts(TypedDict):
    """How many entities of each post are right, were predicted, and are in gold."""

    right: list[int]
    predicted: list[int]
    gold: list[int]


@dataclass(frozen=True)
class ScoredPost:
    """A post with its right tags and those that a system gave it.

    words (Sequence[str]): The text of each position, with the white space after
        it, if there is any.
    gold_tags (Sequence[str]): The right BIO tag of each position.
    predicted_tags (Sequence[str]): The system's BIO tag of each position.
    confidences (Sequence[Optional[float]]): The confidence of each of the system's
        entities, in order, None for one without. Empty if the system gives none.

    Raises ValueError if the first three differ in length.
    """

    words: Sequence[str]
    gold_tags: Sequence[str]
    predicted_tags: Sequence[str]
    confidences: Sequence[float | None] = ()

    def __post_init__(self) -> None:
        lengths = len(self.words), len(self.gold_tags), len(self.predicted_tags)
        if len(set(lengths)) > 1:
            raise ValueError(
                "a post needs as many gold tags and predicted tags as words: got "
                "{} words, {} gold tags, {} predicted tags".format(*lengths)
            )

    @cached_property
    def gold(self) -> frozenset[Entity]:
        """The right entities. Raises ValueError for a tag that is not BIO."""
        return frozenset(tags_to_entities(self.gold_tags))

    @cached_property
    def predicted(self) -> frozenset[Entity]:
        """The system's entities. Raises ValueError for a tag that is not BIO."""
        return frozenset(tags_to_entities(self.predicted_tags))

    def surface(self, entities: Iterable[Entity]) -> set[tuple[str, str]]:
        """The surface forms of entities of this post, each with its type."""
        return {(self.form(entity), entity.label) for entity in entities}

    def form(self, entity: Entity) -> str:
        """The surface form of an entity of this post: its words as they stand."""
        return "".join(self.words[entity.start : entity.end]).strip()


def prf_of_counts(right: int, predicted: int, gold: int) -> PRF:
    """The scores of `predicted` entities of which `right` are among the `gold` ones."""
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / gold if gold else 0.0,
        # The harmonic mean of both, without a detour by their roundings.
        "f1": 2 * right / (predicted + gold) if predicted + gold else 0.0,
    }


def entity_scores(posts: Iterable[ScoredPost]) -> PRF:
    """Micro-averaged scores of entities: right is the exact span and type.

    Equal to CoNLL's script (Tjong Kim Sang and De Meulder 2003) and to seqeval's
    default mode.
    """
    right, predicted, gold = _count_by_type(posts)
    return prf_of_counts(right.total(), predicted.total(), gold.total())


def type_scores(posts: Iterable[ScoredPost]) -> dict[str, PRF]:
    """`entity_scores` of each type that is in gold or was predicted, sorted."""
    right, predicted, gold = _count_by_type(posts)
    return {
        label: prf_of_counts(right[label], predicted[label], gold[label])
        for label in sorted({*predicted, *gold})
    }


def surface_scores(posts: Iterable[ScoredPost]) -> PRF:
    """Scores of distinct surface forms (Derczynski et al. 2017, WNUT 2017).

    Over the distinct (form, type) of all posts: those of entities that are right
    in position, out of all predicted ones (precision) and out of all gold ones
    (recall). Upper and lower case are different forms.
    """
    right: set[tuple[str, str]] = set()
    predicted: set[tuple[str, str]] = set()
    gold: set[tuple[str, str]] = set()
    for post in posts:
        # Not predicted & gold of the whole corpus: that would also count a form
        # which was missed where it stands and predicted where it doesn't.
        right |= post.surface(post.gold & post.predicted)
        predicted |= post.surface(post.predicted)
        gold |= post.surface(post.gold)
    return prf_of_counts(len(right), len(predicted), len(gold))


def seen_scores(posts: Iterable[ScoredPost], forms: Container[str]) -> SeenScores:
    """`entity_scores` of names that were seen in training, and of all others.

    An entity is seen if its surface form, lower case and upper case alike
    (`str.casefold`) and whatever its type, is among the forms. Gold entities count
    where their own form belongs, and so do predicted ones: every entity of either
    side counts once, so the counts of both halves add up to those of all.

    posts (Iterable[ScoredPost]): The posts.
    forms (Container[str]): The surface forms of the training data's entities,
        casefolded.
    RETURNS (SeenScores): Both halves.
    """
    counts = {True: [0, 0, 0], False: [0, 0, 0]}
    for post in posts:
        for i, entities in enumerate(
            (post.gold & post.predicted, post.predicted, post.gold)
        ):
            for entity in entities:
                counts[post.form(entity).casefold() in forms][i] += 1
    return {
        "seen": prf_of_counts(*counts[True]),
        "unseen": prf_of_counts(*counts[False]),
    }


def post_counts(posts: Iterable[ScoredPost]) -> Counts:
    """How many entities of each post are right, predicted and in gold: all that
    resampling posts needs.
    """
    counts: Counts = {"right": [], "predicted": [], "gold": []}
    for post in posts:
        counts["right"].append(len(post.gold & post.predicted))
        counts["predicted"].append(len(post.predicted))
        counts["gold"].append(len(post.gold))
    return counts


def tag_accuracy(posts: Iterable[ScoredPost]) -> float:
    """The share of positions whose tag is right, prefix and type."""
    right = total = 0
    for post in posts:
        total += len(post.words)
        right += sum(
            gold == predicted
            for gold, predicted in zip(post.gold_tags, post.predicted_tags, strict=True)
        )
    return right / total if total else 0.0


def seqeval_scores(posts: Sequence[ScoredPost]) -> TaggingScores:
    """The seqeval library's own precision, recall, F1 (micro, default mode) and
    accuracy.

    Raises WnutError if seqeval is not installed.
    """
    metrics, _ = _import_seqeval()
    gold, predicted = _tag_lists(posts)
    # seqeval divides by the number of positions unasked.
    accuracy = float(metrics.accuracy_score(gold, predicted)) if any(gold) else 0.0
    return {**_seqeval_prf(posts), "accuracy": accuracy}


def seqeval_strict_scores(posts: Sequence[ScoredPost]) -> PRF:
    """The seqeval library's own scores (micro) in strict mode with scheme IOB2:
    an I-x after anything but B-x or I-x belongs to no entity.

    Raises WnutError if seqeval is not installed.
    """
    _, scheme = _import_seqeval()
    return _seqeval_prf(posts, mode="strict", scheme=scheme.IOB2)


def all_scores(
    posts: Sequence[ScoredPost], seen_forms: Container[str] | None = None
) -> AllScores:
    """All measures, in the structure that `evaluate` and `score` write as JSON.

    posts (Sequence[ScoredPost]): The posts.
    seen_forms (Optional[Container[str]]): As `seen_scores` takes them. If None its
        scores are left out.
    RETURNS (AllScores): The scores.

    Raises WnutError if seqeval is not installed.
    """
    scores: AllScores = {
        "entity": entity_scores(posts),
        "surface": surface_scores(posts),
        "per_type": type_scores(posts),
        "seqeval": seqeval_scores(posts),
        "seqeval_strict": seqeval_strict_scores(posts),
    }
    if seen_forms is not None:
        halves = seen_scores(posts, seen_forms)
        scores["seen"], scores["unseen"] = halves["seen"], halves["unseen"]
    return scores


def _count_by_type(
    posts: Iterable[ScoredPost],
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How many entities of each type are right, predicted, and in gold."""
    right: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    gold: Counter[str] = Counter()
    for post in posts:
        right.update(entity.label for entity in post.gold & post.predicted)
        predicted.update(entity.label for entity in post.predicted)
        gold.update(entity.label for entity in post.gold)
    return right, predicted, gold


def _import_seqeval() -> tuple[ModuleType, ModuleType]:
    try:
        # Not at the top: a pipeline's scorer has to work with spaCy alone.
        from seqeval import metrics, scheme  # type: ignore[import-untyped]
    except ImportError as err:
        raise WnutError(
            "seqeval is not installed, and its measures are part of the scores. "
            'Install it with: pip install "spacy-wnut[train]"'
        ) from err
    return metrics, scheme


def _seqeval_prf(posts: Sequence[ScoredPost], **mode: Any) -> PRF:
    metrics, _ = _import_seqeval()
    gold, predicted = _tag_lists(posts)
    # As a setting, 0 keeps seqeval from warning about what is documented above.
    settings = {"average": "micro", "zero_division": 0, **mode}
    return {
        "precision": float(metrics.precision_score(gold, predicted, **settings)),
        "recall": float(metrics.recall_score(gold, predicted, **settings)),
        "f1": float(metrics.f1_score(gold, predicted, **settings)),
    }


def _tag_lists(posts: Sequence[ScoredPost]) -> tuple[list[list[str]], list[list[str]]]:
    # seqeval tells posts from tags by their type, list, and refuses no posts.
    gold = [list(post.gold_tags) for post in posts]
    predicted = [list(post.predicted_tags) for post in posts]
    return gold or [[]], predicted or [[]]
