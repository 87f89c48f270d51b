"""The comparison of two pipelines, and the tolerances that an export has to meet."""

import numpy
import pytest
from spacy.training import Example

from spacy_wnut.errors import WnutError
from spacy_wnut.onnx_export.comparison import check_agreement, compare, tag_corpus

# The first post has no entities, the second has a person and a location (BILUO tags).
POSTS = [
    (("moved", "to"), ("O", "O")),
    (
        ("Ada", "Lovelace", "moved", "to", "New", "York"),
        ("B-person", "L-person", "O", "O", "B-location", "L-location"),
    ),
]
# The tags are O, B-location, I-location, B-person and I-person.
GOLD_TAGS = [0, 0, 3, 4, 0, 0, 1, 2]
RIGHT = {"New": 1, "York": 2, "Ada": 3, "Lovelace": 4}
# The person is too short, and "to" is a person.
WRONG = {"New": 1, "York": 2, "Ada": 3, "to": 3}


@pytest.fixture
def tag_posts(make_table_nlp):
    """Tags the posts with a pipeline in which each word has a fixed tag."""

    def tag(tags):
        nlp = make_table_nlp(tags=tags)
        examples = [
            Example.from_dict(
                nlp.make_doc(" ".join(words)),
                {"words": list(words), "entities": list(entities)},
            )
            for words, entities in POSTS
        ]
        return tag_corpus(nlp, "ner", examples)

    return tag


def test_corpus_is_tagged(tag_posts):
    tagged = tag_posts(RIGHT)
    assert tagged.tags.tolist() == GOLD_TAGS
    assert tagged.f1 == 1.0
    tagged = tag_posts(WRONG)
    assert tagged.tags.tolist() == [0, 3, 3, 0, 0, 3, 1, 2]
    # One of four predicted and of two gold entities: 2 * 1 / (4 + 2).
    assert tagged.f1 == pytest.approx(1 / 3)


def test_differences_of_two_pipelines(tag_posts):
    comparison = compare(tag_posts(RIGHT), tag_posts(WRONG))
    # The tag of a word has an emission that is larger by 4.
    assert comparison["emissions"] == pytest.approx(4.0)
    assert comparison["entity_f1"] == {"before": 1.0, "after": pytest.approx(1 / 3)}
    # Six words are in an entity of either pipeline, and three of them have equal tags.
    assert comparison["agreement"] == {"all": 5 / 8, "entities": 3 / 6}


@pytest.mark.parametrize("tags", [RIGHT, {}])
def test_equal_pipelines_agree(tag_posts, tags):
    comparison = compare(tag_posts(tags), tag_posts(tags))
    assert comparison["emissions"] == 0.0
    assert comparison["agreement"] == {"all": 1.0, "entities": 1.0}


def test_largest_difference_is_absolute(tag_posts):
    before = tag_posts(RIGHT)
    emissions = before.sample.emitted.emissions.copy()
    emissions[1, 2] -= 7
    sample = before.sample._replace(
        emitted=before.sample.emitted._replace(emissions=emissions)
    )
    after = before._replace(sample=sample)
    assert compare(before, after)["emissions"] == pytest.approx(7.0)


def figures(precision="int8", **changed):
    """Figures of an export at the edge of what is allowed."""
    edge = {
        "fp32": {"emissions": 9.9e-5, "agreement": {"all": 1.0, "entities": 0.9991}},
        "int8": {"emissions": 0.4, "agreement": {"all": 0.99, "entities": 0.901}},
    }
    return {
        "precision": precision,
        "spacy_wnut": "0",
        "corpus": "dev.spacy",
        "posts": 9,
        "entity_f1": {"before": 0.6, "after": 0.5951},
        "temperature": 1.0,
        **edge[precision],
        **changed,
    }


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_differences_within_the_tolerances_are_accepted(precision):
    check_agreement(figures(precision))


@pytest.mark.parametrize(
    "precision, changed, message",
    [
        (
            "fp32",
            {"emissions": 1.1e-4},
            r"emissions differ by up to 0\.00011 .*0\.0001",
        ),
        ("fp32", {"emissions": numpy.nan}, "emissions differ by up to nan"),
        (
            "fp32",
            {"agreement": {"all": 1.0, "entities": 0.9989}},
            r"only 99\.9% of the words in entities .* 99\.9% is required",
        ),
        (
            "int8",
            {"agreement": {"all": 0.99, "entities": 0.899}},
            r"only 89\.9% of the words in entities .* 90\.0% is required",
        ),
        *(
            (
                precision,
                {"entity_f1": {"before": 0.6, "after": 0.5949}},
                r"entity F1 falls from 0\.6000 to 0\.5949 .*0\.005",
            )
            for precision in ("fp32", "int8")
        ),
    ],
)
def test_larger_differences_are_rejected(precision, changed, message):
    with pytest.raises(WnutError, match=rf"{precision}.* is not written: {message}"):
        check_agreement(figures(precision, **changed))


def test_message_names_all_failures():
    failed = figures("fp32", emissions=0.4, agreement={"all": 0.9, "entities": 0.8})
    with pytest.raises(WnutError, match=r"up to 0\.4 .*; only 80\.0% of"):
        check_agreement(failed)
