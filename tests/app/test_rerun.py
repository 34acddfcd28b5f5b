"""``rerun``: the settings of a run again, some of them changed."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnexp.runs import trust
from cnnexp.runs.record import read_record
from tests.commandline import cnnexp, succeed

VERSION_1 = Path(__file__).parents[1] / "runs" / "version_0_1_0" / "finished"
QUICK = ("data.limit=60", "epochs=2", "impl.threads=1")
TYPED = (
    *QUICK,
    "learning_rate=0.07",
    "optimizer.momentum=0.5",
    "augment=affine",
    "model.layers.0.filters=3",
    "seed=4",
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "config"))
    return tmp_path


def weights(run):
    return pickle.loads((Path(run) / "weights.pkl").read_bytes())


def differing(one, other):
    """Return the settings in which two runs differ, but for the sweep they belong to."""
    configs = [read_record(Path(run)).config for run in (one, other)]
    return {
        key: (configs[0].get(key), configs[1].get(key))
        for key in configs[0].keys() | configs[1].keys()
        if key != "sweep" and configs[0].get(key) != configs[1].get(key)
    }


def test_without_changes_it_ends_with_the_same_bits():
    succeed(*TYPED, "hydra.run.dir=one")
    assert succeed("rerun", "one", "hydra.run.dir=two").endswith("results in two\n")
    assert differing("one", "two") == {}
    assert weights("one").keys() == weights("two").keys()
    for name, array in weights("one").items():
        np.testing.assert_array_equal(array, weights("two")[name])
    one, two = (read_record(Path(run)) for run in ("one", "two"))
    assert one.fingerprint == two.fingerprint
    assert two.rerun_of == str(Path("one").absolute())
    assert two.overrides[: len(TYPED)] == list(TYPED)


def test_what_is_changed_is_all_that_is_different():
    succeed(*TYPED, "hydra.run.dir=one")
    changes = ("optimizer.momentum=0.9", "model.layers.0.filters=4", "seed=5")
    succeed("rerun", "one", *changes, "hydra.run.dir=two")
    assert differing("one", "two").keys() == {"optimizer", "model", "seed"}
    config = read_record(Path("two")).config
    assert config["optimizer"]["momentum"] == 0.9
    assert config["model"]["layers"][0]["filters"] == 4


@pytest.mark.parametrize(
    ("typed", "rate"), [((), 0.001), (("learning_rate=0.07",), 0.07)], ids=["default", "typed"]
)
@pytest.mark.long
def test_another_optimizer_has_its_own_rate_unless_one_was_chosen(typed, rate):
    succeed(*QUICK, *typed, "hydra.run.dir=one")
    succeed("rerun", "one", "optimizer=adam", "hydra.run.dir=two")
    config = read_record(Path("two")).config
    assert (config["optimizer"]["name"], config["learning_rate"]) == ("adam", rate)


@pytest.mark.long
def test_a_job_of_a_sweep_is_run_by_itself():
    succeed("-m", *QUICK, "learning_rate=0.3,0.1", "sweep.dir=grid")
    succeed("rerun", "grid/0", "hydra.run.dir=alone")
    assert differing("grid/0", "alone") == {}
    record = read_record(Path("alone"))
    assert record.config["sweep"] != read_record(Path("grid/0")).config["sweep"]
    for name, array in weights("grid/0").items():
        np.testing.assert_array_equal(array, weights("alone")[name])


@pytest.mark.long
def test_a_preset_that_is_not_here_any_more_is_not_needed():
    folder = Path("mine/model")
    folder.mkdir(parents=True)
    layers = "[{type: flatten}, {type: dense, activation: softmax}]"
    (folder / "small.yaml").write_text(f"# Small.\nname: small\nlayers: {layers}\n")
    succeed("--config-dir", "mine", "model=small", *QUICK, "hydra.run.dir=one")
    (folder / "small.yaml").unlink()
    succeed("rerun", "one", "hydra.run.dir=two")
    assert differing("one", "two") == {}


def test_a_run_of_an_earlier_version():
    succeed("rerun", VERSION_1, "epochs=1", "data.limit=40", "hydra.run.dir=new")
    now, then = (read_record(Path(run)).config for run in ("new", VERSION_1))
    assert (now["epochs"], now["learning_rate"]) == (1, then["learning_rate"])
    assert [layer["type"] for layer in now["model"]["layers"]] == [
        layer["type"] for layer in then["model"]["layers"]
    ]


def test_data_that_have_changed_are_refused():
    np.savez("own.npz", X=np.random.default_rng(0).random((40, 8, 8)), Y=np.arange(40) % 4)
    succeed("data=npz", "data.file=own.npz", *QUICK, "hydra.run.dir=one")
    np.savez("own.npz", X=np.random.default_rng(1).random((40, 8, 8)), Y=np.arange(40) % 4)
    ended = cnnexp("rerun", "one", "hydra.run.dir=two")
    assert ended.code == 2
    assert f"data: not what {Path('one').absolute()} was trained on" in ended.err
    succeed("rerun", "one", "data.file=own.npz", "hydra.run.dir=three")


@pytest.mark.long
def test_plugins_of_a_run_that_is_not_the_users_are_not_imported(place, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (place / "own_nothing.py").write_text("")
    succeed("plugins=[own_nothing]", *QUICK, "hydra.run.dir=one")
    sys.modules.pop("own_nothing")
    monkeypatch.setenv(trust.VARIABLE, str(place / "elsewhere"))
    ended = cnnexp("rerun", "one", "hydra.run.dir=two")
    assert ended.code == 2
    assert "needs the module 'own_nothing'" in ended.err
    succeed("rerun", "one", "--plugins", "own_nothing", "hydra.run.dir=two")
    sys.modules.pop("own_nothing")


def test_another_machine_is_told():
    succeed(*QUICK, "hydra.run.dir=one")
    record = json.loads(Path("one/run.json").read_text())
    record["environment"]["numpy"] = "1.0"
    Path("one/run.json").write_text(json.dumps(record))
    ended = cnnexp("rerun", "one", "hydra.run.dir=two")
    assert ended.code == 0
    assert "warning: the last bits may differ from those of one: numpy: 1.0 then" in ended.err


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rerun", "nothing"], "nothing: no run here: there is no run.json."),
        (["rerun", "."], ".: not a run, but it holds 1, for example ./one."),
        (["rerun", "one", "optimizr=adam"], "optimizr: no such key. Did you mean 'optimizer'?"),
        (["rerun", "one", "epochs=0"], "epochs must be at least 1"),
        (["rerun", "one", "epochs=1,2"], "gives several values to one run"),
        (["rerun", "one", "hydra.run.dir=one"], "there is a run in this folder already"),
        (["--experimental-rerun", "one/x.pickle"], "python -m cnnexp rerun RUN"),
        (["--config-dir", "one/.hydra", "epochs=1"], "python -m cnnexp rerun one"),
    ],
)
def test_mistakes_have_one_message(words, message):
    succeed(*QUICK, "epochs=1", "hydra.run.dir=one")
    ended = cnnexp(*words)
    assert (ended.code, message in ended.err, "Traceback" in ended.err) == (2, True, False)


def test_what_was_recorded_stands_for_nothing_else(monkeypatch):
    """A foreign record could name variables of the environment."""
    monkeypatch.setenv("A_SECRET", "hush")
    succeed(*QUICK, "hydra.run.dir=one")
    record = json.loads(Path("one/run.json").read_text())
    record["config"]["data"]["name"] = "digits"
    record["config"]["model"]["layers"][0]["name"] = "${oc.env:A_SECRET}"
    Path("one/run.json").write_text(json.dumps(record))
    ended = cnnexp("rerun", "one", "hydra.run.dir=two")
    written = Path("two/run.json").read_text() if Path("two/run.json").exists() else ""
    assert "hush" not in written + ended.err + ended.out


@pytest.mark.long
def test_options_that_the_new_choice_has_too_are_kept():
    succeed(*QUICK, "optimizer.weight_decay=0.01", "optimizer.momentum=0.5", "hydra.run.dir=one")
    succeed("rerun", "one", "optimizer=adam", "data=sklearn", "model=flat", "hydra.run.dir=two")
    config = read_record(Path("two")).config
    assert config["optimizer"]["weight_decay"] == 0.01
    assert config["data"]["limit"] == 60


def test_the_choices_of_the_run_are_recorded_and_its_labels_are_not():
    folder = Path("mine/model")
    folder.mkdir(parents=True)
    layers = "[{type: flatten}, {type: dense, activation: softmax}]"
    (folder / "small.yaml").write_text(f"# Small.\nname: small\nlayers: {layers}\n")
    succeed("--config-dir", "mine", "model=small", "name=first", *QUICK, "hydra.run.dir=one")
    succeed("rerun", "one", "hydra.run.dir=two")
    record = read_record(Path("two"))
    assert record.choices["model"] == "small"
    assert record.config["name"] == ""


def test_a_study_is_refused():
    succeed(*QUICK, "hydra.run.dir=one")
    ended = cnnexp("rerun", "one", "experiments=depth")
    assert (ended.code, "a study sets many settings" in ended.err) == (2, True)


DIABETES = ("data=sklearn", "data.set=diabetes")


def loss_of(run):
    record = read_record(Path(run))
    return record.config["loss"]["name"], record.choices["loss"]


@pytest.mark.long
def test_another_model_chooses_its_own_loss():
    """The loss of a recorded model=regression came from that model."""
    succeed(*DIABETES, *QUICK, "optimizer=adam", "model=regression", "hydra.run.dir=one")
    ended = cnnexp("rerun", "one", "model=flat", "data=digits", "hydra.run.dir=two")
    assert ended.code == 0, ended.err
    assert loss_of("two") == ("cross_entropy", "cross_entropy")


@pytest.mark.long
def test_another_model_takes_the_loss_that_was_typed():
    succeed(*QUICK, "optimizer=adam", "hydra.run.dir=one")
    succeed("rerun", "one", "model=regression", *DIABETES, "hydra.run.dir=two")
    assert loss_of("two") == ("mean_squared_error", "mean_squared_error")
    succeed(*DIABETES, *QUICK, "model=regression", "loss=huber", "hydra.run.dir=typed")
    succeed("rerun", "typed", "model=regression", "hydra.run.dir=three")
    assert loss_of("three") == ("huber", "huber")
