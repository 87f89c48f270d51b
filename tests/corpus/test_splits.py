import os
import subprocess
import sys
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.corpus.posts import LabelledSpan, Post, Rejection
from spacy_wnut.corpus.splits import (
    Fractions,
    count_duplicates,
    draw_splits,
    parse_fractions,
)
from spacy_wnut.errors import WnutError


def make(text, *labels):
    return Post(text, tuple(LabelledSpan(0, 1, label) for label in labels))


def numbered(n, *labels):
    return [make(f"{'-'.join(labels)} {i}", *labels) for i in range(n)]


def sizes(splits):
    return {name: len(posts) for name, posts in splits.items()}


def types(posts):
    return Counter(span.label for post in posts for span in post.spans)


@pytest.mark.parametrize(
    "text, fractions",
    [
        ("0.8,0.1,0.1", (0.8, 0.1, 0.1)),
        ("0.7,0.3", (0.7, 0.3, 0)),
        ("0.7,0.3,0", (0.7, 0.3, 0)),
        (" 0.5 , .25, 2.5e-1", (0.5, 0.25, 0.25)),
    ],
)
def test_fractions(text, fractions):
    assert parse_fractions(text) == fractions


@pytest.mark.parametrize(
    "text, message",
    [
        ("0.8", "two or three numbers"),
        ("", "two or three numbers"),
        ("a,b", "two or three numbers"),
        ("0.4,0.3,0.2,0.1", "two or three numbers"),
        ("0.8,0.1,0.2", r"sum of the fractions is 1\.1"),
        ("80,10,10", "sum of the fractions is 100"),
        ("1.2,-0.1,-0.1", "have to be positive"),
        ("0.9,0.2,-0.1", "may not be negative"),
        ("0.9,0,0.1", "have to be positive"),
        ("0,0.5,0.5", "have to be positive"),
        ("nan,0.5,0.5", "have to be positive"),
        ("0.5,0.5,nan", "have to be positive"),
        ("inf,0.5", "sum of the fractions is inf"),
    ],
)
def test_wrong_fractions(text, message):
    with pytest.raises(WnutError, match=message):
        parse_fractions(text)


ALL = ("train", "validation", "test")


@pytest.mark.parametrize(
    "given_splits, fractions, drawn",
    [
        (ALL[:1], None, ["validation", "test"]),
        (ALL[:1], Fractions(0.9, 0.1, 0), ["validation"]),
        (ALL[:2], None, []),
        (ALL[:2], Fractions(0.8, 0.1, 0.1), ["test"]),
        (("train", "test"), None, ["validation"]),
        (ALL, None, []),
    ],
)
def test_only_missing_splits_are_drawn(given_splits, fractions, drawn):
    data = {name: numbered(20, name) for name in given_splits}
    splits, names = draw_splits(data, fractions)
    assert names == drawn
    assert list(splits) == [name for name in ALL if name in (*given_splits, *drawn)]
    for name in given_splits[1:]:
        assert splits[name] == data[name]
    part = chain.from_iterable(splits[name] for name in ("train", *drawn))
    assert Counter(part) == Counter(data["train"])
    assert len(splits["train"]) == 20 - 2 * len(drawn)


@pytest.mark.parametrize(
    "given_splits, fractions",
    [(ALL, Fractions()), (ALL[:2], Fractions(0.9, 0.1, 0))],
)
def test_split_without_anything_to_draw_is_an_error(given_splits, fractions):
    with pytest.raises(WnutError, match="--split was given, but the data has the"):
        draw_splits({name: numbered(9, "x") for name in given_splits}, fractions)


def test_training_data_is_needed():
    with pytest.raises(WnutError, match="no training split, only validation"):
        draw_splits({"validation": numbered(9, "x")})


def test_too_few_texts():
    assert sizes(draw_splits({"train": numbered(3, "x")})[0]) == dict.fromkeys(ALL, 1)
    with pytest.raises(WnutError, match="has 2 different texts, too few"):
        draw_splits({"train": [make("a"), make("A "), make("b")]})


