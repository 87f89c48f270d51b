"""Annotation of docs, alone and beside other components that set `doc.ents`."""

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_wnut.errors import WnutError
from spacy_wnut.pipeline.entity_tagger import find_tagger

TEXT = "lol Grace Hopper and Alan Turing are in London"


def iobs(doc):
    return [(token.ent_iob_, token.ent_type_) for token in doc]


def found(doc):
    return {(ent.text, ent.label_) for ent in doc.ents}


@Language.factory("test_blocker")
def make_blocker(nlp, name, start: int, end: int):
    def block(doc):
        doc.set_ents([], blocked=[doc[start:end]], default="unmodified")
        return doc

    return block


def add_ruler(nlp, patterns, **options):
    ruler = nlp.add_pipe("entity_ruler", **options)
    ruler.add_patterns(
        [{"label": label, "pattern": text} for text, label in patterns.items()]
    )


@pytest.mark.parametrize(
    "transitions, pooling",
    [("constrained", "spacy-wnut.reduce_first.v1"), ("learned", "reduce_mean.v1")],
)
def test_training_reproduces_the_posts(make_nlp, train, posts, transitions, pooling):
    nlp = make_nlp(
        transitions=transitions, model={"tok2vec": {"pooling": {"@layers": pooling}}}
    )
    losses = train(nlp)
    assert losses[-1] < 0.1 * losses[0]
    for text, entities in posts:
        assert found(nlp(text)) == entities


def test_entities_span_group_and_confidences_agree(pipeline, posts):
    for text, entities in posts:
        doc = pipeline(text)
        assert found(doc) == entities
        group = doc.spans["wnut"]
        assert list(group) == list(doc.ents)
        confidences = [ent._.confidence for ent in doc.ents]
        assert group.attrs["scores"].tolist() == confidences
        assert all(0.5 < confidence < 1 for confidence in confidences)


def test_words_without_an_entity_are_outside_and_not_missing(pipeline):
    assert iobs(pipeline("nothing to see here")) == [("O", "")] * 4


def test_predict_does_not_change_docs(make_table_nlp):
    nlp = make_table_nlp()
    doc = nlp.make_doc("Ada Lovelace left New York for Oslo")
    before = doc.to_bytes()
    assert nlp.get_pipe("ner").predict([doc]).starts.tolist() == [0, 3, 6]
    assert doc.to_bytes() == before


def test_entities_below_the_threshold_are_left_out(nlp):
    before = {ent.text: ent._.confidence for ent in nlp(TEXT).ents}
    least = min(before, key=before.get)
    ner = nlp.get_pipe("ner")

    ner.threshold = before[least]
    assert {ent.text for ent in nlp(TEXT).ents} == set(before)
    ner.threshold = float(numpy.nextafter(before[least], 1))
    doc = nlp(TEXT)
    assert {ent.text for ent in doc.ents} == set(before) - {least}
    assert [span.text for span in doc.spans["wnut"]] == [e.text for e in doc.ents]
    assert len(doc.spans["wnut"].attrs["scores"]) == len(doc.ents)


def test_new_labels_are_refused_after_training(pipeline):
    before = found(pipeline(TEXT))
    ner = pipeline.get_pipe("ner")
    with pytest.raises(ValueError, match=r"\[E922\]"):
        ner.add_label("RANDOM_NEW_LABEL")
    assert ner.add_label("person") == 0
    assert found(pipeline(TEXT)) == before


@pytest.mark.parametrize("place", [{"first": True}, {"last": True}])
def test_ruler_without_matches_changes_nothing(pipeline, place):
    before = iobs(pipeline(TEXT))
    add_ruler(pipeline, {"Atlantis": "myth"}, **place)
    assert iobs(pipeline(TEXT)) == before


def test_entities_of_an_earlier_ruler_are_kept(pipeline):
    add_ruler(pipeline, {"lol": "laugh", "Hopper": "person"}, first=True)
    doc = pipeline(TEXT)
    assert ("lol", "laugh") in found(doc) and ("Hopper", "person") in found(doc)
    assert {("Alan Turing", "person"), ("London", "location")} <= found(doc)
    assert all(token.ent_iob_ in "BIO" and token.ent_iob_ for token in doc)
    # The tagger did not predict them.
    assert not {"lol", "Hopper"} & {span.text for span in doc.spans["wnut"]}
    for ent in doc.ents:
        assert (ent._.confidence is None) == (ent.text in ("lol", "Hopper"))


def test_overwrite_replaces_entities_of_an_earlier_ruler(pipeline, posts):
    add_ruler(pipeline, {"Grace": "given-name", "are in": "words"}, first=True)
    pipeline.get_pipe("ner").cfg["overwrite"] = True
    assert found(pipeline(TEXT)) == dict(posts)[TEXT]


