"""Archives: a stranger's file is refused before it is unpacked; our own are read as folders are."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest

import cnnexp
from cnnexp.errors import RunError
from cnnexp.runs import archives
from cnnexp.runs.archives import MOST_TIMES, SMALL, place_of
from cnnexp.runs.archiving import ended_runs, write_archive
from cnnexp.runs.files import entries_of, is_file, is_folder, read_bytes
from tests.runs.small import train, write_data


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("archives")
    return train(root / "run", write_data(root / "data.npz"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pack(*files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a ZIP file."""
    path = Path("x.zip")
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content, method)
    return path


def archived(run: Path, name: str = "run.zip") -> Path:
    write_archive(run, Path(name), ended_runs(run))
    return Path(name)


def test_a_run_in_an_archive_is_that_run(run):
    path = archived(run)
    here, there = cnnexp.load_run(run), cnnexp.load_run(path)
    assert there.record == here.record
    assert there.epochs.equals(here.epochs)
    assert there.batches.equals(here.batches)
    assert there.weights_checksum == here.weights_checksum
    there.check_files()
    X = here.dataset.test.X
    assert (there.network.predict(X) == here.network.predict(X)).all()
    assert sorted(os.listdir()) == ["run.zip"]  # nothing was unpacked


def test_checkpoints_and_locks_stay_behind_and_any_program_unpacks_the_rest(run):
    path = archived(run)
    assert (run / "checkpoint.pkl").exists()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall("out")
    left_out = {"checkpoint.pkl", ".lock"}
    names = {p.relative_to(run) for p in run.rglob("*") if p.is_file() and p.name not in left_out}
    assert {p.relative_to("out/run") for p in Path("out").rglob("*") if p.is_file()} == names
    assert all((Path("out/run") / name).read_bytes() == (run / name).read_bytes() for name in names)


def test_the_same_run_gives_the_same_bytes(run):
    first = archived(run).read_bytes()
    os.utime(run / "run.json", (1, 1))
    assert archived(run, "again.zip").read_bytes() == first


def test_paths_through_an_archive():
    path = pack(("grid/0/run.json", b"{}"), ("grid/0/code/a.py", b"1"), ("grid/sweep.json", b"3"))
    assert read_bytes(path / "sweep.json") == b"3"
    assert read_bytes(path / "0/code/a.py") == b"1"
    found = {entry.name: entry.is_dir() for entry in entries_of(str(path))}
    assert found == {"0": True, "sweep.json": False}
    assert is_folder(path) and is_folder(path / "0/code") and not is_folder(path / "sweep.json")
    assert is_file(path / "0/run.json") and not is_file(path / "0")
    assert place_of("grid") is None and place_of("no.zip/0") is None
    with pytest.raises(FileNotFoundError):
        read_bytes(path / "1/run.json")


def test_a_folder_whose_name_ends_so_is_a_folder():
    Path("x.zip").mkdir()
    Path("x.zip/run.json").write_text("{}")
    assert place_of("x.zip/run.json") is None
    assert read_bytes(Path("x.zip/run.json")) == b"{}"


def test_an_archive_that_was_replaced_is_read_anew():
    path = pack(("run.json", b"one"), ("log", b""))
    assert read_bytes(path / "run.json") == b"one"
    path.unlink()
    pack(("run.json", b"other"), ("log", b""))
    assert read_bytes(path / "run.json") == b"other"


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize("name", ["../run.json", "/etc/x", "a/../x", "a//x", "./x", "a\\x", "C:/x"])
def test_names_that_lead_elsewhere_are_refused(name):
    path = pack((entry(name), b""), ("run.json", b"{}"))
    with pytest.raises(RunError, match=r"x\.zip: damaged: .* is not the name of a file"):
        read_bytes(path / "run.json")


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(mode):
    path = pack((entry("link", mode), b"/etc/passwd"), ("run.json", b"{}"))
    with pytest.raises(RunError, match="'link' is a link, or no file"):
        read_bytes(path / "run.json")


def test_what_was_packed_too_well_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(archives.zlib, "decompressobj", None)
    path = pack(("run.json", b" " * (200 * SMALL)))
    assert path.stat().st_size * MOST_TIMES < 200 * SMALL
    with pytest.raises(RunError, match="would be too large"):
        read_bytes(path / "run.json", 1 << 40)


def test_our_own_zeros_are_kept_as_they_are(run, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "epochs.csv"):
        (copy / name).write_bytes((run / name).read_bytes())
    (copy / "zeros").write_bytes(bytes(3 * SMALL))
    assert read_bytes(archived(copy) / "zeros") == bytes(3 * SMALL)


