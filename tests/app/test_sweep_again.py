"""``resume SWEEP``: the command that started a sweep, once more, if the user started it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cnnexp import load_run
from cnnexp.app.compose.configs import make_app
from cnnexp.app.sweeps.multirun import noted
from cnnexp.engine import Implementation
from cnnexp.engine.operations import VARIABLE
from cnnexp.runs import trust
from tests.commandline import cnnexp, succeed
from tests.runs.small import change_record

AGAIN = "the same command as before, with sweep.dir=S"
GRID = ("-m", "model=flat", "epochs=2", "data.limit=40", "hydra/launcher=basic", "seed=1,2")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "config"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def started() -> list[dict]:
    return json.loads(Path("S/sweep.json").read_bytes())["started"]


def change_start(**changes: object) -> None:
    index = json.loads(Path("S/sweep.json").read_bytes())
    index["started"][-1] |= changes
    Path("S/sweep.json").write_text(json.dumps(index))


def test_what_was_cut_off_goes_on_and_what_is_done_is_skipped(place, monkeypatch):
    """From another folder, and however often."""
    succeed(*GRID, "sweep.dir=S", "sweep.rerun=all")
    change_record(Path("S/0"), status="interrupted")
    change_record(Path("S/1"), status="failed")
    monkeypatch.chdir(place)
    printed = succeed("resume", "work/S")
    assert "2 jobs: 1 resumed, 1 run again" in printed
    assert printed.endswith("2 of 2 jobs have a result, in S\n")
    assert os.getcwd() == str(place / "work")  # where it was started
    assert "2 jobs: 2 skipped" in succeed("resume", "S")
    assert [start["words"] for start in started()] == [list(GRID[1:])] * 3


@pytest.mark.long
def test_what_is_run_again_may_be_said(place):
    succeed(*GRID, "sweep.dir=S")
    change_record(Path("S/0"), status="diverged")
    assert "2 jobs: 2 skipped" in succeed("resume", "S")
    assert "2 jobs: 1 run again, 1 skipped" in succeed("resume", "S", "sweep.rerun=diverged")
    assert "2 jobs: 2 skipped" in succeed("resume", "S")  # it was said for once


@pytest.mark.long
def test_the_folder_may_have_been_moved():
    succeed(*GRID, "sweep.dir=S")
    Path("S").rename("moved")
    assert "2 jobs: 2 skipped" in succeed("resume", "moved")
    assert not Path("S").exists()


def test_other_settings_are_refused():
    succeed(*GRID, "sweep.dir=S")
    ended = cnnexp("resume", "S", "epochs=3")
    assert ended.code == 2
    assert "epochs=3: a sweep goes on with its own settings. Only sweep.rerun" in ended.err


@pytest.mark.parametrize("change", [{"words": ["plugins=[evil]"]}, {"signature": None}])
@pytest.mark.long
def test_what_the_user_did_not_type_is_not_carried_out(change):
    succeed(*GRID, "sweep.dir=S")
    Path("evil.py").write_text("open('done', 'w')")
    change_start(**change)
    ended = cnnexp("resume", "S")
    assert ended.code == 2
    assert "S: nothing shows that it was you who started this sweep" in ended.err
    assert ended.err.endswith(f"name code. Go on by {AGAIN}.\n")
    assert not Path("done").exists()


@pytest.mark.parametrize("change", [{"words": 3}, {"folder": ["x"]}])
@pytest.mark.long
def test_a_start_of_another_form_is_refused(change):
    """As of an earlier version, which did not note what was typed."""
    succeed(*GRID, "sweep.dir=S")
    change_start(command=["evil", "seed=1,2"], **change)
    ended = cnnexp("resume", "S")
    assert ended.code == 2
    assert ended.err == (
        f"error: S: it is not recorded what was typed to start this sweep. Go on by {AGAIN}.\n"
    )


@pytest.mark.long
def test_a_job_of_a_sweep_is_resumed_as_a_run():
    succeed(*GRID, "sweep.dir=S")
    change_record(Path("S/0"), status="interrupted")
    assert "results in S/0" in succeed("resume", "S/0")
    assert load_run("S/0").status == "finished"


@pytest.mark.long
def test_an_index_that_is_damaged_or_gone_says_how_to_go_on(monkeypatch):
    """Its remedy was a dead end; then it named a command from a record that may be a stranger's."""
    monkeypatch.setattr("sys.argv", ["evil", *GRID])  # what a job records
    succeed(*GRID, "sweep.dir=S")
    index = Path("S/sweep.json")
    index.write_text("{broken")
    remedy = f"start the sweep again by {AGAIN}; its jobs are found by their own records.\n"
    assert cnnexp("resume", "S").err.endswith(remedy)
    index.unlink()
    ended = cnnexp("resume", "S")
    assert ended.err.endswith(f"what was typed to start this sweep. Go on by {AGAIN}.\n")
    assert "2 jobs: 2 skipped" in succeed(*GRID, "sweep.dir=S")
    assert "2 jobs: 2 skipped" in succeed("resume", "S")


@pytest.mark.long
def test_it_is_told_where_paths_begin_when_the_first_folder_is_gone(place, monkeypatch):
    succeed(*GRID, "sweep.dir=S")
    (place / "work").rename(place / "moved")
    monkeypatch.chdir(place / "moved")
    ended = cnnexp("resume", "S")
    assert ended.code == 0 and "2 skipped" in ended.out
    assert f"warning: {place / 'work'}, where this sweep was started, is gone." in ended.err


@pytest.mark.long
def test_auto_goes_on_to_mean_what_it_meant(monkeypatch):
    """Every job was trained anew, once Numba was installed or the variable was another one."""
    monkeypatch.setenv(VARIABLE, "fast")
    succeed(*GRID, "sweep.dir=S")
    for other in ("sg", "nonsense"):
        monkeypatch.setenv(VARIABLE, other)
        assert "2 jobs: 2 skipped" in succeed("resume", "S")
        assert os.environ[VARIABLE] == other
    change_start(auto="sg")
    assert "nothing shows that it was you" in cnnexp("resume", "S").err


def test_what_auto_meant_is_missed_where_it_is_not_installed(monkeypatch):
    monkeypatch.setenv(VARIABLE, "compiled")
    monkeypatch.setattr(Implementation, "missing", lambda self: "")
    start = noted(make_app(), list(GRID[1:]))
    Path("S").mkdir()
    Path("S/sweep.json").write_text(json.dumps({"jobs": {}, "started": [start]}))
    monkeypatch.setenv(VARIABLE, "fast")
    lacks = "impl=compiled needs numba"
    monkeypatch.setattr(
        Implementation, "missing", lambda self: lacks if self.name == "compiled" else ""
    )
    assert lacks in cnnexp("resume", "S").err


@pytest.mark.long
def test_a_start_of_an_earlier_version_goes_on():
    """It has not noted what auto stood for."""
    succeed(*GRID, "sweep.dir=S")
    words = [os.getcwd(), *GRID[1:]]
    change_start(auto=None, signature=trust.sign_words(words))
    assert "2 jobs: 2 skipped" in succeed("resume", "S")
