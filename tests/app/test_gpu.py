"""``impl=cupy`` on the command line: a run on a stand-in, and what is said without a GPU."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.engine.gpu import CUPY
from cnnexp.runs.reading import Run
from tests.commandline import cnnexp, succeed
from tests.standin import StandIn

TINY = ("model=cnn", "epochs=1", "data.limit=60", "schedule=constant", "profile=true")


@pytest.fixture
def with_a_device(monkeypatch):
    def patch(device=None, needs=""):
        found = replace(CUPY, device=device or StandIn(), needs=needs)
        monkeypatch.setitem(IMPLEMENTATIONS._things, "cupy", found)

    return patch


def test_a_run_is_trained_there_and_read_anywhere(with_a_device, monkeypatch, tmp_path):
    run = tmp_path / "run"
    with monkeypatch.context():
        with_a_device()
        succeed("impl=cupy", *TINY, "checkpoint.every=2", f"hydra.run.dir={run}")
        succeed("resume", str(run), "epochs=2")
    monkeypatch.undo()
    with_a_device(needs="no_such_module")
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["config"]["impl"]["name"] == "cupy"
    assert record["network"]["threads"] == 1
    assert record["network"]["device"] == {"device": "stand-in"}
    weights = pickle.loads((run / "weights.pkl").read_bytes())
    assert {type(array) for array in weights.values()} == {np.ndarray}
    assert Run(run).network.implementation.device is None
    ended = cnnexp("evaluate", str(run))
    assert ended.code == 0, ended.err
    assert f"error {record['results']['test_error']:.4f}" in ended.out
    assert "computed on stand-in" in cnnexp("show", str(run)).out
    ended = cnnexp("resume", str(run), "epochs=3")
    assert ended.code == 2
    assert "pip install 'cnnexp[cupy]'" in ended.err


def test_what_cannot_be_is_told_before_any_data_is_read(with_a_device, tmp_path):
    with_a_device(needs="no_such_module")
    ended = cnnexp("impl=cupy", "impl.threads=2", *TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.code == 2
    assert "pip install 'cnnexp[cupy]'" in ended.err
    assert "impl.threads must be auto or 1 under impl=cupy" in ended.err
    assert not (tmp_path / "run").exists()


def test_layers_are_checked_on_the_host():
    assert cnnexp("check-layer", "dense", "--impl", "cupy").code == 2
