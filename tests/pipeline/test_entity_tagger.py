"""What the component sets on docs, and the settings that change it."""

import numpy
import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_wnut.errors import WnutError
from spacy_wnut.pipeline.entity_tagger import find_tagger


def found(doc):
    return {(ent.text, ent.label_) for ent in doc.ents}


def tokens(doc, text):
    """The span of the words of a text."""
    start = doc.text.index(text)
    return doc.char_span(start, start + len(text))


@pytest.mark.parametrize(
    "transitions, pooling",
    [("constrained", "spacy-wnut.reduce_first.v1"), ("learned", "reduce_mean.v1")],
)
def test_learns_posts_by_heart(make_nlp, train, posts, transitions, pooling):
    nlp = make_nlp(
        transitions=transitions, model={"tok2vec": {"pooling": {"@layers": pooling}}}
    )
    course = train(nlp)
    assert course[-1] < 0.1 * course[0]
    for text, entities in posts:
        assert found(nlp(text)) == entities


def test_all_places_that_hold_entities_agree(nlp, posts):
    for text, entities in posts:
        doc = nlp(text)
        group = doc.spans["wnut"]
        assert list(group) == list(doc.ents)
        assert len(doc.ents) == len(entities)
        confidences = [ent._.confidence for ent in doc.ents]
        assert group.attrs["scores"].tolist() == confidences
        assert all(0.5 < confidence < 1 for confidence in confidences)
        assert doc.has_annotation("ENT_IOB")


def test_spans_of_other_origin_have_no_confidence(nlp):
    doc = nlp("Ada Lovelace moved to Oslo")
    assert doc[2:4]._.confidence is None


@pytest.mark.parametrize("road", ["Doc", "DocBin"])
def test_confidences_survive_storing_docs(nlp, posts, road):
    before = list(nlp.pipe(text for text, _ in posts))
    if road == "Doc":
        after = [Doc(nlp.vocab).from_bytes(doc.to_bytes()) for doc in before]
    else:
        stored = DocBin(docs=before, store_user_data=True).to_bytes()
        after = list(DocBin().from_bytes(stored).get_docs(spacy.blank("en").vocab))
    for old, new in zip(before, after, strict=True):
        assert found(new) == found(old)
        assert [e._.confidence for e in new.ents] == [e._.confidence for e in old.ents]
        assert [s.text for s in new.spans["wnut"]] == [e.text for e in old.ents]
        scores = [doc.spans["wnut"].attrs["scores"].tolist() for doc in (new, old)]
        assert scores[0] == scores[1]


def test_key_of_the_span_group_is_a_setting(make_nlp, make_examples):
    nlp = make_nlp(spans_key="sc")
    nlp.initialize(lambda: make_examples(nlp))
    assert set(nlp("in Oslo").spans) == {"sc"}


def test_threshold_leaves_out_the_less_confident(nlp):
    text = "lol Grace Hopper and Alan Turing are in London"
    before = {ent.text: ent._.confidence for ent in nlp(text).ents}
    least = min(before, key=before.get)
    ner = nlp.get_pipe("ner")

    ner.threshold = before[least]
    assert {ent.text for ent in nlp(text).ents} == set(before)
    ner.threshold = float(numpy.nextafter(before[least], 1))
    doc = nlp(text)
    assert {ent.text for ent in doc.ents} == set(before) - {least}
    assert [span.text for span in doc.spans["wnut"]] == [e.text for e in doc.ents]
    assert len(doc.spans["wnut"].attrs["scores"]) == len(doc.ents)


def test_threshold_is_stored_with_the_pipeline(nlp, tmp_path):
    nlp.get_pipe("ner").threshold = 1.0
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    assert loaded.get_pipe("ner").threshold == 1.0
    assert not loaded("Ada Lovelace moved to Oslo").ents


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_threshold_has_to_be_a_probability(nlp, value):
    with pytest.raises(ValueError, match="threshold has to be between 0 and 1, got"):
        nlp.get_pipe("ner").threshold = value


