import subprocess
import sys

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry

from spacy_wnut.scoring.examples import examples_to_posts
from spacy_wnut.scoring.measures import entity_scores
from spacy_wnut.scoring.scorer import make_scorer, score_entities

NLP = spacy.blank("en")
PRF_KEYS = ["ents_p", "ents_r", "ents_f"]
KEYS = {
    *(*PRF_KEYS, "ents_per_type", "ents_acc"),
    *("ents_surface_p", "ents_surface_r", "ents_surface_f"),
}


@st.composite
def docs(draw: st.DrawFn, length: int, may_miss: bool) -> Doc:
    doc = Doc(NLP.vocab, words=draw(words(length)))
    states = st.sampled_from(
        ["O", "ENT", "ENT", "MISSING"] if may_miss else ["O", "ENT"]
    )
    ents, missing, start = [], [], 0
    while start < length:
        end = draw(st.integers(start + 1, min(start + 3, length)))
        state = draw(states)
        if state == "ENT":
            label = draw(st.sampled_from(["person", "creative-work"]))
            ents.append(Span(doc, start, end, label=label))
        elif state == "MISSING":
            missing.append(doc[start:end])
        start = end
    doc.set_ents(ents, missing=missing)
    return doc


def words(length):
    return st.lists(st.sampled_from(["la", "lo"]), min_size=length, max_size=length)


@st.composite
def examples(draw: st.DrawFn, may_miss: bool) -> list[Example]:
    drawn = []
    for length in draw(st.lists(st.integers(0, 8), min_size=1, max_size=4)):
        reference = draw(docs(length, may_miss))
        predicted = Doc(NLP.vocab, words=[token.text for token in reference])
        other = draw(docs(length, may_miss=False))
        predicted.ents = [Span(predicted, e.start, e.end, e.label) for e in other.ents]
        drawn.append(Example(predicted, reference))
    return drawn


def iob_tags(doc: Doc) -> list[str]:
    return [t.ent_iob_ + (f"-{t.ent_type_}" if t.ent_type_ else "") for t in doc]


def approx_or_none(value):
    return None if value is None else pytest.approx(value)


def test_scorer_is_registered():
    assert registry.scorers.get("spacy-wnut.scorer.v1") is make_scorer
    assert make_scorer() is score_entities


@given(examples(may_miss=False))
def test_scores_equal_seqevals_and_spacys_on_the_same_tokens(drawn):
    scores, spacys = score_entities(drawn), get_ner_prf(drawn)
    for key in PRF_KEYS:
        assert scores[key] == approx_or_none(spacys[key])
    if spacys["ents_per_type"] is None:
        assert scores["ents_per_type"] is None
    else:
        assert scores["ents_per_type"] == {
            label: pytest.approx(prf) for label, prf in spacys["ents_per_type"].items()
        }

    gold = [iob_tags(example.reference) for example in drawn]
    predicted = [iob_tags(example.predicted) for example in drawn]
    seqevals = precision_recall_fscore_support(
        gold, predicted, average="micro", zero_division=0
    )[:3]
    ours = entity_scores(list(examples_to_posts(drawn)))
    assert tuple(ours.values()) == pytest.approx(seqevals)
    assert [scores[key] or 0.0 for key in PRF_KEYS] == pytest.approx(seqevals)
    if any(gold):
        assert scores["ents_acc"] == accuracy_score(gold, predicted)


@given(examples(may_miss=True))
def test_scores_equal_spacys_with_partial_annotation(drawn):
    scores, spacys = score_entities(drawn), get_ner_prf(drawn)
    for key in PRF_KEYS:
        assert scores[key] == approx_or_none(spacys[key])


def test_hand_computed_scores():
    reference = Doc(NLP.vocab, words=["Ann", "and", "Ann"], ents=["B-x", "O", "B-x"])
    predicted = Doc(NLP.vocab, words=["Ann", "and", "Ann"], ents=["B-x", "O", "O"])
    assert score_entities([Example(predicted, reference)]) == {
        "ents_p": 1.0,
        "ents_r": 0.5,
        "ents_f": pytest.approx(2 / 3),
        "ents_per_type": {"x": {"p": 1.0, "r": 0.5, "f": pytest.approx(2 / 3)}},
        "ents_acc": pytest.approx(2 / 3),
        "ents_surface_p": 1.0,
        "ents_surface_r": 1.0,
        "ents_surface_f": 1.0,
    }


def test_other_tokens_match_by_characters():
    reference = Doc(
        NLP.vocab,
        words=["at", "#Paris"],
        spaces=[True, False],
        ents=["O", "B-location"],
    )
    predicted = Doc(
        NLP.vocab,
        words=["at", "#", "Paris"],
        spaces=[True, False, False],
        ents=["O", "O", "B-location"],
    )
    example = Example(predicted, reference)
    assert score_entities([example])["ents_f"] == 0.0
    # spaCy's scorer aligns the token Paris with #Paris.
    assert get_ner_prf([example])["ents_f"] == pytest.approx(1.0)


def test_scores_without_annotation_are_none():
    reference = Doc(NLP.vocab, words=["Ann"])
    predicted = Doc(NLP.vocab, words=["Ann"], ents=["B-x"])
    for examples in ([], [Example(predicted, reference)]):
        assert score_entities(examples) == dict.fromkeys(KEYS)


def test_scores_without_entities_are_none_except_accuracy():
    doc = Doc(NLP.vocab, words=["so", "what"], ents=["O", "O"])
    scores = score_entities([Example(doc.copy(), doc)])
    assert scores == {**dict.fromkeys(KEYS), "ents_acc": 1.0}


def test_nlp_evaluate_returns_the_scores():
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe(
        "entity_ruler", config={"scorer": {"@scorers": "spacy-wnut.scorer.v1"}}
    )
    ruler.add_patterns([{"label": "location", "pattern": "Paris"}])
    reference = Doc(nlp.vocab, words=["Paris", "!"], ents=["B-location", "O"])
    scores = nlp.evaluate([Example(nlp.make_doc("Paris !"), reference)])
    assert {key: scores[key] for key in KEYS} == {
        **dict.fromkeys(KEYS, 1.0),
        "ents_per_type": {"location": {"p": 1.0, "r": 1.0, "f": 1.0}},
    }


def test_scorer_works_without_seqeval():
    code = (
        "import sys; sys.modules['seqeval'] = None; sys.modules['sklearn'] = None\n"
        "from spacy.tokens import Doc; from spacy.vocab import Vocab\n"
        "from spacy.training import Example\n"
        "from spacy_wnut.scoring.scorer import make_scorer\n"
        "doc = Doc(Vocab(), words=['Ann'], ents=['B-person'])\n"
        "print(make_scorer()([Example(doc.copy(), doc)])['ents_f'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("1.0\n", 0), done.stderr
