"""From a recorded config back to its network."""

from __future__ import annotations

import pytest

from cnnexp import load_run
from tests.runs.small import record_in, train, write_data


@pytest.mark.parametrize("fuse", ["true", "false"])
def test_a_run_fuses_layers_only_if_it_is_asked_to(fuse, tmp_path):
    """It once did so whatever the config said."""
    data = write_data(tmp_path / "data.npz")
    run = train(tmp_path / "run", data, "impl=fast", f"impl.fuse={fuse}")
    assert record_in(run)["config"]["impl"]["fuse"] is (fuse == "true")
    assert ("computed together" in load_run(run).network.summary()) is (fuse == "true")
    assert ("computed together" in (run / "train.log").read_text()) is (fuse == "true")
