import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spacy_wnut.bulk.local import Summary
from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError

pytestmark = pytest.mark.slow


@pytest.fixture
def posts(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_text('{"body": "in Oslo", "id": 1}\n{"id": 2}\n', encoding="utf8")
    return path


def run(*args):
    return CliRunner().invoke(
        app, ["annotate", *map(str, args)], catch_exceptions=False
    )


def test_rejected_posts_show_in_the_exit_status(oslo_ruler, posts, tmp_path):
    out = tmp_path / "out.jsonl"
    done = run(
        oslo_ruler, posts, out, "--text-field", "body", "--entities-field", "found"
    )
    assert done.exit_code == 3
    assert done.stdout == ""
    said = " ".join(done.stderr.split())
    assert "1 posts annotated" in said and "1 posts rejected" in said
    assert "1 × has no field 'body'" in said and "--text-field" in said
    [post] = map(json.loads, out.read_text().splitlines())
    assert [entity["text"] for entity in post["found"]] == ["Oslo"]
    [rejected] = map(json.loads, (tmp_path / "out.jsonl.rejected.jsonl").open())
    assert (rejected["line"], rejected["record"]) == (2, {"id": 2})


def test_rejected_posts_show_whenever_it_is_asked(oslo_ruler, posts, tmp_path):
    for _ in range(2):
        done = run(
            oslo_ruler,
            posts,
            tmp_path / "out.jsonl",
            "--text-field",
            "body",
            "--resume",
        )
        assert done.exit_code == 3
    assert "Some posts were rejected" in " ".join(done.stderr.split())


def test_all_well_is_status_0_and_again_with_resume(oslo_ruler, tmp_path):
    (tmp_path / "posts.txt").write_text("Oslo\n\nBergen\n")
    out = tmp_path / "out.jsonl"
    assert run(oslo_ruler, tmp_path / "posts.txt", out).exit_code == 0
    again = run(oslo_ruler, tmp_path / "posts.txt", out, "--resume")
    assert again.exit_code == 0
    assert "is complete already" in " ".join(again.stderr.split())
    assert len(out.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    "options, message",
    [
        (("--resume", "--overwrite"), "give one"),
        (("--engine", "ray", "--resume"), "ray has no --resume"),
        (("--labels", "location,person"), "no component .* label 'person'"),
        (("--threshold", "0.5"), "gives its entities a confidence"),
        (("--output-format", "csv"), "--output-format 'csv' is unknown"),
        (("--input-format", "xml"), "--input-format 'xml' is unknown"),
        (("--n-process", "0"), "--n-process has to be at least 1"),
        (("--delimiter", ";"), "--delimiter is for csv and tsv"),
        (("--encoding", "latin99"), "--encoding 'latin99' is unknown"),
        (("--engine", "ray", "--encoding", "cp1252"), "ray has no --encoding"),
        (("--engine", "ray", "--delimiter", ";"), "ray has no --delimiter"),
        (("--only-doubtful", "0.7,0.3"), "--only-doubtful '0.7,0.3' can't be used"),
        (("--only-doubtful", "0.3,0.7"), "leave --only-doubtful out"),
        (("--output-format", "doccano", "--offsets", "utf16"), "counts code points"),
        (
            ("--output-format", "prodigy", "--entities-field", "e"),
            "--entities-field can't be chosen for prodigy",
        ),
        (
            ("--engine", "ray", "--output-format", "doccano"),
            "ray has no --output-format",
        ),
        (("--engine", "ray", "--input-format", "csv"), "ray has no --input-format"),
    ],
)
def test_options_that_can_not_be(oslo_ruler, posts, tmp_path, options, message):
    with pytest.raises(WnutError, match=message):
        run(oslo_ruler, posts, tmp_path / "out.jsonl", *options)
    assert not (tmp_path / "out.jsonl").exists()


def test_where_ray_leaves_what_is_rejected(monkeypatch, oslo_ruler, posts):
    engine = pytest.importorskip("spacy_wnut.bulk.ray_engine")
    summary = Summary(2, 1, 1, 0, 1.0)
    monkeypatch.setattr(engine, "annotate_with_ray", lambda job: summary)
    done = run(oslo_ruler, posts, "s3://lake/found/", "--engine", "ray")
    assert done.exit_code == 3
    assert "1 posts rejected: s3://lake/found.rejected.jsonl" in done.stderr


def test_a_table_of_a_spreadsheet(oslo_ruler, tmp_path):
    source, out = tmp_path / "posts.csv", tmp_path / "out.jsonl"
    source.write_bytes("id;text\n1;café in Oslo\n2;ok\n".encode("cp1252"))
    with pytest.raises(WnutError, match="give --delimiter ';'"):
        run(oslo_ruler, source, out)
    done = run(oslo_ruler, source, out, "--delimiter", ";")
    assert done.exit_code == 3
    assert "--encoding cp1252" in done.stderr
    done = run(
        oslo_ruler,
        source,
        out,
        "--delimiter",
        ";",
        "--encoding",
        "cp1252",
        "--overwrite",
    )
    assert (done.exit_code, len(out.read_text().splitlines())) == (0, 2)
    assert [path.name for path in tmp_path.glob("out*")] == ["out.jsonl"]


def test_posts_of_an_api_for_an_annotation_tool(oslo_ruler, tmp_path):
    source, out = tmp_path / "posts.jsonl", tmp_path / "tasks.json"
    source.write_text('{"id": 7, "data": {"body": "&lt;🎉Oslo"}}\n', encoding="utf8")
    options = (
        *("--text-field", "data.body", "--unescape", "html", "--offsets", "utf16"),
        *("--output-format", "label-studio"),
    )
    assert run(oslo_ruler, source, out, *options).exit_code == 0
    [task] = json.loads(out.read_text(encoding="utf8"))
    assert (task["data"]["id"], task["data"]["text"]) == (7, "&lt;🎉Oslo")
    [result] = task["predictions"][0]["result"]
    assert (result["value"]["start"], result["value"]["end"]) == (6, 10)


@pytest.mark.parametrize("option", ["--offsets", "--unescape"])
def test_unknown_choices_are_wrong_usage(oslo_ruler, posts, tmp_path, option):
    done = run(oslo_ruler, posts, tmp_path / "out.jsonl", option, "bytes")
    assert done.exit_code == 2
    assert option in done.stderr


def test_posts_that_are_not_selected_are_said(monkeypatch, oslo_ruler, posts, tmp_path):
    summary = Summary(5, 2, 0, 0, 1.0, unselected=3, note="a low threshold")
    monkeypatch.setattr("spacy_wnut.bulk.local.annotate_file", lambda job: summary)
    done = run(oslo_ruler, posts, tmp_path / "out.jsonl", "--only-doubtful", "0.3,0.7")
    said = " ".join(done.stderr.split())
    assert done.exit_code == 0
    assert "2 posts selected" in said and "a low threshold" in said
    assert "3 posts not selected: no entity with a confidence in 0.3,0.7" in said


def test_null_for_a_number_is_said(oslo_ruler, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "x": 1e400}\n')
    done = run(oslo_ruler, tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert done.exit_code == 0
    assert "1 numbers were written as null" in " ".join(done.stderr.split())


def test_nothing_annotated_is_a_failure(oslo_ruler, tmp_path):
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "body": "a"}\n' * 20_000)
    with pytest.raises(
        WnutError, match=r"10,000 records .*: 'id', 'body'.*--text-field"
    ):
        run(oslo_ruler, tmp_path / "posts.jsonl", tmp_path / "out.jsonl")
    assert not list(tmp_path.glob("out*"))


def test_a_failure_shows_no_traceback_and_no_control_characters(oslo_ruler, tmp_path):
    (tmp_path / "posts.csv").write_bytes("id\tx\0y,a\x9b\n1,2\n".encode())
    done = subprocess.run(
        command(oslo_ruler, tmp_path / "posts.csv", tmp_path / "out.jsonl"),
        capture_output=True,
        encoding="utf8",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert r"'id\tx\x00y', 'a\x9b'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not {"\0", "\t", "\x9b"} & set(done.stderr)


def command(*args):
    return [sys.executable, "-m", "spacy_wnut", "annotate", *map(str, args)]


def test_a_pipe_has_posts_alone_on_standard_output(oslo_ruler, tmp_path):
    done = subprocess.run(
        command(oslo_ruler, "-", "-", "--input-format", "txt"),
        input="in Oslo\nnul \0\n",
        capture_output=True,
        encoding="utf8",
    )
    assert done.returncode == 3
    [post] = map(json.loads, done.stdout.splitlines())
    assert post["text"] == "in Oslo"
    assert json.loads(done.stderr.splitlines()[0])["line"] == 2
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_enough_gets_no_traceback(oslo_ruler, tmp_path):
    (tmp_path / "posts.txt").write_text("Oslo and more words\n" * 20_000)
    with subprocess.Popen(
        command(oslo_ruler, tmp_path / "posts.txt", "-"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert said == ""


@pytest.mark.posix
def test_a_full_disk_says_how_to_go_on(oslo_ruler, tmp_path):
    (tmp_path / "posts.txt").write_text("Oslo and more words\n" * 1000)
    limit = "import resource, sys, runpy; "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); "
    limit += (
        "sys.argv = sys.argv[1:]; runpy.run_module('spacy_wnut', run_name='__main__')"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", limit),
            *command(oslo_ruler, tmp_path / "posts.txt", tmp_path / "out.jsonl")[2:],
            *("--chunk-size", "100"),
        ],
        capture_output=True,
        encoding="utf8",
    )
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "File too large" in said and "with --resume continues from there" in said
    assert "Traceback" not in done.stderr
    resumed = run(
        oslo_ruler,
        tmp_path / "posts.txt",
        tmp_path / "out.jsonl",
        "--resume",
        "--chunk-size",
        100,
    )
    assert resumed.exit_code == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1000


def test_columns_of_conll(oslo_ruler, posts, tmp_path):
    source, out = tmp_path / "in.conll", tmp_path / "out.conll"
    source.write_text(
        "-DOCSTART-\n# id = 1\n1\tin\tO\tO\n2\tOslo\tO\tB-x\n\n1\tx\tO\tO\n"
    )
    assert run(oslo_ruler, source, out).exit_code == 0
    assert out.read_text() == "in\tO\nOslo\tB-location\n\nx\tO\n\n"
    tagged = tmp_path / "out.jsonl"
    assert run(oslo_ruler, source, tagged, "--tag-column", 4).exit_code == 0
    first, _ = map(json.loads, tagged.read_text().splitlines())
    assert (first["tokens"], first["tags"]) == (["in", "Oslo"], ["O", "B-x"])
    options = ("--token-column", 1, "--overwrite")
    assert run(oslo_ruler, source, out, *options).exit_code == 0
    assert out.read_text() == "1\tO\n2\tO\n\n1\tO\n\n"
    with pytest.raises(
        WnutError, match="--token-column is for conll, and the input is jsonl"
    ):
        run(oslo_ruler, posts, tmp_path / "other.jsonl", "--token-column", 1)
    with pytest.raises(WnutError, match="--engine ray reads no CoNLL"):
        run(oslo_ruler, source, tmp_path / "lake", "--tag-column", 4, "--engine", "ray")
    source.write_text("1\tin\n2\tOslo\n")
    with pytest.raises(WnutError, match=r"in\.conll, line 1: .* --token-column"):
        run(oslo_ruler, source, tmp_path / "other.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {
        "in.conll",
        "out.conll",
        "out.jsonl",
        "posts.jsonl",
    }
