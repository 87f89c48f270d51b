import errno
import json
from pathlib import Path

import pytest

from spacy_wnut.bulk import journal as journals
from spacy_wnut.bulk.formats.jsonl import JsonlWriter
from spacy_wnut.bulk.journal import (
    Done,
    Journal,
    State,
    check_output,
    is_finished,
    partial_path,
    rejected_path,
)
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.errors import WnutError

FACTS = {"threshold": 0.5, "pipeline": "abc"}
WRITER = JsonlWriter(Settings("m"))


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.jsonl"


def done(*posts, rejected=()):
    segment = "".join(f"{post}\n" for post in posts).encode()
    return Done(segment, list(rejected), len(posts), 2 * len(posts))


def begin(output, resume=False, overwrite=False, **facts):
    return Journal(output, {**FACTS, **facts}, resume, overwrite)


def test_a_run_that_ends_well_leaves_the_output_alone(output):
    with begin(output) as journal:
        journal.append(done("1", "2", rejected=['{"line": 3}']), 3, "x")
        journal.append(done("4"), 4, "y")
        assert not output.exists()
        assert journal.state == State(4, 3, 1, 6, 6, 12, "y")
        journal.finish(WRITER)
    assert output.read_text() == "1\n2\n4\n"
    assert rejected_path(output).read_text() == '{"line": 3}\n'
    assert not partial_path(output).exists()
    assert is_finished(output)


def test_old_rejections_go_with_overwrite_alone(output):
    rejected_path(output).write_text("old")
    with begin(output, overwrite=True) as journal:
        journal.append(done("1"), 1, "x")
    # Known to a run that goes on, too.
    with begin(output, resume=True) as journal:
        journal.finish(WRITER)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize("place", [lambda path: path, rejected_path])
def test_a_file_that_came_in_the_meantime_is_kept(output, place):
    with begin(output) as journal:
        journal.append(done("1", rejected=["a"]), 2, "x")
        place(output).write_text("mine")
        with pytest.raises(WnutError, match=r"in the meantime.*rename.*--resume"):
            journal.finish(WRITER)
    assert place(output).read_text() == "mine"
    place(output).unlink()
    with begin(output, resume=True) as journal:
        journal.finish(WRITER)
    assert output.read_text() == "1\n"
    assert rejected_path(output).read_text() == "a\n"


@pytest.mark.parametrize("is_there", [True, False])
def test_the_target_of_a_link_is_replaced(output, tmp_path, is_there):
    target = tmp_path / "elsewhere" / "real.jsonl"
    target.parent.mkdir()
    if is_there:
        target.write_text("old")
    output.symlink_to(target)
    with begin(output, overwrite=True) as journal:
        journal.append(done("1", rejected=["a"]), 2, "x")
        journal.finish(WRITER)
    assert output.is_symlink() and not target.is_symlink()
    assert target.read_text() == "1\n"
    assert rejected_path(output).read_text() == "a\n"
    assert not partial_path(output).exists()
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.posix
def test_a_link_to_another_disk(output, tmp_path, monkeypatch):
    target = tmp_path / "elsewhere" / "real.jsonl"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    output.symlink_to(target)
    replace = Path.replace

    def refuse(path, where):
        if path.parent == partial_path(output):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(path, where)

    with begin(output, overwrite=True) as journal:
        journal.append(done("1"), 1, "x")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", refuse)
            journal.finish(WRITER)
    assert output.is_symlink() and target.read_text() == "1\n"
    assert target.stat().st_mode & 0o777 == 0o640
    assert not partial_path(output).exists()


@pytest.mark.posix
def test_the_mode_of_a_file_is_kept(output):
    for path in (output, rejected_path(output)):
        path.write_text("old")
        path.chmod(0o604)
    with begin(output, overwrite=True) as journal:
        journal.append(done("1", rejected=["a"]), 2, "x")
        journal.finish(WRITER)
    for path in (output, rejected_path(output)):
        assert path.stat().st_mode & 0o777 == 0o604
    assert output.read_text() == "1\n"
    assert rejected_path(output).read_text() == "a\n"


def test_what_is_in_the_way_is_refused_at_the_start(output):
    rejected_path(output).write_text("mine")
    for resume in (False, True):
        with pytest.raises(WnutError, match=r"rejected.jsonl is there already"):
            check_output(output, resume, overwrite=False)
    check_output(output, resume=False, overwrite=True)
    rejected_path(output).unlink()
    rejected_path(output).mkdir()
    with pytest.raises(WnutError, match="is a folder"):
        check_output(output, resume=False, overwrite=True)
    rejected_path(output).rmdir()
    partial_path(output).write_text("mine")
    with pytest.raises(WnutError, match="no folder of an unfinished output"):
        check_output(output, resume=False, overwrite=True)
    output.symlink_to(output)
    with pytest.raises(WnutError, match="can't be written: "):
        check_output(output, resume=False, overwrite=True)


