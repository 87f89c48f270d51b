import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spacy_wnut import files
from spacy_wnut.errors import WnutError
from spacy_wnut.files import check_out, replacing

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def tree(folder):
    """The files under a folder with their text, or the text of a file."""
    if folder.is_file():
        return folder.read_text()
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


def write_file(path, text="new"):
    path.write_text(text)


def write_folder(path, text="new"):
    path.mkdir()
    (path / "inside.txt").write_text(text)


def test_a_new_file_is_put_in_place_with_its_folders(tmp_path):
    with replacing(tmp_path / "a" / "b" / "figures.json") as beside:
        write_file(beside)
    assert tree(tmp_path) == {"a": None, "a/b": None, "a/b/figures.json": "new"}


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    write_file(tmp_path / "figures.json", "old")
    with replacing(tmp_path / "figures.json") as beside:
        write_file(beside)
        assert (tmp_path / "figures.json").read_text() == "old"
    assert tree(tmp_path) == {"figures.json": "new"}


def test_a_folder_takes_the_place_of_the_old_one_as_a_whole(tmp_path):
    write_folder(tmp_path / "model", "old")
    (tmp_path / "model" / "left_over.txt").write_text("old")
    with replacing(tmp_path / "model") as beside:
        write_folder(beside)
        assert len(tree(tmp_path / "model")) == 2
    assert tree(tmp_path) == {"model": None, "model/inside.txt": "new"}


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_where_a_link_leads_to_is_replaced(tmp_path, write):
    (tmp_path / "disk").mkdir()
    write(tmp_path / "disk" / "v1", "old")
    (tmp_path / "relative").symlink_to("disk/v1")
    (tmp_path / "thing").symlink_to(tmp_path / "relative")
    with replacing(tmp_path / "thing") as beside:
        write(beside)
    assert (tmp_path / "thing").is_symlink() and (tmp_path / "relative").is_symlink()
    found = tmp_path / "disk" / "v1"
    assert (found / "inside.txt" if found.is_dir() else found).read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_to_nothing_yet_is_kept(tmp_path):
    (tmp_path / "thing").symlink_to("later/thing.json")
    with replacing(tmp_path / "thing") as beside:
        write_file(beside)
    assert (tmp_path / "thing").is_symlink()
    assert (tmp_path / "later" / "thing.json").read_text() == "new"


@pytest.mark.parametrize(
    "old, new, message",
    [
        (write_folder, write_file, "is a folder, which is not replaced by a file"),
        (write_file, write_folder, "is a file, which is not replaced by a folder"),
    ],
)
def test_a_file_and_a_folder_do_not_replace_each_other(tmp_path, old, new, message):
    old(tmp_path / "thing", "old")
    before = tree(tmp_path)
    with pytest.raises(WnutError, match=message):
        with replacing(tmp_path / "thing") as beside:
            new(beside)
    assert tree(tmp_path) == before


@pytest.mark.posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_the_mode_of_a_file_is_kept(tmp_path, mode):
    write_file(tmp_path / "thing", "old")
    (tmp_path / "thing").chmod(mode)
    with replacing(tmp_path / "thing") as beside:
        write_file(beside)
    assert stat.S_IMODE((tmp_path / "thing").stat().st_mode) == mode


@pytest.mark.posix
def test_the_mode_of_a_folder_is_kept(tmp_path):
    write_folder(tmp_path / "thing", "old")
    (tmp_path / "thing").chmod(0o710)
    with replacing(tmp_path / "thing") as beside:
        write_folder(beside)
    assert stat.S_IMODE((tmp_path / "thing").stat().st_mode) == 0o710


def test_the_mode_of_new_files_is_that_of_any_other(tmp_path):
    write_file(tmp_path / "plain")
    write_folder(tmp_path / "folder")
    for name, write in (("file", write_file), ("model", write_folder)):
        with replacing(tmp_path / name) as beside:
            write(beside)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "folder").stat().st_mode


@pytest.mark.posix
def test_a_device_stays_one():
    before = os.stat("/dev/null")
    with replacing(Path("/dev/null")) as beside:
        write_file(beside)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert os.stat("/dev/null").st_ino == before.st_ino


@pytest.mark.posix
def test_a_link_to_a_device_stays_one(tmp_path):
    (tmp_path / "null").symlink_to("/dev/null")
    with replacing(tmp_path / "null") as beside:
        write_file(beside)
    assert os.readlink(tmp_path / "null") == "/dev/null"
    assert list(tmp_path.iterdir()) == [tmp_path / "null"]


@needs_fork
def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with replacing(tmp_path / "pipe") as beside:
            write_file(beside)
            assert os.read(reader, 9) == b""
        assert os.read(reader, 9) == b"new"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


SCRIPT = """
from pathlib import Path
from spacy_wnut.files import replacing
print("before")
with replacing(Path("/dev/stdout")) as beside:
    beside.write_text("figures\\n")
print("after")
"""


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="no /dev/stdout here")
@pytest.mark.parametrize("is_file", [True, False])
def test_standard_output_is_written_to(tmp_path, is_file):
    # What it is redirected to is neither replaced nor cut off.
    out = tmp_path / "out.txt"
    run = [sys.executable, "-c", SCRIPT]
    if is_file:
        with out.open("ab") as sink:
            subprocess.run(run, stdout=sink, check=True)
        written = out.read_text()
    else:
        written = subprocess.run(run, stdout=subprocess.PIPE, text=True).stdout
    assert written == "before\nfigures\nafter\n"


