import errno
import os
import stat

import pytest

from simpar.result.rows import write_csv
from simpar.show.files import check_writable, write_atomically

ENDINGS = (".svg", ".png")


def test_a_new_file_in_an_existing_folder_is_fine(tmp_path):
    assert check_writable(tmp_path / "a.svg", ENDINGS, "--plot") is None
    assert check_writable(str(tmp_path / "a.SVG"), ENDINGS, "--plot") is None
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_refused_with_the_command_that_makes_it(tmp_path):
    problem = check_writable(tmp_path / "my plots" / "a.svg", ENDINGS, "--plot")

    assert problem is not None
    assert str(problem) == (
        f"--plot: the folder {tmp_path}/my plots does not exist; make it: mkdir -p '{tmp_path}/my plots'"
    )


def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path):
    problem = check_writable(tmp_path / "a.jpeg", ENDINGS, "--plot")

    assert problem is not None
    assert problem.path == "--plot"
    assert problem.fix == "write FILE.svg or FILE.png"


def test_a_folder_is_no_file(tmp_path):
    problem = check_writable(tmp_path, ENDINGS, "--plot")

    assert problem is not None
    assert problem.message == f"{tmp_path} is a folder"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "plots").write_text("")

    problem = check_writable(tmp_path / "plots" / "a.svg", ENDINGS, "--plot")

    assert problem is not None
    assert "is not a folder" in problem.message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_write_protected_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        problem = check_writable(tmp_path / "a.svg", ENDINGS, "--plot")
    finally:
        tmp_path.chmod(0o700)

    assert problem is not None
    assert "cannot be written to" in problem.message


def test_an_empty_name_is_refused():
    problem = check_writable("", ENDINGS, "--plot")

    assert problem is not None
    assert "empty" in problem.message


def test_writing_replaces_the_whole_file_and_keeps_its_mode(tmp_path):
    file = tmp_path / "a.svg"
    file.write_bytes(b"a long old content")
    file.chmod(0o640)

    write_atomically(file, b"new")

    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a.svg"]


def test_a_new_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "other").write_text("")

    write_atomically(tmp_path / "a.svg", b"new")

    assert (tmp_path / "a.svg").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.svg").write_text("old")
    (tmp_path / "link.svg").symlink_to(tmp_path / "real.svg")

    write_atomically(tmp_path / "link.svg", b"new")

    assert (tmp_path / "link.svg").is_symlink()
    assert (tmp_path / "real.svg").read_bytes() == b"new"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "a.svg").write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left on device") as failed:
        write_atomically(tmp_path / "a.svg", b"new")

    assert failed.value.filename == str(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.svg"]


def test_a_full_disk_names_the_file_that_was_asked_for(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for write, data in ((write_atomically, b"new"), (write_csv, "new")):
        with pytest.raises(OSError, match="No space left on device") as caught:
            write(tmp_path / "a.csv", data)
        assert caught.value.filename == str(tmp_path / "a.csv")
        assert os.listdir(tmp_path) == []
