"""Measures on tagged posts. They do not need spaCy, so they also score CoNLL files.

Every measure is a fraction between 0 and 1. A measure with a zero denominator (no
predicted entities or no gold entities) is 0.0, as in CoNLL's script and seqeval.
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
    """Precision, recall and F1, their harmonic mean: fractions between 0 and 1."""

    precision: float
    recall: float
    f1: float


class TaggingScores(PRF):
    """PRF and accuracy, the share of positions with the right tag."""

    accuracy: float


class Scores(TypedDict):
    """The scores that `evaluate` and `score` write as JSON."""

    entity: PRF
    surface: PRF
    per_type: dict[str, PRF]
    seqeval: TaggingScores
    seqeval_strict: PRF


class SeenScores(TypedDict):
    """Scores of names that occur in the training data, and of all other names."""

    seen: PRF
    unseen: PRF


class AllScores(Scores, total=False):
    """Scores, and the two parts of SeenScores if the training data is known."""

    seen: PRF
    unseen: PRF


class PostCounts(TypedDict):
    """The numbers of right, predicted and gold entities of each post.

    right, predicted, gold (List[int]): One number per post, in the order of the posts.
    """

    right: list[int]
    predicted: list[int]
    gold: list[int]


@dataclass(frozen=True)
class ScoredPost:
    """A post with its gold tags and the tags predicted by a system.

    Positions are tokens or, if the system has other tokens than gold, finer units (see
    `scoring.examples`).

    words (Sequence[str]): The text of each position, with the white space that follows
        it.
    gold_tags (Sequence[str]): The gold BIO tag of each position.
    predicted_tags (Sequence[str]): The predicted BIO tag of each position.
    confidences (Sequence[Optional[float]]): The confidence of each predicted entity, in
        order: a fraction between 0 and 1, or None. Empty if the system has none.

    Raises ValueError if words, gold_tags and predicted_tags differ in length.

    Example:
        >>> from spacy_wnut.scoring.measures import ScoredPost
        >>> post = ScoredPost(
        ...     words=["New ", "York ", "rocks"],
        ...     gold_tags=["B-location", "I-location", "O"],
        ...     predicted_tags=["O", "B-location", "O"],
        ... )
        >>> post.gold
        frozenset({Entity(start=0, end=2, label='location')})
        >>> post.surface(post.gold)
        {('New York', 'location')}
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
        """The gold entities. Raises ValueError for a tag that is not BIO."""
        return frozenset(tags_to_entities(self.gold_tags))

    @cached_property
    def predicted(self) -> frozenset[Entity]:
        """The predicted entities. Raises ValueError for a tag that is not BIO."""
        return frozenset(tags_to_entities(self.predicted_tags))

    def surface(self, entities: Iterable[Entity]) -> set[tuple[str, str]]:
        """Return the distinct (surface form, type) of entities of this post."""
        return {(self.form(entity), entity.label) for entity in entities}

    def form(self, entity: Entity) -> str:
        """Return the surface form of an entity of this post: its text in the post,
        without surrounding white space.
        """
        return "".join(self.words[entity.start : entity.end]).strip()


def prf_of_counts(right: int, predicted: int, gold: int) -> PRF:
    """Compute precision, recall and F1 from counts.

    P = right / predicted, R = right / gold, and F1 = 2PR / (P + R), computed as
    2 * right / (predicted + gold) to avoid the rounding of P and R.

    right (int): The number of predicted entities that are also gold entities.
    predicted (int): The number of predicted entities.
    gold (int): The number of gold entities.
    RETURNS (PRF): The scores.

    Example:
        >>> from spacy_wnut.scoring.measures import prf_of_counts
        >>> prf_of_counts(right=3, predicted=4, gold=6)
        {'precision': 0.75, 'recall': 0.5, 'f1': 0.6}
    """
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / gold if gold else 0.0,
        "f1": 2 * right / (predicted + gold) if predicted + gold else 0.0,
    }


def entity_scores(posts: Iterable[ScoredPost]) -> PRF:
    """Compute micro-averaged scores of entities with the exact span and type.

    Equal to the scores of CoNLL's script (Tjong Kim Sang and De Meulder 2003) and of
    seqeval (Nakayama 2018) in its default mode.

    posts (Iterable[ScoredPost]): The posts.
    RETURNS (PRF): The scores.

    Raises ValueError for a tag that is not BIO.

    Example:
        >>> from spacy_wnut.scoring.measures import ScoredPost, entity_scores
        >>> post = ScoredPost(
        ...     words=["Ann ", "Lee ", "in ", "Paris"],
        ...     gold_tags=["B-person", "I-person", "O", "B-location"],
        ...     predicted_tags=["B-person", "O", "O", "B-location"],
        ... )
        >>> entity_scores([post])
        {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """
    right, predicted, gold = _count_by_type(posts)
    return prf_of_counts(right.total(), predicted.total(), gold.total())


