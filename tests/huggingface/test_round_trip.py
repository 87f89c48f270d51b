"""There and back again, against transformers' own road on the way."""

import shutil

import numpy
import pytest
import spacy
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from spacy_wnut.huggingface.from_hf import from_hf
from spacy_wnut.huggingface.to_hf import write_checkpoint


def found(nlp, docs):
    return [
        (ent.start, ent.end, ent.label_, doc.text)
        for doc in nlp.pipe(docs)
        for ent in doc.ents
    ]


def confidences(nlp, docs):
    return [ent._.confidence for doc in nlp.pipe(docs) for ent in doc.ents]


def first_rows(encoding, doc):
    """For each word of a doc the first piece that has one of its characters."""
    for token in doc:
        yield next(
            (
                row
                for row, (start, end) in enumerate(encoding["offset_mapping"])
                if start < token.idx + len(token) and token.idx < end
            ),
            None,
        )


def test_predictions_are_the_same_after_the_round_trip(
    plain, checkpoint, make_docs, tmp_path
):
    source = tmp_path / "source"
    shutil.copytree(checkpoint, source)
    assert from_hf(str(source), tmp_path / "back").types == plain.get_pipe("ner").labels
    # The pipeline stands by itself.
    shutil.rmtree(source)
    back = spacy.load(tmp_path / "back")
    before, after = (found(nlp, make_docs(nlp)) for nlp in (plain, back))
    assert after == before
    assert len({label for _, _, label, _ in before}) == 2
    assert any(end - start > 1 for start, end, _, _ in before)
    numpy.testing.assert_allclose(
        confidences(back, make_docs(back)),
        confidences(plain, make_docs(plain)),
        atol=1e-6,
    )


def test_logits_are_our_emissions(plain, checkpoint, make_docs):
    model = AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    ner = plain.get_pipe("ner")
    assert model.config.id2label == dict(enumerate(ner.scheme.tags))
    assert model.config.label2id == {tag: i for i, tag in enumerate(ner.scheme.tags)}
    compared = 0
    for doc in plain.pipe(make_docs(plain)):
        if not len(doc) or len(doc) > 200:
            continue
        emissions = ner.model.predict([doc])[0]
        encoding = tokenizer(doc.text, return_offsets_mapping=True)
        with torch.no_grad():
            logits = model(torch.tensor([encoding["input_ids"]])).logits[0].numpy()
        for row, emission in zip(first_rows(encoding, doc), emissions, strict=True):
            if row is not None:
                numpy.testing.assert_allclose(logits[row], emission, atol=1e-4)
                compared += 1
    assert compared > 100


def test_pipeline_of_transformers_finds_entities(plain, checkpoint):
    ner = pipeline("ner", model=str(checkpoint), aggregation_strategy="first")
    text = "Ada Lovelace moved to Oslo"
    by_transformers = {
        (text[ent["start"] : ent["end"]], ent["entity_group"]) for ent in ner(text)
    }
    by_spacy = {(ent.text, ent.label_) for ent in plain(text).ents}
    assert by_transformers == by_spacy != set()


def test_checkpoint_is_the_same_after_the_round_trip(checkpoint, tmp_path):
    from_hf(str(checkpoint), tmp_path / "back")
    write_checkpoint(spacy.load(tmp_path / "back"), tmp_path / "again")
    before, after = (
        AutoModelForTokenClassification.from_pretrained(folder)
        for folder in (checkpoint, tmp_path / "again")
    )
    assert after.config.id2label == before.config.id2label
    for name, weights in before.state_dict().items():
        assert after.state_dict()[name].equal(weights), name


def test_tensorflow_has_the_same_logits(checkpoint):
    pytest.importorskip("tensorflow")
    from transformers import TFAutoModelForTokenClassification

    inputs = AutoTokenizer.from_pretrained(checkpoint)("Ada Lovelace moved to Oslo")
    ids = [inputs["input_ids"]]
    model = AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    in_tensorflow = TFAutoModelForTokenClassification.from_pretrained(
        checkpoint, from_pt=True
    )
    with torch.no_grad():
        expected = model(torch.tensor(ids)).logits.numpy()
    actual = in_tensorflow(numpy.asarray(ids)).logits.numpy()
    numpy.testing.assert_allclose(actual, expected, atol=1e-4)
