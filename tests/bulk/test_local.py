import bz2
import errno
import gzip
import io
import json
import lzma
import multiprocessing
import os
import re
import stat
import sys
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spacy
from spacy.tokens import DocBin

from spacy_wnut.bulk import journal as journals
from spacy_wnut.bulk import local
from spacy_wnut.bulk.local import Summary
from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.errors import WnutError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_counts_and_files(posts_file, tmp_path, annotate, ruler, read_jsonl):
    out = tmp_path / "out.jsonl"
    summary = annotate(ruler, posts_file, out, chunk_size=7)
    assert summary[:4] == Summary(100, 91, 9, 0, 0)[:4]
    written, rejected = (
        read_jsonl(out),
        read_jsonl(tmp_path / "out.jsonl.rejected.jsonl"),
    )
    assert [one["line"] for one in rejected] == list(range(8, 101, 11))
    assert [post["id"] + 1 for post in written] == [
        line for line in range(1, 101) if line % 11 != 8
    ]
    for post in written:
        assert [e["text"] for e in post["entities"]] == (
            ["Ada Lovelace", "Oslo"] if post["id"] % 3 else []
        )
    assert names(tmp_path) == [out.name, f"{out.name}.rejected.jsonl", "posts.jsonl"]


def test_a_csv_from_its_first_row_to_its_end(tmp_path, annotate, ruler, read_jsonl):
    (tmp_path / "in.csv").write_text("id,text\n7,Ada Lovelace moved to Oslo\n")
    annotate(ruler, tmp_path / "in.csv", tmp_path / "out.jsonl")
    [post] = read_jsonl(tmp_path / "out.jsonl")
    found = [entity["text"] for entity in post["entities"]]
    assert (post["id"], found) == ("7", ["Ada Lovelace", "Oslo"])


@pytest.mark.parametrize(
    "target", ["out.parquet", "out.spacy", "out.conll", "o.jsonl.gz"]
)
def test_every_format_holds_the_same(
    posts_file, tmp_path, annotate, tagger, read_jsonl, target
):
    annotate(tagger, posts_file, tmp_path / "out.jsonl", chunk_size=20)
    annotate(tagger, posts_file, tmp_path / target, chunk_size=20)
    posts = read_jsonl(tmp_path / "out.jsonl")
    assert any(post["entities"] for post in posts)
    if target.endswith(".gz"):
        whole = gzip.decompress((tmp_path / target).read_bytes())
        assert whole == (tmp_path / "out.jsonl").read_bytes()
    elif target == "out.parquet":
        rows = pq.read_table(tmp_path / target).drop_columns(["other_fields"])
        assert rows.to_pylist() == posts
    elif target == "out.spacy":
        docs = DocBin(store_user_data=True).from_disk(tmp_path / target)
        for doc, post in zip(
            docs.get_docs(spacy.blank("en").vocab), posts, strict=True
        ):
            assert doc.text == post["text"]
            assert [
                (e.start_char, e.end_char, e.label_, e._.confidence) for e in doc.ents
            ] == [
                (e["start"], e["end"], e["label"], e["confidence"])
                for e in post["entities"]
            ]
    else:
        for post, one in zip(posts, read_conll(tmp_path / target, None), strict=True):
            assert "".join(one.tokens) == post["text"].replace(" ", "")
            starts = [tag[2:] for tag in one.tags if tag.startswith("B-")]
            assert starts == [e["label"] for e in post["entities"]]
    first, second = (
        (tmp_path / f"{name}.rejected.jsonl").read_bytes()
        for name in ("out.jsonl", target)
    )
    assert first == second


def test_conll_is_annotated_on_its_own_words(tmp_path, annotate, ruler):
    source = tmp_path / "in.conll"
    source.write_text("can't\tO\nOslo\tB-person\n\nOslo's\tO\n", encoding="utf8")
    annotate(ruler, source, tmp_path / "out.conll")
    assert (tmp_path / "out.conll").read_text() == (
        "can't\tO\nOslo\tB-location\n\nOslo's\tO\n\n"
    )


