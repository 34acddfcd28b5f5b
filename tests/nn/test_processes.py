"""Worker processes: what they share, and how they end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, Softmax
from cnnexp.engine import Limits
from cnnexp.nn import processes, runner
from cnnexp.nn.processes import WARMUP, Processes, worker_seconds

pytestmark = pytest.mark.skipif(
    not processes.POSSIBLE, reason="worker processes need Linux on x86-64"
)


def is_there(pid: int) -> bool:
    """Say whether a process lives; one that has ended and was not asked for is not there."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(true) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true")


class Work:
    """Jobs, as a runner has them."""

    def __init__(self, job: Callable[[int, int], None], workers: int = 3) -> None:
        self.function = job
        self.executor = Processes(workers)
        self.prepared = 0

    def job(self, worker: int, k: int) -> None:
        self.function(worker, k)

    def prepare(self) -> None:
        self.prepared += 1

    def fork(self, count: int = 3) -> list[int]:
        """Fork the workers and return their numbers."""
        for _ in range(WARMUP + 1):
            assert not self.executor.forked
            self.executor.ready((self.job,), count, self.prepare)
        assert self.executor.forked
        return self.executor._team._pids

    def run(self, count: int) -> None:
        self.executor.map(self.job, count)


def test_every_worker_does_its_share():
    found = Processes(2).allocate((7, 2), np.int64)

    def note(worker, k):
        found[k] += (1, os.getpid())

    work = Work(note)
    pids = work.fork()
    work.run(7)
    assert found[:, 0].tolist() == [1] * 7
    expected = [os.getpid(), *pids]
    assert found[:, 1].tolist() == [expected[k % 3] for k in range(7)]
    assert work.prepared == 0  # that was in the workers
    work.executor.close()
    assert not any(map(is_there, pids))


def test_other_jobs_and_single_ones_run_here():
    here = set()
    work = Work(lambda worker, k: here.add(os.getpid()))
    work.fork()
    work.run(1)
    work.executor.map(lambda worker, k: here.add(os.getpid()), 5)
    assert here == {os.getpid()}


def test_a_worker_that_fell_asleep_is_woken():
    found = Processes(2).allocate((2,), np.int64)

    def add(worker, k):
        found[k] += 1

    work = Work(add, 2)
    work.fork(2)
    for _ in range(5):
        work.run(2)
        wait_until(lambda: work.executor._team._block[processes.ROW + processes.ASLEEP])
    assert found.tolist() == [5, 5]


@pytest.mark.parametrize("accident", ["killed", "error"])
def test_a_worker_that_is_lost_is_noticed(accident):
    here = os.getpid()

    def fail(worker, k):
        if os.getpid() == here:
            return
        if accident == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise MemoryError

    work = Work(fail)
    work.fork()
    with pytest.warns(UserWarning, match="threads go on"), pytest.raises(processes.WorkerLost):
        work.run(3)
    assert not work.executor.forked
    work.run(3)  # on threads


def test_what_goes_wrong_here_ends_the_workers():
    here = os.getpid()

    def fail(worker, k):
        if os.getpid() == here:
            raise KeyboardInterrupt

    work = Work(fail, 2)
    (pid,) = work.fork(2)
    with pytest.raises(KeyboardInterrupt):
        work.run(2)
    assert not is_there(pid)


def test_time_of_workers_is_counted():
    here = os.getpid()

    def spend(worker, k):
        until = time.process_time() + 0.05
        while os.getpid() != here and time.process_time() < until:
            pass

    before = worker_seconds()
    work = Work(spend, 2)
    work.fork(2)
    work.run(2)
    assert worker_seconds() - before > 0.02
    work.executor.close()
    assert worker_seconds() - before > 0.02


