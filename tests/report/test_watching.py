"""The table of runs while they run."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnnexp.report import watching
from cnnexp.report.watching import Watched, clock, sparkline, summary, watched
from cnnexp.runs import environment
from tests.commandline import cnnexp, succeed

GRID = ("-m", "data.limit=60", "epochs=3", "impl.threads=1", "learning_rate=0.3,0.1")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep of which the second job says that it is running, in its second epoch."""
    folder = tmp_path_factory.mktemp("watching") / "S"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "git", lambda: None)
        succeed(*GRID, f"sweep.dir={folder}")
    record = json.loads((folder / "1" / "run.json").read_text())
    host = {"host": "elsewhere"}
    record |= {"status": "running", "process": record["process"] | host}
    (folder / "1" / "run.json").write_text(json.dumps(record))
    rows = (folder / "1" / "epochs.csv").read_text().splitlines(keepends=True)
    (folder / "1" / "epochs.csv").write_text("".join(rows[:2]) + rows[2][:5])
    return folder


@pytest.mark.parametrize("interval", ["nan", "inf", "-1", "0"])
def test_an_interval_that_is_no_time(interval, tmp_path):
    ended = cnnexp("watch", tmp_path, f"--interval={interval}")
    said = f"error: --interval must be above 0, and finite. Got {interval}.\n"
    assert (ended.code, ended.err) == (2, said)


def test_how_far_each_run_is(sweep):
    names, (done, under_way) = watched([sweep])
    assert names == ["learning_rate"]
    assert (done.name, done.status, done.settings) == ("0", "finished", ("0.3",))
    assert (done.done, done.epochs, len(done.curve)) == (3, 3, 3)
    assert math.isnan(done.left)
    assert (under_way.status, under_way.done, under_way.epochs) == ("running", 1, 3)
    assert under_way.figure == "test_error"
    columns, row, _ = (sweep / "1" / "epochs.csv").read_text().splitlines()
    seconds = dict(zip(columns.split(","), row.split(","), strict=True))["seconds"]
    assert under_way.left == pytest.approx(2 * float(seconds))


def test_the_command_shows_it_once_where_there_is_no_terminal(sweep):
    shown = succeed("watch", sweep)
    lines = [line.split() for line in shown.splitlines() if line.strip()]
    assert lines[0] == ["run", "status", "learning_rate", "epoch", "test_error", "now", "left"]
    assert lines[2][:4] == ["1", "running", "0.1", "1/3"]  # what is under way stands first
    assert lines[3][:4] == ["0", "finished", "0.3", "3/3"]
    assert "1 running, " in shown
    assert "best test_error: " in shown


def test_mistakes(tmp_path):
    assert "there is no such folder" in cnnexp("watch", tmp_path / "no").err
    ended = cnnexp("watch", tmp_path)
    assert (ended.code, "no runs here" in ended.err) == (2, True)


def test_it_goes_on_until_it_is_interrupted(sweep, monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        watching.watch([sweep], 0.5)
    assert looks == [0.5] * 3


def test_it_waits_for_the_first_run(tmp_path, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        watching.watch([tmp_path], 1)


def test_a_curve_is_as_wide_as_there_is_room():
    assert sparkline([]) == ""
    assert len(sparkline(range(100), 16)) == 16
    assert sparkline(range(100), 16)[-1] == "█"
    assert sparkline([0.5, 0.1, 0.9], 3) == "▅▁█"


def test_times_and_the_best():
    assert (clock(0), clock(59.6), clock(7200)) == ("0:00", "1:00", "2:00:00")
    runs = [
        Watched("a", "failed", (), 0, 4, "", [], math.nan),
        Watched("b", "finished", (), 2, 2, "test_error", [0.5, 0.25], math.nan),
        Watched("c", "finished", (), 2, 2, "test_error", [0.2, 0.3], math.nan),
    ]
    assert summary(runs) == "1 failed, 2 finished; best test_error: 0.2500, of b"
    assert summary(runs[:1]) == "1 failed"


@pytest.mark.long
def test_beside_a_sweep_that_runs(tmp_path):
    words = [sys.executable, "-m", "cnnexp"]
    grid = ["-m", "epochs=30", "learning_rate=0.3,0.1,0.03", f"sweep.dir={tmp_path / 'S'}"]
    sweep = subprocess.Popen([*words, *grid], stdout=subprocess.DEVNULL)
    seen = set()
    while sweep.poll() is None:
        if list(Path(tmp_path).glob("S/*/run.json")):
            shown = subprocess.run(
                [*words, "watch", tmp_path / "S"], capture_output=True, text=True
            )
            assert shown.returncode == 0, shown.stderr
            seen |= {word for word in shown.stdout.split() if word in ("running", "finished")}
        time.sleep(0.1)
    assert sweep.returncode == 0
    assert "running" in seen


def test_names_from_elsewhere_are_shown_as_they_are(sweep, tmp_path, capsys):
    """Neither as markup nor as codes for the terminal."""
    shutil.copytree(sweep, tmp_path / "runs")
    (tmp_path / "runs" / "0").rename(tmp_path / "runs" / "[bold]\x1b]0;x")
    watching.show([tmp_path / "runs"])
    shown = capsys.readouterr().out
    assert "[bold]" in shown
    assert "\x1b" not in shown
