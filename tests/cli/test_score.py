import json

import pytest
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.cli._app import Scheme
from spacy_wnut.errors import WnutError
from spacy_wnut.schemes import SCHEMES

GOLD = "Ann\tB-person\nLee\tI-person\n\nin\tO\nParis\tB-location\n"
PREDICTED = "Ann B-person\r\nLee I-person\r\n\r\nin O\r\nParis I-location\r\n"
ONES = {"precision": 1.0, "recall": 1.0, "f1": 1.0}
SCORES = {
    "entity": ONES,
    "surface": ONES,
    "per_type": {"location": ONES, "person": ONES},
    "seqeval": {**ONES, "accuracy": 0.75},
    "seqeval_strict": {"precision": 1.0, "recall": 0.5, "f1": 2 / 3},
}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "gold.conll").write_bytes(GOLD.encode())
    (tmp_path / "predicted.conll").write_bytes(PREDICTED.encode())
    return [str(tmp_path / "gold.conll"), str(tmp_path / "predicted.conll")]


def run(*args):
    result = CliRunner().invoke(app, ["score", *args])
    if isinstance(result.exception, WnutError):
        raise result.exception
    return result


def test_table(files):
    result = run(*files)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"2 posts of {files[0]}"
    assert ["seqeval", "100.00", "100.00", "100.00", "75.00"] in [
        line.split() for line in lines
    ]


def test_json_to_standard_output(files):
    result = run(*files, "--json", "-")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == SCORES


def test_json_to_a_file(files, tmp_path):
    result = run(*files, "--json", str(tmp_path / "scores.json"))
    assert result.exit_code == 0
    assert "seqeval strict" in result.stdout
    assert json.loads((tmp_path / "scores.json").read_text()) == SCORES


def test_json_to_a_folder_is_refused_and_the_folder_left_alone(files, tmp_path):
    result = run(*files, "--json", str(tmp_path))
    assert result.exit_code == 2
    assert "is a directory" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "gold.conll",
        "predicted.conll",
    ]


def test_file_that_is_not_there(files):
    with pytest.raises(WnutError, match=r"nowhere\.conll isn't there"):
        run(files[0], "nowhere.conll")


def test_counts_that_differ(files, tmp_path):
    short = tmp_path / "short.conll"
    short.write_text("Ann O\n")
    with pytest.raises(WnutError, match="post 1 has 2 tokens"):
        run(files[0], str(short))


NUMBERED = "# text = Ann Lee\n1\tAnn\tB-person\tO\n2\tLee\tI-person\tO\n"


def test_columns(tmp_path):
    gold, predicted = tmp_path / "gold.conll", tmp_path / "predicted.conll"
    gold.write_text(NUMBERED)
    predicted.write_text("Ann B-person\nLee I-person\n")
    files = [str(gold), str(predicted)]
    with pytest.raises(WnutError, match=r"columns 3 and 4 hold BIO tags.*--tag-column"):
        run(*files)
    for options in (
        ["--tag-column", "3"],
        ["--tag-column", "-2", "--token-column", "2"],
    ):
        result = run(files[0], files[0], *options, "--json", "-")
        assert json.loads(result.stdout)["entity"] == ONES
    result = run(*files, "--tag-column", "3", "--json", "-")
    assert json.loads(result.stdout)["entity"] == ONES


def test_one_file_with_both_columns(files, tmp_path):
    path = tmp_path / "both.txt"
    rows = zip(GOLD.splitlines(), PREDICTED.splitlines(), strict=True)
    lines = [" ".join([*gold.split(), *given.split()[1:]]) for gold, given in rows]
    path.write_text("\n".join(lines))
    result = run(str(path), "--json", "-")
    assert json.loads(result.stdout) == SCORES
    result = run(str(path), "--gold-column", "3", "--predicted-column", "2")
    assert ["seqeval", "strict", "50.00", "100.00"] in [
        line.split()[:4] for line in result.stdout.splitlines()
    ]
    result = run(str(path), "--tag-column", "2")
    assert result.exit_code == 2
    assert "set --gold-column and --predicted-column" in result.stderr
    result = run(*files, "--gold-column", "2")
    assert result.exit_code == 2
    assert "set --tag-column" in result.stderr


def test_scheme(tmp_path):
    path = tmp_path / "both.txt"
    path.write_text("Ann PER PER\nrocks O O\n")
    with pytest.raises(WnutError, match="line 1: 'PER' is not a BIO tag"):
        run(str(path))
    result = run(str(path), "--scheme", "io", "--json", "-")
    assert json.loads(result.stdout)["entity"] == ONES
    assert run(str(path), "--scheme", "iob").exit_code == 2
    assert {scheme.value for scheme in Scheme} == set(SCHEMES)


def test_map_renames_the_types_of_both_files(files, tmp_path):
    other = tmp_path / "other.conll"
    other.write_text("Ann B-PER\nLee I-PER\n\nin O\nParis I-LOC\n")
    result = run(
        files[0], str(other), "--map", "PER=person,LOC=location", "--json", "-"
    )
    assert json.loads(result.stdout) == SCORES
    with pytest.raises(
        WnutError, match="the type X, but the data has the types LOC, PER"
    ):
        run(files[0], str(other), "--map", "X=person")
    result = run(*files, "--map", "location=", "--json", "-")
    assert json.loads(result.stdout)["per_type"] == {"person": ONES}


def test_types_without_any_in_common_are_reported(files, tmp_path):
    other = tmp_path / "other.conll"
    other.write_text("Ann B-PER\nLee I-PER\n\nin O\nParis B-LOC\n")
    shown = " ".join(run(files[0], str(other)).stderr.split())
    assert (
        "gold entities have the types location, person, and the predicted ones" in shown
    )
    assert "LOC, PER" in shown and "--map" in shown
    assert run(*files).stderr == ""
    # A system without entities is no mistake of names.
    other.write_text("Ann O\nLee O\n\nin O\nParis O\n")
    assert run(files[0], str(other)).stderr == ""