ALONE = """
import os, signal, sys, time
from cnnexp.nn.processes import WARMUP, Processes
class Work:
    def job(self, worker, k): pass
    def prepare(self): pass
work, executor = Work(), Processes(3)
for _ in range(WARMUP + 1):
    executor.ready((work.job,), 3, work.prepare)
executor.map(work.job, 3)
print(*executor._team._pids, flush=True)
{end}
"""


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()", "os._exit(0)"]
)
def test_workers_end_with_the_process_that_made_them(end):
    """Its output ends too: they do not keep it open."""
    run = subprocess.run(
        [sys.executable, "-c", ALONE.format(end=end)], capture_output=True, text=True, timeout=60
    )
    pids = [int(word) for word in run.stdout.split()]
    assert len(pids) == 2, run.stderr
    wait_until(lambda: not any(map(is_there, pids)))


def network(threads: int) -> Network:
    layers = [Conv2D(3, 3, activation="relu"), MaxPool2D(2), Flatten(), Dense(600), Dense(7)]
    limits = Limits(cache=1 << 18)  # so that gradients of the first dense layer are deferred
    found = Network([*layers, Softmax()], seed=1, threads=threads, micro_batch=4, limits=limits)
    return found.build((30, 30, 1))


@pytest.fixture
def deferred(monkeypatch):
    """Let deferred gradients be multiplied in six shares."""
    monkeypatch.setattr(runner, "SHARE", 100)


def team_of(net: Network) -> Any:
    executor = net._runner.executor
    return executor._team if isinstance(executor, Processes) else None


@pytest.mark.usefixtures("deferred")
def test_training_with_workers_gives_the_same_bits():
    """For full and short batches, larger ones, and fewer micro-batches than workers."""
    generator = np.random.default_rng(0)
    X = generator.random((64, 30, 30, 1), np.float32)
    Y = generator.integers(0, 7, 64)
    nets = [network(threads) for threads in (1, 2, 5)]
    sizes = [21, 21, 21, 21, 21, 6, 17, 21, 40, 40, 9, 3, 5]
    helped = []
    for size in sizes:
        figures = [net.train(X[:size], Y[:size], 0.1) for net in nets]
        assert figures[0] == figures[1] == figures[2]
        helped.append(team_of(nets[2]) is not None)
    assert helped == [False] * 4 + [True] * 9
    assert nets[0]._parameters.deferred
    assert team_of(nets[0]) is None
    for net in nets[1:]:
        assert np.array_equal(nets[0].parameters, net.parameters)


@pytest.mark.usefixtures("deferred")
def test_training_goes_on_where_a_worker_was_lost():
    generator = np.random.default_rng(0)
    X, Y = generator.random((12, 30, 30, 1), np.float32), np.arange(12) % 7
    nets = [network(threads) for threads in (1, 2)]
    for _ in range(WARMUP + 1):
        figures = [net.train(X, Y, 0.1) for net in nets]
    workers = team_of(nets[1])
    assert workers is not None
    os.kill(workers._pids[0], signal.SIGKILL)
    with pytest.warns(UserWarning, match="threads go on with its work"):
        figures = [net.train(X, Y, 0.1) for net in nets]
    assert figures[0] == figures[1]
    assert team_of(nets[1]) is None
    assert nets[0].train(X, Y, 0.1) == nets[1].train(X, Y, 0.1)
    assert np.array_equal(nets[0].parameters, nets[1].parameters)


def test_workers_end_with_their_network():
    net = network(2)
    for _ in range(WARMUP + 1):
        net.train(np.ones((8, 30, 30)), np.arange(8) % 7, 0.1)
    workers = team_of(net)
    assert workers is not None
    (pid,) = workers._pids
    assert is_there(pid)
    del workers, net
    assert not is_there(pid)  # at once: it does not wait for cycles to be collected


def test_where_no_process_can_be_made_threads_do_it(monkeypatch):
    def fork():
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    net = network(2)
    for _ in range(WARMUP + 2):
        net.train(np.ones((8, 30, 30)), np.arange(8) % 7, 0.1)
    assert team_of(net) is None


