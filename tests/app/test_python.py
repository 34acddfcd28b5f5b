"""`cnnexp.run` and `cnnexp.sweep`: what the command does, from Python."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

import cnnexp
from cnnexp.app.compose.written import written
from cnnexp.errors import ConfigError, OptionError, RunError
from tests.commandline import succeed
from tests.runs.small import SMALL, write_data

NAMED = {
    "data": "npz",
    "model": "flat",
    "model.layers.1.units": 5,
    "batch_size": 8,
    "impl": {"threads": 1},
}


@pytest.fixture(autouse=True)
def here(tmp_path):
    write_data(tmp_path / "data.npz")


def test_a_run_is_that_of_the_command(capsys):
    run = cnnexp.run(NAMED, epochs=2, folder="own", **{"data.file": "data.npz"})
    assert capsys.readouterr().out == ""
    assert (run.status, str(run.path)) == ("finished", "own")
    succeed(*SMALL, "data.file=data.npz", "hydra.run.dir=typed")
    typed = cnnexp.load_run("typed")
    assert run.record["config_hash"] == typed.record["config_hash"]
    assert run.weights_checksum == typed.weights_checksum
    assert run.record["choices"] == typed.record["choices"]
    assert sorted(os.listdir("own")) == sorted(os.listdir("typed"))


def test_what_is_recorded_can_be_typed_again():
    note = 'it\'s "all" ${of} it, {a: 1} \\'
    run = cnnexp.run(
        [*SMALL, "data.file=data.npz", "epochs=1"], note=note, tags=["a b", "c"], folder="a b"
    )
    assert (run.config["note"], run.config["tags"]) == (note, ["a b", "c"])
    command, *words = run.record["environment"]["command"]
    assert command == "cnnexp"
    succeed(*words[:-1], "hydra.run.dir=again")
    again = cnnexp.load_run("again")
    assert again.record["config_hash"] == run.record["config_hash"]
    assert (again.config["note"], again.config["tags"]) == (note, ["a b", "c"])


def test_progress_is_shown_where_it_is_asked_for(capsys):
    cnnexp.run([*SMALL, "data.file=data.npz"], epochs=1, progress=True)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("training ") and shown[1].startswith("epoch 1/1  train loss ")
    (made,) = Path("outputs").glob("*/*")
    assert cnnexp.load_run(made).status == "finished"


@pytest.mark.parametrize(
    ("overrides", "settings", "faults"),
    [
        ((), {"epochs": -1, "batch_size": 0}, ["epochs must be", "batch_size must be"]),
        ({"modl": "flat"}, {}, ["modl: no such key. Did you mean 'model'?"]),
        ("epochs=1,2", {}, ["gives several values to one run"]),
        ({"experiments": "seeds"}, {}, ["is a sweep. Begin it by cnnexp.sweep."]),
        ({"sweep.dir": "x"}, {}, ["names the folder of a sweep, and this is a single run"]),
        ((), {"folder": "${x}"}, ["the name of a folder cannot have ${ in it"]),
    ],
)
@pytest.mark.few(2)
def test_all_faults_are_raised_and_nothing_is_written(overrides, settings, faults):
    with pytest.raises(ConfigError) as error:
        cnnexp.run(overrides, **settings)
    assert len(error.value.faults) == len(faults)
    assert all(words in fault for words, fault in zip(faults, error.value.faults, strict=True))
    assert os.listdir() == ["data.npz"]


def test_a_run_that_diverges_is_returned():
    run = cnnexp.run([*SMALL, "data.file=data.npz"], learning_rate=1e30)
    assert run.status == "diverged" and "epoch 1" in run.record["reason"]


def test_a_program_that_uses_hydra_finds_it_as_it_was():
    store, root = ConfigStore.instance(), logging.getLogger()
    before = dict(store.repo), list(root.handlers), root.level, os.environ.get("PYTHONPATH")
    with initialize(version_base=None, config_path=None):
        store.store(name="theirs", node={"a": 1})
        store.store(group="model", name="theirs", node={"b": 2})
        theirs = GlobalHydra.instance().hydra
        try:
            with pytest.raises(ConfigError, match="model=theirs: there is no such option"):
                cnnexp.run(model="theirs")
            cnnexp.run([*SMALL, "data.file=data.npz"], epochs=1)
            assert GlobalHydra.instance().hydra is theirs
            assert compose("theirs", overrides=["+model=theirs"]) == {"a": 1, "model": {"b": 2}}
        finally:
            store.repo.pop("theirs.yaml")
            store.repo.pop("model")
    after = dict(store.repo), list(root.handlers), root.level, os.environ.get("PYTHONPATH")
    assert after == before


def test_a_sweep_is_a_table(capfd):
    frame = cnnexp.sweep(
        [*SMALL, "data.file=data.npz"],
        learning_rate=np.array([0.1, 0.3]),
        metrics=[["error"], []],
        epochs=1,
        folder="grid",
    )
    assert capfd.readouterr().out == ""
    assert list(frame["run"]) == [f"grid/{k}" for k in range(4)]
    assert set(frame["status"]) == {"finished"}
    assert sorted(frame["learning_rate"]) == [0.1, 0.1, 0.3, 0.3]
    rows = json.loads(succeed("compare", "grid", "--json"))
    assert list(frame["test_error"]) == [row["test_error"] for row in rows]
    assert list(frame.columns) == list(rows[0])
    command = json.loads(Path("grid/0/run.json").read_text())["environment"]["command"]
    assert command[:2] == ["cnnexp", "-m"] and "learning_rate=0.1,0.3" in command


@pytest.mark.long
def test_a_sweep_is_continued_and_says_what_has_no_result():
    words = [*SMALL, "data.file=data.npz", "epochs=1"]
    first = cnnexp.sweep(words, seed=[0], folder="grid")
    more = cnnexp.sweep(words, seed=[0, 1], folder="grid")
    assert list(first["seconds"]) == list(more["seconds"])[:1] and len(more) == 2
    Path("data.npz").unlink()
    with pytest.raises(ConfigError):
        cnnexp.sweep(words, seed=[0, 1, 2])


def test_settings_as_words():
    settings = {
        "model": {"layers": [{"type": "flatten"}, {"type": "dense", "units": np.int64(3)}]},
        "data": {"name": "digits", "limit": None},
        "optimizer": {"momentum": np.float32(0.5)},
        "best_weights": True,
        "name": "null",
        "data.dir": Path("a b"),
    }
    assert written((), settings) == [
        "model.layers=[{type:flatten},{type:dense,units:3}]",
        "data=digits",
        "data.limit=null",
        "optimizer.momentum=0.5",
        "best_weights=true",
        "name='null'",
        "data.dir='a b'",
    ]
    several = {"seed": range(3), "tags": ["a", "b"], "metrics": [["error"], []], "epochs": 2}
    assert written("model=flat,cnn", several, several=True) == [
        "model=flat,cnn",
        "seed=0,1,2",
        "tags=[a,b]",
        "metrics=[error],[]",
        "epochs=2",
    ]


@pytest.mark.parametrize("overrides", [{"epochs": object()}, ["-m"], [3], {"seed": [{1, 2}]}])
def test_what_cannot_be_written_is_refused(overrides):
    with pytest.raises(OptionError):
        written(overrides, {})


def test_a_folder_is_called_folder_here():
    """The message named hydra.run.dir, which nobody had written."""
    Path("taken").mkdir()
    Path("taken/run.json").write_text("{}")
    for call in (cnnexp.run, cnnexp.sweep):
        with pytest.raises(
            RunError, match=r"^folder=taken: there is a (single )?run in this folder"
        ):
            call({"model": "flat"}, folder="taken")


@pytest.mark.parametrize("settings", [{"seed": []}, {"data": {"limit": ()}}])
def test_an_empty_list_has_nothing_to_sweep_over(settings):
    with pytest.raises(OptionError, match=r"^(seed|data.limit): the list is empty. Give the"):
        cnnexp.sweep(epochs=1, **settings)


def test_the_points_of_a_sweep_are_a_list_of_settings():
    with pytest.raises(ConfigError, match="points: the list is empty, so there is nothing to"):
        cnnexp.sweep(sweep={"points": []})
    for points in ([{"seed": 0}], [{"seed": 0}, {"impl": ["sg", "naive"]}]):
        words = written({}, {"sweep": {"points": points}}, several=True)
        assert words == written({}, {"sweep": {"points": points}})
