"""Splits that are drawn from the training data, and duplicates across splits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple

from ..errors import WnutError
from .posts import Post, Rejection
from .rows import SPLITS


class Fractions(NamedTuple):
    """The fractions of the posts for each split. Their sum is 1.

    train (float): The fraction of the posts for training.
    validation (float): That of the validation split.
    test (float): That of the test split; 0 for no test split.
    """

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1


def parse_fractions(text: str) -> Fractions:
    """Parse the value of --split.

    text (str): Two or three numbers, separated by commas.
    RETURNS (Fractions): The fractions.

    Raises WnutError if these are no fractions whose sum is 1.

    Example:
        >>> from spacy_wnut.corpus.splits import parse_fractions
        >>> parse_fractions("0.9,0.1")
        Fractions(train=0.9, validation=0.1, test=0.0)
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3):
        raise WnutError(
            f"--split {text!r} is not two or three numbers: give the fractions of train, "
            "dev and test, such as 0.8,0.1,0.1, or those of train and dev, such as "
            "0.9,0.1"
        )
    fractions = Fractions(*numbers, *[0.0] * (3 - len(numbers)))
    # Only the test split is optional. No comparison is true for NaN.
    if not (min(fractions[:2]) > 0 and fractions.test >= 0):
        raise WnutError(
            f"--split {text!r}: the fractions of train and dev have to be positive, and "
            "that of test may not be negative"
        )
    if not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise WnutError(
            f"--split {text!r}: the sum of the fractions is {sum(fractions):g}, but has "
            "to be 1"
        )
    return fractions


def draw_splits(
    splits: Mapping[str, Sequence[Post | Rejection]],
    fractions: Fractions | None = None,
    seed: int = 0,
) -> tuple[dict[str, list[Post | Rejection]], list[str]]:
    """Draw the missing splits from the training data.

    The validation split is drawn if it is missing. The test split is optional: it is
    drawn if the data has only a training split, or if `fractions` are given. The drawing
    is stratified by entity type (iterative stratification, Sechidis et al. 2011): each
    split gets about its fraction of the entities of each type. Posts with the same text,
    apart from case and white space, are in the same split. The result depends only on
    the posts and the seed. All splits keep the order of the posts.

    splits (Mapping[str, Sequence[Post | Rejection]]): The splits of the data.
    fractions (Fractions | None): The fractions of the training data. None for 0.8, 0.1
        and 0.1.
    seed (int): The seed.
    RETURNS (Tuple[Dict[str, List[Post | Rejection]], List[str]]): The splits in the order
        train, validation and test, and the names of those that were drawn.

    Raises WnutError if there is no training data, if it has too few posts, or if
    fractions are given but no split is missing.

    Example:
        >>> from spacy_wnut.corpus.posts import Post
        >>> from spacy_wnut.corpus.splits import draw_splits
        >>> posts = [Post(f"post {i}") for i in range(10)]
        >>> splits, drawn = draw_splits({"train": posts})
        >>> [len(split) for split in splits.values()], drawn
        ([8, 1, 1], ['validation', 'test'])
    """
    given = fractions or Fractions()
    if "train" not in splits:
        raise WnutError(
            f"The data has no training split, only {', '.join(splits)}: name its file "
            "train, such as train.jsonl"
        )
    is_single = len(splits) == 1
    wanted = {"validation": True, "test": is_single or fractions is not None}
    drawn = [
        name
        for name, is_wanted in wanted.items()
        if is_wanted and name not in splits and getattr(given, name)
    ]
    if fractions is not None and not drawn:
        raise WnutError(
            f"--split was given, but the data has the splits {', '.join(splits)}, so "
            "none is drawn: leave it out"
        )
    parts = {name: list(posts) for name, posts in splits.items()}
    if drawn:
        shares = {name: getattr(given, name) for name in drawn}
        # Splits of their own files are no part of the training data.
        shares = {"train": 1 - sum(shares.values()), **shares}
        parts.update(_draw(splits["train"], shares, seed))
    return {name: parts[name] for name in SPLITS if name in parts}, drawn