def test_too_few_texts_because_of_rejections():
    rejected = [Rejection(f"line {i}", "has no text", {}) for i in (1, 2)]
    with pytest.raises(WnutError) as err:
        draw_splits({"train": rejected})
    assert "has 0 different texts" in str(err.value)
    assert str(err.value).endswith(
        ". 2 records were rejected, the first: line 1: has no text"
    )


def test_types_are_in_proportion():
    data = numbered(400) + numbered(80, "common") + numbered(20, "rare")
    data += numbered(10, "rare", "common")
    splits, _ = draw_splits({"train": data}, seed=3)
    assert sizes(splits) == {"train": 408, "validation": 51, "test": 51}
    assert types(splits["train"]) == {"common": 72, "rare": 24}
    assert types(splits["validation"]) == {"common": 9, "rare": 3}
    assert types(splits["test"]) == {"common": 9, "rare": 3}


def test_posts_keep_their_order_and_the_seed_counts():
    data = numbered(50, "x")
    one, again, other = (
        draw_splits({"train": data}, seed=seed)[0] for seed in (0, 0, 1)
    )
    assert one == again != other
    for posts in one.values():
        assert posts == [post for post in data if post in posts]


def test_hash_seed_does_not_count():
    code = (
        "from spacy_wnut.corpus.posts import LabelledSpan, Post\n"
        "from spacy_wnut.corpus.splits import draw_splits\n"
        "posts = [Post(f'post {i}', tuple(LabelledSpan(0, 1, x) for x in 'abc'[i % 4:]))"
        " for i in range(60)]\n"
        "splits, _ = draw_splits({'train': posts})\n"
        "print([post.text for post in splits['test']])"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(shown) == 1


def test_rejected_records_stay_for_the_report():
    rejected = Rejection("line 1", "bad", None)
    splits, _ = draw_splits({"train": [rejected, *numbered(10)]})
    assert sizes(splits) == {"train": 9, "validation": 1, "test": 1}
    assert splits["train"][0] is rejected


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.lists(st.sampled_from("abcd"), max_size=3)),
        max_size=60,
    ),
    st.integers(0, 5),
    st.sampled_from([Fractions(), Fractions(0.6, 0.4, 0), Fractions(0.02, 0.49, 0.49)]),
)
def test_each_post_is_in_one_split_and_each_text_too(records, seed, fractions):
    posts = [make(f"text {n}", *labels) for n, labels in records]
    data = {"train": posts}
    n_splits = 3 if fractions.test else 2
    if len({n for n, _ in records}) < n_splits:
        with pytest.raises(WnutError, match="too few"):
            draw_splits(data, fractions, seed)
        return
    splits, _ = draw_splits(data, fractions, seed)
    assert len(splits) == n_splits and all(splits.values())
    assert Counter(chain.from_iterable(splits.values())) == Counter(posts)
    assert count_duplicates(splits) == {}


def test_duplicates_across_splits():
    splits = {
        "train": [make("In  Oslo"), make("lol"), make("STRASSE")],
        "validation": [make("in Oslo\n"), make("in oslo"), make("so")],
        "test": [
            make("straße"),
            make("so"),
            Rejection("w", "r", None),
            make("IN OSLO"),
        ],
    }
    assert count_duplicates(splits) == {
        ("train", "validation"): 2,
        ("train", "test"): 2,
        ("validation", "test"): 2,
    }


def test_posts_with_incorrect_spans_are_in_all_splits():
    wrong = (LabelledSpan(0, 1, "x"),)
    rejected = [Post(f"rejected {i}", incorrect=wrong) for i in range(10)]
    splits, _ = draw_splits({"train": [*rejected, *numbered(90, "x")]})
    assert [
        sum(bool(post.incorrect) for post in posts) for posts in splits.values()
    ] == [8, 1, 1]
