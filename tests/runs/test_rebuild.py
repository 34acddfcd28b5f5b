"""From a recorded config back to its network."""

from __future__ import annotations

import dataclasses

import pytest

from cnnexp import load_run
from cnnexp.errors import OptionError
from cnnexp.runs import rebuild
from tests.runs.small import change_record, record_in, train, write_data


@pytest.mark.parametrize("fuse", ["true", "false"])
def test_a_run_fuses_layers_only_if_it_is_asked_to(fuse, tmp_path):
    """It once did so whatever the config said."""
    data = write_data(tmp_path / "data.npz")
    run = train(tmp_path / "run", data, "impl=fast", f"impl.fuse={fuse}")
    assert record_in(run)["config"]["impl"]["fuse"] is (fuse == "true")
    assert ("computed together" in load_run(run).network.summary()) is (fuse == "true")
    assert ("computed together" in (run / "train.log").read_text()) is (fuse == "true")


def test_an_old_run_without_a_setting_is_read(tmp_path):
    """It ended in a KeyError: its record has no inference_sub_batch, and no impl.fuse."""
    data = write_data(tmp_path / "data.npz")
    run = train(tmp_path / "run", data, "schedule=constant", "impl.micro_batch=5")
    record = record_in(run)
    for part in (record["network"], record["config"]["impl"]):
        del part["inference_micro_batch"]
    del record["config"]["impl"]["fuse"]
    for part in (record["network"], record["config"]["impl"]):
        part["sub_batch"] = part.pop("micro_batch")
    results = {"test_ce": record["results"]["test_error"]}
    change_record(run, **record | {"format": 1, "results": results})
    loaded = load_run(run)
    assert "computed together" in loaded.network.summary()  # which is the default since
    assert loaded.network.inference_micro_batch == 5  # evaluation once used the size of training
    _, _, error = loaded.network.evaluate(loaded.dataset.test.X, loaded.dataset.test.Y)
    assert error == loaded.results["test_error"]


def test_options_have_the_type_of_their_field():
    @dataclasses.dataclass
    class Options:
        count: int = 0
        rate: float = 0.0
        name: str | None = None

    good = {"count": 2, "rate": 1, "name": None, "other": object()}
    assert rebuild.options_of(Options, good) == {"count": 2, "rate": 1, "name": None}
    for wrong in ({"count": 2.0}, {"count": True}, {"rate": "1"}, {"name": 1}):
        with pytest.raises(OptionError, match="cannot be"):
            rebuild.options_of(Options, wrong)
