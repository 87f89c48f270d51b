import sys
import warnings

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from seqeval import metrics
from seqeval.metrics import sequence_labeling, v1
from seqeval.scheme import IOB2

from spacy_wnut.errors import WnutError
from spacy_wnut.labels import Entity
from spacy_wnut.scoring.measures import (
    ScoredPost,
    all_scores,
    entity_scores,
    post_counts,
    prf_of_counts,
    seen_scores,
    seqeval_scores,
    seqeval_strict_scores,
    surface_scores,
    tag_accuracy,
    type_scores,
)

ZEROS = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
TAGS = ["O", "B-person", "I-person", "B-creative-work", "I-creative-work"]


def post(text: str, gold: str, predicted: str) -> ScoredPost:
    return ScoredPost(
        [f"{word} " for word in text.split()], gold.split(), predicted.split()
    )


@st.composite
def posts(draw: st.DrawFn) -> list[ScoredPost]:
    """Posts with arbitrary tags, many of them orphan I- tags. The vocabulary is small, so
    that surface forms repeat.
    """
    drawn = []
    for length in draw(st.lists(st.integers(0, 8), max_size=5)):
        word = st.sampled_from(["la ", "La ", "lo "])
        drawn.append(
            ScoredPost(
                *(
                    draw(st.lists(choice, min_size=length, max_size=length))
                    for choice in (word, st.sampled_from(TAGS), st.sampled_from(TAGS))
                )
            )
        )
    return drawn


EXAMPLE = [
    post(
        "Ann Lee likes Dune and Dune",
        "B-person I-person O B-creative-work O B-creative-work",
        "B-person I-person O B-creative-work B-person I-person",
    ),
    post("Dune by Ann", "O O B-person", "B-creative-work O O"),
]


def test_entities_of_a_post():
    [first, _] = EXAMPLE
    assert first.gold == {
        Entity(0, 2, "person"),
        Entity(3, 4, "creative-work"),
        Entity(5, 6, "creative-work"),
    }
    assert first.predicted - first.gold == {Entity(4, 6, "person")}


