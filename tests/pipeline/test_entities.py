"""What spaCy asks of a component that sets `doc.ents`, beside other such ones."""

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

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


def test_knows_what_it_was_trained_on_also_after_reloading(pipeline, posts, tmp_path):
    assert all(found(pipeline(text)) == entities for text, entities in posts)
    pipeline.to_disk(tmp_path / "again")
    again = spacy.load(tmp_path / "again")
    assert all(found(again(text)) == entities for text, entities in posts)


def test_a_trained_pipe_refuses_new_labels_and_goes_on_as_before(pipeline):
    before = found(pipeline(TEXT))
    ner = pipeline.get_pipe("ner")
    with pytest.raises(ValueError, match=r"\[E922\]"):
        ner.add_label("RANDOM_NEW_LABEL")
    assert ner.add_label("person") == 0
    assert found(pipeline(TEXT)) == before


def test_one_by_one_and_in_batches_is_the_same(pipeline, posts):
    texts = [text for text, _ in posts] * 3
    alone = [iobs(pipeline(text)) for text in texts]
    assert [iobs(doc) for doc in pipeline.pipe(texts)] == alone
    assert [iobs(doc) for doc in pipeline.pipe(texts)] == alone


def test_words_without_an_entity_are_outside_and_not_missing(pipeline):
    assert iobs(pipeline("nothing to see here")) == [("O", "")] * 4


@pytest.mark.parametrize("place", [{"first": True}, {"last": True}])
def test_a_ruler_that_finds_nothing_changes_nothing(pipeline, place):
    before = iobs(pipeline(TEXT))
    add_ruler(pipeline, {"Atlantis": "myth"}, **place)
    assert iobs(pipeline(TEXT)) == before


def test_a_ruler_before_has_its_say_and_the_rest_is_found(pipeline):
    add_ruler(pipeline, {"lol": "laugh", "Hopper": "person"}, first=True)
    doc = pipeline(TEXT)
    assert ("lol", "laugh") in found(doc) and ("Hopper", "person") in found(doc)
    assert {("Alan Turing", "person"), ("London", "location")} <= found(doc)
    assert all(token.ent_iob_ in "BIO" and token.ent_iob_ for token in doc)


def test_a_ruler_after_sees_what_was_found_as_taken(pipeline):
    add_ruler(pipeline, {"lol": "laugh", "Alan": "given-name"})
    doc = pipeline(TEXT)
    assert iobs(doc)[0] == ("B", "laugh")
    # The longer entity that is there already stays whole.
    assert found(doc) >= {("Alan Turing", "person"), ("London", "location")}
    assert ("Alan", "given-name") not in found(doc)


def test_a_ruler_after_may_overwrite(pipeline):
    add_ruler(pipeline, {"Alan": "given-name"}, config={"overwrite_ents": True})
    doc = pipeline(TEXT)
    assert ("Alan", "given-name") in found(doc)
    assert ("Alan Turing", "person") not in found(doc)


@pytest.mark.parametrize("label", ["location", "product"])
def test_what_a_ruler_relabels_has_no_confidence(pipeline, label):
    expected = {e.text: e._.confidence for e in pipeline(TEXT).ents}
    patterns = {"London": label, "Alan": "person"}
    add_ruler(pipeline, patterns, config={"overwrite_ents": True})
    doc = pipeline(TEXT)
    assert found(doc) >= {("London", label), ("Alan", "person")}
    confidences = {ent.text: ent._.confidence for ent in doc.ents}
    assert confidences["Alan"] is None
    assert confidences["Grace Hopper"] == expected["Grace Hopper"]
    assert confidences["London"] == (
        expected["London"] if label == "location" else None
    )


def test_a_second_run_over_the_same_doc_changes_nothing(pipeline):
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


def test_words_that_an_earlier_pipe_says_are_outside_may_become_entities(pipeline):
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


def test_learns_the_whole_from_annotations_of_parts(make_nlp):
    """Nobody annotated all of the post, and together they did."""
    nlp = make_nlp()
    words = TEXT.split()
    known = [(1, 3, "person"), (4, 6, "person"), (8, 9, "location")]

    def example(ents, outside):
        reference = Doc(nlp.vocab, words=words)
        reference.set_ents(
            [Span(reference, *ent) for ent in ents],
            outside=[reference[i : i + 1] for i in outside],
            default="missing",
        )
        return Example(Doc(nlp.vocab, words=words), reference)

    examples = [example([ent], []) for ent in known]
    examples.append(example([], [0, 3, 6, 7]))
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 3e-3
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    doc = nlp(Doc(nlp.vocab, words=words))
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == known
