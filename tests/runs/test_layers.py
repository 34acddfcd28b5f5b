"""``profile=true``: where the time of a run went, layer by layer."""

import csv
import json

import numpy as np
import pytest

from cnnexp import load_run
from cnnexp.app.main import main
from cnnexp.runs import checkpoint
from cnnexp.runs.writing import LAYER_COLUMNS, LAYERS
from tests.commandline import succeed
from tests.runs.small import as_killed, record_in, settings, train, write_data


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data.npz")


def rows(run):
    with (run / LAYERS).open() as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_step(tmp_path, data):
    run = train(tmp_path / "run", data, "profile=true", "impl=fast")
    found = rows(run)
    assert tuple(found[0]) == LAYER_COLUMNS
    assert [row["layer"] for row in found] == [
        "flatten1",
        "dense1+relu1",
        "dense2",
        "softmax+cross_entropy",
    ]
    assert found[1]["type"] == "dense+relu"
    assert found[1]["output_shape"] == "5"
    assert (found[1]["parameters"], found[1]["multiply_adds"]) == ("85", "80")
    assert all(float(row["forward_seconds"]) > 0 for row in found)
    assert sum(int(row["parameters"]) for row in found) == load_run(run).network.parameter_count
    assert checkpoint.load(run)["totals"]["layers"]["dense2"]["samples"] == 2 * 48


def test_without_it_there_is_no_file(tmp_path, data):
    assert not (train(tmp_path / "run", data) / LAYERS).exists()


def test_results_and_fingerprint_are_the_same(tmp_path, data):
    runs = [train(tmp_path / word, data, f"profile={word}") for word in ("true", "false")]
    first, second = map(load_run, runs)
    for name, array in first.weights.items():
        np.testing.assert_array_equal(array, second.weights[name])
    assert record_in(runs[0])["fingerprint"] == record_in(runs[1])["fingerprint"]


def test_it_is_there_after_each_epoch(tmp_path, data, monkeypatch):
    seen = []

    def take(writer, status, reason=None):
        seen.append((writer.folder / LAYERS).read_text())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cnnexp.runs.writing.RunWriter.finish", take)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", data, "profile=true", "impl=sg")
    assert seen[0].count("\n") == 6


def test_a_resume_adds_to_what_was_measured_before_the_kill(tmp_path, data):
    whole = train(tmp_path / "whole", data, "profile=true", "schedule=constant")
    seconds = {row["layer"]: float(row["forward_seconds"]) for row in rows(whole)}
    killed = as_killed(whole, tmp_path / "killed")
    assert main(["resume", str(killed), "epochs=3"]) == 0
    assert checkpoint.load(killed)["totals"]["layers"]["dense2"]["samples"] == 3 * 48
    for row in rows(killed):
        assert float(row["forward_seconds"]) > seconds[row["layer"]]


def test_a_run_that_is_older_than_the_setting_can_be_resumed(tmp_path, data):
    run = train(tmp_path / "run", data, "schedule=constant")
    record = record_in(run)
    del record["config"]["profile"]
    (run / "run.json").write_text(json.dumps(record))
    assert main(["resume", str(run), "epochs=3"]) == 0
    assert record_in(run)["config"]["profile"] is False


@pytest.mark.long
def test_show_draws_it(tmp_path, data):
    run = tmp_path / "run"
    succeed(*settings(data), "profile=true", f"hydra.run.dir={run}")
    shown = succeed("show", run)
    lines = shown[shown.index("time by layer") :].splitlines()
    found = rows(run)
    assert [line.split()[0] for line in lines[2 : 2 + len(found)]] == [r["layer"] for r in found]
    longest = max(found, key=lambda r: float(r["forward_seconds"]) + float(r["backward_seconds"]))
    assert sum(lines[2 + found.index(longest)].count(mark) for mark in "▓█") >= 29
    assert "sums over" not in shown


@pytest.mark.long
def test_show_says_that_seconds_are_sums_over_threads(tmp_path, data):
    run = tmp_path / "run"
    words = ("profile=true", "impl.threads=2", f"hydra.run.dir={run}")
    succeed(*settings(data), *words)
    assert "seconds are sums over 2 threads" in succeed("show", run)
