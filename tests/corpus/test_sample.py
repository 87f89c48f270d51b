"""The sample corpus, corpus/sample."""

import gzip
import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.labels import WNUT_17

SPLITS = ("train", "dev", "test")
WORD = re.compile(r"\w+")


@pytest.fixture(scope="module")
def folder(root):
    return root / "corpus" / "sample"


@pytest.fixture(scope="module")
def splits(folder):
    return {
        name: list(read_conll(folder / f"{name}.conll", WNUT_17)) for name in SPLITS
    }


def type_counts(posts):
    return Counter(tag[2:] for post in posts for tag in post.tags if tag[0] == "B")


def test_size_and_balance(splits):
    assert len(splits["train"]) >= 400
    assert min(len(splits["dev"]), len(splits["test"])) >= 100
    for posts in splits.values():
        without = sum(set(post.tags) == {"O"} for post in posts) / len(posts)
        assert 0.4 < without < 0.6
        counts = type_counts(posts)
        assert set(counts) == set(WNUT_17.types)
        assert min(counts.values()) > 0.8 * counts["person"]


def test_counts_of_the_readme(splits, folder):
    expected = []
    for name, posts in splits.items():
        counts = type_counts(posts)
        without = sum(set(post.tags) == {"O"} for post in posts)
        n_tokens = sum(len(post.tokens) for post in posts)
        numbers = [len(posts), without, n_tokens, counts.total()]
        numbers += [counts[label] for label in sorted(counts)]
        expected.append(" | ".join([f"| `{name}.conll`", *map(str, numbers)]) + " |")
    lines = (folder / "README.md").read_text(encoding="utf8").splitlines()
    assert [line for line in lines if line.startswith("| `")] == expected


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_pages_name_the_number_of_training_posts(splits, root, page):
    text = (root / page).read_text(encoding="utf8")
    assert f"the {len(splits['train']):,} posts in" in text


def test_corrected_posts_are_the_new_posts(folder):
    new, corrected = (
        read_jsonl(folder / name)
        for name in ("cycling.jsonl", "cycling_corrected.jsonl")
    )
    assert [post | {"label": None} for post in new] == [
        post | {"label": None} for post in corrected
    ]
    assert {label for post in corrected for _, _, label in post["label"]} == set(
        WNUT_17.types
    )


def test_no_post_is_in_two_splits_or_among_the_examples(splits, folder):
    posts = [tuple(post.tokens) for name in SPLITS for post in splits[name]]
    assert len(posts) == len(set(posts))
    texts = {"".join(post).lower() for post in posts}
    for line in (folder / "examples.txt").read_text(encoding="utf8").splitlines():
        assert line and line.lower().replace(" ", "") not in texts


def sequences(text, length=6):
    words = WORD.findall(text.lower())
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def texts_of(path):
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf8") as file:
            yield from file
    elif path.suffix in (".conll", ".annotated"):
        for post in read_conll(path, None):
            yield " ".join(post.tokens)


@pytest.mark.skipif(
    not os.environ.get("SPACY_WNUT_DATA"), reason="needs WNUT 17 in SPACY_WNUT_DATA"
)
def test_no_six_words_are_taken_from_wnut_17(splits, folder):
    ours = set()
    for post in read_jsonl(folder / "cycling.jsonl"):
        ours |= sequences(post["text"])
    for posts in splits.values():
        for post in posts:
            ours |= sequences(" ".join(post.tokens))
    assert len(ours) > 1000
    n_texts = 0
    for path in Path(os.environ["SPACY_WNUT_DATA"]).rglob("*"):
        for text in texts_of(path):
            n_texts += 1
            assert not ours & sequences(text), f"{path.name}: {text}"
    assert n_texts > 5000
