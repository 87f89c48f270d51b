import json

import pytest

from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.formats.registry import find_format
from spacy_wnut.corpus.posts import LabelledSpan, Post, Word

# As in the documentation of GLiNER.
APPLE = {
    "tokenized_text": ["Apple", "Inc.", "is", "headquartered", "in", "Cupertino"],
    "ner": [[0, 1, "organization"], [5, 5, "location"]],
}
JOBS = {
    "tokenized_text": ["Steve", "Jobs", "founded", "Apple"],
    "ner": [[0, 1, "person"], [3, 3, "organization"]],
    "ner_negatives": ["location"],
}


def test_ends_are_inclusive(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps([APPLE, JOBS], indent=1))
    found = find_format(path)
    assert found.name == "gliner"
    first, second = found.read(path, ReadOptions())
    assert first.text == "Apple Inc. is headquartered in Cupertino"
    assert first.spans == ((0, 10, "organization"), (31, 40, "location"))
    assert second == Post(
        "Steve Jobs founded Apple",
        (LabelledSpan(0, 10, "person"), LabelledSpan(19, 24, "organization")),
        (Word(0, 5), Word(6, 10), Word(11, 18), Word(19, 24)),
        has_spaces=False,
        where="record 2, line 24",
    )


def test_nested_entities_are_kept_and_equal_ones_are_one(read):
    ner = [[0, 1, "person"], [1, 1, "name"], [0, 1, "person"]]
    [post] = read([{**JOBS, "ner": ner}])
    assert post.spans == ((0, 10, "person"), (6, 10, "name"))


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"ner": [[0, 4, "x"]]}, "the entity 0 to 4 (x) is outside of the 4 words"),
        ({"ner": [[-1, 0, "x"]]}, "the entity -1 to 0 (x) is outside of the 4 words"),
        ({"ner": [[2, 1, "x"]]}, "the entity 2 to 1 (x) is empty"),
        ({"ner": [["0", 1, "x"]]}, "the start of an entity is text, not an integer"),
        ({"ner": [[0, True, "x"]]}, "the end of an entity is true or false"),
        (
            {"ner": [[0, 1]]},
            "the field 'ner' holds a list: expected [start, end, type]",
        ),
        ({"ner": [{"start": 0}]}, "the field 'ner' holds an object"),
        ({"ner": [[0, 1, ""]]}, "the label of the entity 0 to 1 ()"),
        (
            {"ner": [[0, 1, None]]},
            "the label of the entity 0 to 1 (None) is null, not text",
        ),
        ({"ner": None}, "the field 'ner' is null, not a list"),
        ({"tokenized_text": []}, "has no words"),
        ({"tokenized_text": ["a", ""]}, "the word '' is empty"),
        ({"tokenized_text": ["a", " "]}, "the word ' ' is empty"),
        ({"tokenized_text": ["a", 3]}, "a word is a number, not text"),
        ({"tokenized_text": ["a\0"]}, "the word 'a\\x00' is empty or not text"),
        ({"tokenized_text": "a b"}, "the field 'tokenized_text' is text, not a list"),
    ],
)
def test_faulty_records_are_rejected_with_their_line(read, change, reason):
    first, rejected, last = read([APPLE, {**JOBS, **change}, JOBS])
    assert isinstance(first, Post) and isinstance(last, Post)
    assert rejected.where == "line 2"
    assert rejected.reason.startswith(reason)
