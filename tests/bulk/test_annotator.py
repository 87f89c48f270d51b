import html
import json

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_wnut.bulk.annotator import Annotator
from spacy_wnut.bulk.records import Chunk, Found, Record
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.errors import WnutError

TEXTS = ["Ada Lovelace moved to Oslo", "nothing to see here", ""]


def chunk_of(texts):
    return Chunk([Record(i, text) for i, text in enumerate(texts, 1)])


def run(model, texts=TEXTS, **settings):
    annotator = Annotator(Settings(model, **settings))
    return annotator.annotate(chunk_of(texts), lambda found: "")


def reasons(rejected):
    return {one["line"]: one["reason"] for one in map(json.loads, rejected)}


def test_entities_and_words_as_the_pipeline_has_them(tagger):
    found, rejected = run(tagger)
    assert rejected == []
    nlp = spacy.load(tagger)
    for i, text in enumerate(TEXTS):
        doc = nlp(text)
        assert found[i].words == [token.text for token in doc]
        assert found[i].spaces == [bool(token.whitespace_) for token in doc]
        assert found[i].spans == [(ent.start, ent.end) for ent in doc.ents]
        assert found[i].entities == [
            {
                "start": ent.start_char,
                "end": ent.end_char,
                "label": ent.label_,
                "text": ent.text,
                "confidence": pytest.approx(ent._.confidence, rel=1e-5),
            }
            for ent in doc.ents
        ]
    assert [entity["label"] for entity in found[0].entities] == ["person", "location"]


def test_entities_of_other_pipes_have_no_confidence(ruler):
    found, _ = run(ruler)
    assert [entity["confidence"] for entity in found[0].entities] == [None, None]


def test_nor_have_those_that_a_later_pipe_relabels(tagger, tmp_path):
    nlp = spacy.load(tagger)
    ruler = nlp.add_pipe("entity_ruler", config={"overwrite_ents": True})
    ruler.add_patterns([{"label": "product", "pattern": "Oslo"}])
    nlp.to_disk(tmp_path / "model")
    found, _ = run(str(tmp_path / "model"))
    entities = {e["label"]: e["confidence"] for e in found[0].entities}
    assert entities["product"] is None and entities["person"] > 0


def test_small_confidences_stay_above_zero(tagger):
    annotator = Annotator(Settings(tagger))
    annotator.nlp.get_pipe("ner").temperature = 1000.0
    annotator.nlp.get_pipe("ner").bias = 50.0
    found, _ = annotator.annotate(chunk_of(["x " * 400]), lambda found: "")
    confidences = [entity["confidence"] for entity in found[0].entities]
    assert confidences and all(0.0 < value < 1e-3 for value in confidences)


def test_threshold_takes_the_place_of_the_stored_one(tagger):
    confidences = [entity["confidence"] for entity in run(tagger)[0][0].entities]
    between = sum(confidences) / 2
    left = run(tagger, threshold=between)[0][0].entities
    assert [entity["confidence"] for entity in left] == [max(confidences)]
    assert run(tagger, threshold=0.0)[0] == run(tagger)[0]


def test_labels_are_what_is_kept(tagger):
    found, _ = run(tagger, labels=("location",))
    assert [entity["text"] for entity in found[0].entities] == ["Oslo"]
    assert found[0].spans == [(4, 5)]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"threshold": 1.5}, "--threshold can't be used: .*between 0 and 1"),
        ({"labels": ("place",)}, "no .* label 'place': .* are location, person"),
    ],
)
def test_settings_that_can_not_be_are_refused(tagger, settings, message):
    with pytest.raises(WnutError, match=message):
        run(tagger, **settings)


def test_a_threshold_needs_confidences(ruler):
    with pytest.raises(WnutError, match="gives its entities a confidence"):
        run(ruler, threshold=0.5)


