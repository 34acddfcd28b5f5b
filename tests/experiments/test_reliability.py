"""The page of reliability is what its files say, and every part runs."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import sys
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import release
from experiments.benchmarks import results
from experiments.reliability import bounds, extremes, fuzz, growth, numbers, page, sweeps
from experiments.reliability.__main__ import FOLDER, main, module_of
from tests.nn import random_geometries
from tests.nn.networks import HERE as INSTALLED


def test_the_page_is_made_from_the_files() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert release.BLOCK.sub(r"\g<begin>\g<end>", text) == page.made(FOLDER)


HERE = {*INSTALLED} - {"cupy"}


def tried(name: str, folder: Path, *words: str) -> pd.DataFrame:
    """Run a part, and return its rows, of which it makes its part of the page."""
    assert main([name, "--quick", "--output", str(folder), *words]) == 0
    frame = results.read(folder / f"{name}.csv")
    assert module_of(name).section(frame).startswith("## ")
    return frame


def test_numbers_are_compared_with_scipy_where_there_is_no_pytorch(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(numbers, "has_torch", lambda: False)
    monkeypatch.setattr(random_geometries, "oracles", only_scipy)
    frame = tried("numbers", tmp_path, "--geometries", "6")
    assert set(frame["oracles"]) == {"SciPy"}
    assert set(frame["impl"]) == HERE
    assert not frame["failed"].any()
    assert "networks are left out: PyTorch is not installed" in capsys.readouterr().out


def only_scipy(trial, true=random_geometries.oracles):
    return {"SciPy": true(trial)["SciPy"]}


def test_a_seed_that_failed_is_named(tmp_path, monkeypatch):
    def wrong(seed, impls):
        for impl, dtype in itertools.product(impls, numbers.DTYPES):
            units = nan if (impl, dtype) == ("fast", "float64") else 1.0
            yield random_geometries.Difference("conv", impl, dtype, "SciPy", "Z", units, 3.0)

    monkeypatch.setattr(random_geometries, "differences", wrong)
    monkeypatch.setattr(numbers, "has_torch", lambda: False)
    frame = tried("numbers", tmp_path, "--geometries", "2", "--first", "70")
    assert frame["failed"].sum() == 2
    text = numbers.section(frame)
    assert "differ by more than rounding: conv under fast in float64: seeds 70 71." in text


@pytest.mark.long
def test_numbers_growth_and_extremes(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    frame = tried("numbers", tmp_path)
    assert not frame["failed"].any()
    assert "none differs by more than rounding" in numbers.section(frame)
    frame = tried("extremes", tmp_path)
    assert set(frame["outcome"]) == {extremes.GOOD}
    assert set(frame["impl"]) == HERE
    monkeypatch.setenv("CNNEXP_DATA_DIR", str(tmp_path))
    frame = tried("growth", tmp_path)
    assert "MNIST is not in" in capsys.readouterr().out
    assert set(frame["data"]) == {"digits"}
    singles = {f"{impl}, float32" for impl in HERE}
    assert singles <= {*frame["run"]}
    start = frame[(frame["tenth"] == 0) & ~frame["run"].str.contains("unit|seed")]
    assert (start["distance"] == 0).all()


def test_growth_is_measured_under_what_is_installed(monkeypatch):
    monkeypatch.setattr(growth, "load", lambda name: growth.Data(name, *np.zeros((4, 9))))
    monkeypatch.setattr(growth, "training", lambda run, data: [])
    monkeypatch.setattr(growth, "compared", lambda run, data, reference: [run])
    monkeypatch.setattr(growth, "installed", lambda: ["naive", "im2col", "fast"])
    runs = list(growth.measure(argparse.Namespace(data="digits", quick=False)))
    assert {run.impl for run in runs} == {"naive", "im2col", "fast"}
    assert {run.name for run in growth.PERTURBED} < {run.name for run in runs}


def test_growth_is_told_of_all_rows_on_a_machine_without_numba(monkeypatch):
    """The page left compiled out, though its file had the rows."""
    monkeypatch.setattr(numbers, "installed", lambda: ["naive", "sg", "im2col", "fast"])
    spec = importlib.util.spec_from_file_location("growth_elsewhere", growth.__file__)
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    far = {"compiled, float32": 0.5, "compiled, float64": 0.125}
    runs = [*elsewhere.PERTURBED, *map(growth.Run, ("fast, float32", "fast, float64", *far))]
    differences = {"loss_difference": 0.0, "error_difference": 0.0, "cpu_seconds": 1.0}
    rows = [
        {"run": run.name, "net": net, "data": "digits", "samples": 9, "tenth": tenth}
        | {"distance": far.get(run.name, 1e-9) * (tenth > 0)}
        | differences
        for net in ("with kinks", "without kinks")
        for run, tenth in itertools.product(runs, range(11))
    ]
    text = elsewhere.section(pd.DataFrame(rows))
    assert "under compiled after 1/10 of the training" in text
    assert "another implementation in float64 the distance at the end is at most 1e-01" in text
    assert "to 5.0e-01 from the reference" in text


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs limits of the process")
@pytest.mark.parametrize(
    "words", [["fuzz", "--quick", "--readers", "npz,run_json"], ["bounds", "--quick"]]
)
def test_a_part_finds_no_fault_in_little(words, tmp_path):
    assert main([*words, "--output", str(tmp_path)]) == 0
    assert "## " in page.made(tmp_path)
    frame = results.read(tmp_path / f"{words[0]}.csv")
    if words[0] == "bounds":
        assert frame["kept"].all()
    else:
        assert not frame[list(fuzz.FAULTS)].to_numpy().any()


def test_faults_are_said_on_the_page():
    row = dict.fromkeys(fuzz.SHOWN, 1) | {"reader": "npz", "engine": "mutation", "inputs": 1000}
    assert "1,000 inputs were given to 1 readers" in fuzz.section(pd.DataFrame([row]))
    assert ": 4 faults." in fuzz.section(pd.DataFrame([row]))
    row = dict.fromkeys(bounds.SHOWN, 1) | {"file": "x", "most_mb": 2, "outcome": "refused: no"}
    assert "1 of 2 stayed" in bounds.section(pd.DataFrame([row, row | {"kept": 0}]))


@pytest.mark.long
def test_sweeps_are_killed_and_lose_nothing(tmp_path, capsys):
    frame = tried("sweeps", tmp_path)
    assert frame["exit_code"].dropna().tolist() == [0, 0]
    ended = frame[frame["what"].str.endswith("at the end")]
    assert (ended["finished"] == ended["jobs"]).all()
    assert not ended["lost"].any()
    assert not frame["run_twice"].any()


def test_a_job_that_was_run_again_is_seen():
    one, other = object(), object()
    assert sweeps.touched({"0": one, "1": one}, {"0": one, "1": other, "2": one}) == 1
    assert sweeps.touched({"0": one}, {}) == 1  # lost
