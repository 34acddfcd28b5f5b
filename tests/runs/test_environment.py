"""What is recorded of the machine, where the system does not tell it."""

import os
import platform
import subprocess
import sys

import psutil
import pytest

from cnnexp.runs import environment
from cnnexp.runs.process import is_gone, this_process


def fails(*_, **__):
    raise OSError("not here")


def test_peak_memory_counts_bytes_on_every_system(monkeypatch):
    resource = pytest.importorskip("resource")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    monkeypatch.setattr(resource, "getrusage", lambda _: usage)
    monkeypatch.setattr(sys, "platform", "linux")
    assert environment.peak_memory() == usage.ru_maxrss * 1024
    monkeypatch.setattr(sys, "platform", "darwin")  # there it is bytes already
    assert environment.peak_memory() == usage.ru_maxrss
    monkeypatch.setitem(sys.modules, "resource", None)  # on Windows there is no such module
    assert environment.peak_memory() is None


def test_the_processor_has_a_name_where_no_file_tells_it(monkeypatch):
    monkeypatch.setattr(environment.Path, "read_text", fails)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "a machine")
    assert environment.cpu_name() == "a machine"
    monkeypatch.setattr(environment.Path, "read_text", lambda _: "flags\nmodel name : Fast 1\n")
    assert environment.cpu_name() == "Fast 1"
    monkeypatch.setattr(environment.Path, "read_text", lambda _: "nothing of it\n")
    assert environment.cpu_name() == "a machine"


def test_without_git_no_commit_is_recorded(monkeypatch):
    monkeypatch.setattr(subprocess, "run", fails)
    assert environment.git() is None


def test_outside_of_a_repository_it_is_the_commit_of_the_working_folder(tmp_path, monkeypatch):
    def ask(folder, *words):
        if words[0] == "ls-files":
            raise subprocess.CalledProcessError(1, "git")
        return str(folder)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "_ask_git", ask)
    assert environment.git()["folder"] == str(tmp_path)


def test_a_package_that_is_not_installed_has_no_version():
    assert environment._version("no-such-package-as-this") is None


def test_numpys_own_blas_is_recorded(monkeypatch):
    import threadpoolctl

    pools = [
        {"user_api": "openmp", "filepath": "/numpy/omp"},
        {"user_api": "blas", "filepath": "/scipy/blas", "version": "1"},
        {"user_api": "blas", "filepath": "/numpy/blas", "version": "2"},
    ]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: pools)
    assert environment.blas()["version"] == "2"
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: pools[:1])
    assert environment.blas() is None


def test_a_process_that_has_ended_is_gone():
    mine = this_process()
    assert not is_gone(mine)
    assert is_gone(mine | {"started": mine["started"] - 100})  # another one with its number
    child = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    started = psutil.Process(child.pid).create_time()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, nobody has waited
    assert is_gone({"pid": child.pid, "started": started})
    child.wait()
    assert is_gone({"pid": child.pid, "started": started})


def test_a_process_that_may_not_be_looked_at_is_there(monkeypatch):
    def denied(pid):
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr(psutil, "Process", denied)
    assert not is_gone({"pid": 1, "started": 0.0})
