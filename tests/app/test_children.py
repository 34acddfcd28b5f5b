"""Processes for jobs: forked from a warm one, or fresh, they do the same."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from cnnexp.app.sweeps import child, children
from cnnexp.app.sweeps.job import Job
from cnnexp.app.sweeps.processes import side_by_side
from cnnexp.runs.record import read_record
from tests.commandline import cnnexp, succeed

linux = pytest.mark.skipif(not children.FORKING, reason="processes are forked on Linux alone")
GRID = ("-m", "data.limit=60", "epochs=2", "impl.threads=1", "learning_rate=0.3,0.1")


@pytest.fixture(autouse=True)
def place(tmp_path):
    return tmp_path


@linux
@pytest.mark.long
def test_warm_and_fresh_jobs_end_with_the_same_bits():
    for isolation in ("warm", "fresh"):
        succeed(*GRID, f"sweep.isolation={isolation}", f"sweep.dir={isolation}")
    for job in "01":
        warm, fresh = (
            pickle.loads(Path(isolation, job, "weights.pkl").read_bytes())
            for isolation in ("warm", "fresh")
        )
        for name in warm:
            np.testing.assert_array_equal(warm[name], fresh[name])
        records = [read_record(Path(isolation, job)) for isolation in ("warm", "fresh")]
        assert records[0].fingerprint == records[1].fingerprint
        assert records[0].environment == records[1].environment


@linux
def test_every_job_has_a_process_of_its_own():
    succeed(*GRID, "sweep.dir=S")
    pids = {read_record(Path("S", job)).process["pid"] for job in "01"}
    assert len({*pids, os.getpid()}) == 3


SAYS = """
import multiprocessing, os
from pathlib import Path
from types import SimpleNamespace

if multiprocessing.parent_process() is not None:
    Path("seen").write_text(f"{os.environ.get('SAID_BY_A_TEST')} in {os.getcwd()}")
    if os.environ.get("SAID_BY_A_TEST") == "die":
        os._exit(3)
