"""Run folders: names, locks, files that are no files."""

import errno
import os

import pytest

from cnnexp.errors import RunError
from cnnexp.runs import folders
from cnnexp.runs.files import open_to_append, read_bytes, write_output
from cnnexp.runs.folders import claim, claim_number, hold
from cnnexp.runs.record import is_a_run


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    names = [claim(tmp_path / "new" / "run").name for _ in range(3)]
    assert names == ["run", "run_2", "run_3"]
    assert [claim_number(tmp_path / "sweep").name for _ in range(2)] == ["0", "1"]
    (tmp_path / "sweep" / "7").mkdir()
    (tmp_path / "sweep" / "notes").mkdir()
    assert claim_number(tmp_path / "sweep").name == "8"


def test_the_number_is_taken_by_another_process_in_between(tmp_path, monkeypatch):
    from pathlib import Path

    (tmp_path / "0").mkdir()
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))
    assert claim_number(tmp_path).name == "1"


def test_a_folder_is_held_once(tmp_path):
    again = pytest.raises(RunError, match="another process is writing")
    with hold(tmp_path), again, hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


def test_what_is_no_file_or_too_large_is_not_read(tmp_path):
    (tmp_path / "large").write_bytes(b"12345")
    with pytest.raises(RunError, match="large: has 5 bytes; at most 4 are read"):
        read_bytes(tmp_path / "large", 4)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="pipe: is not a file that can be read"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(RunError, match="is not a file that a log can be appended to"):
        open_to_append(tmp_path / "pipe")


def test_a_log_with_two_names_is_copied_before_it_grows(tmp_path):
    (tmp_path / "log").write_bytes(b"a\n")
    os.link(tmp_path / "log", tmp_path / "other")
    with open_to_append(tmp_path / "log") as log:
        log.write(b"b\n")
    assert (tmp_path / "log").read_bytes() == b"a\nb\n"
    assert (tmp_path / "other").read_bytes() == b"a\n"


def test_an_output_goes_through_a_link_and_into_a_pipe(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_output(tmp_path / "link", b"1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == b"1"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_output(pipe, b"2")
    assert os.read(reading, 10) == b"2"
    os.close(reading)
    assert pipe.is_fifo()


def test_a_damaged_record_is_no_run(tmp_path):
    assert not is_a_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    assert not is_a_run(tmp_path)


def test_the_folders_above_are_made(tmp_path):
    wanted = tmp_path / "a" / "b" / "run"
    assert claim(wanted) == wanted and wanted.is_dir()


@pytest.mark.skipif(os.name != "posix", reason="locks of other systems are others")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(number, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(RunError, match=r"its file system has no file locks \("), hold(tmp_path):
        raise AssertionError("held")


@pytest.mark.skipif(os.name != "posix", reason="locks of other systems are others")
def test_other_errors_of_a_lock_are_those_of_the_system(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(OSError, match="Input/output error"), hold(tmp_path):
        raise AssertionError("held")


def test_a_folder_that_may_not_be_written_into_is_a_mistake_of_the_user(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(folders, "locked", refuse)
    with (
        pytest.raises(RunError, match=r"cannot be written: Permission denied"),
        hold(tmp_path),
    ):
        pass