@pytest.mark.parametrize(
    "target", ["out.jsonl", "out.parquet", "out.spacy", "out.conll"]
)
def test_an_empty_input_gives_an_empty_output(tmp_path, annotate, ruler, target):
    (tmp_path / "in.jsonl").write_bytes(b"")
    summary = annotate(ruler, tmp_path / "in.jsonl", tmp_path / target)
    assert summary.read == 0
    assert names(tmp_path) == ["in.jsonl", target]


def test_columns_come_from_the_first_post_that_can_be_read(tmp_path, annotate, ruler):
    lines = ["broken"] * 5 + ['{"text": "Oslo", "id": 1}', '{"text": "x", "more": 2}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    annotate(ruler, tmp_path / "in.jsonl", tmp_path / "out.parquet", chunk_size=1)
    rows = (
        pq.read_table(tmp_path / "out.parquet").drop_columns(["entities"]).to_pylist()
    )
    assert rows == [
        {"text": "Oslo", "id": 1, "other_fields": None},
        {"text": "x", "id": None, "other_fields": '{"more": 2}'},
    ]


def test_a_finished_output_is_not_done_again(posts_file, tmp_path, annotate, ruler):
    out = tmp_path / "out.jsonl"
    annotate(ruler, posts_file, out, resume=True)
    before = out.stat().st_mtime_ns
    assert annotate(ruler, posts_file, out, resume=True) is None
    assert out.stat().st_mtime_ns == before
    with pytest.raises(WnutError, match="--overwrite"):
        annotate(ruler, posts_file, out)
    assert annotate(ruler, posts_file, out, overwrite=True).read == 100


@pytest.fixture
def begun(posts_file, tmp_path, annotate, ruler, monkeypatch):
    """An output of which 30 records are done."""
    out = tmp_path / "out.jsonl"
    append = journals.Journal.append

    def interrupt(self, *args):
        append(self, *args)
        if self.state.read == 30:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journals.Journal, "append", interrupt)
        with pytest.raises(KeyboardInterrupt):
            annotate(ruler, posts_file, out, chunk_size=10)
    assert not out.exists()
    return out


def test_only_what_is_missing_is_done(begun, posts_file, annotate, ruler):
    summary = annotate(ruler, posts_file, begun, chunk_size=10, resume=True)
    assert (summary.read, summary.resumed) == (100, 30)
    assert summary.annotated + summary.rejected == 100


@pytest.mark.slow
def test_several_processes_give_the_same_bytes(
    posts_file, tmp_path, annotate, trained_folder, monkeypatch
):
    """With torch, which hangs in processes that are forked. One is killed, too."""
    options = {"chunk_size": 9, "batch_size": 4}
    annotate(trained_folder, posts_file, tmp_path / "out1.jsonl", **options)
    append = journals.Journal.append

    def kill_one(self, *args):
        append(self, *args)
        for child in multiprocessing.active_children():
            child.kill()

    with monkeypatch.context() as patch:
        patch.setattr(journals.Journal, "append", kill_one)
        with pytest.raises(WnutError, match=r"one of the processes died.*--resume"):
            annotate(
                trained_folder,
                posts_file,
                tmp_path / "out2.jsonl",
                n_process=2,
                **options,
            )
    summary = annotate(
        trained_folder,
        posts_file,
        tmp_path / "out2.jsonl",
        n_process=2,
        resume=True,
        **options,
    )
    assert 0 < summary.resumed < summary.read == 100
    for name in ("out{}.jsonl", "out{}.jsonl.rejected.jsonl"):
        one, two = ((tmp_path / name.format(n)).read_bytes() for n in (1, 2))
        assert one == two
    assert b'"confidence": 0.' in (tmp_path / "out1.jsonl").read_bytes()


