import json
import subprocess
import sys

import pytest
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("train.conll", "dev.conll", "test.conll"):
        (folder / name).write_text(
            "Ann\tB-person\nin\tO\nOslo\tB-location\n\nOslo\tB-location\n",
            encoding="utf8",
        )
    return str(folder)


def run(*args):
    return CliRunner().invoke(app, ["convert", *map(str, args)], catch_exceptions=False)


def test_prints_a_table_of_what_it_wrote(tmp_path, source):
    out = tmp_path / "out"
    done = run(out, source)
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    for row in (
        ["train", "validation", "test"],
        ["posts", "2", "2", "2"],
        ["tokens", "4", "4", "4"],
        ["entities", "3", "3", "3"],
        ["location", "2", "2", "2"],
        ["person", "1", "1", "1"],
    ):
        assert row in lines
    assert f"CoNLL files in {source}" in " ".join(done.stdout.split())
    assert sorted(path.name for path in out.iterdir()) == [
        "dev.spacy",
        "test.spacy",
        "train.spacy",
    ]


@pytest.mark.parametrize(
    "options, keeps",
    [((), True), (("--tokens", "gold"), True), (("-t", "spacy"), False)],
)
def test_tokens_chooses_the_protocol(tmp_path, source, options, keeps):
    run(tmp_path / "out", source, *options)
    [doc, _] = DocBin().from_disk(tmp_path / "out" / "dev.spacy").get_docs(Vocab())
    assert doc.has_unknown_spaces is keeps


def test_takes_the_first_source_that_is_not_empty(tmp_path, source, monkeypatch):
    monkeypatch.setenv("SPACY_WNUT_DATA", str(tmp_path / "nowhere"))
    assert run(tmp_path / "out", "", source, tmp_path / "gone").exit_code == 0
    with pytest.raises(WnutError, match="nowhere"):
        run(tmp_path / "other", "", "")
    monkeypatch.setenv("SPACY_WNUT_DATA", str(source))
    assert run(tmp_path / "other").exit_code == 0


def test_labels_are_separated_by_commas(tmp_path, source):
    assert run(tmp_path / "out", source, "--labels", "location,person").exit_code == 0
    with pytest.raises(WnutError, match=r"'person' is an unknown label: .* location"):
        run(tmp_path / "out", source, "--labels", "location")


def test_bad_input_ends_in_a_message_without_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "spacy_wnut", "convert", "out", "./gone"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf8",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "The folder ./gone isn't there" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


NUMBERED = "# text = Ann\n1\tAnn\tB-a person\tB-x\n2\tis\tO\tO\n"


def fill(folder, text):
    folder.mkdir()
    for name in ("train.conll", "dev.conll", "test.conll"):
        (folder / name).write_text(text, encoding="utf8")
    return folder


def test_columns(tmp_path):
    source = fill(tmp_path / "numbered", NUMBERED)
    with pytest.raises(
        WnutError, match=r"train\.conll, line 2: the columns 3 and 4 .* --tag-column"
    ):
        run(tmp_path / "out", source)
    assert not (tmp_path / "out").exists()
    for options, label in (
        (("--tag-column", 3), "a person"),
        (("--tag-column", "-1"), "x"),
        (("--token-column", 2, "--tag-column", 3), "a person"),
    ):
        assert run(tmp_path / "out", source, *options).exit_code == 0
        [doc] = DocBin().from_disk(tmp_path / "out" / "dev.spacy").get_docs(Vocab())
        assert [token.text for token in doc] == ["Ann", "is"]
        assert [(ent.text, ent.label_) for ent in doc.ents] == [("Ann", label)]


def test_columns_are_of_conll_files_alone(tmp_path, source):
    run(tmp_path / "out", source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(WnutError, match="empty has no CoNLL files, but --tok"):
        run(tmp_path / "other", tmp_path / "empty", "--tag-column", 3)
    with pytest.raises(WnutError, match="Hub dataset some/one has no CoNLL files"):
        run(tmp_path / "other", "some/one", "--token-column", 2)


def test_columns_that_can_not_be_end_in_a_message(tmp_path):
    fill(tmp_path / "source", NUMBERED)
    for option, message in (
        ("--tag-column=0", "--tag-column is 0"),
        ("--tag-column=5", "line 2: there is no column 5, which --tag-column names"),
        ("--tag-column=2", "line 2: column 2 is the token"),
    ):
        with pytest.raises(WnutError, match=message):
            run(tmp_path / "out", tmp_path / "source", option)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def save(path, *records):
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def labelled(text, *parts):
    spans = [(text.index(part), label) for part, label in parts]
    return {
        "text": text,
        "label": [
            [start, start + len(part), label]
            for (start, label), (part, _) in zip(spans, parts, strict=True)
        ],
    }


TEN = [labelled(f"Post {i} in Oslo", ("Oslo", "LOC")) for i in range(10)]


def flat(text):
    return " ".join(text.split())


def test_one_file_is_divided_and_its_format_shown(tmp_path):
    path = save(tmp_path / "posts.jsonl", *TEN)
    done = run(tmp_path / "out", path, "--map", "LOC=location", "--seed", 5)
    assert done.exit_code == 0
    shown = flat(done.stdout)
    assert f"File {path} (format: doccano)" in shown
    assert "Drawn from train with seed 5, stratified by type: validation, test" in shown
    assert "posts 8 1 1" in shown and "location 8 1 1" in shown
    assert done.stderr == ""
    done = run(tmp_path / "out", path, "--split", "0.5,0.5", "--format", "doccano")
    assert "posts 5 5" in flat(done.stdout)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dev.spacy",
        "train.spacy",
    ]