def test_later_ruler_adds_entities_around_those_found(pipeline):
    add_ruler(pipeline, {"lol": "laugh", "Alan": "given-name"})
    doc = pipeline(TEXT)
    assert iobs(doc)[0] == ("B", "laugh")
    assert found(doc) >= {("Alan Turing", "person"), ("London", "location")}
    # It overlaps the longer entity.
    assert ("Alan", "given-name") not in found(doc)


def test_later_ruler_may_overwrite(pipeline):
    add_ruler(pipeline, {"Alan": "given-name"}, config={"overwrite_ents": True})
    doc = pipeline(TEXT)
    assert ("Alan", "given-name") in found(doc)
    assert ("Alan Turing", "person") not in found(doc)


def test_second_run_over_the_same_doc_changes_nothing(pipeline):
    def outcome(doc):
        group = doc.spans["wnut"]
        ents = [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents]
        spans = [(span.text, span.label_) for span in group]
        return iobs(doc), ents, spans, group.attrs["scores"].tolist()

    doc = pipeline(TEXT)
    before = outcome(doc)
    assert len(before[2]) == 3
    assert outcome(pipeline(doc)) == before
    [doc] = pipeline.pipe([doc])
    assert outcome(doc) == before


def test_blocked_words_stay_blocked(pipeline):
    pipeline.add_pipe("test_blocker", config={"start": 4, "end": 6}, first=True)
    doc = pipeline(TEXT)
    assert [iob for iob, _ in iobs(doc)] == list("OBIOBBOOB")
    assert [kind for _, kind in iobs(doc)[4:6]] == ["", ""]
    assert found(doc) == {("Grace Hopper", "person"), ("London", "location")}


def test_entities_set_earlier_keep_their_ids(pipeline):
    doc = pipeline.make_doc(TEXT)
    given = Span(doc, 8, 9, label="location", kb_id="Q84", span_id="here")
    doc.set_ents([given])
    doc = pipeline(doc)
    kept = next(ent for ent in doc.ents if ent.text == "London")
    assert (kept.kb_id_, kept.id_) == ("Q84", "here")
    others = [ent for ent in doc.ents if ent.text != "London"]
    assert [(ent.kb_id_, ent.id_) for ent in others] == [("", ""), ("", "")]


def test_words_annotated_as_outside_may_become_entities(pipeline):
    doc = pipeline.make_doc(TEXT)
    doc.set_ents([], default="outside")
    assert ("London", "location") in found(pipeline(doc))


def test_labels_with_hyphens_and_tag_letters(make_nlp):
    nlp = make_nlp()
    doc = Doc(nlp.vocab, words=["so", "a", "big", "word"])
    tags = ["U-JOB-NAME", "O", "B-B-I", "L-B-I"]
    example = Example.from_dict(doc, {"entities": tags})
    optimizer = nlp.initialize(lambda: [example])
    assert nlp.get_pipe("ner").labels == ("B-I", "JOB-NAME")
    optimizer.learn_rate = 5e-3
    for _ in range(15):
        nlp.update([example], sgd=optimizer)
    doc = nlp(Doc(nlp.vocab, words=["so", "a", "big", "word"]))
    assert found(doc) == {("so", "JOB-NAME"), ("big word", "B-I")}


def test_hundreds_of_labels(make_nlp):
    nlp = make_nlp()
    labels = [f"type-{i}" for i in range(300)]
    doc = nlp.make_doc("One sentence")
    nlp.config["initialize"]["components"]["ner"] = {"labels": labels}
    example = Example.from_dict(doc, {"entities": []})
    optimizer = nlp.initialize(lambda: [example])
    losses = [nlp.update([example], sgd=optimizer)["ner"] for _ in range(3)]
    assert losses[-1] < losses[0]
    assert len(nlp.get_pipe("ner").scheme.tags) == 601


def test_name_must_not_be_a_path():
    with pytest.raises(ValueError, match=r"'\.\./ner' can't be the name of a comp"):
        spacy.blank("en").add_pipe("entity_tagger", name="../ner")


def test_find_tagger(make_table_nlp, add_table, tmp_path):
    class MissingTagger(WnutError):
        pass

    make_table_nlp().to_disk(tmp_path / "table")
    nlp = spacy.load(tmp_path / "table")
    assert find_tagger(nlp) is nlp.get_pipe("ner")
    add_table(nlp, "more")
    with pytest.raises(WnutError, match=r"table has 2 .*ner, more") as error:
        find_tagger(nlp, missing=MissingTagger)
    assert error.type is WnutError
    with pytest.raises(MissingTagger, match=r"pipeline has no .* entity_tagger .*none"):
        find_tagger(spacy.blank("en"), missing=MissingTagger)