def type_scores(posts: Iterable[ScoredPost]) -> dict[str, PRF]:
    """Compute `entity_scores` separately for each entity type.

    posts (Iterable[ScoredPost]): The posts.
    RETURNS (Dict[str, PRF]): The scores of each type among the gold or predicted
        entities, in alphabetical order.

    Raises ValueError for a tag that is not BIO.

    Example:
        >>> from spacy_wnut.scoring.measures import ScoredPost, type_scores
        >>> post = ScoredPost(["Ann ", "sings"], ["B-person", "O"], ["B-group", "O"])
        >>> for label, prf in type_scores([post]).items():
        ...     print(label, prf)
        group {'precision': 0.0, 'recall': 0.0, 'f1': 0.0}
        person {'precision': 0.0, 'recall': 0.0, 'f1': 0.0}
    """
    right, predicted, gold = _count_by_type(posts)
    return {
        label: prf_of_counts(right[label], predicted[label], gold[label])
        for label in sorted({*predicted, *gold})
    }


def surface_scores(posts: Iterable[ScoredPost]) -> PRF:
    """Compute scores of distinct surface forms (Derczynski et al. 2017, WNUT 2017).

    Let G, P and C be the sets of distinct (surface form, type) of gold entities, of
    predicted entities, and of correct ones (same post, span and type), over all posts.
    Then precision = |C| / |P| and recall = |C| / |G|. Forms that differ in case are
    distinct.

    posts (Iterable[ScoredPost]): The posts.
    RETURNS (PRF): The scores.

    Raises ValueError for a tag that is not BIO.

    Example:
        A form counts once, and is found if one of its occurrences is found.

        >>> from spacy_wnut.scoring.measures import ScoredPost, surface_scores
        >>> first = ScoredPost(["Paris"], ["B-location"], ["B-location"])
        >>> second = ScoredPost(["Paris"], ["B-location"], ["O"])
        >>> surface_scores([first, second])
        {'precision': 1.0, 'recall': 1.0, 'f1': 1.0}
    """
    right: set[tuple[str, str]] = set()
    predicted: set[tuple[str, str]] = set()
    gold: set[tuple[str, str]] = set()
    for post in posts:
        # Not the intersection of the predicted and gold forms of the corpus: that
        # would also count a form that is missed in one place and spurious in another.
        right |= post.surface(post.gold & post.predicted)
        predicted |= post.surface(post.predicted)
        gold |= post.surface(post.gold)
    return prf_of_counts(len(right), len(predicted), len(gold))


