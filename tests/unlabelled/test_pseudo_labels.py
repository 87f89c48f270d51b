import shutil

import numpy
import pytest
import spacy
from spacy.tokens import DocBin
from spacy.training import Corpus

from spacy_wnut.crf.decoding import tag_probabilities
from spacy_wnut.crf.targets import SOFT_LABELS
from spacy_wnut.errors import WnutError
from spacy_wnut.unlabelled.pseudo_labels import pseudo_label

TEXTS = ["Ada Lovelace moved to London", "nothing  to see here", "lol", "lol"]


@pytest.fixture(scope="module")
def other_teacher(make_nlp, train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers") / "other"
    nlp = make_nlp()
    train(nlp, steps=3)
    nlp.to_disk(folder)
    return folder


def read(path):
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def test_labels_are_the_mean_probabilities_of_the_teachers(
    trained_folder, other_teacher, tmp_path
):
    teachers = [str(trained_folder), str(other_teacher)]
    out = tmp_path / "out.spacy"
    labelled = pseudo_label(teachers, TEXTS, out)
    docs = read(out)
    assert [doc.text for doc in docs] == list(dict.fromkeys(TEXTS))
    assert labelled.posts == labelled.kept == 3
    pipelines = [spacy.load(teacher) for teacher in teachers]
    expected_entities = 0.0
    for doc in docs:
        means = []
        for nlp in pipelines:
            with nlp.select_pipes(disable=["ner"]):
                emitted = nlp.get_pipe("ner").emit([nlp(doc.text)])
            means.append(tag_probabilities(emitted))
        mean = numpy.mean(means, axis=0)
        expected_entities += mean[:, 1::2].sum()
        stored = doc.user_data[SOFT_LABELS]
        assert tuple(stored["types"]) == pipelines[0].get_pipe("ner").labels
        numpy.testing.assert_allclose(stored["probabilities"], mean, atol=1e-3)
    assert labelled.entities == pytest.approx(expected_entities)
    assert {(ent.text, ent.label_) for ent in docs[0].ents} >= {
        ("Ada Lovelace", "person")
    }


def test_posts_with_few_expected_entities_are_skipped(trained_folder, tmp_path):
    out = tmp_path / "out.spacy"
    labelled = pseudo_label([str(trained_folder)], TEXTS, out, min_entities=0.9)
    assert [doc.text for doc in read(out)] == TEXTS[:1]
    assert (labelled.posts, labelled.kept) == (3, 1)


def test_number_of_posts_is_limited(trained_folder, tmp_path):
    out = tmp_path / "out.spacy"
    assert pseudo_label([str(trained_folder)], TEXTS, out, limit=2).kept == 2
    assert len(read(out)) == 2


def test_student_learns_the_predictions_of_its_teacher(
    trained_folder, make_nlp, tmp_path
):
    out = tmp_path / "out.spacy"
    teacher = spacy.load(trained_folder)
    texts = [
        "Pretty bad storm in New York last evening.",
        "Ada Lovelace moved to Oslo",
        "lol Grace Hopper and Alan Turing are in London",
    ]
    pseudo_label([str(trained_folder)], texts, out)
    student = make_nlp()
    examples = list(Corpus(out)(student))
    student.get_pipe("ner").cfg["labels"] = list(teacher.get_pipe("ner").labels)
    optimizer = student.initialize(lambda: examples)
    optimizer.learn_rate = 3e-3
    for _ in range(40):
        student.update(examples, sgd=optimizer)
    for text in texts:
        learned, known = student(text), teacher(text)
        assert [(e.text, e.label_) for e in learned.ents] == [
            (e.text, e.label_) for e in known.ents
        ]
        assert known.ents
        numpy.testing.assert_allclose(
            [e._.confidence for e in learned.ents],
            [e._.confidence for e in known.ents],
            atol=0.15,
        )


def test_teachers_with_different_types_are_rejected(
    trained_folder, make_nlp, make_examples, tmp_path
):
    nlp = make_nlp()
    nlp.get_pipe("ner").add_label("a-myth")
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path / "other")
    with pytest.raises(WnutError, match="need the same types in the same order"):
        pseudo_label(
            [str(trained_folder), str(tmp_path / "other")], TEXTS, tmp_path / "out"
        )
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(WnutError, match="blank has no components of the factory"):
        pseudo_label([str(tmp_path / "blank")], TEXTS, tmp_path / "out")


def test_nothing_is_written_if_no_post_is_kept(trained_folder, tmp_path):
    with pytest.raises(WnutError, match="None of 3 posts was kept"):
        pseudo_label(
            [str(trained_folder)], TEXTS, tmp_path / "out.spacy", min_entities=99
        )
    assert not list(tmp_path.iterdir())


def test_unchanged_inputs_are_not_labelled_again(
    trained_folder, other_teacher, tmp_path
):
    out = tmp_path / "out.spacy"
    teachers = [str(trained_folder), str(other_teacher)]
    assert pseudo_label(teachers, TEXTS, out) is not None
    before = out.stat().st_mtime_ns, out.read_bytes()
    assert pseudo_label(teachers, TEXTS, out) is None
    assert (out.stat().st_mtime_ns, out.read_bytes()) == before


def test_changed_inputs_or_output_are_labelled_again(trained_folder, tmp_path):
    out = tmp_path / "out.spacy"
    teacher = tmp_path / "teacher"
    shutil.copytree(trained_folder, teacher)

    def label(texts=TEXTS, **settings):
        return pseudo_label([str(teacher)], texts, out, **settings) is not None

    assert label() and not label()
    assert label([*TEXTS, "one more"])
    assert label() and label(limit=1) and label(min_entities=0.1)
    # The same folder with another pipeline.
    nlp = spacy.load(teacher)
    nlp.get_pipe("ner").temperature = 2.0
    nlp.to_disk(teacher)
    assert label(min_entities=0.1) and not label(min_entities=0.1)
    # The output was replaced by another file.
    out.write_bytes(b"something else")
    assert label(min_entities=0.1)


def test_teachers_with_different_tokenizers_are_rejected(trained_folder, tmp_path):
    nlp = spacy.load(trained_folder)
    nlp.tokenizer.infix_finditer = None
    nlp.tokenizer.suffix_search = None
    nlp.tokenizer.rules = {}
    nlp.to_disk(tmp_path / "other")
    message = r"splits the post 'In Oslo, she said' into .*need the same tokenizer"
    teachers = [str(trained_folder), str(tmp_path / "other")]
    with pytest.raises(WnutError, match=message):
        pseudo_label(teachers, ["nothing", "In Oslo, she said"], tmp_path / "out.spacy")
    assert not (tmp_path / "out.spacy").exists()
