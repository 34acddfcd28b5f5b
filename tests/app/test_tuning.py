"""``impl.tune``: sizes of micro-batches are measured once, kept, recorded and used again."""

import json
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from cnnexp import run
from cnnexp.app.networks import config_of
from cnnexp.app.running import tuning
from cnnexp.app.sweeps import processes
from cnnexp.data import Samples
from cnnexp.engine import Limits
from cnnexp.engine.user_cache import VARIABLE
from cnnexp.runs import environment, rebuild
from cnnexp.runs.record import read_record
from tests.commandline import cnnexp, succeed

TINY = ("data.limit=60", "epochs=1", "schedule=constant", "impl=fast", "impl.threads=1")
FLAT = ("model=flat", "impl=fast")

BOOM = """
from dataclasses import dataclass

from cnnexp import LAYERS, Layer


@LAYERS.register("boom")
@dataclass
class Boom(Layer):
    fail: bool = False

    def forward(self, A_prev, context):
        if self.fail and context.training:
            raise ValueError("boom")
        return A_prev, None

    def backward(self, cache, dA, context):
        return dA, {}
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache of its own; any training is long enough."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(environment, "git", lambda: None)
    monkeypatch.setattr(tuning, "ENOUGH_WORK", 0)
    return tmp_path


@pytest.fixture
def measured(monkeypatch) -> list[str]:
    """The implementations that were measured; half of a mini-batch of 16 is always best."""
    calls = []

    def fake(network, X, Y):
        calls.append(network.implementation.name)
        assert X.shape == (16, 8, 8, 1)
        return {16: 1.0, 8: 0.5}

    monkeypatch.setattr(tuning.tuning, "measured", fake)
    return calls


def train(name, *words):
    succeed(*TINY, *words, f"hydra.run.dir={name}")
    return recorded(name)


def recorded(folder):
    return read_record(folder).network["micro_batch"]


def kept(place):
    return list((place / "cache" / "micro_batches").glob("*.json"))


def weights(folder):
    return pickle.loads((folder / "weights.pkl").read_bytes())


def test_it_is_measured_once_and_recorded(place, measured):
    assert "measured in" in succeed(*TINY, "hydra.run.dir=one")
    assert recorded("one") == 8
    assert train("two", "seed=1", "epochs=2") == 8
    assert measured == ["fast"]
    assert train("three", "model=flat") == 8  # another network
    assert measured == ["fast"] * 2
    assert len(kept(place)) == 2
    config = read_record("one").config["impl"]
    assert (config["micro_batch"], config["tune"]) == ("auto", True)


@pytest.mark.long
def test_it_is_measured_for_what_the_times_depend_on(place, measured, monkeypatch):
    network = rebuild.build_network(config_of("summary", [*FLAT]), (8, 8, 1))
    samples = Samples(np.zeros((60, 8, 8, 1), "float32"), np.zeros(60, int))
    dataset = SimpleNamespace(train=samples)
    for word in ("seed=1", "learning_rate=0.2", "impl.threads=2", "epochs=3"):
        assert tuning.micro_batch_for(config_of("summary", [*FLAT, word]), network, dataset) == 8
        assert len(measured) == 1
    for count, word in enumerate(
        ("dtype=float64", "impl.fuse=false", "loss.label_smoothing=0.1"), 2
    ):
        tuning.micro_batch_for(config_of("summary", [*FLAT, word]), network, dataset)
        assert len(measured) == count
    monkeypatch.setattr(environment, "cpu_name", lambda: "another one")
    tuning.micro_batch_for(config_of("summary", [*FLAT]), network, dataset)
    assert len(measured) == 5
    small = rebuild.build_network(config_of("summary", [*FLAT]), (8, 8, 1), limits=Limits(1 << 15))
    tuning.micro_batch_for(config_of("summary", [*FLAT]), small, dataset)
    assert len(measured) == 6  # sizes are tried around the automatic one
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    tuning.micro_batch_for(config_of("summary", [*FLAT]), network, dataset)
    assert len(measured) == 7


@pytest.mark.long
def test_it_is_measured_anew_when_a_plugin_has_changed(place, measured, monkeypatch):
    """Also before a sweep."""
    (place / "booms.py").write_text(BOOM)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "booms", raising=False)
    layers = "[{type: flatten}, {type: boom}, {type: dense, activation: softmax}]"
    words = (f"model.layers={layers}", "plugins=[booms]")
    train("one", *words)
    train("two", *words, "seed=1")
    assert len(measured) == 1
    (place / "booms.py").write_text(f"{BOOM}\n# faster")
    train("three", *words)
    assert len(measured) == 2
    (place / "booms.py").write_text(f"{BOOM}\n# faster still")
    succeed("-m", *TINY, *words, "seed=1,2", "sweep.dir=sweep")
    assert len(measured) == 3


@pytest.mark.long
def test_resume_and_rerun_take_the_recorded_size(place, measured):
    train("run")
    for path in kept(place):
        path.unlink()
    succeed("resume", "run", "epochs=2")
    succeed("rerun", "run", "hydra.run.dir=again")
    succeed("rerun", "run", "impl.threads=2", "hydra.run.dir=shared")
    assert measured == ["fast"]
    assert [recorded(run) for run in ("run", "again", "shared")] == [8, 8, 8]
    for name, value in weights(place / "run").items():
        np.testing.assert_array_equal(weights(place / "shared")[name], value)
    succeed("rerun", "run", "impl.tune=false", "hydra.run.dir=automatic")
    assert recorded("automatic") == 128


@pytest.mark.long
def test_what_is_asked_for_is_not_measured(measured, monkeypatch):
    assert train("off", "impl.tune=false") == 128
    assert train("given", "impl.micro_batch=4") == 4
    succeed("impl=naive", "model=flat", "epochs=1", "data.limit=20", "hydra.run.dir=naive")
    monkeypatch.setattr(tuning, "ENOUGH_WORK", 1e11)
    assert train("short") == 128
    assert measured == []


def test_a_damaged_file_is_measured_anew(place, measured):
    train("one")
    (path,) = kept(place)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert train("two") == 8
    assert len(measured) == 2
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff{",
        b"[]",
        b"[" * 100_000,
        b'{"of": {"cpu": "other"}, "seconds": {}}',
        b'{"of": {}}',
        b'{"of": {}, "seconds": [1]}',
        b'{"of": {}, "seconds": {"-3": 1.0}}',
        b'{"of": {}, "seconds": {"8": NaN}}',
        b'{"of": {}, "seconds": {"8": "fast"}}',
        b'{"of": {}, "seconds": {"8": 1.0, "100000": 1e-9}}',
    ],
)
def test_what_no_measurement_wrote_is_not_believed(place, content):
    (place / "file.json").write_bytes(content)
    assert tuning._kept(place / "file.json", {}, [8, 16]) is None


@pytest.mark.long
def test_what_cannot_be_kept_is_measured_all_the_same(place, measured):
    (place / "cache").write_text("no folder")
    said = succeed(*TINY, "hydra.run.dir=one")
    assert "measured in" in said
    assert "once on this machine" not in said  # it will be measured again
    assert train("two") == 8
    assert len(measured) == 2


@pytest.mark.long
def test_it_is_measured_in_silence_where_a_run_shows_nothing(measured, capsys):
    run([*TINY], folder="one", progress=False)
    assert len(measured) == 1
    assert capsys.readouterr().out == ""
    run([*TINY, "model=flat"], folder="two", progress=True)
    assert "measured in 0.0 s, once on this machine\n" in capsys.readouterr().out


@pytest.mark.long
def test_a_sweep_measures_before_its_jobs_and_is_done_when_asked_again(place, measured):
    words = ("-m", *TINY, "seed=0,1", "impl.micro_batch=auto,4", "sweep.dir=sweep")
    assert succeed(*words).count("measured in") == 1
    assert measured == ["fast"]
    found = {job: recorded(place / "sweep" / str(job)) for job in range(4)}
    assert sorted(found.values()) == [4, 4, 8, 8]
    for path in kept(place):
        path.unlink()
    assert succeed(*words).count("4 skipped") == 1
    assert measured == ["fast"]


@pytest.mark.long
def test_a_job_that_cannot_be_measured_fails_alone(place, monkeypatch):
    """It ended the sweep with all jobs "not started", and its reason was nowhere."""
    (place / "booms.py").write_text(BOOM)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "booms", raising=False)
    layers = "[{type: flatten}, {type: boom}, {type: dense, activation: softmax}]"
    words = (f"model.layers={layers}", "plugins=[booms]", "model.layers.1.fail=true,false")
    ended = cnnexp("-m", *TINY, *words, "sweep.dir=sweep")
    assert ended.code == 1
    assert "failed: ValueError: boom" in ended.out
    assert "1 of 2 jobs have a result" in ended.out
    assert read_record(place / "sweep" / "1").status == "finished"


def test_an_error_before_any_job_started_is_told(place, monkeypatch):
    """An error of a sweep without any result was taken for that of its jobs."""

    def fail(jobs, cores):
        raise ValueError("something of its own")

    monkeypatch.setattr(processes, "micro_batches_for", fail)
    with pytest.raises(ValueError, match="something of its own"):
        cnnexp("-m", *TINY, "seed=0,1", "sweep.dir=sweep")


@pytest.mark.long
def test_sizes_differ_in_the_last_bits_alone_and_make_the_same_run(place, measured):
    assert (train("one"), train("two", "impl.tune=false")) == (8, 128)
    other = weights(place / "two")
    for name, value in weights(place / "one").items():
        np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-6)
    before = read_record("one").fingerprint
    for path in kept(place):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"seconds": {"16": 1.0}}))
    assert train("three") == 16
    assert read_record("three").fingerprint == before


def test_it_is_really_measured(place, capsys):
    assert train("run", "batch_size=32") in (64, 32, 16)
    (path,) = kept(place)
    assert [*json.loads(path.read_text())["seconds"]] == ["32", "16"]


@pytest.mark.long
def test_of_several_processes_at_once_one_measures(place):
    code = "import sys; from cnnexp.app.running import tuning; tuning.ENOUGH_WORK = 0;"
    code += "from cnnexp.app.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, *TINY, "batch_size=32"]
    runs = [
        subprocess.Popen([*words, f"hydra.run.dir={k}"], stdout=subprocess.PIPE, text=True)
        for k in range(4)
    ]
    printed = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * 4
    assert sum("measured in" in text for text in printed) == 1
    assert len(kept(place)) == 1
    assert len({recorded(place / str(k)) for k in range(4)}) == 1
