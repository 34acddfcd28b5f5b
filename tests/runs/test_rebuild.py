"""From a recorded config back to its network."""

from __future__ import annotations

import pytest

from cnnexp import load_run
from cnnexp.app.main import main
from tests.runs.small import change_record, record_in, train, write_data


@pytest.mark.parametrize("fuse", ["true", "false"])
def test_a_run_fuses_layers_only_if_it_is_asked_to(fuse, tmp_path):
    """It once did so whatever the config said."""
    data = write_data(tmp_path / "data.npz")
    run = train(tmp_path / "run", data, "impl=fast", f"impl.fuse={fuse}")
    assert record_in(run)["config"]["impl"]["fuse"] is (fuse == "true")
    assert ("computed together" in load_run(run).network.summary()) is (fuse == "true")
    assert ("computed together" in (run / "train.log").read_text()) is (fuse == "true")


def test_a_run_that_is_older_than_a_setting_is_read_and_resumed(tmp_path):
    """It ended in a KeyError: its record has no inference_micro_batch, and no impl.fuse."""
    data = write_data(tmp_path / "data.npz")
    run = train(tmp_path / "run", data, "schedule=constant", "impl.micro_batch=5")
    record = record_in(run)
    for part in (record["network"], record["config"]["impl"]):
        del part["inference_micro_batch"]
    del record["config"]["impl"]["fuse"]
    change_record(run, **record)
    loaded = load_run(run)
    assert loaded.network.inference_micro_batch == 5  # evaluation once used the pieces of training
    _, _, error = loaded.network.evaluate(loaded.dataset.test.X, loaded.dataset.test.Y)
    assert error == record["results"]["test_error"]
    assert main(["resume", str(run), "epochs=3"]) == 0
