import os

import pytest

from cnnexp.errors import RunError
from cnnexp.runs import files
from cnnexp.runs.files import (
    CsvLog,
    keep_rows,
    read_bytes,
    remove_leftovers,
    replace_file,
    replace_json,
)


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    replace_json(path, {"ü": 1})
    replace_json(path, {"ü": [0.1]})
    assert path.read_text(encoding="utf-8") == '{\n "ü": [\n  0.1\n ]\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    replace_file(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_the_file_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    order = []
    sync, replace = os.fsync, files.Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: order.append("sync") or sync(fd))
    monkeypatch.setattr(files.Path, "replace", lambda *a: order.append("replace") or replace(*a))
    replace_file(tmp_path / "a", b"x")
    assert order == ["sync", "replace"]


def test_leftovers_of_a_kill_are_removed_and_nothing_else(tmp_path):
    for name in (".run.json.123.tmp", ".checkpoint.pkl.9.tmp", "mine.tmp", "run.json"):
        (tmp_path / name).write_text("half")
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.tmp", "run.json"]


def test_rows_are_there_as_soon_as_they_are_written(tmp_path):
    path = tmp_path / "log.csv"
    log = CsvLog(path, ["a", "b"])
    log.append([1, 0.1])
    log.append([2, None])
    assert path.read_text() == "a,b\n1,0.1\n2,\n"
    log.close()


def test_a_log_that_is_there_goes_on(tmp_path):
    path = tmp_path / "log.csv"
    for value in (1 / 3, 2 / 3):
        log = CsvLog(path, ["x"])
        log.append([value])
        log.close()
    assert path.read_text() == f"x\n{1 / 3!r}\n{2 / 3!r}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("n,x\n1,a\n2,b\n3,c\n", "n,x\n1,a\n2,b\n"),
        ("n,x\n1,a\n2,b\n3", "n,x\n1,a\n2,b\n"),  # cut off in a row
        ("n,x\n1,a\n2", "n,x\n1,a\n"),  # cut off in a row that was wanted
        ("n,x\n", "n,x\n"),
        ("n,", None),  # cut off in its header
        ("", None),
        (None, None),
    ],
)
def test_only_whole_wanted_rows_are_kept(tmp_path, before, after):
    path = tmp_path / "log.csv"
    if before is not None:
        path.write_text(before)
    keep_rows(path, lambda row: int(row["n"]) <= 2)
    assert (path.read_text() if path.exists() else None) == after


def test_a_file_of_exactly_the_most_bytes_is_read(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"12345")
    assert read_bytes(path, largest=5) == b"12345"
    with pytest.raises(RunError, match=r"log\.csv: has 5 bytes; at most 4 are read"):
        read_bytes(path, largest=4)


def test_others_may_do_with_a_log_what_the_umask_leaves_them(tmp_path):
    before = os.umask(0o027)
    try:
        CsvLog(tmp_path / "log.csv", ["a"]).close()
    finally:
        os.umask(before)
    assert (tmp_path / "log.csv").stat().st_mode & 0o777 == 0o640


def test_a_closed_log_takes_no_row(tmp_path):
    log = CsvLog(tmp_path / "log.csv", ["a"])
    log.close()
    with pytest.raises(ValueError, match="closed file"):
        log.append([1])


def test_all_of_a_file_is_on_the_disk_when_it_is_synchronised(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    replace_file(tmp_path / "file", b"12345")
    assert sizes[0] == 5
