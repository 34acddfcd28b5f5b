import csv
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import threading
import time
from dataclasses import FrozenInstanceError, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
import threadpoolctl

from cnnexp.errors import RunError
from cnnexp.runs import environment, writing
from cnnexp.runs.folders import claim, claim_number, hold
from cnnexp.runs.heartbeat import Heartbeat
from cnnexp.runs.policy import CheckpointPolicy
from cnnexp.runs.process import this_process
from cnnexp.runs.record import SILENCE, is_a_run, new_record, read_record, write_record
from cnnexp.runs.writing import RunWriter
from tests.commandline import succeed
from tests.runs.small import change_record, record_in, train, write_data


@pytest.fixture
def folder(tmp_path):
    write_record(tmp_path, new_record({"model": {"layers": []}}, {}, []))
    return tmp_path


def a_process() -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def owner(child: subprocess.Popen) -> dict:
    started = psutil.Process(child.pid).create_time()
    return {"host": platform.node(), "pid": child.pid, "started": started}


def test_a_run_that_goes_on_is_running(folder):
    assert read_record(folder).status == "running"


def test_a_run_whose_process_was_killed_is_shown_as_killed(folder):
    child = a_process()
    change_record(folder, process=owner(child))
    assert read_record(folder).status == "running"
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.001)
    assert read_record(folder).status == "killed"  # gone, though nobody has asked for its end
    child.wait()
    assert read_record(folder).status == "killed"
    assert record_in(folder)["status"] == "running"  # reading changes nothing


def test_another_process_with_the_same_number_is_not_the_run(folder):
    process = this_process()
    change_record(folder, process=process | {"started": process["started"] - 60})
    assert read_record(folder).status == "killed"


@pytest.mark.parametrize(
    ("silent", "status"), [(0, "running"), (SILENCE - 60, "running"), (SILENCE + 60, "killed")]
)
def test_on_another_host_a_long_silence_tells(folder, silent, status):
    beat = datetime.now().astimezone() - timedelta(seconds=silent)
    change_record(folder, process=this_process() | {"host": "elsewhere", "started": 0})
    change_record(folder, heartbeat=beat.isoformat())
    assert read_record(folder).status == status


@pytest.mark.parametrize("status", ["finished", "diverged", "interrupted", "failed"])
def test_the_status_of_a_run_that_has_ended_stays(folder, status):
    change_record(folder, status=status, process=this_process() | {"started": 0})
    assert read_record(folder).status == status


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no run here: there is no run.json"),
        ("", "damaged"),
        ('{"format": 1, "sta', "damaged"),
        ("[]", "expected format 2, found list"),
        ('{"format": 99}', "expected format 2, found 99"),
        ('{"format": 1, "status": "running"}', "damaged: there is no reason, created"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=message):
        read_record(tmp_path)


@pytest.mark.parametrize("process", [None, {}, [], {"host": platform.node(), "pid": "x"}])
def test_a_record_with_a_damaged_process_is_damaged(folder, process):
    change_record(folder, process=process, heartbeat="yesterday")
    with pytest.raises(RunError, match="damaged"):
        read_record(folder)


def test_a_sign_of_life_is_given_while_one_batch_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "HEARTBEAT", 0.01)
    writer = RunWriter(tmp_path, new_record({}, {}, []), CheckpointPolicy())
    writer.record = replace(writer.record, results={"half": 0.5})  # not yet to be written
    first = record_in(tmp_path)["usage"]["wall_seconds"]
    deadline = time.monotonic() + 30
    while record_in(tmp_path)["usage"]["wall_seconds"] < first + 0.05:
        assert time.monotonic() < deadline
    assert record_in(tmp_path)["results"] == {}
    writer.finish("finished")
    last = (tmp_path / "run.json").stat().st_mtime_ns
    time.sleep(0.05)
    assert (tmp_path / "run.json").stat().st_mtime_ns == last


def test_what_another_version_wrote_is_kept_and_what_it_lacks_gets_defaults(folder):
    """Keys that are not known stay, at any depth; those that are absent are as for a new run."""
    older = record_in(folder)
    for key in ("rerun_of", "resumed", "checksums", "usage", "environment", "ended"):
        del older[key]
    older |= {"invented": {"later": 1}, "process": older["process"] | {"core": 3}}
    (folder / "run.json").write_text(json.dumps(older))
    record = read_record(folder)
    assert (record.resumed, record.checksums, record.usage, record.ended) == ([], {}, {}, None)
    write_record(folder, replace(record, overrides=["epochs=3"]))
    found = record_in(folder)
    assert found["invented"] == {"later": 1}
    assert found["process"]["core"] == 3
    assert found["overrides"] == ["epochs=3"]
    assert found["resumed"] == []