def test_an_input_that_only_grew_is_gone_on_with(begun, posts_file, annotate, ruler):
    with posts_file.open("a") as file:
        file.write('{"text": "more"}\n')
    summary = annotate(ruler, posts_file, begun, chunk_size=10, resume=True)
    assert summary.read == 101


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines[1:], lines[0]],
        lambda lines: lines[:20],
        lambda lines: [line.replace('"id": 5', '"id": 6') for line in lines],
    ],
)
def test_another_input_is_refused(begun, posts_file, annotate, ruler, change):
    lines = posts_file.read_text(encoding="utf8").splitlines()
    posts_file.write_text("\n".join(change(lines)), encoding="utf8")
    with pytest.raises(
        WnutError, match=r"first 30 records of .* aren't those that were"
    ):
        annotate(ruler, posts_file, begun, chunk_size=10, resume=True)


def test_other_settings_are_refused(begun, posts_file, annotate, ruler, tagger):
    for model, options, what in (
        (ruler, {"chunk_size": 20}, "chunk size was 10 and is 20"),
        (ruler, {"labels": ("person",)}, r"labels was None and is \['person'\]"),
        (tagger, {}, "pipeline was '.*' and is '"),
    ):
        with pytest.raises(WnutError, match=what):
            annotate(
                model,
                posts_file,
                begun,
                **{"chunk_size": 10, "resume": True, **options},
            )


def test_without_resume_nothing_that_was_done_is_lost(
    begun, posts_file, annotate, ruler
):
    with pytest.raises(WnutError, match="isn't finished: go on with --resume"):
        annotate(ruler, posts_file, begun, chunk_size=10)
    assert annotate(ruler, posts_file, begun, overwrite=True).resumed == 0


@pytest.mark.parametrize("failing", [0, 1, 2, 3, 7, 8, 20])
def test_a_disk_that_is_full_loses_nothing(
    posts_file, tmp_path, annotate, ruler, monkeypatch, failing
):
    out = tmp_path / "out.jsonl"
    calls = iter(range(1000))
    sync = os.fsync

    def full(fd):
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(journals.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            annotate(ruler, posts_file, out, chunk_size=10)
    annotate(ruler, posts_file, out, chunk_size=10, resume=True)
    annotate(ruler, posts_file, tmp_path / "whole.jsonl", chunk_size=10)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.fixture
def streams(monkeypatch):
    """Standard input from a file, and what goes to standard output."""

    def connect(content):
        out = io.BytesIO()
        source = io.BufferedReader(io.BytesIO(content))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(source))
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
        return out

    return connect


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_from_standard_input_to_standard_output(
    posts_file, tmp_path, annotate, ruler, streams, capsys, pack
):
    annotate(ruler, posts_file, tmp_path / "out.jsonl", chunk_size=10)
    out = streams(pack(posts_file.read_bytes()))
    assert annotate(ruler, "-", "-", chunk_size=10).rejected == 9
    assert out.getvalue() == (tmp_path / "out.jsonl").read_bytes()
    assert [
        json.loads(line)["line"] for line in capsys.readouterr().err.splitlines()
    ] == [
        json.loads(line)["line"]
        for line in (tmp_path / "out.jsonl.rejected.jsonl").read_text().splitlines()
    ]


def test_standard_input_is_gone_on_with_if_it_is_the_same(
    begun, posts_file, tmp_path, annotate, ruler, streams
):
    streams(posts_file.read_bytes())
    assert annotate(ruler, "-", begun, chunk_size=10, resume=True).resumed == 30
    annotate(ruler, posts_file, tmp_path / "whole.jsonl", chunk_size=10)
    assert begun.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    "target, options, message",
    [
        ("-", {"output_format": "parquet"}, "parquet can't go to standard output"),
        ("-", {"resume": True}, "--resume needs a file"),
        ("a.jsonl", {"chunk_size": 0}, "--chunk-size has to be at least 1, got 0"),
        ("a.jsonl", {"n_process": 0}, "--n-process has to be at least 1, got 0"),
        ("a.jsonl", {"batch_size": 0}, "--batch-size has to be at least 1, got 0"),
    ],
)
def test_options_that_can_not_be_are_refused(
    posts_file, tmp_path, annotate, ruler, target, options, message
):
    where = target if target == "-" else tmp_path / target
    with pytest.raises(WnutError, match=message):
        annotate(ruler, posts_file, where, **options)


