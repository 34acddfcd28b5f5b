"""A run that is under way is left alone by a second start in its folder."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cnnexp.app.running import single_run
from cnnexp.errors import DataError, RunError
from cnnexp.runs.folders import LOCK
from tests.commandline import cnnexp

ANOTHER = """
import sys
from pathlib import Path
from cnnexp.runs.folders import hold
folder = Path(sys.argv[1])
folder.mkdir(exist_ok=True)
with hold(folder):
    for name in sys.argv[2:]:
        (folder / name).write_text("{}")
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(folder, *files):
    """Another process that holds a folder, and has written some files."""
    command, pipe = [sys.executable, "-c", ANOTHER, str(folder), *files], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate("")
    assert process.returncode == 0


@pytest.fixture
def another_is_quicker(monkeypatch):
    """Another process takes the folder after this one has looked at it."""
    hold = single_run.hold

    @contextmanager
    def hold_late(folder):
        others.enter_context(another(folder, "run.json"))
        with hold(folder):
            yield

    monkeypatch.setattr(single_run, "hold", hold_late)
    with ExitStack() as others:
        yield


def test_a_second_start_deletes_nothing_of_the_first(another_is_quicker):
    """Both found the folder empty."""
    ended = cnnexp("data=digits", "model=flat", "epochs=1", "hydra.run.dir=R")
    assert ended.code == 2
    assert "R: another process is writing this run." in ended.err
    assert sorted(path.name for path in Path("R").iterdir()) == [LOCK, "run.json"]


def test_a_second_start_after_the_first_has_ended_deletes_nothing(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "kept").write_text("")
    again = pytest.raises(RunError, match="there is a run in this folder already")
    with again, single_run.held(tmp_path, tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} >= {"run.json", "kept"}


def test_a_start_that_fails_leaves_another_ones_lock(tmp_path, monkeypatch):
    """The other one holds the folder as soon as the lock is let go, and has written nothing yet."""
    folder, hold = tmp_path / "R", single_run.hold
    folder.mkdir()

    @contextmanager
    def hold_before_another(folder):
        try:
            with hold(folder):
                yield
        finally:
            others.enter_context(another(folder))

    monkeypatch.setattr(single_run, "hold", hold_before_another)
    with ExitStack() as others:
        with pytest.raises(DataError), single_run.held(folder, tmp_path):
            raise DataError("no data")
        with pytest.raises(RunError, match="another process is writing this run"), hold(folder):
            pass


@pytest.mark.skipif(os.name == "nt", reason="the lock's file goes with the lock there")
def test_a_start_that_fails_leaves_another_ones_new_folder(tmp_path, monkeypatch):
    """Once the lock was let go, the empty folder was removed; it may be another one's by then."""
    folder, hold = tmp_path / "R", single_run.hold
    folder.mkdir()

    @contextmanager
    def letting_go(folder):
        try:
            with hold(folder):
                yield
        finally:
            gone.append(not folder.exists())
            folder.mkdir()

    gone = []
    monkeypatch.setattr(single_run, "hold", letting_go)
    with pytest.raises(DataError), single_run.held(folder, tmp_path):
        raise DataError("no data")
    assert gone == [True] and folder.exists()


@pytest.mark.parametrize("there", [[], ["kept"]])
def test_only_what_a_failed_start_wrote_is_removed(there, tmp_path):
    folder = tmp_path / "new" / "R"
    folder.mkdir(parents=True)
    for name in there:
        (folder / name).write_text("")
    with pytest.raises(DataError), single_run.held(folder, tmp_path):
        (folder / "run.json").write_text("{}")
        raise DataError("no data")
    assert (folder / "run.json").exists() == folder.exists() == bool(there)
    assert (tmp_path / "new").exists() == bool(there)