def test_hand_computed_scores():
    # 4 predicted entities, 2 of them right, and 4 gold entities.
    assert entity_scores(EXAMPLE) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert type_scores(EXAMPLE) == {
        "creative-work": {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2},
        "person": {"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2},
    }
    # Predicted forms: "Ann Lee", "Dune", "and Dune". Gold: "Ann Lee", "Dune", "Ann".
    assert surface_scores(EXAMPLE) == {
        "precision": 2 / 3,
        "recall": 2 / 3,
        "f1": 2 / 3,
    }
    assert tag_accuracy(EXAMPLE) == 5 / 9


def test_surface_forms_have_to_be_right_in_position():
    # Both sides contain Paris, at different positions.
    missed = [post("Paris and Paris", "B-location O O", "O O B-location")]
    assert surface_scores(missed) == ZEROS
    forms = [p.surface(p.gold) & p.surface(p.predicted) for p in missed]
    assert forms == [{("Paris", "location")}], (
        "an intersection of forms would count Paris"
    )


def test_surface_forms_are_counted_once():
    twice = [post("Paris or Paris", "B-location O B-location", "B-location O O")]
    assert surface_scores(twice) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert entity_scores(twice)["recall"] == 0.5


def test_case_and_type_make_different_surface_forms():
    cased = [post("Paris PARIS", "B-location B-location", "B-location O")]
    assert surface_scores(cased)["recall"] == 0.5
    typed = [post("Paris", "B-location", "B-person")]
    assert surface_scores(typed) == ZEROS


def test_surface_form_is_the_text_without_surrounding_white_space():
    words = ["New", "-", "York ", "City ", "\n"]
    tags = ["B-location", "I-location", "I-location", "I-location", "O"]
    scored = ScoredPost(words, tags, tags)
    assert scored.surface(scored.gold) == {("New-York City", "location")}


def test_strict_mode_ignores_orphan_inside_tags():
    orphan = [post("in Paris", "O B-location", "O I-location")]
    assert entity_scores(orphan)["f1"] == 1.0
    assert seqeval_scores(orphan)["f1"] == 1.0
    assert seqeval_scores(orphan)["accuracy"] == 0.5
    assert seqeval_strict_scores(orphan) == ZEROS


@given(posts())
def test_entity_scores_equal_seqevals(scored):
    gold = [list(p.gold_tags) for p in scored] or [[]]
    predicted = [list(p.predicted_tags) for p in scored] or [[]]
    ours = entity_scores(scored)
    precision, recall, f1, _ = sequence_labeling.precision_recall_fscore_support(
        gold, predicted, average="micro", zero_division=0
    )
    assert ours == pytest.approx({"precision": precision, "recall": recall, "f1": f1})
    assert seqeval_scores(scored) == pytest.approx(
        {**ours, "accuracy": tag_accuracy(scored)}
    )
    if any(gold):
        assert tag_accuracy(scored) == metrics.accuracy_score(gold, predicted)

    strict = v1.precision_recall_fscore_support(
        gold, predicted, average="micro", scheme=IOB2, zero_division=0
    )
    assert tuple(seqeval_strict_scores(scored).values()) == pytest.approx(strict[:3])


@given(posts())
def test_type_scores_equal_seqevals(scored):
    types = type_scores(scored)
    assume(types)
    report = metrics.classification_report(
        [list(p.gold_tags) for p in scored],
        [list(p.predicted_tags) for p in scored],
        output_dict=True,
        zero_division=0,
    )
    assert list(types) == [name for name in report if not name.endswith(" avg")]
    for name, prf in types.items():
        row = report[name]
        assert list(prf.values()) == pytest.approx(
            [row["precision"], row["recall"], row["f1-score"]]
        )


@given(posts())
def test_surface_scores_equal_brute_force(scored):
    # One pass over all occurrences per form.
    def occurrences(side):
        return {
            (i, e, "".join(p.words[e.start : e.end]).strip())
            for i, p in enumerate(scored)
            for e in getattr(p, side)
        }

    gold, predicted = occurrences("gold"), occurrences("predicted")
    forms = {(form, e.label) for _, e, form in gold | predicted}
    right = found = wanted = 0
    for form, label in forms:
        here = {o for o in gold | predicted if (o[2], o[1].label) == (form, label)}
        right += bool(here & gold & predicted)
        found += bool(here & predicted)
        wanted += bool(here & gold)
    scores = surface_scores(scored)
    assert scores["precision"] == pytest.approx(right / found if found else 0)
    assert scores["recall"] == pytest.approx(right / wanted if wanted else 0)
    p, r = scores["precision"], scores["recall"]
    assert scores["f1"] == pytest.approx(2 * p * r / (p + r) if p + r else 0)


@pytest.mark.parametrize(
    "scored", [[], [post("", "", "")], [post("so what", "O O", "O O")]]
)
def test_scores_without_entities_are_zero_without_a_warning(scored):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = all_scores(scored)
    assert scores["entity"] == scores["surface"] == scores["seqeval_strict"] == ZEROS
    assert scores["per_type"] == {}
    assert scores["seqeval"] == {**ZEROS, "accuracy": tag_accuracy(scored)}


def test_structure_of_the_scores():
    scores = all_scores(EXAMPLE)
    prf = ["precision", "recall", "f1"]
    assert {key: list(value) for key, value in scores.items()} == {
        "entity": prf,
        "surface": prf,
        "per_type": ["creative-work", "person"],
        "seqeval": [*prf, "accuracy"],
        "seqeval_strict": prf,
    }
    groups = [scores[key] for key in scores if key != "per_type"]
    for group in [*groups, *scores["per_type"].values()]:
        # The json module rejects NumPy scalars.
        assert {type(value) for value in group.values()} == {float}


def test_different_lengths_are_rejected():
    with pytest.raises(ValueError, match="2 words, 1 gold tags, 2 predicted tags"):
        ScoredPost(["a ", "b "], ["O"], ["O", "O"])


def test_error_without_seqeval_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "seqeval", None)
    with pytest.raises(WnutError, match=r'pip install "spacy-wnut\[train\]"'):
        all_scores(EXAMPLE)


def test_entities_are_seen_or_unseen_by_their_own_form():
    # "DUNE" is seen, regardless of case; the predicted "and Dune" is not.
    scored = [
        post(
            "Ann Lee likes DUNE and Dune",
            "B-person I-person O B-creative-work O B-creative-work",
            "B-person I-person O B-person B-person I-person",
        )
    ]
    scores = seen_scores(scored, {"dune", "oslo"})
    assert scores["seen"] == prf_of_counts(right=0, predicted=1, gold=2)
    assert scores["unseen"] == prf_of_counts(right=1, predicted=2, gold=1)


@pytest.mark.parametrize("name", ["Straße", "STRASSE", "strasse", "STRAẞE"])
def test_forms_that_casefold_alike_are_the_same_seen_form(name):
    # str.lower() keeps ß, so it would tell Straße and STRASSE apart.
    scores = seen_scores([post(name, "B-location", "B-location")], {"strasse"})
    assert scores["seen"]["f1"] == 1.0
    assert scores["unseen"] == ZEROS


@given(posts())
def test_seen_and_unseen_entities_partition_all_entities(scored):
    assert seen_scores(scored, ())["unseen"] == entity_scores(scored)
    forms = {p.form(e).casefold() for p in scored for e in p.gold | p.predicted}
    assert seen_scores(scored, forms)["seen"] == entity_scores(scored)


@given(posts())
def test_post_counts_add_up_to_the_scores(scored):
    counts = post_counts(scored)
    assert {len(column) for column in counts.values()} == {len(scored)}
    sums = (sum(counts[key]) for key in ("right", "predicted", "gold"))
    assert prf_of_counts(*sums) == entity_scores(scored)


def test_all_scores_include_seen_names_if_forms_are_given():
    assert "seen" not in all_scores(EXAMPLE)
    scores = all_scores(EXAMPLE, {"dune"})
    assert {key: scores[key] for key in ("seen", "unseen")} == seen_scores(
        EXAMPLE, {"dune"}
    )