@pytest.mark.parametrize(
    "column, target, message",
    [
        ("body", "out.jsonl", "no column 'text'"),
        ("text", "out.parquet.gz", "compressed already"),
    ],
)
def test_what_can_not_be_used_leaves_nothing(
    tmp_path, annotate, ruler, column, target, message
):
    (tmp_path / "in.csv").write_text(f"id,{column}\n1,a\n")
    with pytest.raises(WnutError, match=message):
        annotate(ruler, tmp_path / "in.csv", tmp_path / target)
    assert names(tmp_path) == ["in.csv"]


def test_a_docbin_that_would_be_too_large_is_refused_in_time(
    posts_file, tmp_path, annotate, ruler, monkeypatch
):
    from spacy_wnut.bulk.formats.docbin import DocBinWriter

    monkeypatch.setattr(DocBinWriter, "max_words", 100)
    with pytest.raises(
        WnutError, match=r"more than 100 words: split .* after 10 records"
    ):
        annotate(ruler, posts_file, tmp_path / "out.spacy", chunk_size=10)


def write_posts(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("n", [1, 30, 100_000])
def test_what_fails_as_a_whole_stops_early(tmp_path, annotate, ruler, monkeypatch, n):
    monkeypatch.setattr(local, "MAX_REJECTED", 50)
    source = write_posts(
        tmp_path / "in.jsonl", [{"id": i, "body": "x"} for i in range(n)]
    )
    message = rf"{min(n, 50)} record.*has no field 'text'\. .*: 'id', 'body'\. .*--text"
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(WnutError, match=message):
            annotate(
                ruler,
                source,
                tmp_path / "out.jsonl",
                chunk_size=10,
                **options,
            )
    assert names(tmp_path) == ["in.jsonl"]


def test_an_old_output_is_kept_if_all_fails(tmp_path, annotate, ruler):
    source = write_posts(tmp_path / "in.jsonl", [{"id": 1}])
    for name in ("out.jsonl", "out.jsonl.rejected.jsonl"):
        (tmp_path / name).write_text("old")
    with pytest.raises(WnutError, match="Nothing was written"):
        annotate(ruler, source, tmp_path / "out.jsonl", overwrite=True)
    for name in ("out.jsonl", "out.jsonl.rejected.jsonl"):
        assert (tmp_path / name).read_text() == "old"


@pytest.mark.parametrize("good", [0, 49, 120])
def test_what_fails_in_part_does_not_stop(tmp_path, annotate, ruler, monkeypatch, good):
    monkeypatch.setattr(local, "MAX_REJECTED", 50)
    records = [{"id": i} for i in range(130)]
    # One that is annotated, or that is rejected for another reason.
    records[good] = {"text": "a"} if good < 50 else {"text": 5}
    records[1] = {"text": 5}
    source = write_posts(tmp_path / "in.jsonl", records)
    summary = annotate(ruler, source, tmp_path / "out.jsonl", chunk_size=10)
    assert summary.read == 130
    assert [count for _, count in summary.reasons] == (
        [128, 1] if good < 50 else [128, 2]
    )
    assert "--text-field" in summary.hint


def test_reasons_are_those_of_all_runs(begun, posts_file, tmp_path, annotate, ruler):
    resumed = annotate(ruler, posts_file, begun, chunk_size=10, resume=True)
    whole = annotate(ruler, posts_file, tmp_path / "w.jsonl", chunk_size=10)
    assert resumed.reasons == whole.reasons
    assert sum(count for _, count in whole.reasons) == 9


def test_rejections_on_stderr_wait_for_a_post_that_is_none(
    tmp_path, annotate, ruler, streams, capsys
):
    out = streams(b'{"id": 1}\n' * 30)
    with pytest.raises(WnutError, match="30 records were read"):
        annotate(ruler, "-", "-", chunk_size=10)
    assert (out.getvalue(), capsys.readouterr().err) == (b"", "")
    out = streams(b'{"id": "\xc2\x9b"}\n' * 20 + b'{"text": "a"}\n')
    annotate(ruler, "-", "-", chunk_size=10)
    rejected = capsys.readouterr().err.splitlines()
    assert len(rejected) == 20
    # Nothing that a terminal would obey.
    assert "\x9b" not in rejected[0]
    assert json.loads(rejected[0])["record"] == {"id": "\x9b"}


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-3], lambda data: data + b"more"]
)
@pytest.mark.parametrize("chunk_size", [10, 1000])
def test_a_damaged_input_says_what_is_kept(
    posts_file, tmp_path, annotate, ruler, streams, suffix, damage, chunk_size
):
    content = posts_file.read_bytes()
    source = tmp_path / f"in.jsonl.{suffix}"
    source.write_bytes(damage(PACK[suffix](content)))
    out = tmp_path / "out.jsonl"
    with pytest.raises(WnutError) as raised:
        annotate(ruler, source, out, chunk_size=chunk_size)
    said = str(raised.value)
    assert "can't be read to its end" in said
    is_kept = local.partial_path(out).exists()
    if is_kept:
        kept = int(re.search(r"(\d+) posts are annotated", said)[1])
        journal = (local.partial_path(out) / "journal.jsonl").read_text()
        assert json.loads(journal.splitlines()[-1])["annotated"] == kept > 0
        assert f"kept in {out}.partial" in said and "--resume" in said
    else:
        assert "nothing is kept" in said and "--resume" not in said
    # The way that it tells, with what the command writes.
    assert f"-cd {source} | " in said and f"- {out} --input-format jsonl" in said
    streams(content)
    summary = annotate(
        ruler, "-", out, input_format="jsonl", chunk_size=chunk_size, resume=is_kept
    )
    assert summary.read == 100
    assert (summary.resumed > 0) == is_kept