def test_going_on_cuts_off_what_was_not_noted(output):
    with begin(output) as journal:
        journal.append(done("1", rejected=["a"]), 2, "x")
    folder = partial_path(output)
    for name in ("segments", "rejected.jsonl", "journal.jsonl"):
        with (folder / name).open("ab") as file:
            file.write(b'{"half')
    with begin(output, resume=True) as journal:
        assert journal.state == State(2, 1, 1, 2, 2, 2, "x")
        journal.append(done("3"), 3, "y")
        journal.finish(WRITER)
    assert output.read_text() == "1\n3\n"
    assert rejected_path(output).read_text() == "a\n"


def test_beginning_anew_forgets_what_was_there(output):
    with begin(output) as journal:
        journal.append(done("1", rejected=["a"]), 2, "x")
    with begin(output, threshold=0.7) as journal:
        assert journal.state == State()
        journal.append(done("3"), 1, "y")
        journal.finish(WRITER)
    assert output.read_text() == "3\n"
    assert not rejected_path(output).exists()


def test_what_failed_before_the_first_chunk_leaves_nothing(output):
    with pytest.raises(ZeroDivisionError), begin(output):
        raise ZeroDivisionError
    assert list(output.parent.iterdir()) == []


def test_going_on_with_other_settings_is_refused(output):
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
    message = r"other settings \(threshold was 0.5 and is None\): .*--overwrite"
    with pytest.raises(WnutError, match=message):
        begin(output, resume=True, threshold=None)
    begin(output, resume=True)


@pytest.mark.parametrize("content", [b"", b'{"settings": {"thresh'])
def test_a_journal_without_a_first_line_is_none(output, content):
    partial_path(output).mkdir()
    (partial_path(output) / "journal.jsonl").write_bytes(content)
    with begin(output, resume=True, threshold=0.1) as journal:
        assert journal.state == State()
        journal.append(done("1"), 1, "x")
    with begin(output, resume=True, threshold=0.1) as journal:
        assert journal.state.read == 1


def test_two_processes_at_once_are_refused(output):
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
        with pytest.raises(WnutError, match="another process is writing"):
            begin(output, resume=True)
    begin(output, resume=True)


@pytest.mark.parametrize("name", ["segments", "rejected.jsonl"])
@pytest.mark.parametrize("n_kept", [0, 1])
def test_a_file_that_lost_something_is_noticed(output, name, n_kept):
    with begin(output) as journal:
        journal.append(done("1", rejected=["a"]), 2, "x")
    path = partial_path(output) / name
    assert len(path.read_bytes()) == 2
    path.write_bytes(path.read_bytes()[:n_kept])
    with pytest.raises(WnutError, match="is damaged: a file in it is shorter"):
        begin(output, resume=True)


@pytest.mark.parametrize(
    "name, content", [("segments", b"1\n"), ("rejected.jsonl", b"a\nb\n")]
)
def test_a_record_that_is_missing_is_noticed_in_the_end(output, name, content):
    with begin(output) as journal:
        journal.append(done("1", "2", rejected=["a"]), 3, "x")
        (partial_path(output) / name).write_bytes(content)
        with pytest.raises(WnutError, match="3 records were read, 2 annotated and 1"):
            journal.finish(WRITER)
    assert not output.exists()


def test_a_record_that_was_never_answered_is_noticed(output):
    with begin(output) as journal:
        journal.append(done("1"), 2, "x")
        with pytest.raises(WnutError, match="2 records were read, 1 annotated and 0"):
            journal.finish(WRITER)


def test_what_is_there_is_kept_unless_told_otherwise(output):
    check_output(output, resume=False, overwrite=False)
    output.write_text("old")
    with pytest.raises(WnutError, match=r"is there already: .*--overwrite"):
        check_output(output, resume=False, overwrite=False)
    check_output(output, resume=True, overwrite=False)
    check_output(output, resume=False, overwrite=True)
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
    assert not is_finished(output)
    with pytest.raises(WnutError, match="isn't finished: go on with --resume"):
        check_output(output, resume=False, overwrite=False)
    check_output(output, resume=True, overwrite=False)
    with pytest.raises(WnutError, match="is a folder"):
        check_output(output.parent, resume=False, overwrite=True)