def test_files_that_lie_in_each_other_are_refused():
    """As in a bomb whose files share what they are packed from."""
    content = bytearray(pack(("a", b"x" * 100), ("b", b"y" * 100), method=0).read_bytes())
    second = content.rindex(b"PK\1\2")
    content[second + 42 : second + 46] = struct.pack("<I", 20)
    Path("x.zip").write_bytes(content)
    with pytest.raises(RunError, match="lie in each other"):
        read_bytes(Path("x.zip/a"))


def test_a_file_that_is_longer_than_it_says_is_not_unpacked_to_its_end():
    path = pack(("run.json", b"x" * SMALL))
    content = bytearray(path.read_bytes())
    size = content.rindex(b"PK\1\2") + 24
    content[size : size + 4] = struct.pack("<I", 10)
    path.write_bytes(content)
    with pytest.raises(RunError, match="do not have the checksum"):
        read_bytes(path / "run.json")


def test_the_table_of_contents_has_a_largest_size(monkeypatch):
    path = pack(*((f"{'n' * 90}{k}", b"") for k in range(100)))
    monkeypatch.setattr(archives, "LARGEST_TABLE", 10_000)
    with pytest.raises(RunError, match="its table of contents has more than 10,000 bytes"):
        read_bytes(path / "run.json")


def test_a_file_has_a_largest_size():
    with pytest.raises(RunError, match="has 100 bytes; at most 99 are read"):
        read_bytes(pack(("run.json", b"x" * 100), ("b", b"")) / "run.json", 99)


def test_two_files_of_one_name_are_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        path = pack(("a", b"1"), ("a", b"2"))
    with pytest.raises(RunError, match="two files of one name"):
        read_bytes(path / "a")


def test_another_method_or_a_password_is_refused():
    path = pack(("run.json", b"{}"), ("b", b""), method=zipfile.ZIP_LZMA)
    with pytest.raises(RunError, match="packed in another way than by deflate"):
        read_bytes(path / "run.json")
    content = bytearray(pack(("run.json", b"{}"), ("b", b"")).read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    Path("x.zip").write_bytes(content)
    with pytest.raises(RunError, match="encrypted"):
        read_bytes(Path("x.zip/run.json"))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\5\6" + bytes(18), b"PK\3\4" + bytes(40)])
def test_what_is_no_archive_is_told_in_one_message(content):
    Path("x.zip").write_bytes(content)
    with pytest.raises(RunError, match=r"^x\.zip: "):
        cnnexp.load_run("x.zip")


def test_every_cut_is_refused(run):
    whole = archived(run).read_bytes()
    for k in range(0, len(whole), len(whole) // 40):
        Path("cut.zip").write_bytes(whole[:k])
        with pytest.raises(RunError, match=r"^cut\.zip"):
            cnnexp.load_run("cut.zip").check_files()


def test_every_changed_byte_of_the_weights_is_found(run):
    content = bytearray(archived(run).read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo("run/weights.pkl")
    content[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 1
    Path("run.zip").write_bytes(content)
    with pytest.raises(RunError, match=r"run\.zip/weights\.pkl: damaged"):
        _ = cnnexp.load_run("run.zip").weights


def test_no_more_is_read_at_once_than_a_table_of_contents_may_have(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_TABLE", 10)
    for size, fits in ((10, True), (11, False)):
        (tmp_path / "file").write_bytes(bytes(size))
        for asked in (-1, None):
            with archives._Bounded(str(tmp_path / "file")) as file:
                if fits:
                    assert len(file.read(asked)) == size
                else:
                    with pytest.raises(ValueError, match="more than 10 bytes"):
                        file.read(asked)
    with archives._Bounded(str(tmp_path / "file")) as file:
        assert file.read(0) == b""
        assert len(file.read(4)) == 4
        file.seek(0)
        with pytest.raises(ValueError, match="more than 10 bytes"):
            file.read(11)


def test_every_file_has_plain_permissions_and_one_date(run):
    """So the bytes of an archive depend on the runs alone, and other programs unpack them."""
    with zipfile.ZipFile(archived(run)) as archive:
        infos = archive.infolist()
    assert {info.create_system for info in infos} == {3}
    assert {info.external_attr >> 16 for info in infos} == {stat.S_IFREG | 0o644}
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    kinds = {info.filename.rpartition("/")[2]: info.compress_type for info in infos}
    assert kinds["run.json"] == zipfile.ZIP_DEFLATED


def test_of_hidden_files_only_half_written_ones_stay_behind(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    for name in (".notes", ".weights.pkl.5.tmp", "notes.tmp"):
        (copy / name).write_text("")
    with zipfile.ZipFile(archived(copy)) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert names >= {".notes", "notes.tmp"}
    assert ".weights.pkl.5.tmp" not in names


@pytest.mark.skipif(os.name != "posix", reason="named pipes are of POSIX systems")
def test_a_pipe_is_opened_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "x.zip")
    os.close(archives._without_waiting(str(tmp_path / "x.zip"), os.O_RDONLY))
