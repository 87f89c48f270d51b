"""Posts of the sample corpus, for runs of any length."""

import json
from itertools import cycle, islice
from pathlib import Path

from .results import ROOT

SAMPLE = ROOT / "corpus" / "sample" / "train.conll"


def read_texts(corpus: Path) -> list[str]:
    """Texts of a CoNLL file: the tokens of each post, joined by single spaces.

    Raises WnutError if the file can't be read.
    """
    from spacy_wnut.corpus.conll import read_conll

    return [" ".join(post.tokens) for post in read_conll(corpus, None)]


def write_posts(path: Path, corpus: Path, size: int) -> None:
    """Write a JSONL file of distinct posts.

    path (Path): File to write; each record has `id` (0, 1, …) and `text`.
    corpus (Path): CoNLL file whose posts are repeated, each with a user name of its
        own, so that the vocabulary keeps growing.
    size (int): Number of posts.
    """
    with path.open("w", encoding="utf8") as file:
        for i, text in enumerate(islice(cycle(read_texts(corpus)), size)):
            post = {"id": i, "text": f"{text} @user{i}"}
            file.write(json.dumps(post, ensure_ascii=False) + "\n")