def test_a_damaged_input_on_the_way_to_a_stream(tmp_path, annotate, ruler, streams):
    out = streams(gzip.compress(b'{"text": "a"}\n' * 10_000)[:-3])
    with pytest.raises(WnutError) as raised:
        annotate(ruler, "-", "-")
    written = len(out.getvalue().splitlines())
    assert f"{written:,} posts were annotated and written before" in str(raised.value)
    assert "kept" not in str(raised.value)


@pytest.mark.parametrize("target", ["out.parquet", "out.jsonl"])
def test_a_damaged_table_keeps_what_was_done(tmp_path, annotate, ruler, target):
    table = pa.table({"text": [f"post {i}" for i in range(3000)]})
    source = tmp_path / "a.parquet"
    pq.write_table(table, source, row_group_size=1000, compression="gzip")
    whole = bytearray(source.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 500] = b"\0" * 500
    source.write_bytes(whole)
    with pytest.raises(WnutError, match=r"1,000 posts are annotated .* --resume\.$"):
        annotate(ruler, source, tmp_path / target)


@pytest.mark.posix
def test_a_device_is_written_through(posts_file, tmp_path, annotate, ruler, capsys):
    before = os.stat("/dev/null")
    summary = annotate(ruler, posts_file, "/dev/null")
    assert (summary.annotated, summary.rejected) == (91, 9)
    assert len(capsys.readouterr().err.splitlines()) == 9
    after = os.stat("/dev/null")
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert not list(Path("/dev").glob("null.*"))
    for options, message in (
        ({"resume": True}, "--resume needs a file: /dev/null"),
        ({"output_format": "parquet"}, "parquet can't go to /dev/null: name a file"),
    ):
        with pytest.raises(WnutError, match=message):
            annotate(ruler, posts_file, "/dev/null", **options)