def test_what_another_version_wrote_is_kept_when_a_run_goes_on(tmp_path):
    run = train(tmp_path / "run", write_data(tmp_path / "data.npz"), "schedule=constant")
    record = record_in(run)
    change_record(run, invented=1, data=record["data"] | {"later": 2})
    succeed("resume", str(run), "epochs=3")
    found = record_in(run)
    assert (found["invented"], found["data"]["later"]) == (1, 2)
    assert len(found["resumed"]) == 1


def test_a_record_is_changed_by_copies_alone(folder):
    with pytest.raises(FrozenInstanceError):
        read_record(folder).status = "finished"


def test_a_sign_of_life_is_due_every_ten_seconds():
    assert writing.HEARTBEAT <= 10


def test_a_beat_that_fails_does_not_end_the_heartbeat():
    beats = []
    enough = threading.Event()

    def beat():
        beats.append(1)
        if len(beats) == 3:
            enough.set()
        raise OSError("disk full")

    heart = Heartbeat(beat, 0.001)
    assert enough.wait(30)
    heart.stop()


def test_two_never_get_the_same_folder(tmp_path):
    found = []
    start = threading.Barrier(10)

    def work():
        start.wait()
        found.append(claim(tmp_path / "day" / "12-00-00"))
        found.append(claim_number(tmp_path / "sweep"))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 20
    assert {p.name for p in (tmp_path / "sweep").iterdir()} == {str(k) for k in range(10)}


def test_a_folder_is_held_by_one_process_until_it_ends(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from cnnexp.runs.folders import hold\n"
        "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="another process is writing this run"), hold(tmp_path):
            raise AssertionError("unreachable")
        child.kill()
        child.wait()
    with hold(tmp_path):
        pass


def test_a_record_tells_how_a_result_came_about(tmp_path, monkeypatch):
    """Each figure against another source than the one it comes from."""
    data = write_data(tmp_path / "data.npz")
    monkeypatch.setattr(sys, "argv", ["cnnexp", "seed=3"])
    run = train(tmp_path / "run", data, "seed=3")
    record = record_in(run)
    found = record["environment"]
    assert found["packages"]["numpy"] == found["numpy"] == np.__version__
    assert found["packages"]["hydra-core"] == importlib.metadata.version("hydra-core")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["cpu"] in Path("/proc/cpuinfo").read_text()
    assert found["command"] == ["cnnexp", "seed=3"]
    assert record["config"]["seed"] == 3
    numpys = [
        library
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas" and "numpy" in library["filepath"]
    ]
    if numpys:
        assert found["blas"]["architecture"] == numpys[0]["architecture"]
        assert found["blas"]["version"] == numpys[0]["version"]
    assert found["blas"]["num_threads"] == 1
    assert record["network"]["threads"] == 1
    with np.load(data) as arrays:
        digest = hashlib.sha256()
        for array in (arrays["X"][..., None], arrays["Y"]):
            digest.update(f"{array.shape} {array.dtype.str} ".encode() + array.tobytes())
    assert record["data"]["checksum"] == f"sha256:{digest.hexdigest()}"
    assert record["data"]["train"] + record["data"]["test"] == 60
    process = psutil.Process()
    assert record["process"]["pid"] == process.pid
    assert record["usage"]["wall_seconds"] > 0
    assert 0 < record["usage"]["cpu_seconds"] < sum(process.cpu_times()[:2])
    assert process.memory_info().rss / 4 < record["usage"]["peak_memory_bytes"] < 1 << 36
    begun, ended = (datetime.fromisoformat(record[key]) for key in ("created", "ended"))
    assert timedelta() <= ended - begun < timedelta(minutes=5)
    assert json.loads(json.dumps(record)) == record


def test_differences_between_machines_are_named():
    here = environment.describe_environment()
    assert environment.differences(here, here) == []
    there = here | {"numpy": "0.1", "git": None, "blas": {**here["blas"], "architecture": "Alpha"}}
    found = environment.differences(there, here)
    assert found[0] == f"numpy: 0.1 then, {np.__version__} now"
    assert found[1].startswith("blas: ")
    assert "Alpha" in found[1]
    assert len(found) == 2


def test_the_figures_of_speed_are_of_training_alone(tmp_path):
    """48 of the 60 samples are trained on, twice; reading the logs gives the same seconds."""
    run = train(tmp_path / "run", write_data(tmp_path / "data.npz"))
    results = record_in(run)["results"]
    with (run / "batches.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seconds, samples = (sum(float(row[name]) for row in rows) for name in ("seconds", "samples"))
    assert samples == 96
    assert results["seconds"] == pytest.approx(seconds)
    assert results["seconds_per_epoch"] == pytest.approx(seconds / 2)
    assert results["samples_per_second"] == pytest.approx(96 / seconds)


def test_only_a_folder_with_a_readable_record_is_a_run(folder, tmp_path):
    assert is_a_run(folder)
    (tmp_path / "other").mkdir()
    assert not is_a_run(tmp_path / "other")
    (tmp_path / "other" / "run.json").write_text("{")
    assert not is_a_run(tmp_path / "other")
