"""Jobs under our launcher and under those of others."""

import importlib.util
import os
import shutil
import sys
import types
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from cnnexp import load_run
from cnnexp.app.main import main
from cnnexp.app.sweeps import points as sweep_points
from cnnexp.app.sweeps.composer import SweepComposer
from cnnexp.app.sweeps.foreign import patient, run_by
from cnnexp.app.sweeps.points import make_point
from cnnexp.app.sweeps.sweep import Sweep
from cnnexp.nn import executor
from tests.app.test_sweeps import ROOT, Loader, base_config, grid, statuses, table
from tests.runs.small import record_in, write_data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder that has data and a plugin; let other processes find the package."""
    sweep_points._read.cache_clear()
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", ROOT)
    write_data(tmp_path / "data.npz")
    shutil.copy(Path(__file__).with_name("accidents.py"), tmp_path)
    return tmp_path


@pytest.mark.long
def test_jobs_run_side_by_side_and_share_the_cores(capfd, monkeypatch):
    words = [word for word in grid("seed=1,2") if not word.startswith("impl.threads")]
    words += ["model.layers.1.what=meet", "hydra.launcher.n_jobs=2"]
    assert main(words) == 0
    for number in "01":
        record = record_in(Path("S", number))
        assert record["environment"]["cores"] == max(executor.available_cores() // 2, 1)
        assert record["environment"]["blas"]["num_threads"] == 1
        assert record["network"]["threads"] == record["environment"]["cores"]
        assert record["environment"]["command"] == sys.argv
    pids = {record_in(Path("S", number))["process"]["pid"] for number in "01"}
    assert len(pids) == 2
    assert os.getpid() not in pids


@pytest.mark.long
def test_a_job_records_what_was_chosen_for_it(capfd):
    words = [word for word in grid() if not word.startswith(("model", "plugins"))]
    assert main([*words, "model=flat", "optimizer=sgd,adam", "hydra/launcher=basic"]) == 0
    records = [record_in(Path("S", number)) for number in "01"]
    assert [record["choices"]["optimizer"] for record in records] == ["sgd", "adam"]
    assert [record["config"]["learning_rate"] for record in records] == [0.1, 0.001]
    assert {record["choices"]["model"] for record in records} == {"flat"}
    assert "optimizer=adam" in records[1]["overrides"]


@pytest.mark.long
def test_a_job_gets_the_config_that_was_checked(capfd, folder):
    """Also where a file has been changed by the time its turn comes."""
    (folder / "conf" / "schedule").mkdir(parents=True)
    mine = folder / "conf" / "schedule" / "mine.yaml"
    mine.write_text("name: constant\n")
    (folder / "changes.py").write_text(
        "import multiprocessing\nfrom pathlib import Path\n"
        "if multiprocessing.parent_process() is not None:\n"
        f"    Path({str(mine)!r}).write_text('name: cosine')\n"
    )
    words = [word for word in grid("seed=1,2") if not word.startswith(("model", "plugins"))]
    words = ["--config-dir", "conf", *words, "model=flat", "plugins=[changes]", "schedule=mine"]
    assert main(words) == 0
    assert "cosine" in mine.read_text()
    assert load_run("S/1").config["schedule"] == {"name": "constant"}
    assert set(load_run("S/1").batches["learning_rate"]) == {0.1}


class GivesUp(Launcher):
    """Runs the first job and loses the second."""

    def setup(self, **_):
        pass

    def launch(self, job_overrides, initial_job_idx):
        raise OSError("the cluster has gone home\nlong story")


def test_a_launcher_that_gives_up_is_reported(capsys):
    found = Sweep(Path("S"), "failed", lambda jobs: run_by(GivesUp(), jobs, found), {})
    base = base_config().copy()
    base.data.file = "data.npz"
    composer = SweepComposer(Loader(), base)
    found.carry_out([make_point([f"seed={seed}"], composer) for seed in (1, 2)])
    assert found.trouble == ["the launcher gave up: OSError: the cluster has gone home long story"]
    assert [job.status for job in found.jobs] == ["not started"] * 2
    assert found.exit_code == 1


class Lost(Exception):
    pass


def wait_for(number: int) -> JobReturn:
    if number == 1:
        raise Lost("job 1\nhas not produced any output\nlong log")
    return JobReturn(status=JobStatus.COMPLETED, _return_value=number)


def launcher_in(module: str) -> Launcher:
    return type("Somebodys", (GivesUp,), {"__module__": module})()


def check_patience(values: list[JobReturn]) -> None:
    assert [value.status.name for value in values] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert values[1]._return_value == "Lost: job 1 has not produced any output"


def test_submitit_waits_for_all_jobs_though_one_is_lost(monkeypatch):
    class Job:
        def __init__(self, number):
            self.number = number

        def results(self):
            return [wait_for(self.number)]

    core = types.SimpleNamespace(Job=Job)
    monkeypatch.setitem(sys.modules, "submitit.core.core", core)
    launcher = launcher_in("hydra_plugins.hydra_submitit_launcher.submitit_launcher")
    with patient(launcher):
        check_patience([job.results()[0] for job in map(Job, range(3))])
    with pytest.raises(Lost):
        Job(1).results()


def test_ray_waits_for_all_jobs_though_one_is_lost(monkeypatch):
    name = "hydra_plugins.hydra_ray_launcher._core"
    core = types.SimpleNamespace(ray=types.SimpleNamespace(get=wait_for))
    monkeypatch.setitem(sys.modules, name, core)
    with patient(launcher_in("hydra_plugins.hydra_ray_launcher.ray_launcher")):
        check_patience([core.ray.get(job) for job in range(3)])
    with pytest.raises(Lost):
        core.ray.get(1)


def test_other_launchers_are_left_as_they_are():
    with patient(launcher_in("somewhere")):
        pass


def carry_out_twice(launcher: str, capfd, folder: Path) -> tuple[str, str]:
    """Sweep with an accident of each kind, and again after they were mended."""
    words = grid("model.layers.1.what=nothing,raise,kill,diverge", f"hydra/launcher={launcher}")
    assert main(words) == 1
    first = capfd.readouterr().out
    assert statuses() == {"0": "finished", "1": "failed", "2": "killed", "3": "diverged"}, first
    (folder / "mended").touch()
    assert main(words) == 0
    second = capfd.readouterr().out
    assert statuses() == {"0": "finished", "1": "finished", "2": "finished", "3": "diverged"}
    notes = {number: row.split(maxsplit=3)[-1] for number, row in table(second).items()}
    assert notes["0"].endswith("skipped")
    assert notes["1"].endswith("run again")
    assert notes["2"].endswith("resumed")
    assert notes["3"].endswith("skipped")
    assert record_in(Path("S/2"))["resumed"][0]["epoch"] == 1
    return first, second


needs = {
    package: pytest.mark.skipif(
        importlib.util.find_spec(package) is None, reason=f"{package} is not installed"
    )
    for package in ("submitit", "ray")
}
needs_joblib = pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins") is None
    or importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None,
    reason="hydra-joblib-launcher is not installed",
)


@pytest.mark.long
@needs["submitit"]
@pytest.mark.filterwarnings("ignore")
def test_under_submitit(capfd, folder):
    first, _ = carry_out_twice("submitit_local", capfd, folder)
    assert "job 2 killed: " in first
    assert "job 1 failed: RuntimeError: a bolt came loose" in first


@pytest.mark.long
@needs_joblib
@pytest.mark.filterwarnings("ignore")
def test_under_joblib(capfd, folder):
    """One job that is killed ends all that run then; the table tells, and the rest goes on."""
    words = grid("model.layers.1.what=nothing,raise,kill", "hydra/launcher=joblib")
    words.append("hydra.launcher.n_jobs=2")
    assert main(words) == 1
    first = capfd.readouterr().out
    assert "the launcher gave up: TerminatedWorkerError" in first
    assert statuses()["2"] == "killed"
    (folder / "mended").touch()
    assert main(words) == 0
    assert set(statuses().values()) == {"finished"}


@needs["ray"]
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_under_ray(capfd, folder):
    words = grid("model.layers.1.what=nothing,raise", "hydra/launcher=ray")
    assert main(words) == 1
    assert statuses() == {"0": "finished", "1": "failed"}
    (folder / "mended").touch()
    assert main(words) == 0
    assert table(capfd.readouterr().out)["0"].endswith("skipped")
