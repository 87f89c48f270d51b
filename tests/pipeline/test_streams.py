"""`nlp.pipe`: streams, contexts and error handlers."""

import itertools

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