@pytest.mark.posix
def test_a_pipe_is_written_through(posts_file, tmp_path, annotate, ruler):
    annotate(ruler, posts_file, tmp_path / "out.jsonl")
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    annotate(ruler, posts_file, tmp_path / "pipe")
    reader.join()
    assert read == [(tmp_path / "out.jsonl").read_bytes()]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.posix
def test_an_open_file_is_not_cut_off(posts_file, tmp_path, annotate, ruler):
    with (tmp_path / "out").open("ab") as file:
        file.write(b"before\n")
        file.flush()
        annotate(ruler, posts_file, f"/dev/fd/{file.fileno()}")
    lines = (tmp_path / "out").read_bytes().splitlines()
    assert lines[0] == b"before" and len(lines) == 92


def test_the_input_is_never_the_output(posts_file, tmp_path, annotate, ruler):
    before = posts_file.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(posts_file)
    rejected = tmp_path / "out.jsonl.rejected.jsonl"
    rejected.write_bytes(before)
    for source, target in (
        (posts_file, posts_file),
        (posts_file, tmp_path / "link.jsonl"),
        (rejected, tmp_path / "out.jsonl"),
    ):
        with pytest.raises(WnutError, match="is the input, which would be replaced"):
            annotate(ruler, source, target, overwrite=True)
    assert posts_file.read_bytes() == rejected.read_bytes() == before


def test_rejections_of_others_stay(posts_file, tmp_path, annotate, ruler):
    rejected = tmp_path / "out.jsonl.rejected.jsonl"
    rejected.write_text("mine")
    for resume in (True, False):
        with pytest.raises(WnutError, match=r"rejected.jsonl is there already"):
            annotate(ruler, posts_file, tmp_path / "out.jsonl", resume=resume)
    assert rejected.read_text() == "mine"
    annotate(ruler, posts_file, tmp_path / "out.jsonl", overwrite=True)
    assert len(rejected.read_text().splitlines()) == 9
    # Of a run without rejections there are none.
    write_posts(posts_file, [{"text": "a"}])
    annotate(ruler, posts_file, tmp_path / "out.jsonl", overwrite=True)
    assert names(tmp_path) == ["out.jsonl", "posts.jsonl"]


def test_an_empty_output_that_is_compressed_is_valid(tmp_path, annotate, ruler):
    (tmp_path / "in.jsonl").write_bytes(b"")
    for suffix, unpack in (("gz", gzip), ("bz2", bz2), ("xz", lzma)):
        out = tmp_path / f"out.jsonl.{suffix}"
        annotate(ruler, tmp_path / "in.jsonl", out)
        assert out.read_bytes() and unpack.decompress(out.read_bytes()) == b""


def test_numbers_that_json_does_not_have(tmp_path, annotate, ruler, read_jsonl):
    line = '{"text": "Oslo", "lat": 1e400, "x": [NaN, -Infinity, 1.5]}\n'
    (tmp_path / "in.jsonl").write_text(line * 3)
    for target in ("out.jsonl", "out.spacy"):
        summary = annotate(ruler, tmp_path / "in.jsonl", tmp_path / target)
        assert (summary.annotated, summary.nulls) == (3, 9)
    post = read_jsonl(tmp_path / "out.jsonl")[0]
    assert (post["lat"], post["x"]) == (None, [None, None, 1.5])


OTHERS = {
    "offsets": "utf16",
    "unescape": True,
    "text_field": "data.text",
    "output_format": "doccano",
    "only_doubtful": (0.0, 0.5),
}


