"""Runs of version 0.1.0, committed as they were written, under the commands of today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnexp import load_run, load_runs
from cnnexp.runs.version1 import new_name
from tests.commandline import cnnexp, succeed

OLD = Path(__file__).parents[1] / "runs" / "version_0_1_0"


@pytest.fixture
def folder(tmp_path):
    """A folder with copies of both runs, and a new one like the finished one."""
    shutil.copytree(OLD, tmp_path / "runs")
    return tmp_path / "runs"


def test_the_figures_have_the_names_of_today(folder):
    run = load_run(folder / "finished")
    assert run.results["test_error"] == pytest.approx(0.116991643454039)
    assert list(run.epochs.columns[:5]) == [
        "epoch",
        "train_loss",
        "train_error",
        "test_loss",
        "test_error",
    ]
    assert {"loss", "error"} <= set(run.batches.columns)
    assert run.config["impl"]["micro_batch"] == "auto"
    assert run.config["sweep"]["objective"] == "validation_error"
    assert run.config["loss"]["name"] == "cross_entropy"


def test_the_network_computes_what_the_run_recorded(folder):
    run = load_run(folder / "finished")
    _, loss, error = run.network.evaluate(run.dataset.test.X, run.dataset.test.Y)
    assert error == run.results["test_error"]
    assert loss == pytest.approx(run.results["test_loss"], rel=1e-5)


def test_old_and_new_runs_stand_in_one_table(folder):
    succeed("epochs=1", "data.limit=50", f"hydra.run.dir={folder / 'new'}")
    frame = load_runs(folder).set_index("run")
    assert frame["test_error"].notna().all()
    assert not [name for name in frame if name != new_name(name)]
    shown = succeed("compare", folder)
    assert "test_error" in shown and "_ce" not in shown
    assert "error" in succeed("compare", folder, "--target", "error=0.3", "--csv")


@pytest.mark.long
def test_commands_read_them(folder, tmp_path):
    old = folder / "finished"
    shown = succeed("show", old)
    assert "test_error" in shown and "conv1" in shown
    found = json.loads(succeed("evaluate", old, "--json"))
    assert found["error"] == load_run(old).results["test_error"]
    image = load_run(old).dataset.test.X[:1]
    np.savez(tmp_path / "one.npz", X=image)
    assert succeed("export", old, tmp_path / "weights.npz")
    assert "10 pictures" in succeed("inspect", old) or "pictures" in succeed("inspect", old)


def test_predictions_are_those_of_its_network(folder, tmp_path):
    from PIL import Image

    run = load_run(folder / "finished")
    X = run.dataset.test.X[:1]
    pixels = np.round(255 * X[0, :, :, 0] / X.max()).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    (found,) = json.loads(succeed("predict", run.path, tmp_path / "digit.png", "--json"))
    assert found["class"] == str(run.network.predict(X)[0].argmax())


def test_an_unfinished_one_is_not_resumed_and_says_why(folder):
    before = {
        path: path.read_bytes() for path in (folder / "interrupted").iterdir() if path.is_file()
    }
    ended = cnnexp("resume", folder / "interrupted")
    assert ended.code == 2
    assert "cannot be resumed: it was made by version 0.1.0" in ended.err
    assert "init_from=" in ended.err
    for path, content in before.items():
        assert path.read_bytes() == content


def test_a_new_run_begins_from_its_weights(folder):
    old = load_run(folder / "interrupted")
    words = ["model.layers.0.filters=4", "model.layers.3.units=16", "epochs=1", "data.limit=20"]
    succeed(*words, f"init_from={old.path}", f"hydra.run.dir={folder / 'new'}")
    assert load_run(folder / "new").record["init_from"]["checksum"] == old.weights_checksum
