import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spacy_wnut.bulk.ray_files import clear_output, finish_output, list_files
from spacy_wnut.errors import WnutError


def write_rows(path, n):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"text": ["a"] * n}), path)


def test_the_files_of_a_folder_are_of_one_kind(tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    names = ("b.jsonl", "c.jsonl.gz", "d.jsonl.xz", "deep/a.ndjson", "e.ndjson.zst")
    for name in (*names, "_d.jsonl", ".e.jsonl", "f"):
        (folder / name).touch()
    assert [file.path for file in list_files(str(folder))] == [
        str(folder / name) for name in names
    ]
    [file] = list_files(f"file://{folder}/b.jsonl")
    assert file.uri == f"file://{folder}/b.jsonl"
    write_rows(folder / "g.parquet", 1)
    with pytest.raises(WnutError, match=r"1 files of \.parquet and 5 of \.jsonl"):
        list_files(str(folder))


def test_an_input_without_files_is_refused(tmp_path):
    with pytest.raises(WnutError, match="isn't there"):
        list_files(str(tmp_path / "gone"))
    with pytest.raises(WnutError, match=r"0 files of \.parquet and 0 of \.jsonl"):
        list_files(str(tmp_path))
    with pytest.raises(WnutError, match="can't be reached"):
        list_files("nowhere://a/b")


def test_only_what_an_earlier_run_wrote_is_replaced(tmp_path):
    out = tmp_path / "out"
    clear_output(str(out), overwrite=False)
    write_rows(out / "a.parquet", 1)
    (out / "_SUCCESS").touch()
    with pytest.raises(WnutError, match=r"isn't empty: .*--overwrite"):
        clear_output(str(out), overwrite=False)
    (out / "thesis.txt").touch()
    with pytest.raises(WnutError, match=r"holds more .* \(thesis.txt\)"):
        clear_output(str(out), overwrite=True)
    assert (out / "a.parquet").exists()
    (out / "thesis.txt").unlink()
    clear_output(str(out), overwrite=True)
    assert list(out.iterdir()) == []
    with pytest.raises(WnutError, match="is a file"):
        (tmp_path / "file").touch()
        clear_output(str(tmp_path / "file"), overwrite=True)


def test_an_output_says_that_it_is_whole_if_it_is(tmp_path):
    out = tmp_path / "out"
    write_rows(out / "a.parquet", 3)
    write_rows(out / "b.parquet", 2)
    rejected = [json.dumps({"file": "x", "line": line}) for line in (10, 9)]
    with pytest.raises(WnutError, match=r"8 records were read, but 5 .* and 2 were"):
        finish_output(str(out), rejected, 8)
    assert not (out / "_SUCCESS").exists()
    assert finish_output(str(out), rejected, 7) == 5
    assert (out / "_SUCCESS").exists()
    beside = tmp_path / "out.rejected.jsonl"
    assert beside.read_text() == f"{rejected[1]}\n{rejected[0]}\n"
    clear_output(str(out), overwrite=True)
    assert not beside.exists()


def test_rejections_of_others_are_kept(tmp_path):
    (tmp_path / "out.rejected.jsonl").write_text("mine")
    with pytest.raises(WnutError, match=r"out.rejected.jsonl is there already"):
        clear_output(f"{tmp_path}/out/", overwrite=False)
    assert (tmp_path / "out.rejected.jsonl").read_text() == "mine"


def test_nothing_written_is_nothing_annotated(tmp_path):
    assert finish_output(str(tmp_path / "out"), [], 0) == 0