def test_a_network_that_is_measured_has_no_worker_processes():
    net = network(2)
    profile = net.profile()
    for _ in range(WARMUP + 2):
        net.train(np.ones((8, 30, 30)), np.arange(8) % 7, 0.1)
    assert team_of(net) is None
    assert profile.times()["dense1"]["samples"] == 8 * (WARMUP + 2)


def in_a_fork(work: Callable[[], None]) -> None:
    """Do something in a forked process that is no worker, as `multiprocessing` makes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads
        pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            work()
            code = 0
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("times", [1, 3])
def test_a_forked_process_trains_a_network_of_its_own(threads, times):
    X, Y = np.random.default_rng(0).random((16, 30, 30, 1)), np.arange(16) % 7
    net = network(threads)
    for _ in range(6):  # so that there are workers
        net.train(X, Y, learning_rate=0.1)
    assert (team_of(net) is not None) == (threads == 2)
    before = net.parameters.copy()
    expected = net.evaluate(X, Y)[1]

    def train() -> None:
        for _ in range(times):
            net.train(X[::-1], Y, learning_rate=0.5)
        assert not np.array_equal(net.parameters, before)
        assert net.evaluate(X, Y)[1] != expected

    in_a_fork(train)
    np.testing.assert_array_equal(net.parameters, before)
    assert net.evaluate(X, Y)[1] == expected
    loss, _ = net.train(X, Y, learning_rate=0.1)
    assert loss == pytest.approx(expected)


@pytest.mark.parametrize("lost", [0, 1])
def test_it_does_not_matter_which_worker_is_lost(lost):
    work = Work(lambda worker, k: None)
    pids = work.fork()
    os.kill(pids[lost], signal.SIGKILL)
    with pytest.warns(UserWarning, match="threads go on"), pytest.raises(processes.WorkerLost):
        work.run(3)
    assert not any(map(is_there, pids))


def test_figures_of_a_worker_have_a_place_each():
    places = {processes.DONE, processes.ASLEEP, processes.CPU_TIME}
    assert len(places) == 3 and max(places) < processes.ROW


def test_workers_leave_signals_of_the_keyboard_to_the_first_process():
    work = Work(lambda worker, k: None)
    for pid in work.fork():
        wait_until(lambda pid=pid: ignored(pid) >= {signal.SIGINT, signal.SIGTERM})
        assert len(os.listdir(f"/proc/{pid}/fd")) <= 4  # three that lead nowhere, and its pipe
    work.executor.close()


def ignored(pid):
    with open(f"/proc/{pid}/status") as file:
        (line,) = (line for line in file if line.startswith("SigIgn:"))
    mask = int(line.split()[1], 16)
    return {number for number in signal.valid_signals() if mask >> (number - 1) & 1}


def test_nothing_stays_open_where_no_process_can_be_made(monkeypatch):
    def fork():
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    work = Work(lambda worker, k: None)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(WARMUP + 2):
        work.executor.ready((work.job,), 3, work.prepare)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_single_micro_batch_is_not_copied_to_shared_memory(monkeypatch: pytest.MonkeyPatch):
    """It runs in this process, before and after workers were forked; the numbers are the same."""
    X, Y = np.random.default_rng(0).random((6, 5)), np.array([0, 1, 2, 0, 1, 2])
    one, two = (
        Network([Dense(3), Softmax()], threads=threads, micro_batch=3, dtype="float64")
        for threads in (1, 2)
    )
    for _ in range(WARMUP + 2):
        np.testing.assert_array_equal(one.gradients(X, Y)[1], two.gradients(X, Y)[1])
    monkeypatch.setattr(runner.Batch, "gather", lambda *_: pytest.fail("it was copied"))
    np.testing.assert_array_equal(one.gradients(X[:3], Y[:3])[1], two.gradients(X[:3], Y[:3])[1])
    two.close()
