"""Which spans have a confidence, and how it follows docs that are stored, joined,
relabelled, retokenized or annotated again.
"""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span

from spacy_wnut.display.displacy_page import write_page
from spacy_wnut.display.terminal import format_doc
from spacy_wnut.pipeline.confidences import CONFIDENCE, install_extensions
from spacy_wnut.scoring.examples import confidence_of

TEXT = "Ada Lovelace left New York for Oslo"


@pytest.fixture(scope="module")
def table_nlp(make_table_nlp):
    return make_table_nlp()


@pytest.fixture
def doc(table_nlp):
    return table_nlp(TEXT)


def found(doc):
    return [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents]


def relabel(doc, text, label):
    """Change the label of the entity with this text, as an entity ruler does."""
    ents = [
        Span(doc, ent.start, ent.end, label if ent.text == text else ent.label_)
        for ent in doc.ents
    ]
    doc.set_ents(ents)


def scores(doc, key="wnut"):
    group = doc.spans[key]
    return dict(
        zip([(s.text, s.label_) for s in group], group.attrs["scores"], strict=True)
    )


def test_only_predicted_spans_have_a_confidence(doc):
    predicted = scores(doc)
    assert len(predicted) == 3
    for start in range(len(doc)):
        for end in range(start + 1, len(doc) + 1):
            for label in ("location", "person", "product", ""):
                span = Span(doc, start, end, label=label)
                assert span._.confidence == predicted.get((span.text, label))


@pytest.mark.parametrize("overwrite", [False, True])
def test_entities_of_a_later_ruler_have_no_confidence(make_table_nlp, overwrite):
    nlp = make_table_nlp()
    config = {"overwrite_ents": overwrite}
    ruler = nlp.add_pipe("entity_ruler", config=config)
    patterns = {"New York": "product", "Lovelace": "person", "for": "person"}
    ruler.add_patterns([{"label": v, "pattern": k} for k, v in patterns.items()])
    doc = nlp(TEXT)
    predicted = scores(doc)
    for ent in doc.ents:
        assert ent._.confidence == predicted.get((ent.text, ent.label_))
    none = {ent.text for ent in doc.ents if ent._.confidence is None}
    assert none == ({"New York", "Lovelace", "for"} if overwrite else {"for"})


def as_bytes(doc):
    return Doc(spacy.blank("xx").vocab).from_bytes(doc.to_bytes())


def as_docbin(doc):
    stored = DocBin(docs=[doc], store_user_data=True).to_bytes()
    return next(DocBin().from_bytes(stored).get_docs(spacy.blank("xx").vocab))


def as_json(doc):
    return Doc(spacy.blank("xx").vocab).from_json(doc.to_json(underscore=[CONFIDENCE]))


def as_part(doc):
    return doc[:].as_doc(copy_user_data=True)


def as_parts(doc):
    parts = [doc[:3], doc[3:6], doc[6:]]
    return Doc.from_docs([part.as_doc(copy_user_data=True) for part in parts])


def retokenized(doc):
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
        retokenizer.split(doc[2], ["le", "ft"], heads=[doc[2], doc[2]])
        retokenizer.merge(doc[3:5])
    return doc


CONVERSIONS = {
    "bytes": as_bytes,
    "DocBin": as_docbin,
    "JSON": as_json,
    "pickle": lambda doc: pickle.loads(pickle.dumps(doc)),
    "copy": Doc.copy,
    "as_doc": as_part,
    "from_docs": lambda doc: Doc.from_docs([doc]),
    "as_doc and from_docs": as_parts,
    "retokenize": retokenized,
    "bytes and DocBin": lambda doc: as_docbin(as_bytes(doc)),
}


