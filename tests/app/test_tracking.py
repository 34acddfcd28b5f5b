"""Trackers are told of a run; whatever happens to them, the run goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest

from cnnexp.app.main import main
from cnnexp.app.running.tracking import FILE, PATIENCE, own_trackers, read_saved
from cnnexp.errors import ConfigError
from cnnexp.runs.fingerprint import config_hash, fingerprint
from cnnexp.runs.record import read_record
from cnnexp.trackers import TRACKERS, Tracker
from tests.app.test_resume import Moments
from tests.commandline import cnnexp
from tests.runs.small import SMALL, checked, record_in, settings, train, write_data

HEARD: list[tuple] = []  # what the tracker below was told
BROKEN: list[str] = []  # hooks that fail, each once


@dataclass
class Listener(Tracker):
    """Notes all it is told."""

    volume: int = 3

    def begin(self, run, saved):
        self._break("begin")
        HEARD.append(("begin", run, dict(saved)))
        return {"number": saved.get("number", 7)}

    def epoch_done(self, figures):
        self._break("epoch_done")
        HEARD.append(("epoch", dict(figures)))

    def end(self, status, results):
        self._break("end")
        HEARD.append(("end", status, dict(results)))

    def _break(self, hook):
        if hook in BROKEN:
            BROKEN.remove(hook)
            raise OSError(f"no {hook}\nfor a reason of two lines")


class Absent(Tracker):
    """Needs what nobody has."""

    needs: ClassVar[str] = "no_such_package"
    extra: ClassVar[str] = "absent"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(TRACKERS, "_things", dict(TRACKERS._things))
    TRACKERS.register("listener")(Listener)
    TRACKERS.register("absent")(Absent)
    HEARD.clear()
    BROKEN.clear()


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data.npz")


def epochs() -> list[int]:
    return [int(found[1]["epoch"]) for found in HEARD if found[0] == "epoch"]


def test_a_tracker_is_told_all_but_the_samples(tmp_path, data):
    words = ["name=mine", "tags=[a,b]", "note=n", "trackers=[{type: listener, volume: 1}]"]
    folder = train(tmp_path / "run", data, *words, "data.validation=12")
    (_, run, saved), *rows, (_, status, results) = HEARD
    assert (run.name, run.tags, run.note, run.epochs, saved) == ("mine", ("a", "b"), "n", 0, {})
    assert run.settings["model.layers.1.units"] == 5
    assert run.settings["optimizer"] == "sgd"
    assert not [key for key in run.settings if key.startswith(("trackers", "name", "data.file"))]
    header, *logged = (folder / "epochs.csv").read_text().splitlines()
    assert [list(map(str, row[1].values())) for row in rows] == [
        [str(float(cell)) for cell in line.split(",")] for line in logged
    ]
    assert list(rows[0][1]) == header.split(",")
    assert status == "finished"
    found = record_in(folder)["results"]
    assert {k: v for k, v in results.items() if k != "wall_seconds"} == found
    assert results["wall_seconds"] > 0
    told = [{"type": "listener", "found": {"number": 7}, "epochs": 2}]
    assert json.loads((folder / FILE).read_text()) == told


def test_without_a_name_it_has_that_of_its_folder(tmp_path, data):
    folder = train(tmp_path / "run", data, "trackers=[listener]")
    assert HEARD[0][1].name == f"{tmp_path.name}/run"
    assert record_in(folder)["config"]["trackers"] == [{"type": "listener", "volume": 3}]


@pytest.mark.parametrize("hook", ["begin", "epoch_done", "end"])
def test_a_tracker_that_fails_is_a_warning(hook, tmp_path, data, capsys):
    BROKEN.extend([hook] * PATIENCE)
    folder = train(tmp_path / "run", data, "trackers=[listener]")
    assert record_in(folder)["status"] == "finished"
    warning = f"warning: trackers: 'listener' failed in {hook}: OSError: no {hook}"
    assert capsys.readouterr().err.splitlines() == [f"{warning}; the run goes on without it"]
    log = (folder / "train.log").read_text()
    assert f"WARNING trackers: 'listener' failed in {hook}: OSError: no {hook}\nfor a" in log


def test_an_epoch_that_failed_is_told_with_the_next_one(tmp_path, data):
    BROKEN.extend(["epoch_done"])
    train(tmp_path / "run", data, "trackers=[listener]", "epochs=3")
    assert epochs() == [1, 2, 3]


def test_the_last_epoch_is_tried_again_at_the_end(tmp_path, data):
    BROKEN.extend(["epoch_done"])
    train(tmp_path / "run", data, "trackers=[listener]", "epochs=1")
    assert epochs() == [1]
    assert HEARD[-1][1] == "finished"


def test_a_tracker_that_fails_again_and_again_is_left_alone(tmp_path, data):
    BROKEN.extend(["epoch_done"] * 9)
    folder = train(tmp_path / "run", data, "trackers=[listener]", "epochs=6")
    assert len(BROKEN) == 9 - PATIENCE
    assert json.loads((folder / FILE).read_text())[0]["epochs"] == 0


def test_a_tracker_of_which_one_fails_does_not_keep_others_from_hearing(tmp_path, data):
    BROKEN.extend(["begin"])
    train(tmp_path / "run", data, "trackers=[listener,listener]")
    assert [found[0] for found in HEARD] == ["begin", "epoch", "epoch", "end", "end"]


def test_a_run_that_fails_or_diverges_is_told_so(tmp_path, data, monkeypatch):
    train(tmp_path / "diverged", data, "trackers=[listener]", "learning_rate=1e30")
    assert HEARD[-1][1] == "diverged"
    with monkeypatch.context() as patch:
        patch.setattr("cnnexp.app.running.experiment.save_classes", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(tmp_path / "failed", data, "trackers=[listener]")
    assert HEARD[-1][1] == "failed"
    assert record_in(tmp_path / "failed")["status"] == "failed"


def test_killed_at_any_moment_it_goes_on_and_nothing_is_told_twice(tmp_path, data, monkeypatch):
    """But for the epoch in whose telling it was cut off, which a tracker has to recognise."""
    moments = Moments(tmp_path / "run", tmp_path / "moments")
    with monkeypatch.context() as patch:
        moments.watch(patch)
        train(moments.folder, data, "trackers=[listener]", "epochs=3")
    whole = [row for row in HEARD if row[0] == "epoch"]
    for copy in moments.copies[1::9]:
        HEARD.clear()
        before = {**(read_saved(copy) or [{}])[0]}
        told = before.get("epochs", 0)
        assert main(["resume", str(copy)]) == 0
        if len(HEARD):
            number = {"number": 7} if before else {}
            assert (HEARD[0][1].epochs, HEARD[0][2]) == (told, number)
            assert epochs() == [1, 2, 3][told:]
            assert HEARD[-1][1] == "finished"
            figures = [row[1]["train_loss"] for row in HEARD if row[0] == "epoch"]
            assert figures == [row[1]["train_loss"] for row in whole[told:]]
        else:
            assert record_in(copy)["status"] == "finished"


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", "[" * 9999, '[{"type": "listener", "found": 3, "epochs": "x"}]']
)
def test_a_damaged_file_of_trackers_begins_anew(content, tmp_path, data):
    folder = train(tmp_path / "run", data, "trackers=[listener]", "schedule=constant")
    (folder / FILE).write_text(content)
    HEARD.clear()
    assert main(["resume", str(folder), "epochs=3"]) == 0
    assert epochs() == [1, 2, 3]


def test_trackers_can_be_changed_in_a_run_that_goes_on(tmp_path, data, monkeypatch):
    folder = train(tmp_path / "run", data, "trackers=[listener]", "schedule=constant")
    monkeypatch.setattr(Listener, "needs", "no_such_package")  # as if it was uninstalled
    ended = cnnexp("resume", folder, "epochs=3")
    assert ended.code == 2
    assert "trackers.0 (listener): needs the package no_such_package" in ended.err
    assert cnnexp("resume", folder, "epochs=3", "trackers=[]").code == 0
    assert record_in(folder)["config"]["trackers"] == []
    assert epochs() == [1, 2]


def test_they_do_not_count_in_what_a_run_is():
    without, tracked = checked(*SMALL), checked(*SMALL, "trackers=[listener]")
    for config in (without, tracked):
        config["data"]["file"] = "x"
    assert tracked["trackers"]
    assert config_hash(without) == config_hash(tracked)
    assert fingerprint(without, "sha256:0") == fingerprint(tracked, "sha256:0")


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ("[listner]", "trackers.0: no tracker is named 'listner'. Did you mean 'listener'?"),
        ("[3]", "trackers.0 must be a name, or a name with options"),
        ("[{type: listener, volume: loud}]", "trackers.0 (listener): volume must be a whole"),
        ("[{type: listener, wolume: 1}]", "trackers.0 (listener): wolume: no such option."),
        (
            "[listener,absent]",
            "trackers.1 (absent): needs the package no_such_package, which is not installed:"
            " pip install 'cnnexp[absent]'",
        ),
    ],
)
@pytest.mark.few(2)
def test_mistakes_are_told_before_anything_is_read(entries, fault):
    with pytest.raises(ConfigError, match="trackers") as caught:
        checked(*SMALL, f"trackers={entries}")
    assert str(caught.value).startswith(fault)


WRITES = """
from dataclasses import dataclass
from cnnexp.trackers import TRACKERS, Tracker

