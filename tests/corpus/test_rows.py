import datasets
import pytest

from spacy_wnut.corpus.rows import adopt_rows
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import LabelScheme


def broken(**columns):
    good = {"tokens": [["a", "b"]], "ner_tags": [["O", "B-person"]]}
    return {
        split: datasets.Dataset.from_dict(
            {k: v for k, v in (good | columns).items() if v is not None}
        )
        for split in ("train", "validation", "test")
    }


def masked():
    labels = datasets.Sequence(datasets.ClassLabel(names=["O", "B-person"]))
    return {
        split: datasets.Dataset.from_dict(
            {"tokens": [["a"]], "ner_tags": [[-100]]},
        ).cast_column("ner_tags", labels)
        for split in ("train", "validation", "test")
    }


@pytest.mark.parametrize(
    "dataset, message",
    [
        ({"train": None, "test": None}, "no split validation: it has train, test"),
        (broken(tokens=None), "split train has the columns .*: expected tokens"),
        (broken(ner_tags=None), "split train has the columns .*: expected tokens"),
        (broken(tokens=["a b"]), "split train has the columns .*: expected tokens"),
        (broken(ner_tags=[[0, 1]]), "split train has the columns .*: expected tokens"),
        (broken(tokens=[["a"]]), "split train, row 0 has 1 tokens and 2 ner_tags"),
        (broken(tokens=[["a", None]]), "split train, row 0: a value is missing"),
        (broken(ner_tags=[["O", "PER"]]), "somebody/x: 'PER' is not a BIO tag"),
        (masked(), r"row 0 has a tag outside of 0\.\.1: \[-100\]"),
    ],
)
def test_other_schemas_are_rejected(dataset, message):
    with pytest.raises(WnutError, match=message) as err:
        adopt_rows(dataset, None, "somebody/x")
    assert str(err.value).startswith("somebody/x")


def test_tags_outside_the_given_labels_are_rejected():
    with pytest.raises(WnutError, match=r"'B-person' is an unknown tag: .* film\."):
        adopt_rows(broken(), LabelScheme(("film",)), "somebody/x")