"""


@pytest.mark.few(1)
@linux
@pytest.mark.parametrize("said", ["yes", "die"])
def test_a_forked_process_has_the_folder_and_the_variables_of_its_parent(place, monkeypatch, said):
    """As they are when the job begins; the server may have been started long before."""
    Path("inner").mkdir()
    monkeypatch.chdir("inner")
    Path("my_says.py").write_text(SAYS)
    monkeypatch.setenv("SAID_BY_A_TEST", said)
    monkeypatch.setattr(sys, "path", list(sys.path))
    ended = cnnexp(*GRID[:-1], "plugins=[my_says]", "sweep.dir=S")
    sys.modules.pop("my_says")
    assert Path("seen").read_text() == f"{said} in {Path.cwd()}"
    assert ended.code == (said == "die")
    if said == "die":
        assert "job 0 not started: its process ended with exit code 3" in ended.out


@linux
@pytest.mark.long
def test_the_main_module_is_not_imported_again(tmp_path):
    """A script without ``if __name__ == "__main__"`` may sweep."""
    script = tmp_path / "study.py"
    words = [*GRID, "sweep.dir=S"]
    script.write_text(f"print('begun')\nfrom cnnexp.app.main import main\nmain({words!r})\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("begun") == 1
    assert "2 of 2 jobs have a result" in done.stdout


@pytest.mark.parametrize(
    ("jobs", "impls", "found"),
    [
        ("auto", ["sg"] * 9, 4),
        ("auto", ["sg"] * 3, 3),
        ("auto", ["sg", "fast", "sg"], 1),  # whose times are compared
        ("auto", [], 1),
        (7, ["sg", "fast"], 7),
    ],
)
def test_how_many_run_side_by_side(jobs, impls, found):
    planned = [
        SimpleNamespace(config={"sweep": {"jobs": jobs}, "impl": {"name": name}}) for name in impls
    ]
    assert side_by_side(planned, cores=4) == found


def test_a_wrong_isolation_is_refused():
    ended = cnnexp(*GRID, "sweep.isolation=warmer")
    assert ended.code == 2
    assert "isolation must be one of warm, fresh. Got 'warmer'." in ended.err


def test_the_code_of_an_interrupted_job(monkeypatch):
    def interrupted(task):
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "main", interrupted)
    assert child._code_of(None) == 130


def test_a_record_that_cannot_be_read_is_the_reason(tmp_path):
    job = Job([], folder=tmp_path)
    assert job.reason == "it has recorded nothing"
    (tmp_path / "run.json").write_text("{")
    assert job.status == "not started"
    assert "run.json: damaged" in job.reason


def test_only_the_server_is_prepared_as_one():
    """Who imports the module, as doctest does, keeps group and signals."""
    code = (
        "import os, signal; now = lambda: (os.getpgid(0), signal.getsignal(signal.SIGTERM));"
        "before = now(); import cnnexp.app.sweeps.warm; assert now() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@linux
@pytest.mark.long
def test_jobs_go_on_when_the_process_group_is_told_to_end(tmp_path):
    """The program alone heeds it: it asks its jobs to stop, waits for them, and shows the table."""
    words = [sys.executable, "-m", "cnnexp", "-m", "epochs=400", "seed=0,1", "sweep.dir=S"]
    sweep = subprocess.Popen(words, stdout=subprocess.PIPE, process_group=0, text=True)
    while not all(Path("S", job, "epochs.csv").exists() for job in "01"):
        assert sweep.poll() is None
        time.sleep(0.05)
    os.killpg(sweep.pid, signal.SIGTERM)
    printed = sweep.communicate(timeout=60)[0]
    assert sweep.returncode == 130
    assert "0 of 2 jobs have a result" in printed
    assert {read_record(Path("S", job)).status for job in "01"} == {"interrupted"}


def test_a_text_that_looks_like_a_number_stays_a_text_for_every_reader():
    """YAML 1.1 reads 1e-3 as a text, OmegaConf and YAML 1.2 as a number."""
    texts = ["1e-3", "1E5", "-.5e2", "+1e3", "1_0.5e1", ".inf", "-.Inf", ".NaN", "0o17", "1.", "12"]
    texts += ["0x1f", "1:30", "true", "null", "~", "", "e3", "-", ".", "1e", "a b", "1e-3x"]
    config = {
        "texts": texts,
        "numbers": [1e-3, 1e30, 5, -0.5, float("inf")],
        "names": dict.fromkeys(texts),
    }
    written = yaml.dump(config, Dumper=child._Dumper, sort_keys=False, allow_unicode=True)
    assert OmegaConf.to_container(OmegaConf.create(written)) == yaml.safe_load(written) == config
    assert "- e3\n" in written  # what is clear needs no quotation marks


@linux
def test_code_that_changes_while_a_sweep_goes_on_is_not_mixed():
    """A job whose code is not what was planned is refused; the sweep again trains all anew."""
    module = Path("changing.py")
    module.write_text("")
    change = "import pathlib\npathlib.Path('changing.py').write_text('VALUE = 2')\n"
    Path("hook.py").write_text(
        "from cnnexp.train import CALLBACKS, Callback\n"
        "@CALLBACKS.register('hook')\nclass Hook(Callback):\n"
        "    def epoch_done(self, event, trainer):\n"
        f"        {change.replace(chr(10), chr(10) + ' ' * 8)}\n"
    )
    words = ("-m", "plugins=[changing,hook]", "callbacks=[{type: hook}]", "model=flat", "epochs=1")
    words = (*words, "data.limit=40", "seed=1,2", "sweep.jobs=1", "sweep.dir=S")
    ended = cnnexp(*words)
    assert ended.code == 1
    assert "job 1 failed: its data, or the code that its plugins name, changed after" in ended.out
    assert read_record(Path("S/0")).status == "finished"
    assert not Path("S/1/epochs.csv").exists()