@pytest.mark.parametrize("option", OTHERS)
def test_options_that_change_the_output_are_the_same_on_resuming(
    tmp_path, annotate, tagger, monkeypatch, option
):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "in Oslo", "data": {"text": "in Oslo"}}\n' * 4)
    monkeypatch.setattr(local.Journal, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        annotate(tagger, source, out)
    monkeypatch.undo()
    name = option.replace("_", " ")
    with pytest.raises(WnutError, match=rf"begun with other settings \({name} was"):
        annotate(tagger, source, out, resume=True, **{option: OTHERS[option]})
    annotate(tagger, source, out, resume=True)
    assert names(tmp_path) == ["in.jsonl", "out.jsonl"]


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "output_format", ["jsonl", "label-studio", "docbin", "parquet"]
)
def test_posts_that_are_not_selected_are_counted(
    tmp_path, annotate, tagger, monkeypatch, output_format
):
    source, out = tmp_path / "in.jsonl", tmp_path / "out"
    lines = ['{"text": "Ada Lovelace moved to Oslo"}', '{"text": "nothing"}', "{}"]
    source.write_text("\n".join(lines * 4))
    options = {
        "only_doubtful": (0.0, 1.0),
        "output_format": output_format,
        "chunk_size": 2,
    }
    append = local.Journal.append

    def fail(self, done, read, digest):
        if read > 6:
            raise KeyboardInterrupt
        append(self, done, read, digest)

    with monkeypatch.context() as patch:
        patch.setattr(local.Journal, "append", fail)
        with pytest.raises(KeyboardInterrupt):
            annotate(tagger, source, out, **options)
    # The interval is the same after JSON.
    summary = annotate(tagger, source, out, resume=True, **options)
    assert summary.resumed == 6
    assert (summary.read, summary.annotated) == (12, 4)
    assert (summary.rejected, summary.unselected) == (4, 4)


def test_no_post_selected_is_no_failure(tmp_path, annotate, tagger, capfdbinary):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "nothing"}\n' * 3 + "{}\n" * 2)
    for target in (tmp_path / "out.jsonl", "-"):
        summary = annotate(tagger, source, target, only_doubtful=(0.0, 1.0))
        assert (summary.annotated, summary.rejected, summary.unselected) == (0, 2, 3)
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_threshold_within_the_interval_is_noted(tmp_path, annotate, tagger):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "nothing"}\n')
    options = {"threshold": 0.5, "only_doubtful": (0.0, 1.0)}
    for target in (tmp_path / "out.jsonl", "-"):
        assert "below 0.5" in annotate(tagger, source, target, **options).note


def test_unescaped_words_are_written_where_there_are_no_offsets(
    tmp_path, annotate, ruler
):
    (tmp_path / "in.txt").write_text("in Oslo &amp; x\n")
    for name in ("out.conll", "out.spacy"):
        annotate(ruler, tmp_path / "in.txt", tmp_path / name, unescape=True)
    assert "&\tO\n" in (tmp_path / "out.conll").read_text()
    docs = DocBin(store_user_data=True).from_disk(tmp_path / "out.spacy")
    [doc] = docs.get_docs(spacy.blank("en").vocab)
    assert doc.text == "in Oslo & x"
    assert doc.user_data["record"] == {"text": "in Oslo &amp; x"}
    assert [ent.text for ent in doc.ents] == ["Oslo"]


def test_columns_with_dots_in_csv_are_literal(tmp_path, annotate, ruler, read_jsonl):
    (tmp_path / "in.csv").write_text("id,data.text\n7,in Oslo\n")
    annotate(ruler, tmp_path / "in.csv", tmp_path / "o.jsonl", text_field="data.text")
    [post] = read_jsonl(tmp_path / "o.jsonl")
    assert [entity["text"] for entity in post["entities"]] == ["Oslo"]
    with pytest.raises(WnutError, match=r"has no column 'a\.b' \(it has 'id', 'data"):
        annotate(ruler, tmp_path / "in.csv", tmp_path / "p.jsonl", text_field="a.b")
