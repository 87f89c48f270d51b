import pytest

from spacy_wnut.files import replacing


def tree(folder):
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


def test_a_link_to_a_folder_is_replaced_and_the_folder_stays(tmp_path):
    write_folder(tmp_path / "kept", "old")
    (tmp_path / "model").symlink_to("kept", target_is_directory=True)
    with replacing(tmp_path / "model") as beside:
        write_file(beside)
    assert not (tmp_path / "model").is_symlink()
    assert (tmp_path / "model").read_text() == "new"
    assert (tmp_path / "kept" / "inside.txt").read_text() == "old"


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
