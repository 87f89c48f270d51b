"""The commands of docs/correct.md, with a tiny encoder and few of the old posts."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app as spacy_app
from spacy.tokens import DocBin
from spacy.util import working_dir
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.corpus.convert import convert
from spacy_wnut.corpus.posts import Post

QUICKSTART = "python -m spacy project run quickstart"


def read_commands(page):
    """The shell commands of a page, one per line."""
    text = page.read_text(encoding="utf8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return "".join(blocks).splitlines()


def read_docs(path):
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


@pytest.fixture(scope="module")
def project(root, tiny_encoder, trained_folder, onnx_folder, tmp_path_factory):
    """A project after the quickstart, with its pipelines replaced by tiny ones."""
    folder = tmp_path_factory.mktemp("correct") / "project"
    shutil.copytree(root / "configs", folder / "configs")
    (folder / "corpus" / "sample").mkdir(parents=True)
    for path in (root / "corpus" / "sample").glob("*.jsonl"):
        shutil.copy(path, folder / "corpus" / "sample")
    old = [Post("Ada moved to Oslo"), Post("nothing to see here")] * 10
    splits = {"train": old, "validation": old[:2], "test": old[:2]}
    convert(splits, folder / "corpus" / "sample" / "gold")
    training = folder / "training" / "sample"
    shutil.copytree(tiny_encoder, training / "encoder")
    shutil.copytree(trained_folder, training / "distilbert-0" / "model-best")
    shutil.copytree(onnx_folder, training / "distilbert-0" / "onnx")
    return folder


@pytest.fixture(scope="module")
def decisions(project):
    """Decisions on entities, as Prodigy exports them."""
    spans = [{"start": 0, "end": 4, "label": "location"}]
    path = project / "decisions.jsonl"
    with path.open("w", encoding="utf8") as file:
        for i in range(10):
            record = {"text": f"Oslo {i}", "spans": spans, "answer": "reject"}
            file.write(json.dumps(record) + "\n")


def run_command(words):
    """Run a command of the page in this process, and return its output. Each process
    would have to import spaCy and torch.
    """
    if words[0] == "spacy-wnut":
        done = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    elif words[:3] == ["python", "-m", "spacy"]:
        done = CliRunner().invoke(spacy_app, words[3:], catch_exceptions=False)
    elif words[:2] == ["mkdir", "-p"]:
        return Path(words[2]).mkdir(parents=True, exist_ok=True)
    else:
        assert words[0] == "cp"
        return shutil.copy(*words[1:])
    assert done.exit_code == 0, f"{words}\n{done.output}"
    return done.output


@pytest.fixture(scope="module")
def outputs(root, project, decisions):
    """Run the commands. The output of each one."""
    first, *lines = read_commands(root / "docs" / "correct.md")
    assert first == QUICKSTART
    with working_dir(project):
        return {line: run_command(shlex.split(line)) for line in lines}


pytestmark = pytest.mark.slow


def test_page_shows_a_line_of_the_export(root):
    text = (root / "docs" / "correct.md").read_text(encoding="utf8")
    [line] = re.findall(r"^```json\n(.*)\n```$", text, re.MULTILINE)
    export = root / "corpus" / "sample" / "cycling_corrected.jsonl"
    assert line in export.read_text(encoding="utf8").splitlines()


def test_posts_are_exported_for_the_tool(project, outputs):
    new, exported = (
        [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]
        for path in (
            project / "corpus" / "sample" / "cycling.jsonl",
            project / "to_correct.jsonl",
        )
    )
    assert [post["text"] for post in exported] == [post["text"] for post in new]
    assert [post["id"] for post in exported] == [post["id"] for post in new]
    assert all(isinstance(post["label"], list) for post in exported)


def test_corrected_posts_are_split(project, outputs):
    n_posts = [
        len(read_docs(project / "corpus" / "cycling" / f"{split}.spacy"))
        for split in ("train", "dev", "test")
    ]
    assert n_posts == [80, 16, 64]


def test_corrected_annotation_is_kept(project, outputs):
    """All entities of the export, by their characters."""
    path = project / "corpus" / "sample" / "cycling_corrected.jsonl"
    records = [json.loads(line) for line in path.read_text("utf8").splitlines()]
    expected = {
        record["text"]: sorted(map(tuple, record["label"])) for record in records
    }
    found = {
        doc.text: sorted((e.start_char, e.end_char, e.label_) for e in doc.ents)
        for split in ("train", "dev", "test")
        for doc in read_docs(project / "corpus" / "cycling" / f"{split}.spacy")
    }
    assert found == expected


def test_retrained_pipeline_has_the_types_of_the_new_posts(project, outputs):
    nlp = spacy.load(project / "training" / "cycling" / "model-best")
    assert {"product", "group"} <= set(nlp.get_pipe("ner").labels)


def test_report_has_both_pipelines(project, outputs):
    [said] = [text for line, text in outputs.items() if "--against" in line]
    assert re.search(r"training/cycling/model-best: entity F1 +\d+\.\d\d", said)
    assert re.search(r"sample/distilbert-0/model-best: entity F1 +\d+\.\d\d", said)
    assert (project / "cycling.html").exists()


def test_decisions_are_incorrect_spans(project, outputs):
    docs = read_docs(project / "corpus" / "decisions" / "train.spacy")
    for doc in docs:
        [span] = doc.spans["incorrect_spans"]
        assert (span.text, span.label_) == ("Oslo", "location")
        assert all(token.ent_iob == 0 for token in doc)
    assert len(docs) == 9
