"""A hundred jobs on the real engines of clusters, on this machine: one killed, none lost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.test_sweeps import ROOT, grid, statuses
from tests.runs.small import record_in, write_data

pytestmark = pytest.mark.long
JOBS = 100


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ROOT)
    write_data(tmp_path / "data.npz")
    shutil.copy(Path(__file__).with_name("accidents.py"), tmp_path)
    return tmp_path


@pytest.fixture
def cluster(place) -> Iterator[str]:
    """Two nodes of Ray on this machine, with a processor each; gives the address of the first."""
    pytest.importorskip("ray")
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    first = (f"--port={port}", "--head", "--include-dashboard=false")
    nodes = []
    for words in (first, (f"--address={address}",)):
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
        nodes.append(subprocess.Popen([*start, *words], stdout=subprocess.DEVNULL))
        time.sleep(8)  # it says nowhere when it is ready
        assert nodes[-1].poll() is None
    yield address
    for node in reversed(nodes):
        node.terminate()
        node.wait(timeout=60)


def sweep(*words: str) -> subprocess.CompletedProcess[str]:
    numbers = f"model.layers.1.number=range({JOBS})"
    command = [sys.executable, "-m", "cnnexp"]
    command += grid("model.layers.1.what=by number", numbers, *words)
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))


def check_none_is_lost(words: tuple[str, ...]) -> None:
    """Sweep; of a hundred jobs one fails, one diverges, one is killed. Mend, and sweep again."""
    first = sweep(*words)
    assert first.returncode == 1, first.stdout + first.stderr
    found = statuses()
    assert len(found) == JOBS
    assert (found["3"], found["5"]) == ("failed", "diverged")
    others = {status for name, status in found.items() if name not in ("3", "5", "8")}
    assert others == {"finished"}
    assert found["8"] in ("finished", "killed")  # some engines begin it again
    before = {name: Path("S", name, "run.json").read_bytes() for name in found}
    Path("mended").touch()
    second = sweep(*words)
    assert second.returncode == 0, second.stdout + second.stderr
    assert f"{JOBS} of {JOBS} jobs have a result" in second.stdout
    assert len(record_in(Path("S/8"))["resumed"]) == 1
    for name, content in before.items():
        if found[name] in ("finished", "diverged"):
            assert Path("S", name, "run.json").read_bytes() == content
    assert len({record_in(Path("S", name))["process"]["pid"] for name in found}) >= 2


def test_ray_on_two_nodes(cluster):
    check_none_is_lost(("hydra/launcher=ray", f"hydra.launcher.ray.init.address={cluster}"))


def test_submitit_on_this_machine(place):
    """As on SLURM, but that its local executor starts the jobs: ten at a time, for their memory."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    check_none_is_lost(("hydra/launcher=submitit_local", "hydra.sweeper.max_batch_size=10"))


def test_dask_by_joblib(place):
    """The killed process ends no other job, and Dask begins its job again."""
    pytest.importorskip("distributed")
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    check_none_is_lost(("hydra/launcher=joblib", "hydra.launcher.backend=dask"))