def test_a_pipeline_without_entities_is_refused(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(WnutError, match=r"sets entities \(it has: none\)"):
        run(str(tmp_path / "blank"))
    with pytest.raises(WnutError, match="can't be loaded"):
        run(str(tmp_path / "gone"))


def test_a_pipeline_that_fails_on_everything_is_refused_before_the_work(
    ruler, tmp_path
):
    @Language.component("always_fails")
    def always_fails(doc):
        raise RuntimeError("no weights")

    nlp = spacy.load(ruler)
    nlp.add_pipe("always_fails")
    nlp.to_disk(tmp_path / "broken")
    with pytest.raises(WnutError, match=r"fails on a plain sentence.*no weights"):
        run(str(tmp_path / "broken"))


@pytest.fixture
def fussy(ruler):
    """An annotator whose pipeline fails on some texts."""

    @Language.component("fussy")
    def fail(doc):
        if "bad" in doc.text:
            raise KeyError("bad word")
        return doc

    annotator = Annotator(Settings(ruler, batch_size=4))
    annotator.nlp.add_pipe("fussy")
    return annotator


@pytest.mark.parametrize("places", [[0], [9], [3, 4, 5], list(range(10)), []])
def test_a_text_that_fails_takes_no_other_with_it(fussy, places):
    texts = [f"Oslo {'bad' * (i in places)} {i}" for i in range(10)]
    found, rejected = fussy.annotate(chunk_of(texts), lambda found: "")
    assert list(found) == [i for i in range(10) if i not in places]
    assert all(len(one.entities) == 1 for one in found.values())
    assert reasons(rejected) == {
        i + 1: "the pipeline fails: KeyError: 'bad word'" for i in places
    }
    # The vocabulary is usable after a failure.
    assert len(fussy.annotate(chunk_of(["Oslo and words"]), lambda found: "")[0]) == 1


def test_a_pipe_that_leaves_out_docs_is_noticed(ruler):
    annotator = Annotator(Settings(ruler))

    @Language.component("fussy_too")
    def fail(doc):
        if "bad" in doc.text:
            raise KeyError("bad word")
        return doc

    annotator.nlp.add_pipe("fussy_too")
    annotator.nlp.set_error_handler(lambda name, proc, docs, err: None)
    found, rejected = annotator.annotate(chunk_of(["a", "bad", "c"]), lambda found: "")
    assert list(found) == [0, 2]
    assert reasons(rejected) == {2: "the pipeline left it out"}


def test_a_text_over_the_limit_is_rejected(ruler):
    annotator = Annotator(Settings(ruler))
    annotator.nlp.max_length = 20
    found, rejected = annotator.annotate(chunk_of(["x" * 21, "Oslo"]), lambda found: "")
    assert list(found) == [1]
    assert "[E088]" in reasons(rejected)[1]


def test_objections_and_problems_are_rejections_in_order(ruler):
    records = [
        Record(1, "Oslo"),
        Record(2, problem="why"),
        Record(3, ""),
        Record(4, "a"),
    ]
    found, rejected = Annotator(Settings(ruler)).annotate(
        Chunk(records), lambda found: "" if found.words else "empty"
    )
    assert list(found) == [0, 3]
    assert list(reasons(rejected).items()) == [(2, "why"), (3, "empty")]


def test_words_that_the_input_has_are_kept(ruler):
    words = ["Ada", "Lovelace", "can't", "#tag"]
    chunk = Chunk([Record(1, " ".join(words), words=words)])
    found, _ = Annotator(Settings(ruler)).annotate(chunk, lambda found: "")
    assert found[0] == Found(
        [
            {
                "start": 0,
                "end": 12,
                "label": "person",
                "text": "Ada Lovelace",
                "confidence": None,
            }
        ],
        words,
        [True, True, True, False],
        [(0, 2)],
    )


def test_new_words_are_forgotten(ruler):
    annotator = Annotator(Settings(ruler))
    before = len(annotator.nlp.vocab.strings)
    texts = [f"word{i} other{i}" for i in range(50)]
    assert len(annotator.annotate(chunk_of(texts), lambda found: "")[0]) == 50
    assert len(annotator.nlp.vocab.strings) == before
    assert "word7" not in annotator.nlp.vocab.strings


def test_the_identity_is_that_of_the_files(ruler, tagger, tmp_path):
    def identity(model):
        return Annotator(Settings(str(model))).identity()

    spacy.load(ruler).to_disk(tmp_path / "copy")
    assert identity(ruler) == identity(tmp_path / "copy") != identity(tagger)
    with (tmp_path / "copy" / "meta.json").open("a") as file:
        file.write("\n")
    assert identity(ruler) != identity(tmp_path / "copy")


def test_docs_of_given_words_are_freed_with_their_vectors(tagger, vectors):
    annotator = Annotator(Settings(tagger, batch_size=4))
    annotator.nlp.add_pipe("test_adds_vectors", first=True)
    words = ["Ada", "moved", "to", "Oslo"]
    records = [Record(i, " ".join(words), words) for i in range(40)]
    found, rejected = annotator.annotate(Chunk(records), lambda found: "")
    assert (len(found), rejected) == (40, [])
    assert 0 < vectors.most <= 8


def entities_of(model, text, **settings):
    found, rejected = run(model, [text], **settings)
    assert rejected == []
    return [(e["start"], e["end"], e["text"]) for e in found[0].entities]


@pytest.mark.parametrize("unescape", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "🎉 Ada Lovelace &amp; 🎉 in Oslo &lt;3",
        "&#x1F389;🎉 in &quot;Oslo&quot;, Ada Lovelace",
        "&#1;Ada&nbsp;Ada &#79;slo Ada&#32;Lovelace",
        "",
    ],
)
def test_offsets_refer_to_the_text_of_the_record(ruler, text, unescape):
    places = entities_of(ruler, text, unescape=unescape)
    for start, end, part in places:
        assert text[start:end] == part
        if unescape:
            assert html.unescape(part) in ("Oslo", "Ada Lovelace")
    nlp = spacy.load(ruler)
    seen = nlp(html.unescape(text) if unescape else text)
    assert len(places) == len(seen.ents)
    data = text.encode("utf-16-le")
    utf16 = entities_of(ruler, text, unescape=unescape, offsets="utf16")
    assert [data[2 * a : 2 * b].decode("utf-16-le") for a, b, _ in utf16] == [
        part for _, _, part in places
    ]