@pytest.mark.posix
def test_a_folder_is_not_written_to_a_device():
    with pytest.raises(WnutError, match="/dev/null is a device or a pipe: name a fol"):
        with replacing(Path("/dev/null")) as beside:
            write_folder(beside)


def run_until(step, block):
    """Run a block in a forked process that is killed before its so manieth system call
    on a path. RETURNS: Whether it was killed.
    """
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    count = 0

    def hook(event, args):
        nonlocal count
        if event in ("open", "shutil.rmtree") or event.startswith("os."):
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(hook)
        block()
    finally:
        os._exit(0)


@needs_fork
@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    tmp_path, monkeypatch, write, can_exchange
):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    thing = tmp_path / "thing"
    write(thing, "old")
    expected = {"old": tree(thing)}
    with replacing(thing) as beside:
        write(beside, "new")
    expected["new"] = tree(thing)
    with replacing(thing) as beside:
        write(beside, "old")
    missing = []

    def replace(text="new"):
        with replacing(thing) as beside:
            write(beside, text)

    step = 1
    while run_until(step, replace):
        if thing.exists():
            assert tree(tmp_path / "thing") in expected.values()
        else:
            missing.append(step)
        # The next call finds the old one again, also if it fails.
        with pytest.raises(ValueError), replacing(thing) as beside:
            raise ValueError
        assert tree(thing) in expected.values()
        replace("old")
        step += 1
    assert step > 5
    assert tree(thing) == expected["new"]
    # Of a folder that can't be exchanged, between its two renames.
    assert len(missing) == (write is write_folder and not can_exchange)


def test_linux_exchanges_folders_in_one_step(tmp_path):
    write_folder(tmp_path / "one", "1")
    write_folder(tmp_path / "other", "2")
    is_exchanged = files._exchange(tmp_path / "one", tmp_path / "other")
    assert is_exchanged or sys.platform != "linux"
    if is_exchanged:
        assert tree(tmp_path)["one/inside.txt"] == "2"
        assert tree(tmp_path)["other/inside.txt"] == "1"
    assert not files._exchange(tmp_path / "one", tmp_path / "nowhere")


@pytest.mark.parametrize(
    "out, relation",
    [
        ("model", "is model"),
        ("model/", "is model"),
        ("elsewhere/../model", "is model"),
        ("link", "is model"),
        ("model/out", "is inside model"),
        ("model/a/b/c", "is inside model"),
        ("link/out", "is inside model"),
        ("MODEL/../model/out", "is inside model"),
        (".", "holds model"),
    ],
)
def test_nothing_is_written_to_what_is_read(tmp_path, monkeypatch, out, relation):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "model")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "MODEL").mkdir(exist_ok=True)
    (tmp_path / "link").symlink_to("model")
    with pytest.raises(WnutError, match=f"{relation}, which is read: name another"):
        check_out(Path(out), ["", "en_installed", Path("model")])


@pytest.mark.parametrize("out", ["model-2", "elsewhere/model", "out/model", "modelled"])
def test_what_only_looks_alike_may_be_written(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "model")
    check_out(Path(out), ["", "en_installed", Path("model")], "meta.json")


def test_a_folder_of_another_kind_is_not_replaced(tmp_path):
    check_out(tmp_path / "new", [], "meta.json")
    check_out(tmp_path, [], "meta.json")
    write_file(tmp_path / "thesis.txt")
    with pytest.raises(WnutError, match=r"holds other files \(it has no meta\.json\)"):
        check_out(tmp_path, [], "meta.json")
    write_file(tmp_path / "meta.json")
    check_out(tmp_path, [], "meta.json")


def test_the_working_directory_is_not_replaced(tmp_path, monkeypatch):
    write_folder(tmp_path / "model")
    write_file(tmp_path / "model" / "meta.json")
    (tmp_path / "model" / "vocab").mkdir()
    for place in ("model", "model/vocab"):
        monkeypatch.chdir(tmp_path / place)
        with pytest.raises(WnutError, match="is the working directory or a folder"):
            check_out(tmp_path / "model", [], "meta.json")


def test_what_is_yielded_has_the_same_name_and_is_not_there_yet(tmp_path):
    with replacing(tmp_path / "data.tar.gz") as beside:
        assert beside.name == "data.tar.gz"
        assert not beside.exists()
        # A rename within a file system is what makes it atomic.
        assert beside.is_relative_to(tmp_path)
        write_file(beside)


@pytest.mark.parametrize("write", [write_file, write_folder])
@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_keeps_the_old_and_leaves_no_litter(tmp_path, write, fault):
    write(tmp_path / "thing", "old")
    before = tree(tmp_path)
    with pytest.raises(fault):
        with replacing(tmp_path / "thing") as beside:
            write(beside)
            raise fault
    assert tree(tmp_path) == before


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_where_nothing_was(tmp_path, fault):
    with pytest.raises(fault):
        with replacing(tmp_path / "thing") as beside:
            write_folder(beside)
            raise fault
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_block_that_writes_nothing_fails_and_keeps_the_old(tmp_path, write):
    write(tmp_path / "thing", "old")
    before = tree(tmp_path)
    with pytest.raises(FileNotFoundError):
        with replacing(tmp_path / "thing"):
            pass
    assert tree(tmp_path) == before


def test_the_last_of_two_writers_wins(tmp_path):
    with replacing(tmp_path / "thing") as first:
        with replacing(tmp_path / "thing") as second:
            write_folder(first, "first")
            write_folder(second, "second")
    assert tree(tmp_path) == {"thing": None, "thing/inside.txt": "first"}
