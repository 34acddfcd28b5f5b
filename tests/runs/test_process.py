"""Whether a process is still there, as far as the system tells."""

import os
import subprocess
import sys

import psutil

from cnnexp.runs.process import is_gone, this_process


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
