"""``impl=compiled`` and ``impl=auto`` on the command line, with Numba and without."""

import json
import subprocess
import sys

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Flatten, Network, Softmax, load_run
from cnnexp.engine import IMPLEMENTATIONS, automatic
from cnnexp.engine.operations import VARIABLE as CHOSEN
from cnnexp.engine.operations import Implementation
from cnnexp.engine.user_cache import VARIABLE
from cnnexp.errors import OptionError
from cnnexp.runs.record import read_record
from tests.commandline import cnnexp, succeed

TINY = ("model=flat", "epochs=1", "data.limit=50")


@pytest.fixture(autouse=True)
def auto_stands_for_what_is_installed(monkeypatch):
    """In all other tests it stands for fast."""
    monkeypatch.delenv(CHOSEN)


@pytest.fixture
def without_numba(monkeypatch):
    lacks = Implementation.lacks

    def found(self):
        return lacks(
            Implementation("compiled", {}, needs="no_such_module", extra="compiled")
            if self.name == "compiled"
            else self
        )

    monkeypatch.setattr(Implementation, "lacks", found)


def recorded(folder) -> str:
    return json.loads((folder / "run.json").read_text())["config"]["impl"]["name"]


def test_without_the_extra_the_error_names_the_command(without_numba, tmp_path):
    ended = cnnexp("impl=compiled", *TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.code == 2
    assert "pip install 'cnnexp[compiled]'" in ended.err
    assert "rerun RUN impl=fast" in ended.err
    assert not (tmp_path / "run").exists()
    ended = cnnexp("compile")
    assert ended.code == 2
    assert ended.err.rstrip().endswith("pip install 'cnnexp[compiled]'.")  # there is no run
    with pytest.raises(OptionError, match=r"pip install 'cnnexp\[compiled\]'"):
        Network([Dense(2)], impl="compiled")


def test_the_default_is_auto_and_recorded_as_what_it_stands_for(tmp_path):
    succeed(*TINY, f"hydra.run.dir={tmp_path / 'run'}")
    succeed(*TINY, f"impl={automatic()}", f"hydra.run.dir={tmp_path / 'named'}")
    records = [read_record(tmp_path / name) for name in ("run", "named")]
    assert {record.config["impl"]["name"] for record in records} == {automatic()}
    assert {record.choices["impl"] for record in records} == {automatic()}
    assert records[0].fingerprint == records[1].fingerprint
    shown = succeed("show", tmp_path / "run")
    assert "impl" not in shown.partition("settings")[2].split()


@pytest.mark.parametrize("installed", ["fast", "compiled"])
def test_auto_is_compiled_where_it_is_installed(monkeypatch, installed):
    missing = "" if installed == "compiled" else "impl=compiled needs numba"
    monkeypatch.setattr(Implementation, "missing", lambda self: missing)
    assert automatic() == installed


def test_another_one_may_be_chosen_for_a_computer(tmp_path, monkeypatch):
    monkeypatch.setenv(CHOSEN, "sg")
    succeed(*TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert recorded(tmp_path / "run") == "sg"
    monkeypatch.setenv(CHOSEN, "fst")
    ended = cnnexp(*TINY)
    assert ended.code == 2
    assert "CNNEXP_IMPL: no implementation is named 'fst'. Did you mean 'fast'?" in ended.err


def test_a_run_keeps_what_auto_stood_for(tmp_path, monkeypatch):
    run = tmp_path / "run"
    succeed(*TINY, "schedule=constant", f"hydra.run.dir={run}")
    name = recorded(run)
    monkeypatch.setenv(CHOSEN, "im2col")  # as if another one were installed by now
    succeed("resume", run, "epochs=2")
    succeed("rerun", run, f"hydra.run.dir={tmp_path / 'again'}")
    assert recorded(run) == recorded(tmp_path / "again") == name


@pytest.mark.long
def test_a_sweep_shows_what_auto_stood_for(monkeypatch, tmp_path):
    monkeypatch.setenv(CHOSEN, "sg")
    shown = succeed("-m", "impl=auto,fast,sg", *TINY, f"sweep.dir={tmp_path / 'S'}", "sweep.jobs=1")
    assert "1 combination is the same job as another one: impl=sg as impl=auto\n" in shown
    rows = [line.split() for line in shown.splitlines() if " finished " in line]
    assert [row[:-4] for row in rows] == [["0", "auto", "(sg)"], ["1", "fast"]]


@pytest.mark.long
def test_settings_are_shown_without_what_they_stand_for():
    code = "import sys; from cnnexp.app.main import main; main(['--cfg', 'job']);"
    code += "assert not {'numba', 'cnnexp.engine'} & {*sys.modules}"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "impl:\n  name: auto\n" in shown


def test_auto_is_fast_without_the_extra(without_numba, tmp_path):
    succeed("impl=auto", *TINY, f"hydra.run.dir={tmp_path / 'run'}")
    assert recorded(tmp_path / "run") == "fast"
    assert Network([Dense(2)], impl="auto").implementation is IMPLEMENTATIONS["fast"]


def test_a_run_goes_on_only_where_its_implementation_is_installed(tmp_path, monkeypatch):
    pytest.importorskip("numba", reason="impl=compiled needs Numba")
    run = tmp_path / "run"
    succeed("impl=compiled", *TINY, "schedule=constant", f"hydra.run.dir={run}")
    with monkeypatch.context() as patch:
        patch.setattr(Implementation, "missing", lambda self: f"impl={self.name} is not there")
        ended = cnnexp("resume", str(run), "epochs=2")
        assert ended.code == 2
        assert "impl=compiled is not there" in ended.err
    succeed("resume", str(run), "epochs=2")


def test_a_run_is_read_where_its_implementation_is_not_installed(tmp_path, monkeypatch):
    """`fast` takes its place; sizes and weights are the run's."""
    pytest.importorskip("numba", reason="impl=compiled needs Numba")
    run = tmp_path / "run"
    succeed("impl=compiled", *TINY, f"hydra.run.dir={run}")
    here = load_run(run)
    expected = here.network.predict(here.dataset.test.X)
    error = here.record["results"]["test_error"]
    installed = Implementation.missing
    monkeypatch.setattr(
        Implementation, "missing", lambda self: "not there" * (self.name == "compiled")
    )
    elsewhere = load_run(run).network
    assert elsewhere.implementation.name == "fast"
    np.testing.assert_allclose(elsewhere.predict(here.dataset.test.X), expected, atol=1e-6)
    assert f'"error": {error}' in succeed("evaluate", run, "--json")
    assert "flatten1" in succeed("show", run)
    assert installed(IMPLEMENTATIONS["compiled"]) == ""


def test_kernels_are_compiled_ahead_of_time(tmp_path, monkeypatch):
    """What a run needs afterwards is there; who compiles says so."""
    pytest.importorskip("numba", reason="impl=compiled needs Numba")
    from cnnexp.engine.compiled import direct
    from cnnexp.engine.compiled.kernel import Kernel
    from cnnexp.engine.compiled.preparing import every_kernel

    compiled = []

    def make_ready(self, dtype):
        compiled.append(self.name)
        (tmp_path / "kernels" / f"{self.name}-{np.dtype(dtype)}").touch()

    def is_kept(self, dtype):
        return (tmp_path / "kernels" / f"{self.name}-{np.dtype(dtype)}").exists()

    (tmp_path / "kernels").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(Kernel, "make_ready", make_ready)
    monkeypatch.setattr(Kernel, "is_kept", is_kept)
    count = len(every_kernel())
    first = succeed("compile")
    assert f"compiling {count} kernels for this processor, once\n" in first
    assert f"{count} kernels for float32, 0 of them there before, in {tmp_path}" in first
    again = succeed("compile")
    assert again.startswith(f"{count} kernels for float32, {count} of them there before")
    layers = [Conv2D(2, 2), Flatten(), Dense(3), Softmax()]
    compiled.clear()
    Network(layers, impl="compiled").build((6, 6, 1))
    assert compiled == [kernel.name for kernel in direct.kernels_for(np.empty((2, 2, 1, 2)))]
    assert "direct_forward_4_1" in compiled


@pytest.mark.parametrize("model", ["cnn", pytest.param("resnet", marks=pytest.mark.long)])
def test_a_run_that_is_resumed_ends_with_the_same_bits(model, tmp_path):
    """All three kinds of convolutions, batch normalisation and Adam's moments."""
    pytest.importorskip("numba", reason="impl=compiled needs Numba")
    settings = ("impl=compiled", f"model={model}", "optimizer=adam", "schedule=constant")
    settings += ("data.limit=40",)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    succeed(*settings, "epochs=2", f"hydra.run.dir={whole}")
    succeed(*settings, "epochs=1", f"hydra.run.dir={parts}")
    succeed("resume", str(parts), "epochs=2")
    expected, found = (load_run(folder).network.weights() for folder in (whole, parts))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