def count_duplicates(
    splits: Mapping[str, Iterable[Post | Rejection]],
) -> dict[tuple[str, str], int]:
    """Count the posts of a split whose text is also in another split.

    Texts are compared without case, and with single spaces for all white space.

    splits (Mapping[str, Iterable[Post | Rejection]]): The splits.
    RETURNS (Dict[Tuple[str, str], int]): For each pair of splits that share texts, the
        number of posts of the second one whose text is in the first one.

    Example:
        >>> from spacy_wnut.corpus.posts import Post
        >>> from spacy_wnut.corpus.splits import count_duplicates
        >>> count_duplicates({"train": [Post("In Oslo")], "test": [Post("in  oslo")]})
        {('train', 'test'): 1}
    """
    texts = {
        name: Counter(_normalize(post.text) for post in posts if isinstance(post, Post))
        for name, posts in splits.items()
    }
    counts = {
        (one, other): sum(
            count for text, count in texts[other].items() if text in texts[one]
        )
        for one, other in combinations(texts, 2)
    }
    return {pair: count for pair, count in counts.items() if count}


def _normalize(text: str) -> str:
    return " ".join(text.casefold().split())


def _draw(
    posts: Sequence[Post | Rejection], shares: Mapping[str, float], seed: int
) -> dict[str, list[Post | Rejection]]:
    """Divide posts into splits with the given shares."""
    by_text: dict[str, list[int]] = {}
    for i, post in enumerate(posts):
        if isinstance(post, Post):
            by_text.setdefault(_normalize(post.text), []).append(i)
    groups = list(by_text.values())
    if len(groups) < len(shares):
        rejected = [str(post) for post in posts if isinstance(post, Rejection)]
        reason = ""
        if rejected:
            reason = (
                f". {len(rejected):,} records were rejected, the first: {rejected[0]}"
            )
        raise WnutError(
            f"The data has {len(groups)} different texts, too few to draw the splits "
            f"{', '.join(shares)}: give more posts, or a file for each split{reason}"
        )
    Random(seed).shuffle(groups)
    types = [
        Counter(name for i in group for name in _kinds(posts[i])) for group in groups
    ]
    chosen = _stratify([len(group) for group in groups], types, shares)
    split_of = {
        i: split for group, split in zip(groups, chosen, strict=True) for i in group
    }
    # Rejected records are in no split, but stay in the data for the report.
    return {
        split: [
            post for i, post in enumerate(posts) if split_of.get(i, "train") == split
        ]
        for split in shares
    }


def _kinds(post: Post | Rejection) -> list[str]:
    """Return the types of the spans of a post. Spans annotated as not entities count as
    types of their own.
    """
    if isinstance(post, Rejection):
        return []
    right = [span.label for span in post.spans]
    return right + [f"not {span.label}" for span in post.incorrect]


def _stratify(
    sizes: Sequence[int], types: Sequence[Counter[str]], shares: Mapping[str, float]
) -> list[str]:
    """Choose a split for each group of posts.

    sizes (Sequence[int]): The number of posts in each group.
    types (Sequence[Counter[str]]): The number of entities of each type in each group.
    shares (Mapping[str, float]): The share of each split.
    RETURNS (List[str]): The split of each group. No split is without a group.
    """
    totals = sum(types, Counter())
    # The numbers of posts and of entities of each type that each split still needs.
    posts = {split: share * sum(sizes) for split, share in shares.items()}
    entities = {
        split: {name: share * n for name, n in totals.items()}
        for split, share in shares.items()
    }
    chosen: list[str] = [""] * len(sizes)
    left = Counter(name for counts in types for name in counts)

    def choose(group: int, name: str | None) -> None:
        def need(split: str) -> tuple[float, float]:
            return (entities[split][name] if name else 0.0, posts[split])

        split = chosen[group] = max(shares, key=need)
        posts[split] -= sizes[group]
        for label, n in types[group].items():
            entities[split][label] -= n
            left[label] -= 1

    while any(left.values()):
        # The rarest type first, since its entities are hardest to divide.
        rarest = min((n, name) for name, n in left.items() if n)[1]
        for group, counts in enumerate(types):
            if not chosen[group] and rarest in counts:
                choose(group, rarest)
    for group in range(len(sizes)):
        if not chosen[group]:
            choose(group, None)
    for split in shares:
        if split not in chosen:
            most = Counter(chosen).most_common(1)[0][0]
            chosen[len(chosen) - 1 - chosen[::-1].index(most)] = split
    return chosen