def test_what_was_not_converted_is_listed(tmp_path):
    path = save(
        tmp_path / "posts.jsonl",
        *TEN,
        labelled("see New York", ("ew York", "LOC")),
        {"text": "see", "label": [[0, 9, "LOC"]]},
    )
    done = run(tmp_path / "out", path)
    assert done.exit_code == 3
    shown = flat(done.stderr)
    assert (
        "1 spans do not match the boundaries of words, and were treated as miss"
        in shown
    )
    assert f"{path}, line 11: 'ew York' (LOC) in the tokens 'New' 'York'" in shown
    assert "1 records were rejected" in shown
    assert f"{path}, line 12: the span 0 to 9 (LOC) is outside of the text" in shown
    assert "not annotated (tokens)" in flat(done.stdout)
    [line] = (tmp_path / "out.rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["record"] == {"text": "see", "label": [[0, 9, "LOC"]]}

    with pytest.raises(WnutError, match="1 spans do not match"):
        run(tmp_path / "out", path, "--misaligned", "error")
    done = run(tmp_path / "out", save(path, *TEN), "--misaligned", "expand")
    assert done.exit_code == 0
    assert not (tmp_path / "out.rejected.jsonl").exists()


def test_overlaps(tmp_path):
    nested = labelled("New York City", ("New York", "LOC"), ("New York City", "LOC"))
    path = save(tmp_path / "posts.jsonl", *TEN, nested)
    with pytest.raises(WnutError, match=r"line 11: the entities 'New York' .* overlap"):
        run(tmp_path / "out", path)
    assert not (tmp_path / "out").exists()
    done = run(tmp_path / "out", path, "--overlaps", "longest")
    assert done.exit_code == 0
    assert "1 entities were left out" in flat(done.stderr)


def test_duplicates_across_splits_are_reported(tmp_path, source):
    done = run(tmp_path / "out", source)
    assert done.exit_code == 0
    shown = flat(done.stderr)
    for pair in (
        "2 posts of validation have the text of a post in train",
        "2 posts of test have the text of a post in train",
        "2 posts of test have the text of a post in validation",
    ):
        assert pair in shown


def test_the_source_is_not_replaced(tmp_path):
    path = save(tmp_path / "posts.jsonl", *TEN)
    run(tmp_path / "out", path)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for source in (tmp_path / "out", tmp_path / "out" / "train.spacy"):
        with pytest.raises(WnutError, match="which is read: name another folder"):
            run(tmp_path / "out", source)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert run(tmp_path / "again", tmp_path / "out").exit_code == 0


def test_columns_and_text_of_other_names(tmp_path):
    records = [
        {"words": ["Post", str(i), "Oslo"], "tags": [0, 0, 1], "id": i}
        for i in range(10)
    ]
    path = save(tmp_path / "posts.jsonl", *records)
    options = ("--tokens-column", "words", "--tags-column", "tags")
    with pytest.raises(WnutError, match=r"line 1: the tag 0 .*--label-names"):
        run(tmp_path / "out", path, *options)
    done = run(tmp_path / "out", path, *options, "--label-names", "O,B-LOC")
    assert "(format: datasets)" in flat(done.stdout)
    assert "LOC 8 1 1" in flat(done.stdout)
    records = [{"data": record["text"], "label": record["label"]} for record in TEN]
    nested = [{"tweet": {"body": one.pop("data")}, **one} for one in records]
    path = save(tmp_path / "nested.jsonl", *nested)
    done = run(
        tmp_path / "out", path, "--text-field", "tweet.body", "--format", "doccano"
    )
    assert "LOC 8 1 1" in flat(done.stdout)