def test_tokens_of_an_unescaped_text_have_places_in_the_original(ruler):
    text = "AT&amp;T&#32;in &lt;Oslo"
    found, _ = run(ruler, [text], unescape=True)
    assert "".join(
        word + " " * space
        for word, space in zip(found[0].words, found[0].spaces, strict=True)
    ) == html.unescape(text)
    for word, (start, end) in zip(found[0].words, found[0].tokens, strict=True):
        assert html.unescape(text[start:end]) == word
    assert run(ruler, [text])[0][0].tokens is None


def test_entities_that_share_an_escape_are_rejected(tmp_path):
    @Language.component("halves")
    def halves(doc):
        doc = Doc(doc.vocab, words=["f", "j"], spaces=[False, False])
        doc.set_ents([Span(doc, i, i + 1, "x") for i in (0, 1)])
        return doc

    nlp = spacy.blank("en")
    nlp.add_pipe("halves")
    nlp.to_disk(tmp_path / "model")
    found, rejected = run(str(tmp_path / "model"), ["&fjlig;", "fj"], unescape=True)
    assert list(found) == [1]
    assert "share the escape" in reasons(rejected)[1]


def test_posts_with_an_entity_in_the_interval_are_selected(tagger):
    whole, _ = run(tagger)
    confidences = [entity["confidence"] for entity in whole[0].entities]
    low, high = min(confidences), max(confidences)
    assert low < high
    between = (low + high) / 2
    for interval, selected in (
        ((low, low), [0]),
        ((high, high), [0]),
        ((0.0, between), [0]),
        ((between, between), []),
        ((0.0, low * 0.99), []),
    ):
        found, rejected = run(tagger, only_doubtful=interval)
        assert (list(found), rejected) == (selected, [])
        # All its entities are written.
        assert not selected or found[0] == whole[0]


def test_only_kept_entities_count_as_doubtful(tagger):
    whole, _ = run(tagger)
    confidence = {e["label"]: e["confidence"] for e in whole[0].entities}
    interval = (confidence["person"], confidence["person"])
    assert list(run(tagger, only_doubtful=interval, labels=("person",))[0]) == [0]
    assert list(run(tagger, only_doubtful=interval, labels=("location",))[0]) == []


def test_rejected_records_are_rejected_selected_or_not(tagger):
    annotator = Annotator(Settings(tagger, only_doubtful=(0.0, 0.0)))
    records = [Record(1, "Oslo"), Record(2, problem="why")]
    found, rejected = annotator.annotate(Chunk(records), lambda found: "no")
    assert (found, reasons(rejected)) == ({}, {2: "why"})


def test_a_threshold_beyond_the_interval_is_refused(tagger):
    with pytest.raises(WnutError, match=r"selects nothing.*Give --threshold 0\.3"):
        run(tagger, threshold=0.8, only_doubtful=(0.3, 0.7))


def test_a_threshold_within_the_interval_is_noted(tagger):
    def note(**settings):
        return Annotator(Settings(tagger, **settings)).note()

    assert note() == note(threshold=0.9) == note(only_doubtful=(0.0, 1.0)) == ""
    assert note(threshold=0.3, only_doubtful=(0.3, 0.7)) == ""
    noted = note(threshold=0.5, only_doubtful=(0.3, 0.7))
    assert "below 0.5" in noted and "--threshold 0.3" in noted


def test_doubts_need_confidences(ruler):
    with pytest.raises(WnutError, match="leave --only-doubtful out"):
        run(ruler, only_doubtful=(0.3, 0.7))