def test_every_line_of_the_journal_can_be_read(output):
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
    lines = (partial_path(output) / "journal.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"settings": FACTS, "overwrite": False}
    assert json.loads(lines[1])["read"] == 1


class Killed(BaseException):
    pass


@pytest.mark.parametrize("n_placed", [0, 1])
def test_run_killed_while_it_places_its_files_is_finished_by_a_resumed_run(
    output, monkeypatch, n_placed
):
    for path in (output, rejected_path(output)):
        path.write_text("old")
    placed = []
    put = journals._put

    def put_some(path, target):
        if len(placed) == n_placed:
            raise Killed
        placed.append(target)
        put(path, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(journals, "_put", put_some)
        with begin(output, overwrite=True) as journal:
            journal.append(done("1", rejected=["a"]), 2, "x")
            journal.finish(WRITER)
    # The old output must not pass for the new one.
    assert output.read_text() == "old"
    assert not is_finished(output)
    with begin(output, resume=True) as journal:
        # Nothing is left to annotate.
        assert journal.is_committed
    assert output.read_text() == "1\n"
    assert rejected_path(output).read_text() == "a\n"
    assert is_finished(output) and not partial_path(output).exists()


class Assembler(JsonlWriter):
    """Assembles its file, as the writers of parquet and DocBin do."""

    is_plain = False

    def assemble(self, segments, path):
        path.write_bytes(b"".join(segments))


def test_assembled_file_is_synced_before_the_journal_says_so(output, monkeypatch):
    events = []
    fsync, note = journals.os.fsync, Journal._note

    def record_fsync(fd):
        events.append(journals.os.fstat(fd).st_ino)
        fsync(fd)

    def record_note(journal, entry):
        if "finished" in entry:
            whole = partial_path(output) / entry["finished"]
            events.append(("finished", whole.stat().st_ino))
        note(journal, entry)

    monkeypatch.setattr(journals.os, "fsync", record_fsync)
    monkeypatch.setattr(Journal, "_note", record_note)
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
        journal.finish(Assembler(Settings("m")))
    [place] = [i for i, event in enumerate(events) if isinstance(event, tuple)]
    assert events[place][1] in events[:place]
    assert output.read_text() == "1\n"


def test_last_of_several_chunks_is_the_state_of_a_resumed_run(tmp_path):
    # Neither the folder of the output nor its parent exists yet.
    output = tmp_path / "new" / "folder" / "out.jsonl"
    with begin(output) as journal:
        for i in range(1, 5):
            journal.append(done(str(i)), i, f"digest {i}")
    with begin(output, resume=True) as journal:
        assert (journal.state.read, journal.state.digest) == (4, "digest 4")
        journal.finish(Assembler(Settings("m")))
    assert output.read_text() == "1\n2\n3\n4\n"


def test_message_on_missing_records_has_the_numbers_of_both_files(output):
    with begin(output) as journal:
        journal.append(done("1", "2", rejected=["a"]), 4, "x")
        with pytest.raises(WnutError, match=r"there are 2 and 1 in .*out\.jsonl\.part"):
            journal.finish(WRITER)


def message_of(call, *args, **options):
    """The message of the error that a call raises."""
    with pytest.raises(WnutError) as err:
        call(*args, **options)
    return str(err.value)


def test_messages_name_the_file_and_the_way_on(output):
    folder = partial_path(output)
    assert message_of(check_output, output.parent, resume=False, overwrite=True) == (
        f"{output.parent} is a folder: give another file to write to"
    )
    output.write_text("old")
    assert message_of(check_output, output, resume=False, overwrite=False) == (
        f"{output} is there already: give another name, or replace it with --overwrite"
    )
    output.unlink()
    folder.write_text("mine")
    assert message_of(check_output, output, resume=False, overwrite=True) == (
        f"{folder} is there, and is no folder of an unfinished output: rename it"
    )
    folder.unlink()
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
        assert message_of(begin, output, resume=True) == (
            f"another process is writing {output}: wait for it, or end it first"
        )
    assert message_of(check_output, output, resume=False, overwrite=False) == (
        f"{output} was begun and isn't finished: go on with --resume, or begin anew with "
        "--overwrite"
    )
    changed = {"threshold": 0.7, "added": "b"}
    assert message_of(begin, output, resume=True, **changed) == (
        f"{output} was begun with other settings (added was None and is 'b'; threshold "
        "was 0.5 and is 0.7): go on with the same, or begin anew with --overwrite"
    )
    with begin(output, resume=True) as journal:
        output.write_text("mine")
        assert message_of(journal.finish, WRITER) == (
            f"{output} was created by something else in the meantime. All is annotated: "
            "rename that file, and finish with --resume"
        )
        journal.append(done("2"), 3, "y")
        assert message_of(journal.finish, WRITER) == (
            f"3 records were read, 2 annotated and 0 rejected, but there are 2 and 0 in "
            f"{folder}, and 0 were not selected. This is a bug: please report it"
        )
    (folder / "segments").write_bytes(b"")
    assert message_of(begin, output, resume=True) == (
        f"{folder} is damaged: a file in it is shorter than its journal says. Begin anew "
        "with --overwrite"
    )


def test_numbers_written_as_null_are_summed(output):
    with begin(output) as journal:
        journal.append(done("1")._replace(nulls=2), 1, "x")
        journal.append(done("2")._replace(nulls=3), 2, "y")
        assert journal.state.nulls == 5
    with begin(output, resume=True) as journal:
        assert journal.state.nulls == 5


def test_rejected_lines_are_read_before_the_end(output):
    with begin(output) as journal:
        journal.append(done(rejected=["é", "b"]), 2, "x")
        assert list(journal.rejected_lines()) == ["é\n", "b\n"]


def test_file_of_another_program_in_the_folder_stays(output):
    mine = partial_path(output) / "mine.txt"
    with begin(output):
        mine.write_text("mine")
    # Nothing was read, so that the run removes its own files.
    assert list(partial_path(output).iterdir()) == [mine]
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
        journal.finish(WRITER)
    assert list(partial_path(output).iterdir()) == [mine]
    assert is_finished(output)
    assert mine.read_text() == "mine"


@pytest.mark.posix
def test_run_whose_files_are_gone_ends_without_an_error(output):
    with begin(output):
        (partial_path(output) / "segments").unlink()
    assert list(output.parent.iterdir()) == []


def test_empty_folder_of_a_finished_run_is_removed(output):
    assert not is_finished(output)
    output.write_text("1\n")
    partial_path(output).mkdir()
    assert is_finished(output)
    assert not partial_path(output).exists()


class Headed(JsonlWriter):
    """Writes a header into an empty file, as the writer of CSV would."""

    def _encode(self, chunk, found):
        assert (chunk.records, found) == ([], {})
        return "header\n"

    def count(self, path):
        return path.read_bytes().count(b"\n") - path.read_bytes().count(b"header")


def test_only_an_empty_output_gets_the_segment_of_no_records(output):
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
        journal.finish(Headed(Settings("m")))
    assert output.read_text() == "1\n"
    with begin(output, overwrite=True) as journal:
        journal.append(done(rejected=["a"]), 1, "x")
        journal.finish(Headed(Settings("m")))
    assert output.read_text() == "header\n"


def test_missing_folders_of_a_linked_file_are_made(output, tmp_path):
    target = tmp_path / "new" / "folder" / "real.jsonl"
    output.symlink_to(target)
    with begin(output) as journal:
        journal.append(done("1"), 1, "x")
        journal.finish(WRITER)
    assert output.is_symlink() and target.read_text() == "1\n"


def test_run_that_may_not_replace_the_output_is_finished_by_a_resumed_run(
    output, monkeypatch
):
    replace = Path.replace

    def refuse(path, where):
        if path.parent == partial_path(output):
            raise PermissionError(errno.EACCES, "Permission denied")
        return replace(path, where)

    with (
        monkeypatch.context() as patch,
        pytest.raises(PermissionError),
        begin(output) as journal,
    ):
        patch.setattr(Path, "replace", refuse)
        journal.append(done("1", rejected=["a"]), 2, "x")
        journal.finish(WRITER)
    assert not output.exists() and not is_finished(output)
    with begin(output, resume=True) as journal:
        assert journal.is_committed
    assert output.read_text() == "1\n"
    assert rejected_path(output).read_text() == "a\n"


def test_journal_without_a_word_on_overwriting_keeps_other_files(output):
    with begin(output, overwrite=True) as journal:
        journal.append(done("1"), 1, "x")
    path = partial_path(output) / "journal.jsonl"
    path.write_text(path.read_text().replace(', "overwrite": true', ""))
    assert "overwrite" not in path.read_text()
    output.write_text("mine")
    with begin(output, resume=True) as journal:
        assert "in the meantime" in message_of(journal.finish, WRITER)
    assert output.read_text() == "mine"


def test_overwriting_is_off_by_default(output):
    with Journal(output, FACTS, resume=False) as journal:
        journal.append(done("1"), 1, "x")
        output.write_text("mine")
        assert "in the meantime" in message_of(journal.finish, WRITER)
    assert output.read_text() == "mine"


def test_run_killed_before_its_first_chunk_is_resumed(output):
    journal = begin(output)
    # As if the process had been killed: nothing is removed.
    journal._close()
    with begin(output, resume=True) as journal:
        assert journal.state == State()
        journal.append(done("1"), 1, "x")
        journal.finish(WRITER)
    assert output.read_text() == "1\n"


def test_error_on_closing_does_not_hide_the_first_one(output):
    def fail():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ZeroDivisionError), begin(output) as journal:
        journal.append(done("1"), 1, "x")
        journal._files.callback(fail)
        raise ZeroDivisionError
