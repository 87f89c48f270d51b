import json

import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_wnut.cli import app


@pytest.fixture
def corpus(make_nlp, make_examples, tmp_path):
    docs = [eg.reference for eg in make_examples(make_nlp())]
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    return tmp_path / "dev.spacy"


@pytest.fixture
def model(nlp, tmp_path):
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


def run(*args):
    return CliRunner().invoke(
        app, ["calibrate", *map(str, args)], catch_exceptions=False
    )


def test_table_and_json(model, corpus, tmp_path):
    out = tmp_path / "calibrated"
    done = run(model, corpus, "--out", out, "--json", tmp_path / "figures.json")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"{out} calibrated on {corpus}: 4 posts"
    figures = json.loads((tmp_path / "figures.json").read_text())
    ece = {when: f"{figures[when]['ece']:.4f}" for when in ("before", "after")}
    rows = [line.split() for line in lines]
    for when in ("before", "after"):
        assert [when, ece[when], "100.00", "100.00", "100.00", "6"] in rows
    ner = spacy.load(out).get_pipe("ner")
    assert (ner.temperature, ner.bias) == (figures["temperature"], figures["bias"])
    assert rows[-1] == ["temperature", f"{ner.temperature:.3f},", "bias", "0.0"]


def test_json_alone_on_standard_output(model, corpus):
    done = run(model, corpus, "--json", "-")
    assert json.loads(done.stdout)["gold"] == 6
    assert "calibrated on" in done.stderr


def test_bias_is_tuned_if_asked_for(nlp, corpus, tmp_path):
    nlp.get_pipe("ner").bias = -1000.0
    nlp.to_disk(tmp_path / "model")
    done = CliRunner().invoke(app, ["calibrate", str(tmp_path / "model"), str(corpus)])
    assert "predicts no entities" in str(done.exception)
    assert run(tmp_path / "model", corpus, "--bias").exit_code == 0
    assert spacy.load(tmp_path / "model").get_pipe("ner").bias == 0.0


@pytest.mark.parametrize("has_out", [True, False])
def test_pipeline_without_confidences_is_copied_if_asked_to(corpus, tmp_path, has_out):
    model, out = tmp_path / "model", tmp_path / "out"
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler", name="ner")
    nlp.to_disk(model)
    args = [model, corpus, *(["--out", out] if has_out else [])]
    done = CliRunner().invoke(app, ["calibrate", *map(str, args)])
    assert "no components of the factory entity_tagger" in str(done.exception)
    assert not out.exists()

    done = run(*args, "--or-copy", "--json", tmp_path / "figures.json")
    assert done.exit_code == 0 and "nothing to calibrate" in done.stdout
    assert json.loads((tmp_path / "figures.json").read_text()) is None
    assert out.exists() == has_out
    assert spacy.load(out if has_out else model).pipe_names == ["ner"]


def test_pipeline_that_finds_nothing_is_copied_if_asked_to(nlp, corpus, tmp_path):
    nlp.get_pipe("ner").bias = -1000.0
    nlp.to_disk(tmp_path / "model")
    out = tmp_path / "out"
    done = run(tmp_path / "model", corpus, "--or-copy", "--out", out)
    assert done.exit_code == 0
    assert spacy.load(out).get_pipe("ner").bias == -1000.0


def test_what_is_wrong_is_not_copied(model, tmp_path):
    done = CliRunner().invoke(
        app, ["calibrate", str(model), str(tmp_path / "no.spacy"), "--or-copy"]
    )
    assert "there is no file" in str(done.exception)


def test_corpus_of_another_format(model, corpus, tmp_path):
    docs = DocBin().from_disk(corpus).get_docs(spacy.blank("en").vocab)
    records = [
        {
            "text": doc.text,
            "label": [[ent.start_char, ent.end_char, ent.label_] for ent in doc.ents],
        }
        for doc in docs
    ]
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    figures = [
        json.loads(run(model, file, "--out", tmp_path / "out", "--json", "-").stdout)
        for file in (corpus, path)
    ]
    assert figures[0] == figures[1]