@pytest.mark.parametrize("label", ["location", "product"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS.keys())
@pytest.mark.filterwarnings(r"ignore:\[W10[12]\]")
def test_confidence_is_kept_for_the_same_label_only(doc, convert, when, label):
    expected = [
        (text, label if text == "New York" else old, confidence)
        for text, old, confidence in found(doc)
    ]
    if label == "product":
        expected[1] = ("New York", "product", None)
    if when == "before":
        relabel(doc, "New York", label)
    new = convert(doc)
    if when == "after":
        relabel(new, "New York", label)
    assert found(new) == expected


@pytest.mark.parametrize("start", [0, 2, 3])
def test_part_of_a_doc_keeps_its_confidences(doc, start):
    expected = [
        e for ent, e in zip(doc.ents, found(doc), strict=True) if ent.start >= start
    ]
    assert found(doc[start:].as_doc(copy_user_data=True)) == expected


def test_joined_docs_with_the_same_text(table_nlp):
    docs = [table_nlp("Oslo"), table_nlp("New York"), table_nlp("Oslo")]
    relabel(docs[2], "Oslo", "product")
    joined = Doc.from_docs(docs)
    expected = [*found(docs[0]), *found(docs[1]), ("Oslo", "product", None)]
    assert found(joined) == expected


def strip(doc):
    """Reduce a doc to the user data of earlier versions."""
    for key in list(doc.user_data):
        if key[:2] == ("._.", "entity_tagger"):
            del doc.user_data[key]
    return doc


def test_docs_of_earlier_versions(doc):
    expected = found(doc)
    old = as_docbin(strip(doc))
    assert found(old) == expected
    # The span group still has the label.
    relabel(old, "New York", "product")
    expected[1] = ("New York", "product", None)
    assert found(old) == expected
    # The DocBins of `annotate` had no span groups.
    relabel(old, "New York", "location")
    old.spans.clear()
    assert [confidence is None for *_, confidence in found(old)] == [False] * 3


def test_confidence_can_be_set(doc):
    new_york = Span(doc, 3, 5, "location")
    new_york._.confidence = 0.25
    assert [ent._.confidence for ent in doc.ents][1] == 0.25
    assert Span(doc, 3, 5, "product")._.confidence is None
    Span(doc, 3, 5, "product")._.confidence = 0.125
    assert [ent._.confidence for ent in doc.ents][1] == 0.25
    assert Span(doc, 3, 5, "product")._.confidence == 0.125
    doc[2:3]._.confidence = 0.5
    assert doc[2:3]._.confidence == 0.5
    new_york._.confidence = None
    assert new_york._.confidence is None


def test_displays_agree_on_confidences(doc, tmp_path):
    relabel(doc, "New York", "product")
    shown = [confidence_of(ent) for ent in doc.ents]
    assert shown == [ent._.confidence for ent in doc.ents]
    assert shown[1] is None and None not in (shown[0], shown[2])
    assert "[New York](product)" in format_doc(doc, in_color=False)
    write_page([doc], tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("0.9") == 2


def test_two_taggers_with_their_own_span_groups(make_table_nlp, add_table):
    """Both find the same spans, with other types."""
    nlp = make_table_nlp()
    tags = {"New": 1, "York": 2, "Oslo": 1, "left": 1}
    add_table(
        nlp, "more", tags=tags, labels=("place",), overwrite=True, spans_key="more"
    )
    doc = nlp(TEXT)
    ner, more = scores(doc), scores(doc, "more")
    assert {label for _, label in ner} == {"location", "person"}
    assert set(more) == {(t, "place") for t in ("left", "New York", "Oslo")}
    assert [ent.label_ for ent in doc.ents] == ["place"] * 3
    loaded = as_bytes(doc)
    for key, expected in (("wnut", ner), ("more", more)):
        for span in loaded.spans[key]:
            assert span._.confidence == expected[span.text, span.label_]


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_taggers_with_one_span_group(make_table_nlp, add_table, overwrite):
    nlp = make_table_nlp()
    tags = {"left": 1, "for": 1, "York": 1}
    add_table(nlp, "more", tags=tags, labels=("word",), overwrite=overwrite)
    with nlp.select_pipes(disable=["more"]):
        ner = scores(nlp(TEXT))
    with nlp.select_pipes(disable=["ner"]):
        more = scores(nlp(TEXT))
    assert len(ner) == len(more) == 3
    doc = nlp(TEXT)
    together = scores(doc)
    assert {span: together[span] for span in ner} == ner
    assert set(together) - set(ner) == set(more) - (
        set() if overwrite else {("York", "word")}
    )
    for span in doc.spans["wnut"]:
        assert span._.confidence == together[span.text, span.label_]
    if not overwrite:
        again = nlp(doc)
        assert set(scores(again)) == set(together)
        assert len(again.spans["wnut"]) == len(together)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("text", [TEXT, "", " ", "left for", "Oslo", "New \n York  "])
def test_second_run_changes_nothing(make_table_nlp, text, overwrite):
    nlp = make_table_nlp(overwrite=overwrite, spans_key="sc")
    doc = nlp(text)
    before = found(doc), scores(doc, "sc"), dict(doc.user_data)
    for _ in range(2):
        doc = nlp(doc)
        assert (found(doc), scores(doc, "sc"), dict(doc.user_data)) == before


@pytest.mark.parametrize(
    "place, overwrites",
    [({"first": True}, False), ({"first": True}, True), ({"last": True}, False)],
)
def test_second_run_beside_a_ruler_changes_no_entity(make_table_nlp, place, overwrites):
    nlp = make_table_nlp()
    config = {"overwrite_ents": overwrites}
    ruler = nlp.add_pipe("entity_ruler", config=config, **place)
    patterns = {"York": "product", "left": "word", "Oslo": "product"}
    ruler.add_patterns([{"label": v, "pattern": k} for k, v in patterns.items()])
    doc = nlp(TEXT)
    before = [e[:2] for e in found(doc)]
    doc = nlp(doc)
    assert [e[:2] for e in found(doc)] == before
    predicted = scores(doc)
    for ent in doc.ents:
        assert ent._.confidence == predicted.get((ent.text, ent.label_))


def test_second_run_after_storing_without_user_data(make_table_nlp):
    nlp = make_table_nlp()
    doc = nlp(TEXT)
    stored = DocBin(docs=[doc]).to_bytes()
    [loaded] = DocBin().from_bytes(stored).get_docs(nlp.vocab)
    assert found(nlp(loaded)) == found(doc)
    assert scores(loaded) == scores(doc)


def test_second_run_with_other_settings_replaces_the_first(make_table_nlp):
    nlp = make_table_nlp()
    doc = nlp(TEXT)
    nlp.get_pipe("ner").threshold = 0.95
    doc = nlp(doc)
    assert list(scores(doc)) == [("Oslo", "location")]
    assert [e[:2] for e in found(doc)] == [("Oslo", "location")]
    # No longer predicted, so no confidence.
    assert Span(doc, 3, 5, "location")._.confidence is None


def test_second_run_after_merging_entities(make_table_nlp):
    nlp = make_table_nlp(tags={"Oslo": 1, "New": 1, "York": 2, "New York": 1})
    nlp.add_pipe("merge_entities")
    doc = nlp(TEXT)
    assert [token.text for token in doc][3] == "New York"
    doc = nlp(doc)
    assert [e[:2] for e in found(doc)] == [
        ("New York", "location"),
        ("Oslo", "location"),
    ]
    assert [(s.text, s._.confidence) for s in doc.spans["wnut"]] == [
        (text, confidence) for text, _, confidence in found(doc)
    ]


def test_entities_of_other_components_are_not_in_the_span_group(make_table_nlp):
    nlp = make_table_nlp()
    doc = nlp(TEXT)
    # Another component relabels one entity and adds one.
    ents = [Span(doc, 3, 5, "product"), Span(doc, 2, 3, "word"), *doc.ents[::2]]
    doc.set_ents(ents)
    doc = nlp(doc)
    assert {e[:2] for e in found(doc)} == {
        ("Ada Lovelace", "person"),
        ("left", "word"),
        ("New York", "product"),
        ("Oslo", "location"),
    }
    assert set(scores(doc)) == {("Ada Lovelace", "person"), ("Oslo", "location")}
    assert all(e[2] is None for e in found(doc) if e[1] in ("word", "product"))


WORDS = st.lists(
    st.sampled_from(["Ada", "Lovelace", "New", "York", "Oslo", "so", " ", "\n\n "]),
    max_size=12,
)


@settings(deadline=None, max_examples=40)
@given(words=WORDS, spans=st.lists(st.tuples(*[st.integers(0, 12)] * 2), max_size=4))
def test_two_runs_with_any_entities_of_other_components(table_nlp, words, spans):
    doc = Doc(table_nlp.vocab, words=words)
    taken = set()
    others = []
    for start, length in spans:
        end = start + length % 3 + 1
        if end <= len(doc) and taken.isdisjoint(range(start, end)):
            taken |= set(range(start, end))
            others.append(Span(doc, start, end, label="location"))
    doc.set_ents(others)
    doc = table_nlp(doc)
    once = found(doc), scores(doc)
    assert set(others) <= set(doc.ents)
    assert [e for e in doc.ents if e not in others] == list(doc.spans["wnut"])
    for ent in doc.ents:
        assert (ent._.confidence is None) == (ent in others)
    doc = table_nlp(as_docbin(doc) if len(words) % 2 else doc)
    assert (found(doc), scores(doc)) == once


def test_extension_is_registered_once_by_many_threads():
    getter = Span.get_extension(CONFIDENCE)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: install_extensions(), range(100)))
    assert Span.get_extension(CONFIDENCE) == getter


def test_prediction_registers_nothing(table_nlp):
    """Otherwise it would change the state of other threads."""
    extension = Span.remove_extension(CONFIDENCE)
    try:
        doc = table_nlp(TEXT)
        assert not Span.has_extension(CONFIDENCE)
    finally:
        install_extensions()
    assert Span.get_extension(CONFIDENCE) == extension
    assert numpy.isclose(
        doc.ents[0]._.confidence, scores(doc)["Ada Lovelace", "person"]
    )


def test_extension_of_another_package_is_kept():
    getter = Span.get_extension(CONFIDENCE)[2]
    Span.set_extension(CONFIDENCE, default="theirs", force=True)
    try:
        install_extensions()
        assert Span.get_extension(CONFIDENCE)[0] == "theirs"
    finally:
        Span.remove_extension(CONFIDENCE)
        install_extensions()
    assert Span.get_extension(CONFIDENCE)[2] is getter
