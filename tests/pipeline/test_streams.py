"""`nlp.pipe`: streams, contexts, error handlers and processes."""

import itertools
import os
import subprocess
import sys

import pytest
from spacy.util import ignore_error, raise_error

OSLO = "Ada Lovelace moved to Oslo"


def entities(doc):
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


@pytest.fixture
def failing(pipeline, monkeypatch):
    """A pipeline whose `ner` raises an error for batches with the text "bad"."""
    tagger = type(pipeline.get_pipe("ner"))
    predict = tagger.predict

    def fail_on_bad(self, docs):
        docs = list(docs)
        if any(doc.text == "bad" for doc in docs):
            raise ValueError("this doc is bad")
        return predict(self, docs)

    monkeypatch.setattr(tagger, "predict", fail_on_bad)
    return pipeline


def test_endless_stream_is_read_lazily(pipeline):
    taken = itertools.count()
    texts = (f"{OSLO} {next(taken)}" for _ in itertools.repeat(None))
    docs = list(itertools.islice(pipeline.pipe(texts, batch_size=4), 10))
    assert [doc.text for doc in docs] == [f"{OSLO} {i}" for i in range(10)]
    assert all(len(doc.ents) == 2 for doc in docs)
    # Each pipe reads at most a few batches ahead.
    assert next(taken) <= 10 + 4 * (len(pipeline.pipeline) + 1)


def test_nothing_is_read_before_the_first_doc_is_requested(pipeline):
    texts = iter([OSLO])
    stream = pipeline.pipe(texts)
    assert next(texts) == OSLO
    assert list(stream) == []


def test_contexts_stay_with_their_docs(pipeline, posts):
    pairs = [(text, {"id": i}) for i, (text, _) in enumerate(posts * 2)]
    for (doc, context), (text, given) in zip(
        pipeline.pipe(pairs, as_tuples=True, batch_size=3), pairs, strict=True
    ):
        assert doc.text == text
        assert context is given


def test_stream_of_docs(pipeline, posts):
    texts = [text for text, _ in posts]
    expected = [entities(doc) for doc in pipeline.pipe(texts)]
    made = [pipeline.make_doc(text) for text in texts]
    docs = list(pipeline.pipe(made))
    assert [entities(doc) for doc in docs] == expected
    # They are annotated in place.
    assert all(doc is given for doc, given in zip(docs, made, strict=True))


@pytest.mark.parametrize("batch", [[1, 2], [None], [["a", "list"]]])
def test_stream_of_anything_else_is_refused(pipeline, batch):
    with pytest.raises(ValueError, match=r"\[E1041\]"):
        list(pipeline.pipe(batch))


def test_error_for_a_long_text_names_its_length_and_the_limit(pipeline):
    pipeline.max_length = 10
    with pytest.raises(ValueError, match=r"\[E088\] Text of length 26 .* of 10"):
        pipeline(OSLO)


@pytest.mark.parametrize("handler", [None, raise_error])
def test_errors_are_raised_by_default(failing, handler):
    if handler:
        failing.set_error_handler(handler)
    with pytest.raises(ValueError, match="this doc is bad"):
        list(failing.pipe([OSLO, "bad"]))
    with pytest.raises(ValueError, match="this doc is bad"):
        failing("bad")


def test_ignored_errors_drop_only_their_batch(failing):
    failing.set_error_handler(ignore_error)
    texts = [OSLO, "bad", "so", OSLO, OSLO, "bad"]
    docs = list(failing.pipe(texts, batch_size=2))
    assert [doc.text for doc in docs] == ["so", OSLO]
    docs = list(failing.pipe(texts, batch_size=1))
    assert [doc.text for doc in docs] == [OSLO, "so", OSLO, OSLO]
    assert entities(docs[0]) == [(0, 2, "person"), (4, 5, "location")]


def test_contexts_stay_with_their_docs_when_others_fail(failing):
    failing.set_error_handler(ignore_error)
    pairs = [(OSLO, 0), ("bad", 1), ("so", 2)]
    docs = failing.pipe(pairs, as_tuples=True, batch_size=1)
    assert [(doc.text, context) for doc, context in docs] == [(OSLO, 0), ("so", 2)]


def test_handler_of_the_component_gets_the_failed_docs(failing):
    calls = []
    ner = failing.get_pipe("ner")
    ner.set_error_handler(
        lambda name, pipe, docs, error: calls.append(
            (name, pipe is ner, [doc.text for doc in docs], str(error))
        )
    )
    assert [doc.text for doc in failing.pipe(["so", "bad"], batch_size=1)] == ["so"]
    assert calls == [("ner", True, ["bad"], "this doc is bad")]


PROCESSES = """
import itertools, sys
import spacy
from spacy.util import ignore_error

nlp = spacy.load(sys.argv[1])
texts = ["Ada Lovelace moved to Oslo", "", "nothing to see here", " ", "😀 Oslo"] * 3

def entities(doc):
    return [(ent.text, ent.label_, round(ent._.confidence, 4)) for ent in doc.ents]

expected = [entities(doc) for doc in nlp.pipe(texts)]
assert expected[0] and not expected[1]

def annotate(stream, **options):
    return nlp.pipe(stream, n_process=2, batch_size=2, **options)

assert [entities(doc) for doc in annotate(texts)] == expected
assert [entities(doc) for doc in annotate(map(nlp.make_doc, texts))] == expected
print("same")

pairs = [(text, i) for i, text in enumerate(texts)]
assert [context for _, context in annotate(pairs, as_tuples=True)] == list(range(15))
print("contexts")

endless = itertools.cycle(texts)
stream = annotate(endless)
docs = list(itertools.islice(stream, 20))
assert [entities(doc) for doc in docs] == (expected * 2)[:20]
stream.close()
print("stream")

ner = type(nlp.get_pipe("ner"))
predict = ner.predict

def fail_on_empty(self, docs):
    docs = list(docs)
    if any(not len(doc) for doc in docs):
        raise ValueError("empty")
    return predict(self, docs)

ner.predict = fail_on_empty
try:
    list(annotate(texts))
except ValueError as err:
    assert "empty" in str(err), err
    print("raised")
nlp.set_error_handler(ignore_error)
left = [doc.text for doc in nlp.pipe(texts, n_process=2, batch_size=1)]
assert left == [text for text in texts if text]
print("ignored")
"""


def test_two_processes(folder):
    # In a subprocess with a timeout, in case the workers hang.
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:spacy", "-c", PROCESSES, folder],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    steps = ["same", "contexts", "stream", "raised", "ignored"]
    assert done.stdout.split() == steps, done.stderr[-3000:]
    # No warning of `tokenizers` about forks.
    assert "fork" not in done.stderr
