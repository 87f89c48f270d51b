"""Data of the report page."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ..errors import WnutError
from ..labels import OUTSIDE, Entity
from ..scoring.measures import (
    ScoredPost,
    entity_scores,
    prf_of_counts,
    seen_scores,
    surface_scores,
    tag_accuracy,
)
from ..scoring.mistakes import Judgement, Kind, confusion, judge
from ..scoring.reliability import (
    THRESHOLDS,
    expected_calibration_error,
    reliability_table,
    threshold_curve,
)
from .colors import page_colors


class TaggedCorpus(NamedTuple):
    """A corpus tagged by a pipeline.

    name (str): The name of the pipeline.
    posts (Sequence[ScoredPost]): The posts with gold and predicted tags.
    """

    name: str
    posts: Sequence[ScoredPost]


def report_data(
    runs: Sequence[TaggedCorpus],
    corpus: str,
    protocol: str,
    train: str | None = None,
    forms: Collection[str] | None = None,
) -> dict[str, Any]:
    """Compute all figures and posts that the report page shows.

    runs (Sequence[TaggedCorpus]): The corpus tagged by one or two pipelines.
    corpus (str): The name of the corpus.
    protocol (str): "gold tokens" or "spaCy tokens".
    train (Optional[str]): The name of the training data.
    forms (Optional[Collection[str]]): The casefolded surface forms of the training data,
        from `read_surface_forms`. None if the training data is unknown.
    RETURNS (Dict[str, Any]): JSON-serializable data. Types are indices into "types",
        with -1 for O. Offsets count UTF-16 code units, as in JavaScript.

    Raises WnutError if the posts of the two pipelines have different texts.
    """
    types = sorted(
        {
            entity.label
            for run in runs
            for post in run.posts
            for entity in post.gold | post.predicted
        }
    )
    index = {OUTSIDE: -1, **{label: i for i, label in enumerate(types)}}
    judgements = [
        [judge(post.gold, post.predicted) for post in run.posts] for run in runs
    ]
    return {
        "corpus": corpus,
        "protocol": protocol,
        "train": train,
        "types": types,
        "colors": page_colors(types),
        "runs": [
            _run_figures(run, judged, index, forms)
            for run, judged in zip(runs, judgements, strict=True)
        ],
        "posts": [
            _post(posts, judged, index)
            for posts, judged in zip(
                zip(*(run.posts for run in runs), strict=True),
                zip(*judgements, strict=True),
                strict=True,
            )
        ],
    }


def _run_figures(
    run: TaggedCorpus,
    judgements: Sequence[Judgement],
    index: dict[str, int],
    forms: Collection[str] | None,
) -> dict[str, Any]:
    return {
        "name": run.name,
        "entity": _rounded(entity_scores(run.posts)),
        "surface": _rounded(surface_scores(run.posts)),
        "accuracy": round(tag_accuracy(run.posts), 5),
        "per_type": _by_type(judgements, [name for name in index if name != OUTSIDE]),
        "confusion": [
            [index[gold], index[predicted], n]
            for (gold, predicted), n in confusion(judgements).items()
        ],
        "confidence": _confidence(run.posts, judgements),
        "seen": None if forms is None else _seen(run.posts, forms),
    }


def _seen(posts: Sequence[ScoredPost], forms: Collection[str]) -> dict[str, Any]:
    is_seen = [
        post.form(entity).casefold() in forms for post in posts for entity in post.gold
    ]
    return {
        **_rounded(seen_scores(posts, forms)),
        "gold_seen": sum(is_seen),
        "gold_unseen": len(is_seen) - sum(is_seen),
    }


def _by_type(
    judgements: Sequence[Judgement], types: Sequence[str]
) -> list[dict[str, Any]]:
    gold: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    kinds: Counter[tuple[str, Kind]] = Counter()
    for judged in judgements:
        gold.update(one.entity.label for one in judged.gold)
        predicted.update(one.entity.label for one in judged.predicted)
        kinds.update((one.entity.label, one.kind) for one in judged.gold)
        kinds.update(
            (one.entity.label, one.kind)
            for one in judged.predicted
            if one.kind is Kind.spurious
        )
    return [
        {
            "gold": gold[name],
            "predicted": predicted[name],
            **{kind.value: kinds[name, kind] for kind in Kind},
            **_rounded(
                prf_of_counts(kinds[name, Kind.right], predicted[name], gold[name])
            ),
        }
        for name in types
    ]


def _confidence(
    posts: Sequence[ScoredPost], judgements: Sequence[Judgement]
) -> dict[str, Any] | None:
    """Compute the figures of confidences, or None if no entity has a confidence."""
    judged = [
        (confidence, one.kind is Kind.right)
        for post, judgement in zip(posts, judgements, strict=True)
        for confidence, one in zip(_confidences(post), judgement.predicted, strict=True)
    ]
    sure = [(value, right) for value, right in judged if value is not None]
    if not sure:
        return None
    confidences, right = zip(*sure, strict=True)
    # Entities without a confidence count as predicted at every threshold.
    curve = threshold_curve(
        [1.0 if value is None else value for value, _ in judged],
        [is_right for _, is_right in judged],
        sum(len(judgement.gold) for judgement in judgements),
        THRESHOLDS,
    )
    return {
        "ece": round(expected_calibration_error(confidences, right), 5),
        "reliability": [_rounded(row) for row in reliability_table(confidences, right)],
        "thresholds": [_rounded(row) for row in curve],
        "without": len(judged) - len(sure),
    }


def _post(
    posts: Sequence[ScoredPost], judgements: Sequence[Judgement], index: dict[str, int]
) -> dict[str, Any]:
    texts = ["".join(post.words).rstrip() for post in posts]
    if len(set(texts)) > 1:
        raise WnutError(
            "the two pipelines have different texts for a post of the corpus: "
            f"{texts[0]!r} and {texts[1]!r}. Compare pipelines only on a corpus whose "
            "annotated words are the same for both"
        )
    return {
        "text": texts[0],
        "gold": [
            [*_characters(posts[0], one.entity), index[one.entity.label]]
            for one in judgements[0].gold
        ],
        "runs": [
            {
                "gold": [
                    [
                        one.kind.value,
                        index[one.partner.label if one.partner else OUTSIDE],
                    ]
                    for one in judged.gold
                ],
                "predicted": [
                    [
                        *_characters(post, one.entity),
                        index[one.entity.label],
                        one.kind.value,
                        None if confidence is None else round(confidence, 4),
                    ]
                    for one, confidence in zip(
                        judged.predicted, _confidences(post), strict=True
                    )
                ],
            }
            for post, judged in zip(posts, judgements, strict=True)
        ],
    }


def _confidences(post: ScoredPost) -> Sequence[float | None]:
    return post.confidences or [None] * len(post.predicted)


def _characters(post: ScoredPost, entity: Entity) -> tuple[int, int]:
    """Return the start and end of an entity in the text, in UTF-16 code units."""
    before = "".join(post.words[: entity.start])
    text = "".join(post.words[entity.start : entity.end]).rstrip()
    return _utf16(before), _utf16(before + text)


def _utf16(text: str) -> int:
    # JavaScript's strings consist of UTF-16 code units; an emoji has two of them.
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def _rounded(figures: Any) -> Any:
    if isinstance(figures, dict):
        return {key: _rounded(value) for key, value in figures.items()}
    return round(figures, 5) if isinstance(figures, float) else figures
