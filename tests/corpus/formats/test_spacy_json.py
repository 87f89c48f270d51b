import json

import pytest

from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.formats.registry import find_format
from spacy_wnut.corpus.posts import LabelledSpan, Post, Word

# As in spaCy's documentation of training data.
PAIRS = [
    ["Who is Shaka Khan?", {"entities": [[7, 17, "PERSON"]]}],
    ["I like London and Berlin.", {"entities": [[7, 13, "LOC"], [18, 24, "LOC"]]}],
    ["lol", {"entities": [], "cats": {"spam": 1.0}}],
]
SPANS = [[LabelledSpan(*one) for one in pair[1]["entities"]] for pair in PAIRS]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(PAIRS),
        json.dumps(PAIRS, indent=2),
        "\n".join(map(json.dumps, PAIRS)),
    ],
)
def test_training_examples(tmp_path, content):
    path = tmp_path / "train.json"
    path.write_text(content)
    found = find_format(path)
    assert found.name == "spacy-json"
    posts = list(found.read(path, ReadOptions()))
    assert [(post.text, list(post.spans)) for post in posts] == [
        (pair[0], spans) for pair, spans in zip(PAIRS, SPANS, strict=True)
    ]


@pytest.mark.parametrize(
    "tags",
    [["O", "B-LOC", "L-LOC", "-", "U-PER"], ["O", "B-LOC", "I-LOC", None, "B-PER"]],
)
def test_tags_of_words(read, tags):
    words = ["in", "New", "York", "with", "Ada"]
    [post] = read([["in New York  with Ada", {"words": words, "entities": tags}]])
    assert post == Post(
        "in New York  with Ada",
        (LabelledSpan(3, 11, "LOC"), LabelledSpan(18, 21, "PER")),
        (Word(0, 2), Word(3, 6), Word(7, 11), Word(13, 17), Word(18, 21)),
        missing=(Word(13, 17),),
        where="line 1",
    )


@pytest.mark.parametrize(
    "record, reason",
    [
        (
            ["in Oslo", {"entities": [[3, 8, "LOC"]]}],
            "the span 3 to 8 (LOC) is outside",
        ),
        (["in Oslo", {"entities": [[3, 3, "LOC"]]}], "the span 3 to 3 (LOC) is empty"),
        (
            ["in Oslo", {"entities": [[2, 3, "LOC"]]}],
            "the span 2 to 3 (LOC) is only white",
        ),
        (
            ["in Oslo", {"entities": [[3, 7]]}],
            "the field 'entities' holds a list: expected",
        ),
        (["in Oslo", {"entities": None}], "the field 'entities' is null, not a list"),
        (["in Oslo", {"cats": {}}], "has no field 'entities' (its fields: 'cats')"),
        (["", {"entities": []}], "the field 'text' is empty"),
        ([None, {"entities": []}], "the field 'text' is missing (null)"),
        ([7, {"entities": []}], "the field 'text' is a number, not text"),
        (["in Oslo", [[3, 7, "LOC"]]], "is a list, not a text with its annotation"),
        ({"text": "in Oslo"}, "is an object, not a text with its annotation"),
        (
            ["in Oslo", {"entities": ["O", "U-LOC"]}],
            "has 2 tags in 'entities' and no words",
        ),
        (
            ["in Oslo", {"words": ["in", "Oslo"], "entities": ["O"]}],
            "has 1 tags in 'entities' and 2 words",
        ),
        (
            ["in Oslo", {"words": ["in", "Oslo"], "entities": ["O", "X-LOC"]}],
            "the tag 'X-LOC' is not BILUO or BIO",
        ),
        (
            ["in Oslo", {"words": ["in", "Rom"], "entities": ["O", "O"]}],
            "the word 'Rom' is not in the text",
        ),
        (["in Oslo", {"words": ["in"], "entities": []}], "'Oslo' is in no word"),
        (["in Oslo", {"words": ["", 3], "entities": []}], "the word '' is empty"),
    ],
)
def test_faulty_records_are_rejected_with_their_line(read, record, reason):
    first, rejected, last = read([PAIRS[0], record, PAIRS[1]])
    assert isinstance(first, Post) and isinstance(last, Post)
    assert rejected.where == "line 2"
    assert rejected.reason.startswith(reason)