def seen_scores(posts: Iterable[ScoredPost], forms: Container[str]) -> SeenScores:
    """Compute `entity_scores` of names seen in training, and of unseen names.

    An entity is seen if its casefolded surface form (`str.casefold`) is in `forms`,
    regardless of its type. Gold and predicted entities are each assigned by their own
    form. So every entity counts once, and the counts of both parts add up to the totals.

    posts (Iterable[ScoredPost]): The posts.
    forms (Container[str]): The casefolded surface forms of the entities in the
        training data, as `corpus.examples.read_surface_forms` returns them.
    RETURNS (SeenScores): The scores of both parts.

    Raises ValueError for a tag that is not BIO.

    Example:
        >>> from spacy_wnut.scoring.measures import ScoredPost, seen_scores
        >>> tags = ["B-location", "O", "B-location"]
        >>> post = ScoredPost(["PARIS ", "or ", "Oslo"], tags, ["B-location", "O", "O"])
        >>> scores = seen_scores([post], {"paris"})
        >>> scores["seen"]["recall"], scores["unseen"]["recall"]
        (1.0, 0.0)
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


def post_counts(posts: Iterable[ScoredPost]) -> PostCounts:
    """Count the right, predicted and gold entities of each post, for the bootstrap.

    posts (Iterable[ScoredPost]): The posts.
    RETURNS (PostCounts): The counts.

    Raises ValueError for a tag that is not BIO.

    Example:
        >>> from spacy_wnut.scoring.measures import ScoredPost, post_counts
        >>> first = ScoredPost(["Paris"], ["B-location"], ["B-location"])
        >>> second = ScoredPost(["Paris"], ["B-location"], ["O"])
        >>> post_counts([first, second])
        {'right': [1, 0], 'predicted': [1, 0], 'gold': [1, 1]}
    """
    counts: PostCounts = {"right": [], "predicted": [], "gold": []}
    for post in posts:
        counts["right"].append(len(post.gold & post.predicted))
        counts["predicted"].append(len(post.predicted))
        counts["gold"].append(len(post.gold))
    return counts


def tag_accuracy(posts: Iterable[ScoredPost]) -> float:
    """Compute the share of positions with the right tag (prefix and type).

    posts (Iterable[ScoredPost]): The posts.
    RETURNS (float): A fraction between 0 and 1. It is 0 if there are no positions.

    Example:
        >>> from spacy_wnut.scoring.measures import ScoredPost, tag_accuracy
        >>> tag_accuracy([ScoredPost(["Ann ", "sings"], ["B-person", "O"], ["O", "O"])])
        0.5
    """
    right = total = 0
    for post in posts:
        total += len(post.words)
        right += sum(
            gold == predicted
            for gold, predicted in zip(post.gold_tags, post.predicted_tags, strict=True)
        )
    return right / total if total else 0.0


def seqeval_scores(posts: Sequence[ScoredPost]) -> TaggingScores:
    """Compute precision, recall, F1 and accuracy with seqeval (Nakayama 2018).

    The scores are micro averages in seqeval's default mode.

    posts (Sequence[ScoredPost]): The posts.
    RETURNS (TaggingScores): The scores.

    Raises WnutError if seqeval is not installed.

    Example:
        >>> from spacy_wnut.scoring.measures import ScoredPost, seqeval_scores
        >>> seqeval_scores([ScoredPost(["Paris"], ["B-location"], ["I-location"])])
        {'precision': 1.0, 'recall': 1.0, 'f1': 1.0, 'accuracy': 0.0}
    """
    metrics, _ = _import_seqeval()
    gold, predicted = _tag_lists(posts)
    # seqeval's accuracy divides by the number of positions, even if it is zero.
    accuracy = float(metrics.accuracy_score(gold, predicted)) if any(gold) else 0.0
    return {**_seqeval_prf(posts), "accuracy": accuracy}


def seqeval_strict_scores(posts: Sequence[ScoredPost]) -> PRF:
    """Compute precision, recall and F1 with seqeval (Nakayama 2018) in strict mode.

    The scores are micro averages with scheme IOB2: an I-x that follows neither B-x nor
    I-x belongs to no entity.

    posts (Sequence[ScoredPost]): The posts.
    RETURNS (PRF): The scores.

    Raises WnutError if seqeval is not installed.

    Example:
        >>> from spacy_wnut.scoring.measures import ScoredPost, seqeval_strict_scores
        >>> seqeval_strict_scores(
        ...     [ScoredPost(["Paris"], ["B-location"], ["I-location"])]
        ... )
        {'precision': 0.0, 'recall': 0.0, 'f1': 0.0}
    """
    _, scheme = _import_seqeval()
    return _seqeval_prf(posts, mode="strict", scheme=scheme.IOB2)


def all_scores(
    posts: Sequence[ScoredPost], seen_forms: Container[str] | None = None
) -> AllScores:
    """Compute all measures, in the structure that `evaluate` and `score` write as JSON.

    posts (Sequence[ScoredPost]): The posts.
    seen_forms (Optional[Container[str]]): The casefolded surface forms of the training
        data, as for `seen_scores`. If None, "seen" and "unseen" are omitted.
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
        parts = seen_scores(posts, seen_forms)
        scores["seen"], scores["unseen"] = parts["seen"], parts["unseen"]
    return scores


def _count_by_type(
    posts: Iterable[ScoredPost],
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Count the right, predicted and gold entities of each type."""
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
        # Imported lazily: the scorer of a pipeline also works without seqeval.
        from seqeval import metrics, scheme  # type: ignore[import-untyped]
    except ImportError as err:
        raise WnutError(
            "seqeval is not installed, but the scores include its measures. "
            'Install it with: pip install "spacy-wnut[train]"'
        ) from err
    return metrics, scheme


def _seqeval_prf(posts: Sequence[ScoredPost], **mode: Any) -> PRF:
    metrics, _ = _import_seqeval()
    gold, predicted = _tag_lists(posts)
    # seqeval's default, "warn", also scores 0 but warns.
    settings = {"average": "micro", "zero_division": 0, **mode}
    return {
        "precision": float(metrics.precision_score(gold, predicted, **settings)),
        "recall": float(metrics.recall_score(gold, predicted, **settings)),
        "f1": float(metrics.f1_score(gold, predicted, **settings)),
    }


def _tag_lists(posts: Sequence[ScoredPost]) -> tuple[list[list[str]], list[list[str]]]:
    # seqeval requires lists, and at least one of them.
    gold = [list(post.gold_tags) for post in posts]
    predicted = [list(post.predicted_tags) for post in posts]
    return gold or [[]], predicted or [[]]
