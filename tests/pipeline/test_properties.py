"""Properties that hold for any text, tokenization, batch and settings."""

import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

# spaCy stores strings as UTF-8, which has no surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
# Words of the posts that the pipelines were trained on, so that entities are found.
known = st.sampled_from(
    ["Ada", "Lovelace", "moved", "to", "Oslo", "New", "York", "London", "in", ".", "#"]
)
words = st.one_of(known, texts.filter(bool))
spoken = st.lists(known, max_size=15).map(" ".join)
tokenised = st.lists(st.tuples(words, st.booleans()), max_size=12)
anything = st.one_of(texts, spoken, tokenised)

bounded = settings(
    max_examples=15,
    deadline=None,
    # One pipeline is loaded for all examples. It keeps no state between them.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
)


def make_doc(nlp, source):
    if isinstance(source, str):
        return nlp.make_doc(source)
    text, spaces = zip(*source, strict=True) if source else ((), ())
    return Doc(nlp.vocab, words=list(text), spaces=list(spaces))


def check(doc, labels):
    """Check the invariants of an annotated doc."""
    taken = set()
    for ent in doc.ents:
        assert 0 <= ent.start < ent.end <= len(doc)
        inside = set(range(ent.start, ent.end))
        assert not inside & taken
        taken |= inside
        assert ent.label_ in labels
        assert 0 < ent._.confidence <= 1
        assert not ent[0].is_space and not ent[-1].is_space
    starts = {ent.start for ent in doc.ents}
    assert [token.ent_iob_ for token in doc] == [
        "B" if i in starts else "I" if i in taken else "O" for i in range(len(doc))
    ]
    group = doc.spans["wnut"]
    assert list(group) == list(doc.ents)
    scores = [ent._.confidence for ent in doc.ents]
    assert group.attrs["scores"].tolist() == scores


def outcome(doc):
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents], [
        ent._.confidence for ent in doc.ents
    ]


@bounded
@given(source=anything)
def test_entities_are_well_formed(pipeline, source):
    doc = make_doc(pipeline, source)
    text, tokens = doc.text, [token.text for token in doc]
    doc = pipeline(doc)
    check(doc, pipeline.get_pipe("ner").labels)
    # Nothing but the annotation changes.
    assert doc.text == text
    assert [token.text for token in doc] == tokens


@bounded
@given(
    sources=st.lists(anything, max_size=4),
    batch_size=st.integers(1, 4),
    order=st.randoms(use_true_random=False),
)
def test_batches_and_order_change_nothing(pipeline, sources, batch_size, order):
    alone = [outcome(pipeline(make_doc(pipeline, source))) for source in sources]
    places = list(range(len(sources)))
    order.shuffle(places)
    stream = [make_doc(pipeline, sources[i]) for i in places]
    docs = list(pipeline.pipe(stream, batch_size=batch_size))
    assert len(docs) == len(sources)
    for i, doc in zip(places, docs, strict=True):
        check(doc, pipeline.get_pipe("ner").labels)
        spans, confidences = outcome(doc)
        assert spans == alone[i][0]
        assert confidences == pytest.approx(alone[i][1], abs=1e-4)


@bounded
@given(
    source=tokenised.filter(bool),
    settings_=st.fixed_dictionaries(
        {
            "bias": st.floats(-1000, 1000),
            "temperature": st.floats(0.001, 1000),
            "threshold": st.floats(0, 1),
        }
    ),
    blocked=st.integers(0, 11),
)
def test_entities_are_well_formed_with_any_settings(
    pipeline, source, settings_, blocked
):
    ner = pipeline.get_pipe("ner")
    defaults = {name: getattr(ner, name) for name in settings_}
    try:
        for name, value in settings_.items():
            setattr(ner, name, value)
        doc = make_doc(pipeline, source)
        at = min(blocked, len(doc) - 1)
        doc.set_ents([], blocked=[doc[at : at + 1]])
        doc = pipeline(doc)
    finally:
        for name, value in defaults.items():
            setattr(ner, name, value)
    assert doc[at].ent_iob_ == "B" and not doc[at].ent_type_
    for ent in doc.ents:
        assert not ent.start <= at < ent.end
        assert ent.label_ in ner.labels
        assert 0 < ent._.confidence <= 1
        assert ent._.confidence >= settings_["threshold"]


@bounded
@given(source=anything)
def test_stored_docs_keep_their_entities(pipeline, source):
    doc = pipeline(make_doc(pipeline, source))
    stored = Doc(spacy.blank("xx").vocab).from_bytes(doc.to_bytes())
    assert stored.text == doc.text
    assert outcome(stored) == outcome(doc)
