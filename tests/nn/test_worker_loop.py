"""The parts of a worker process that can be called in this one."""

import mmap
import os
import subprocess
import sys

import pytest

from cnnexp.nn import processes
from cnnexp.nn.processes import ASLEEP, GENERATION, ROW, Processes, _has_ended, _next_generation

pytestmark = pytest.mark.skipif(not processes.POSSIBLE, reason="needs Linux on x86")


@pytest.fixture
def block(monkeypatch):
    monkeypatch.setattr(processes, "SPINS", 3)
    return memoryview(mmap.mmap(-1, 8 * ROW * 2)).cast("q")


def test_a_worker_takes_a_job_that_is_there(block):
    block[GENERATION] = 2
    assert _next_generation(block, ROW + ASLEEP, 1, -1)
    assert _next_generation(block, ROW + ASLEEP, 2, -1)
    assert block[ROW + ASLEEP] == 0


def test_a_worker_sleeps_until_it_is_woken_or_the_pipe_is_closed(block, monkeypatch):
    reading, writing = os.pipe()
    read = os.read

    def woken(file, count):
        assert block[ROW + ASLEEP] == 1
        found = read(file, count)
        block[GENERATION] = len(found)
        return found

    monkeypatch.setattr(processes.os, "read", woken)
    os.write(writing, b"!")
    assert _next_generation(block, ROW + ASLEEP, 1, reading)
    assert block[ROW + ASLEEP] == 0
    os.close(writing)
    assert not _next_generation(block, ROW + ASLEEP, 2, reading)
    os.close(reading)


def test_a_process_without_a_job_or_a_team_works_on_threads():
    done = []

    class Owner:
        def job(self, worker, k):
            done.append(k)

    owner, executor = Owner(), Processes(2)
    executor.map(owner.job, 3)
    executor.close()
    assert sorted(done) == [0, 1, 2]
    assert not executor.forked


def test_where_no_process_can_be_made_threads_go_on(monkeypatch):
    class Owner:
        def job(self, worker, k):
            pass

    def none_left():
        raise OSError("no process number is left")

    owner, executor = Owner(), Processes(2)
    files = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(processes.os, "fork", none_left)
    for _ in range(processes.WARMUP + 2):
        executor.ready([owner.job], 2, lambda: None)
    assert not executor.forked
    assert len(os.listdir("/proc/self/fd")) == files
    executor.close()


def test_a_process_that_was_waited_for_has_ended():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert _has_ended(child.pid)
