"""How a command ends is told by its exit code."""

import pytest

from tests.commandline import cnnexp
from tests.runs.small import settings, write_data

DIVERGES = ("learning_rate=1e30", "epochs=1")


@pytest.fixture(autouse=True)
def folder(tmp_path):
    """Work in an empty folder that has data."""
    write_data(tmp_path / "data.npz")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_single_run_that_diverged_ends_with_3_and_so_does_its_resume():
    ended = cnnexp(*settings("data.npz", *DIVERGES, "hydra.run.dir=r"))
    assert ended.code == 3
    assert ended.out.splitlines()[-1] == "results in r"
    assert cnnexp("resume", "r").code == 3


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_sweep_with_a_diverged_job_has_its_result_and_ends_with_0():
    words = settings("data.npz", *DIVERGES, "seed=0", "sweep.dir=s", "hydra/launcher=basic")
    ended = cnnexp("-m", *words)
    assert ended.code == 0
    assert "1 of 1 jobs have a result" in ended.out
