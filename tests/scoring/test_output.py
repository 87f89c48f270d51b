import json
from pathlib import Path

import pytest

from spacy_wnut.errors import WnutError
from spacy_wnut.scoring.measures import ScoredPost, all_scores
from spacy_wnut.scoring.output import report_scores, write_figures
from spacy_wnut.scoring.tables import format_scores

# Gold entities: a, a, c. Predicted entities: "a a", b, c. Only c is right.
# Distinct gold forms: a, c. Distinct predicted forms: "a a", b, c.
SCORES = all_scores(
    [
        ScoredPost(
            ["a ", "a ", "b "],
            ["B-person", "B-person", "O"],
            ["B-person", "I-person", "B-group"],
        ),
        ScoredPost(["c "], ["B-group"], ["B-group"]),
    ]
)


def rows(text):
    return [line.split() for line in text.splitlines() if line]


def test_tables_are_in_percent():
    measures, types = format_scores(SCORES).split("\n\n")
    assert rows(measures) == [
        ["Measure", "P", "R", "F1", "Accuracy"],
        ["--------------", "-----", "-----", "-----", "--------"],
        ["Entity", "33.33", "33.33", "33.33"],
        ["Surface", "33.33", "50.00", "40.00"],
        ["seqeval", "33.33", "33.33", "33.33", "50.00"],
        ["seqeval", "strict", "33.33", "33.33", "33.33"],
    ]
    assert rows(types)[2:] == [
        ["group", "50.00", "100.00", "66.67"],
        ["person", "0.00", "0.00", "0.00"],
    ]


def test_tables_go_to_standard_output(capsys):
    report_scores("3 posts", SCORES, None)
    out, err = capsys.readouterr()
    assert (out, err) == (f"3 posts\n{format_scores(SCORES)}\n", "")


def test_json_is_written_to_a_file(tmp_path, capsys):
    path = tmp_path / "new" / "scores.json"
    report_scores("3 posts", SCORES, path)
    assert json.loads(path.read_text()) == SCORES
    assert capsys.readouterr().out.startswith("3 posts\n")


def test_json_on_standard_output_moves_tables_to_standard_error(capsys):
    report_scores("3 posts", SCORES, Path("-"))
    out, err = capsys.readouterr()
    assert json.loads(out) == SCORES
    assert err.startswith("3 posts\n")


def test_unwritable_file_is_rejected(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "scores.json"
    with pytest.raises(WnutError, match=r"can't write the scores to .*scores\.json"):
        report_scores("3 posts", SCORES, path)


def test_files_are_written_all_or_none(tmp_path):
    (tmp_path / "file").touch()
    first, last = tmp_path / "first.json", tmp_path / "last.json"
    first.write_text("old")
    within = tmp_path / "file" / "scores.json"
    with pytest.raises(WnutError, match=r"can't write the scores to .*scores\.json"):
        write_figures({first: SCORES, within: SCORES, last: SCORES})
    assert first.read_text() == "old" and not last.exists()
    write_figures({first: SCORES, last: [1]})
    assert json.loads(first.read_text()) == SCORES
    assert json.loads(last.read_text()) == [1]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"file", "first.json", "last.json"}
