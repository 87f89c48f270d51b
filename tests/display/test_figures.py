import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.display.figures import TaggedCorpus, report_data
from spacy_wnut.errors import WnutError
from spacy_wnut.scoring.measures import ScoredPost, entity_scores, type_scores
from spacy_wnut.scoring.reliability import (
    expected_calibration_error,
    threshold_curve,
)

TAGS = ["O", "B-person", "I-person", "B-location"]
words = st.text(st.sampled_from("ab é😀\ud800<"), min_size=1, max_size=3)


@st.composite
def scored_posts(draw):
    n = draw(st.integers(0, 8))
    tags = [
        draw(st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)) for _ in range(2)
    ]
    texts = [
        f"{draw(words).strip() or 'x'}{draw(st.sampled_from(['', ' ']))}"
        for _ in range(n)
    ]
    n_predicted = len(ScoredPost(texts, *tags).predicted)
    confidence = st.none() | st.floats(0, 1)
    confidences = draw(
        st.lists(confidence, min_size=n_predicted, max_size=n_predicted) | st.just(())
    )
    return ScoredPost(texts, *tags, confidences)


posts_of = st.lists(scored_posts(), max_size=5)


def javascript(text, start, end):
    """Return `text.slice(start, end)` as JavaScript computes it."""
    data = text.encode("utf-16-le", errors="surrogatepass")
    return data[2 * start : 2 * end].decode("utf-16-le", errors="surrogatepass")


def surface(post, entity):
    return "".join(post.words[entity.start : entity.end]).rstrip()


@given(posts_of)
def test_posts_have_the_offsets_types_and_confidences_of_entities(posts):
    data = report_data([TaggedCorpus("A", posts)], "c", "gold tokens")
    assert len(data["posts"]) == len(posts)
    for post, drawn in zip(posts, data["posts"], strict=True):
        for entities, spans in (
            (post.gold, drawn["gold"]),
            (post.predicted, drawn["runs"][0]["predicted"]),
        ):
            assert [
                (javascript(drawn["text"], start, end), data["types"][label])
                for start, end, label, *_ in spans
            ] == [(surface(post, entity), entity.label) for entity in sorted(entities)]
        given = [c for *_, c in drawn["runs"][0]["predicted"]]
        expected = post.confidences or [None] * len(post.predicted)
        assert given == [None if c is None else round(c, 4) for c in expected]


@given(posts_of)
def test_figures_equal_those_of_scoring(posts):
    [run] = report_data([TaggedCorpus("A", posts)], "c", "gold tokens")["runs"]
    types = type_scores(posts)
    assert run["entity"] == pytest.approx(entity_scores(posts), abs=1e-5)
    for scores, (_, expected) in zip(run["per_type"], types.items(), strict=True):
        measured = {key: scores[key] for key in expected}
        assert measured == pytest.approx(expected, abs=1e-5)
        errors = scores["missed"] + scores["wrong_type"] + scores["wrong_border"]
        assert scores["gold"] == scores["right"] + errors
    n_gold = sum(len(post.gold) for post in posts)
    n_spurious = sum(scores["spurious"] for scores in run["per_type"])
    assert sum(n for *_, n in run["confusion"]) == n_gold + n_spurious


@given(posts_of)
def test_confidence_figures_equal_those_of_scoring(posts):
    [run] = report_data([TaggedCorpus("A", posts)], "c", "gold tokens")["runs"]
    rows = [
        (confidence, entity in post.gold)
        for post in posts
        for confidence, entity in zip(
            post.confidences, sorted(post.predicted), strict=False
        )
        if confidence is not None
    ]
    if not rows:
        assert run["confidence"] is None
        return
    figures = run["confidence"]
    confidences, right = zip(*rows, strict=True)
    assert figures["ece"] == pytest.approx(
        expected_calibration_error(confidences, right), abs=1e-5
    )
    n_predicted = sum(len(post.predicted) for post in posts)
    assert figures["without"] == n_predicted - len(rows)
    assert sum(row["count"] for row in figures["reliability"]) == len(rows)
    assert len(figures["thresholds"]) == 101
    # At threshold 0 all entities count.
    assert figures["thresholds"][0]["f1"] == run["entity"]["f1"]
    if not figures["without"]:
        n_gold = sum(len(post.gold) for post in posts)
        [at_half] = threshold_curve(confidences, right, n_gold, [0.5])
        assert figures["thresholds"][50] == pytest.approx(at_half, abs=1e-5)


def test_forms_that_casefold_alike_are_seen():
    posts = [
        ScoredPost([f"{word} "], ["B-location"], ["O"])
        for word in ("Straße", "STRASSE", "strasse", "Oslo")
    ]
    data = report_data([TaggedCorpus("A", posts)], "c", "gold tokens", "t", {"strasse"})
    seen = data["runs"][0]["seen"]
    assert (seen["gold_seen"], seen["gold_unseen"]) == (3, 1)


def test_data_is_json_serializable(make_data):
    data = make_data(2)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["types"] == ["group", "location", "person"]
    assert len(data["colors"]) == 3


def test_different_units_of_the_same_text_are_compared():
    tokens = ScoredPost(["Bob's ", "Paris "], ["O", "B-place"], ["O", "B-place"])
    units = ScoredPost(
        ["Bob", "'s ", "Paris "], ["O", "O", "B-place"], ["B-person", "O", "O"]
    )
    data = report_data(
        [TaggedCorpus("A", [tokens]), TaggedCorpus("B", [units])], "c", "spaCy tokens"
    )
    assert data["posts"] == [
        {
            "text": "Bob's Paris",
            "gold": [[6, 11, 1]],
            "runs": [
                {"gold": [["right", 1]], "predicted": [[6, 11, 1, "right", None]]},
                {"gold": [["missed", -1]], "predicted": [[0, 3, 0, "spurious", None]]},
            ],
        }
    ]


def test_different_texts_are_rejected():
    posts = [ScoredPost([word], ["O"], ["O"]) for word in ("Ann", "Bob")]
    with pytest.raises(WnutError, match=r"different texts for a post .* 'Ann' and"):
        report_data(
            [TaggedCorpus("A", posts[:1]), TaggedCorpus("B", posts[1:])],
            "c",
            "gold tokens",
        )
