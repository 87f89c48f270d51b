import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_wnut.errors import WnutError
from spacy_wnut.scoring.measures import ScoredPost, entity_scores
from spacy_wnut.scoring.seen import read_forms, seen_scores

POSTS = [
    ScoredPost(
        ["New ", "york ", "and ", "Oslo ", "!"],
        ["B-location", "I-location", "O", "B-location", "O"],
        ["B-location", "I-location", "O", "O", "B-person"],
    ),
    ScoredPost(["OSLO"], ["B-location"], ["B-person"]),
]


def test_counts_by_hand():
    scores = seen_scores(POSTS, {"new york", "elsewhere"})
    assert (scores["gold_seen"], scores["gold_unseen"]) == (1, 2)
    assert scores["seen"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert scores["unseen"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    scores = seen_scores(POSTS, {"oslo"})
    assert (scores["gold_seen"], scores["gold_unseen"]) == (2, 1)
    assert scores["seen"]["precision"] == 0.0
    assert scores["unseen"] == {"precision": 0.5, "recall": 1.0, "f1": 2 / 3}


def test_all_seen_or_none_is_entity_f1():
    assert seen_scores(POSTS, set())["unseen"] == entity_scores(POSTS)
    forms = {"new york", "oslo", "!"}
    assert seen_scores(POSTS, forms)["seen"] == entity_scores(POSTS)


@pytest.mark.parametrize("spaces", [None, [True, True, True, False]])
def test_forms_of_both_protocols(tmp_path, spaces):
    words, ents = ["New", "York", "for", "Ann"], ["B-loc", "I-loc", "O", "B-per"]
    doc = Doc(spacy.blank("en").vocab, words=words, ents=ents, spaces=spaces)
    DocBin(docs=[doc]).to_disk(tmp_path / "train.spacy")
    assert read_forms(tmp_path / "train.spacy") == {"new york", "ann"}


def test_training_data_that_is_not_there(tmp_path):
    with pytest.raises(WnutError, match=r"there is no file .*train\.spacy"):
        read_forms(tmp_path / "train.spacy")
