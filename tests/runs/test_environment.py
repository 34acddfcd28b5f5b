"""What is recorded of the machine, from what the system answers."""

import resource
import sys
from pathlib import Path

import psutil
import pytest
import threadpoolctl

from cnnexp.runs import code, environment


def test_the_peak_of_memory_is_in_bytes():
    """It is at least about what is used now, and less than the machine has."""
    now = psutil.Process().memory_info().rss
    assert now / 2 < environment.peak_memory() < psutil.virtual_memory().total


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_the_peak_of_memory_is_reported_in_kilobytes_but_on_a_mac(monkeypatch, system, unit):
    monkeypatch.setattr(sys, "platform", system)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert most * unit <= environment.peak_memory() <= 2 * most * unit


CPUINFO = "processor\t: 0\nvendor_id\t: Maker\nmodel name\t: Fast CPU: 3 GHz\nmodel name\t: Other\n"


def test_the_name_of_the_processor(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path: CPUINFO)
    assert environment.cpu_name() == "Fast CPU: 3 GHz"


@pytest.mark.parametrize("text", ["processor\t: 0\n", None])
def test_the_name_of_the_processor_where_the_system_has_no_such_file(monkeypatch, text):
    def read_text(path):
        if text is None:
            raise FileNotFoundError(path)
        return text

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(environment.platform, "processor", lambda: "")
    monkeypatch.setattr(environment.platform, "machine", lambda: "x86_64")
    assert environment.cpu_name() == "x86_64"
    monkeypatch.setattr(environment.platform, "processor", lambda: "i486")
    assert environment.cpu_name() == "i486"


def library(api, path, version):
    facts = {"internal_api": "openblas", "architecture": "Haswell", "num_threads": 2}
    return {"user_api": api, "filepath": path, "version": version, "prefix": "lib", **facts}


def test_the_blas_is_that_beside_numpy(monkeypatch):
    found = [
        library("openmp", "/site/numpy.libs/libgomp.so", "9"),
        library("blas", "/site/scipy.libs/libopenblas.so", "1"),
        library("blas", "/site/numpy.libs/libopenblas.so", "2"),
    ]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: found)
    assert environment.blas() == {
        "internal_api": "openblas",
        "version": "2",
        "architecture": "Haswell",
        "num_threads": 2,
    }
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: found[:2])
    assert environment.blas()["version"] == "1"
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: found[:1])
    assert environment.blas() is None


def test_differences_are_named_with_what_was_and_what_is():
    then = {"numpy": "1.26", "cpu": "A", "blas": {"version": "1", "threads": 2}, "git": "x"}
    now = {"numpy": "2.0", "cpu": "A", "blas": {"version": "1", "threads": 4}, "git": "y"}
    assert environment.differences(then, now) == [
        "numpy: 1.26 then, 2.0 now",
        "blas: 1 2 then, 1 4 now",
    ]
    assert environment.differences(then, {**now, "machine": "arm64"})[-1] == (
        "machine: None then, arm64 now"
    )


def test_what_was_used_is_counted_from_the_start(monkeypatch):
    monkeypatch.setattr(environment.time, "monotonic", lambda: 110.12345)
    monkeypatch.setattr(environment, "cpu_seconds", lambda: 7.5)
    monkeypatch.setattr(environment, "peak_memory", lambda: 4096)
    assert environment.usage(100.0, 3.0) == {
        "wall_seconds": 10.123,
        "cpu_seconds": 4.5,
        "peak_memory_bytes": 4096,
    }


def test_on_a_system_without_such_a_module_the_peak_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert environment.peak_memory() is None


def test_without_git_no_commit_is_recorded(monkeypatch):
    def fails(*_, **__):
        raise OSError("not here")

    monkeypatch.setattr(code.subprocess, "run", fails)
    assert environment.git() is None


def test_a_package_that_is_not_installed_has_no_version():
    assert environment._version("no-such-package-as-this") is None
