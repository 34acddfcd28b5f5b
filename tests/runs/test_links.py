"""A run writes into its own folder only, whatever lies there."""

import os
import shutil

import pytest

from cnnexp.errors import RunError
from cnnexp.runs import environment
from cnnexp.runs.files import CsvLog, read_bytes, replace_file, write_output
from tests.commandline import cnnexp, succeed
from tests.runs.small import change_record, train, write_data

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")

WRITTEN = [
    "run.json",
    "epochs.csv",
    "batches.csv",
    "histograms.csv",
    "checkpoint.pkl",
    "weights.pkl",
    "layers.csv",
    "train.log",
    ".lock",
    ".hydra",
]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "git", lambda: None)
        root = tmp_path_factory.mktemp("links")
        run = train(root / "run", write_data(root / "data.npz"), "profile=true")
        change_record(run, status="interrupted")
    return run


@pytest.fixture
def run(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "run")


@pytest.mark.parametrize("name", WRITTEN)
def test_resume_writes_through_no_link(name, run, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes((run / name).read_bytes() if (run / name).is_file() else b"mine\n")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(target)
    before = target.read_bytes()
    ended = cnnexp("resume", run)
    assert ended.code == 2
    assert f"{run / name}: is a symbolic link" in ended.err
    assert target.read_bytes() == before


@pytest.mark.parametrize("name", ["run.json", "batches.csv", "train.log"])
def test_a_hard_link_keeps_its_other_name_as_it_was(name, run, tmp_path):
    """As in a copy of a folder that shares its files, ``cp -al``."""
    other = tmp_path / "other"
    other.hardlink_to(run / name)
    before = other.read_bytes()
    succeed("resume", run)
    assert other.read_bytes() == before
    assert not other.samefile(run / name)


def test_inspect_writes_through_no_link(run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run / "inspect").symlink_to(elsewhere)
    ended = cnnexp("inspect", run)
    assert (ended.code, list(elsewhere.iterdir())) == (2, [])
    assert "is a symbolic link" in ended.err


def test_a_link_that_appears_at_the_last_moment_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("mine\n")
    (tmp_path / "log.csv").symlink_to(tmp_path / "mine")
    monkeypatch.setattr("cnnexp.runs.files.refuse_link", lambda _: None)
    with pytest.raises((OSError, RunError)):
        CsvLog(tmp_path / "log.csv", ["a"])
    replace_file(tmp_path / "log.csv", b"new")
    assert (tmp_path / "mine").read_text() == "mine\n"


def test_a_temporary_file_is_no_link_either(tmp_path):
    (tmp_path / "mine").write_text("mine\n")
    (tmp_path / f".a.{os.getpid()}.tmp").symlink_to(tmp_path / "mine")
    replace_file(tmp_path / "a", b"new")
    assert (tmp_path / "mine").read_text() == "mine\n"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_what_the_user_asked_for_is_written_through_a_link(tmp_path):
    (tmp_path / "table.csv").symlink_to(tmp_path / "real.csv")
    write_output(tmp_path / "table.csv", b"x")
    assert (tmp_path / "real.csv").read_bytes() == b"x"
    assert (tmp_path / "table.csv").is_symlink()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="is not a file that can be read"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(RunError, match="is not a file"):
        CsvLog(tmp_path / "pipe", ["a"])


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RunError, match="has 1,099,511,627,776 bytes; at most 1,073,741,824"):
        read_bytes(tmp_path / "sparse")
