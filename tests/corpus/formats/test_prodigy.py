import pytest

from spacy_wnut.corpus.posts import LabelledSpan, Post, Word

TEXT = "First look at the new MacBook Pro"
MACBOOK = LabelledSpan(22, 33, "PRODUCT")
# As in the documentation of the interfaces ner and ner_manual.
BINARY = {
    "text": TEXT,
    "spans": [{"start": 22, "end": 33, "label": "PRODUCT"}],
    "_input_hash": 1,
    "_task_hash": 2,
    "_view_id": "ner",
}
MANUAL = {
    "text": TEXT,
    "tokens": [
        {"text": "First", "start": 0, "end": 5, "id": 0, "ws": True},
        {"text": "look", "start": 6, "end": 10, "id": 1, "ws": True},
        {"text": "at", "start": 11, "end": 13, "id": 2, "ws": True},
        {"text": "the", "start": 14, "end": 17, "id": 3, "ws": True},
        {"text": "new", "start": 18, "end": 21, "id": 4, "ws": True},
        {"text": "MacBook", "start": 22, "end": 29, "id": 5, "ws": True},
        {"text": "Pro", "start": 30, "end": 33, "id": 6, "ws": False},
    ],
    "spans": [
        {"start": 22, "end": 33, "label": "PRODUCT", "token_start": 5, "token_end": 6}
    ],
    "_view_id": "ner_manual",
    "answer": "accept",
}


def test_a_manual_task_is_complete(read):
    words = tuple(Word(token["start"], token["end"]) for token in MANUAL["tokens"])
    assert read([MANUAL]) == [Post(TEXT, (MACBOOK,), words, where="line 1")]


def test_a_task_without_answer_and_interface_is_accepted_and_complete(read):
    record = {"text": TEXT, "spans": BINARY["spans"], "id": 7}
    assert read([record]) == [Post(TEXT, (MACBOOK,), id="7", where="line 1")]


@pytest.mark.parametrize("view", ["ner", "spans"])
def test_after_a_binary_decision_the_rest_is_missing(read, view):
    [post] = read([{**BINARY, "answer": "accept", "_view_id": view}])
    assert post == Post(TEXT, (MACBOOK,), missing=(Word(0, 33),), where="line 1")


@pytest.mark.parametrize("record", [BINARY, MANUAL])
def test_rejected_spans_are_incorrect_and_the_rest_is_missing(read, record):
    [post] = read([{**record, "answer": "reject"}])
    assert (post.spans, post.incorrect) == ((), (MACBOOK,))
    assert post.missing == (Word(0, 33),)


def test_ignored_tasks_are_skipped(read):
    ignored = {**MANUAL, "answer": "ignore"}
    broken = {"text": None, "spans": [], "answer": "ignore"}
    rejected = {**MANUAL, "answer": "reject", "spans": []}
    assert [post.where for post in read([ignored, broken, rejected, MANUAL])] == [
        "line 4"
    ]


def test_no_spans_are_no_entities(read):
    for record in ({"text": "lol", "answer": "accept"}, {"text": "lol", "spans": None}):
        assert read([record], "prodigy") == [Post("lol", where="line 1")]


def test_overlapping_spans_are_kept(read):
    spans = [
        {"start": 22, "end": 33, "label": "A"},
        {"start": 22, "end": 29, "label": "B"},
    ]
    [post] = read([{**MANUAL, "spans": spans, "_view_id": "spans_manual"}])
    assert post.spans == ((22, 33, "A"), (22, 29, "B"))


@pytest.mark.parametrize(
    "change, reason",
    [
        (
            {"spans": [{"start": 22, "end": 34, "label": "A"}]},
            "the span 22 to 34 (A) is out",
        ),
        (
            {"spans": [{"start": 22, "end": 22, "label": "A"}]},
            "the span 22 to 22 (A) is empty",
        ),
        (
            {"spans": [{"start": 29, "end": 30, "label": "A"}]},
            "the span 29 to 30 (A) is only",
        ),
        (
            {"spans": [{"start": 22, "end": 33}]},
            "the label of the span 22 to 33 is null",
        ),
        ({"spans": [{"token_start": 5, "label": "A"}]}, "the start of a span is null"),
        ({"spans": [[22, 33, "A"]]}, "the field 'spans' holds a list, not objects"),
        ({"spans": {}}, "the field 'spans' is an object, not a list"),
        (
            {"answer": "maybe"},
            "the answer is 'maybe': expected one of accept, reject, ignore",
        ),
        ({"answer": []}, "the answer is []"),
        ({"text": ""}, "the field 'text' is empty"),
        ({"text": None}, "the field 'text' is missing"),
        ({"tokens": MANUAL["tokens"][:-1]}, "'Pro' is in no word"),
        ({"tokens": ["First"]}, "the field 'tokens' holds text, not objects"),
        ({"tokens": [{"text": "First"}]}, "the start of a word is null"),
    ],
)
def test_faulty_records_are_rejected_with_their_line(read, change, reason):
    first, rejected, last = read([MANUAL, {**MANUAL, **change}, MANUAL])
    assert isinstance(first, Post) and isinstance(last, Post)
    assert rejected.where == "line 2"
    assert rejected.reason.startswith(reason)
