"""Runs that are killed at any point go on to the very same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spacy_wnut.bulk import annotator as annotators
from spacy_wnut.bulk import journal as journals
from spacy_wnut.bulk.annotator import Annotator
from spacy_wnut.bulk.settings import Settings

pytestmark = pytest.mark.posix
resource = pytest.importorskip("resource", reason="needs POSIX")

TARGETS = ["out.jsonl", "out.jsonl.gz", "out.conll", "out.parquet", "out.spacy"]


def in_child(work):
    """Do something in a copy of this process. Returns how it ended: the exit status,
    or the signal as a negative number.
    """
    child = os.fork()
    if not child:
        # What the copy says would be in the middle of the report.
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(step):
    """Kill this process at a step of the journal: in the middle of writing something,
    or before moving or removing a file. Returns how many steps were taken so far.
    """
    taken = [0]

    def is_time():
        taken[0] += 1
        return taken[0] == step

    def end():
        os.kill(os.getpid(), signal.SIGKILL)

    def store(file, data, original=journals._store):
        if is_time():
            file.write(data[: len(data) // 2])
            file.flush()
            end()
        original(file, data)

    def before(original):
        def call(self, *args, **kwargs):
            if is_time():
                end()
            return original(self, *args, **kwargs)

        return call

    journals._store = store
    for name in ("replace", "unlink", "rmdir", "chmod"):
        setattr(Path, name, before(getattr(Path, name)))
    return taken


@pytest.fixture(scope="module")
def loaded(ruler):
    """The pipeline is loaded once for all runs in this process and its copies."""
    annotator = Annotator(Settings(ruler))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotators, "Annotator", lambda settings: annotator)
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, annotate, ruler, loaded):
    """For each target the files of a run that nothing happens to."""
    from .conftest import make_posts

    folder = tmp_path_factory.mktemp("undisturbed")
    posts = folder / "posts.jsonl"
    posts.write_text("\n".join(make_posts(30)) + "\n", encoding="utf8")
    whole = {}
    for target in TARGETS:
        annotate(ruler, posts, folder / target, chunk_size=8)
        whole[target] = files_of(folder / target)
        assert len(whole[target]) == 2
    return posts, whole


def files_of(target):
    """What is there of an output, by name."""
    return {
        path.name: path.read_bytes() if path.is_file() else None
        for path in target.parent.glob(f"{target.name}*")
        if not path.name.endswith(".gz") or path.name == target.name
        if not (target.name == "out.jsonl" and path.name.startswith("out.jsonl.gz"))
    }


def count_steps(annotate, ruler, posts, target):
    """How many steps a whole run has."""
    read, write = os.pipe()

    def work():
        taken = kill_at(-1)
        annotate(ruler, posts, target, chunk_size=8, overwrite=True)
        os.write(write, str(taken[0]).encode())

    assert in_child(work) == 0
    os.close(write)
    with os.fdopen(read) as file:
        return int(file.read())


@pytest.mark.parametrize("target", TARGETS)
def test_killed_at_any_step(undisturbed, tmp_path, annotate, ruler, target):
    posts, whole = undisturbed
    out = tmp_path / target
    n_steps = count_steps(annotate, ruler, posts, out)
    # Settings, 4 chunks of 3 writes, the end, and files to move and remove.
    assert n_steps >= 18
    steps = range(1, n_steps + 1)
    if target != "out.jsonl":
        # The last ones are where formats differ.
        steps = [*random.Random(0).sample(steps[:-7], 2), *steps[-7:]]
    for step in steps:
        for path in tmp_path.glob("*"):
            if path.is_file():
                path.unlink()

        def killed(step=step):
            kill_at(step)
            annotate(ruler, posts, out, chunk_size=8)

        assert in_child(killed) == -signal.SIGKILL
        annotate(ruler, posts, out, chunk_size=8, resume=True)
        assert files_of(out) == whole[target], f"killed at step {step} of {n_steps}"


@pytest.mark.parametrize("is_link", [False, True])
def test_killed_while_replacing(undisturbed, tmp_path, annotate, ruler, is_link):
    """An earlier output is there, or the new one, but never none."""
    posts, whole = undisturbed
    link = out = tmp_path / "out.jsonl"
    if is_link:
        link, out = tmp_path / "out.jsonl", tmp_path / "disk" / "real.jsonl"
        out.parent.mkdir()
        link.symlink_to(out)
    options = {"chunk_size": 8, "overwrite": True}
    out.write_text("old")
    n_steps = count_steps(annotate, ruler, posts, link)
    for step in range(n_steps - 8, n_steps + 1):
        for path in (out, journals.rejected_path(link)):
            path.write_text("old")
            path.chmod(0o640)

        def killed(step=step):
            kill_at(step)
            annotate(ruler, posts, link, **options)

        assert in_child(killed) == -signal.SIGKILL
        assert out.read_bytes() in (b"old", whole["out.jsonl"]["out.jsonl"])
        annotate(ruler, posts, link, chunk_size=8, resume=True)
        assert files_of(link) == whole["out.jsonl"], f"killed at step {step}"
        assert link.is_symlink() == is_link
        assert out.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again(undisturbed, tmp_path, annotate, ruler, seed):
    posts, whole = undisturbed
    chance = random.Random(seed)
    target = chance.choice(TARGETS)
    out = tmp_path / target
    for _ in range(12):
        step = chance.randint(1, 8)

        def killed(step=step):
            kill_at(step)
            annotate(ruler, posts, out, chunk_size=8, resume=True)

        if in_child(killed) == 0:
            break
    annotate(ruler, posts, out, chunk_size=8, resume=True)
    assert files_of(out) == whole[target]


@pytest.mark.parametrize("target", ["out.jsonl", "out.parquet"])
def test_a_disk_that_fills_up(undisturbed, tmp_path, annotate, ruler, target):
    posts, whole = undisturbed
    out = tmp_path / target
    limits = [100, 700, 1500, 2600, 4000, 10**9]

    for limit in limits:

        def limited(limit=limit):
            # The kernel refuses to make any file longer, as on a full disk.
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            annotate(ruler, posts, out, chunk_size=8, resume=True)

        if in_child(limited) == 0:
            break
        assert not out.exists()
    assert limit > limits[1]
    assert files_of(out) == whole[target]


@pytest.mark.slow
def test_the_command_interrupted_with_two_processes(tmp_path, annotate, ruler):
    from .conftest import make_posts

    posts, out = tmp_path / "posts.jsonl", tmp_path / "out.jsonl"
    posts.write_text("\n".join(make_posts(1_000)) + "\n", encoding="utf8")
    command = [sys.executable, "-m", "spacy_wnut", "annotate", ruler, posts, out]
    options = ["--chunk-size", "10", "--n-process", "2"]
    with subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, encoding="utf8"
    ) as run:
        journal = journals.partial_path(out) / "journal.jsonl"
        while run.poll() is None and not (
            journal.exists() and journal.stat().st_size > 1000
        ):
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=60)[1]
    assert run.returncode == 130
    assert "Traceback" not in said
    assert "Interrupted. The same command with --resume continues" in " ".join(
        said.split()
    )
    assert not out.exists()
    summary = annotate(ruler, posts, out, chunk_size=10, resume=True)
    assert 0 < summary.resumed < summary.read == 1_000
    annotate(ruler, posts, tmp_path / "whole.jsonl", chunk_size=10)
    for name in ("{}.jsonl", "{}.jsonl.rejected.jsonl"):
        one, two = ((tmp_path / name.format(n)).read_bytes() for n in ("out", "whole"))
        assert one == two
