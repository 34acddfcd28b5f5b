"""Every file operation may fail: the harness that lets each fail once, and its judge."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.reliability import faults, injection, trials
from experiments.reliability.injection import KINDS

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_failure_at_a_file_operation_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    """A handful of trials of every kind, in a process of their own, which forks."""
    rows = tried(tmp_path, "--every", "150", "--scenario", "run")
    assert {row["kind"] for row in rows} == set(KINDS)
    assert min(int(row["operations"]) for row in rows) > 80
    assert [row["first"] for row in rows if row["first"]] == []


@pytest.mark.long
def test_no_failure_at_any_fifth_file_operation_leaves_anything_wrong(tmp_path: Path) -> None:
    rows = tried(tmp_path, "--every", "5")
    assert {row["scenario"] for row in rows} == {scenario.name for scenario in faults.SCENARIOS}
    assert [row["first"] for row in rows if row["first"]] == []


def tried(folder: Path, *words: str) -> list[dict[str, str]]:
    """Run the part and return its rows."""
    command = [sys.executable, "-m", "experiments.reliability", "faults", "--output", str(folder)]
    subprocess.run([*command, *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    with open(folder / "faults.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_message_that_helps_nobody_is_told(tmp_path: Path) -> None:
    """The judge of messages."""
    write = injection.Operation("write", str(tmp_path / "run" / ".run.json.12.tmp"))
    full, kill = KINDS["disk full"], KINDS["kill"]
    good = "error: run/run.json: No space left on device. Make room on the disk."
    assert faults.judge_end(trials.Ended(1, good), full, write) == ("refused", [])
    assert faults.judge_end(trials.Ended(-9, ""), kill, write) == ("killed", [])
    assert faults.judge_end(trials.Ended(0, ""), full, write) == ("went_on", [])
    for code, text, fault in (
        (1, "Traceback (most recent call last):\nrun.json: again", "a traceback"),
        (1, "error: run/run.json: No space left on device", "does not say what to do"),
        (1, "error: No space left on device. Make room", "does not name the place"),
        (-9, good, "exit code -9"),
        (99, good, "exit code 99"),
    ):
        _, found = faults.judge_end(trials.Ended(code, text), full, write)
        assert len(found) == 1
        assert fault in found[0]


def test_an_operation_fails_when_its_turn_comes(tmp_path: Path) -> None:
    """Half of a write is there; the count is the same with and without a failure."""
    place = trials.Place(tmp_path)
    place.empty()

    def write(kind: str, at: int) -> tuple[int, str]:
        def run() -> int:
            injection.Injection(place.root, at, KINDS[kind], place.log).begin()
            with open(place.root / "a", "wb") as file:
                file.write(b"12345678")
            (place.root / "a").rename(place.root / "b")
            return 0

        place.empty()
        place.log.unlink(missing_ok=True)
        with open(tmp_path / "screen", "wb") as screen:
            code = os.waitstatus_to_exitcode(os.waitpid(trials.fork(run, screen), 0)[1])
        (left,) = [*place.root.iterdir(), place.root / "nothing"][:1]
        return code, f"{left.name} {left.read_text() if left.exists() else ''}"

    assert write("disk full", 0) == (0, "b 12345678")
    names = [each.name for each in injection.operations_in(place.log)]
    assert names == ["open to write", "write", "close", "rename"]
    assert write("disk full", 1) == (trials.CRASHED, "nothing ")
    assert write("disk full", 2)[0] == trials.CRASHED
    assert write("kill", 2) == (-9, "a 1234")
    assert write("kill", 4) == (-9, "a 12345678")
    assert write("disk stays full", 2) == (trials.CRASHED, "a 1234")