@TRACKERS.register("writes")
@dataclass
class Writes(Tracker):
    def begin(self, run, saved):
        self.path = run.folder / "heard.txt"
        return {}

    def epoch_done(self, figures):
        with self.path.open("a") as file:
            file.write(f"{figures['epoch']:.0f} ")
"""


@pytest.mark.long
def test_jobs_of_a_sweep_tell_a_tracker_of_ones_own(data, tmp_path, monkeypatch):
    (tmp_path / "writes_a_file.py").write_text(WRITES)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["seed=0,1", "trackers=[writes]", "plugins=[writes_a_file]", "sweep.dir=s"]
    ended = cnnexp("-m", *settings(data), *words, "sweep.jobs=2")
    assert ended.code == 0, ended.err
    for job in ("0", "1"):
        assert (tmp_path / "s" / job / "heard.txt").read_text() == "1 2 "


def test_trackers_of_a_strangers_run_are_told_nothing(tmp_path, data, monkeypatch, capsys):
    """Not signed with the user's key, they would send what is learnt to whom the stranger names."""
    folder = train(tmp_path / "run", data, "trackers=[listener]")
    record = json.loads((folder / "run.json").read_text())
    assert record["trackers"].startswith("hmac-sha256:")
    for signature in (None, "hmac-sha256:0", "\ud800"):
        record["trackers"] = signature
        (folder / "run.json").write_text(json.dumps(record))
        assert own_trackers(folder, read_record(folder)) == []
        assert "its trackers are left out" in capsys.readouterr().err