def test_transitions_have_to_be_of_a_known_kind(make_nlp):
    with pytest.raises(ValueError, match=r'"learned" or "constrained", got \'free\''):
        make_nlp(transitions="free")


@pytest.fixture
def with_ruler(nlp):
    """Finds "Grace" and "are in" as FOUND before the component comes."""
    ruler = nlp.add_pipe("entity_ruler", first=True)
    ruler.add_patterns(
        [{"label": "FOUND", "pattern": text} for text in ("Grace", "are in")]
    )
    return nlp


TEXT = "lol Grace Hopper and Alan Turing are in London"


def test_entities_set_earlier_stay_and_others_are_found_around_them(with_ruler):
    doc = with_ruler(TEXT)
    assert {("Grace", "FOUND"), ("are in", "FOUND")} <= found(doc)
    assert {("Alan Turing", "person"), ("London", "location")} <= found(doc)
    # They weren't found by the component, so it says nothing of them.
    assert "FOUND" not in {span.label_ for span in doc.spans["wnut"]}
    for ent in doc.ents:
        assert (ent._.confidence is None) == (ent.label_ == "FOUND")


def test_overwrite_replaces_entities_set_earlier(with_ruler, posts):
    with_ruler.get_pipe("ner").cfg["overwrite"] = True
    assert found(with_ruler(TEXT)) == dict(posts)[TEXT]


def test_blocked_words_stay_outside(nlp):
    doc = nlp.make_doc(TEXT)
    doc.set_ents([], blocked=[tokens(doc, "London"), tokens(doc, "lol")])
    doc = nlp(doc)
    assert found(doc) == {("Grace Hopper", "person"), ("Alan Turing", "person")}
    for word in ("London", "lol"):
        assert tokens(doc, word)[0].ent_iob_ == "B"
        assert tokens(doc, word)[0].ent_type_ == ""


def test_annotating_again_changes_nothing(nlp):
    doc = nlp(TEXT)
    before = [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents]
    doc = nlp(doc)
    assert [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents] == before


def test_predict_alone_changes_no_doc(nlp):
    doc = nlp.make_doc(TEXT)
    with nlp.select_pipes(disable=["ner"]):
        doc = nlp(doc)
    scores = nlp.get_pipe("ner").predict([doc])
    assert len(scores.starts) == 3
    assert not doc.has_annotation("ENT_IOB")
    assert "wnut" not in doc.spans


def test_error_handler_gets_the_docs_that_fail(nlp, monkeypatch):
    ner = nlp.get_pipe("ner")
    predict = ner.predict

    def fail_on_bad(docs):
        if any(doc.text == "bad" for doc in docs):
            raise ValueError("this doc is bad")
        return predict(docs)

    failures = []
    monkeypatch.setattr(type(ner), "predict", lambda self, docs: fail_on_bad(docs))
    nlp.set_error_handler(
        lambda name, pipe, docs, error: failures.extend(
            (name, doc.text, str(error)) for doc in docs
        )
    )
    texts = ["Ada Lovelace moved to Oslo", "bad", "nothing to see here"]
    docs = list(nlp.pipe(texts, batch_size=1))
    assert [doc.text for doc in docs] == [texts[0], texts[2]]
    assert failures == [("ner", "bad", "this doc is bad")]
    assert len(docs[0].ents) == 2


def test_the_one_of_a_pipeline(nlp):
    class Missing(WnutError):
        pass

    assert find_tagger(nlp) is nlp.get_pipe("ner")
    nlp.add_pipe("entity_tagger", name="more")
    with pytest.raises(WnutError, match=r"trained has 2 .*transformer, ner, more") as e:
        find_tagger(nlp, missing=Missing)
    assert e.type is WnutError
    with pytest.raises(Missing, match=r"the pipeline has no .* entity_tagger .*: none"):
        find_tagger(spacy.blank("en"), missing=Missing)
