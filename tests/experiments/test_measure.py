"""Measuring: what counts as measured, how long a task may take, and what it leaves running."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments import measure
from experiments.tasks import Task

ALONE = Task("a", "python a.py", "a.csv", 1, ())
READING = Task("b", "python b.py", "b.csv", 1, (), reads=("a.csv",))
COMMIT = "1" * 40


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of results, beside which nothing of a repository is asked for."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setattr(measure, "RESULTS", folder)
    monkeypatch.setattr(measure, "CHECKOUTS", tmp_path)
    monkeypatch.setattr(measure, "git", lambda *words, root=None: "")
    return folder


def write(path: Path, *commits: str) -> None:
    """Write a file with a row of each of some commits, each named by one digit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x,commit\n" + "".join(f"1,{digit * 10}\n" for digit in commits))


def test_rows_from_a_file_of_another_task_keep_its_commit(kept: Path) -> None:
    """Otherwise what is measured of the original is refused as of two commits."""
    write(kept / "b.csv", "1", "2")
    write(kept / "a.csv", "2")
    assert measure.is_measured(READING, COMMIT)
    assert not measure.is_measured(READING, "3" * 40)
    assert not measure.is_measured(READING._replace(reads=()), COMMIT)


@pytest.mark.parametrize("commit", ["1", "3"])
def test_rows_are_old_once_the_file_they_are_from_is_measured_again(
    kept: Path, commit: str
) -> None:
    write(kept / "b.csv", "1", "2")
    write(kept / "a.csv", commit)
    assert not measure.is_measured(READING, COMMIT)
    write(kept / "b.csv", "1", commit)
    assert measure.is_measured(READING, COMMIT)


def test_a_task_whose_file_to_read_is_missing_stops_no_other(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback ended the measurement, also where the task's own file was there."""
    other = ALONE._replace(name="c", file="c.csv")

    def run(words: Sequence[str], folder: Path, limit: float) -> int:
        write(folder / "experiments" / "results" / other.file, "1")
        return 0

    monkeypatch.setattr(measure, "changed_files", list)
    monkeypatch.setattr(measure, "last_change", lambda: COMMIT)
    monkeypatch.setattr(measure, "checkout", lambda commit: tmp_path / "checkout")
    monkeypatch.setattr(measure, "_run", run)
    write(kept / READING.file, "1")
    assert measure.measure([READING, other]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  left out: it reads a.csv, not measured yet"
    assert lines[-1].startswith("not measured: b.")
    assert measure.is_measured(other, COMMIT)


@pytest.mark.parametrize(("known", "minutes"), [(30, 30), (0.5, 1), (None, 1)])
def test_a_task_may_take_far_longer_than_expected_or_known(
    kept: Path, monkeypatch: pytest.MonkeyPatch, known: float | None, minutes: float
) -> None:
    """A task that took longer than its line in the list says was ended for ever."""
    limits = []

    def run(words: Sequence[str], folder: Path, limit: float) -> int:
        limits.append(limit)
        return 1

    monkeypatch.setattr(measure, "_run", run)
    if known:
        measure.note_time(ALONE.name, known, COMMIT)
    assert not measure.carry_out(ALONE, kept, COMMIT)
    assert limits == [60 * (10 + 4 * minutes)]


def test_a_command_that_hangs_is_ended(kept: Path, tmp_path: Path) -> None:
    assert measure._run(["sleep", "60"], tmp_path, 0.1) == 1
    assert (tmp_path / "measure.log").read_text() == "\n$ sleep 60\nended after 0 s\n"
    assert measure._run(["true"], tmp_path, 60) == 0


@pytest.mark.parametrize(
    ("script", "limit", "code"),
    [
        ("sleep 20 & exit 3", 60, 3),
        ("sleep 20 & exit 0", 60, 0),
        ("(trap '' TERM; exec sleep 20) & sleep 20", 0.5, 1),
    ],
    ids=["failed", "went well", "took too long"],
)
def test_no_process_of_a_command_is_left(
    kept: Path, tmp_path: Path, script: str, limit: float, code: int
) -> None:
    """Each process of the command keeps a pipe open; its end is read once none is left."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "pipe", os.O_WRONLY)
    try:
        assert measure._run(["sh", "-c", f"exec 3>pipe; {script}"], tmp_path, limit) == code
        os.close(writer)
        assert select.select([reader], [], [], 5)[0], "a process lives on"
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)
