"""Processes in lockstep: what they share, and how they end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from cnnexp.nn.team import Team, helpers_seconds, shared_array

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, Softmax
from cnnexp.nn import shared_batch, team

pytestmark = pytest.mark.skipif(not team.POSSIBLE, reason="teams need Linux on x86-64")


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


def test_all_members_do_every_job():
    found = shared_array((3, 2), np.int64)

    def add(member):
        found[member, 0] += 1

    def note(member):
        found[member, 1] = os.getpid()

    with Team(3, [add, note]) as members:
        assert all(members.run(job) for job in (0, 0, 1, 0))
        pids = found[:, 1].tolist()
        assert found[:, 0].tolist() == [3, 3, 3]
        assert pids[0] == os.getpid()
        assert len(set(pids)) == 3
    assert not any(map(is_there, pids[1:]))


def test_a_helper_that_fell_asleep_is_woken():
    found = shared_array((2,), np.int64)

    def add(member):
        found[member] += 1

    with Team(2, [add]) as members:
        for _ in range(5):
            assert members.run(0)
            wait_until(lambda: members._board[team.ROW + team.ASLEEP])
    assert found.tolist() == [5, 5]


@pytest.mark.parametrize("accident", ["killed", "error"])
def test_a_helper_that_is_lost_is_noticed(accident):
    def fail(member):
        if member and accident == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if member:
            raise MemoryError

    with Team(3, [fail]) as members:
        assert not members.run(0)
        assert not members.run(0)


def test_what_goes_wrong_here_closes_the_team():
    def fail(member):
        if not member:
            raise KeyboardInterrupt

    members = Team(2, [fail])
    (pid,) = members._pids
    with pytest.raises(KeyboardInterrupt):
        members.run(0)
    assert not is_there(pid)
    assert not members.run(0)


def test_time_of_helpers_is_counted():
    def work(member):
        until = time.process_time() + 0.05
        while member and time.process_time() < until:
            pass

    before = helpers_seconds()
    with Team(2, [work]) as members:
        members.run(0)
        assert helpers_seconds() - before > 0.02
    assert helpers_seconds() - before > 0.02


ALONE = """
import os, signal, sys, time
from cnnexp.nn.team import Team
team = Team(3, [lambda member: None])
team.run(0)
print(*team._pids, flush=True)
{end}
"""


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()", "os._exit(0)"]
)
def test_helpers_end_with_the_process_that_made_them(end):
    """Its output ends too: they do not keep it open."""
    run = subprocess.run(
        [sys.executable, "-c", ALONE.format(end=end)], capture_output=True, text=True, timeout=60
    )
    pids = [int(word) for word in run.stdout.split()]
    assert len(pids) == 2, run.stderr
    wait_until(lambda: not any(map(is_there, pids)))


def network(threads: int) -> Network:
    layers = [Conv2D(3, 3, activation="relu"), MaxPool2D(2), Flatten(), Dense(600), Dense(7)]
    found = Network([*layers, Softmax()], seed=1, threads=threads, micro_batch=4)
    return found.build((30, 30, 1))


@pytest.fixture
def deferred(monkeypatch):
    """Let the gradients of the first dense layer be multiplied once a batch, in six shares."""
    monkeypatch.setattr("cnnexp.nn.outer_products.SHARE", 100)
    monkeypatch.setattr("cnnexp.nn.parameters.cache_bytes", lambda: 1 << 18)


def team_of(net: Network) -> Team | None:
    return net._engine._helpers.team


@pytest.mark.usefixtures("deferred")
def test_training_with_helpers_gives_the_same_bits():
    """For full and short batches, larger ones, and fewer pieces than helpers."""
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
    assert helped == [False] * 4 + [True] * 4 + [False] + [True] * 4
    assert nets[0]._engine.vector.has_deferred
    assert team_of(nets[0]) is None
    for net in nets[1:]:
        assert np.array_equal(nets[0].parameters, net.parameters)


@pytest.mark.usefixtures("deferred")
def test_training_goes_on_where_a_helper_was_lost():
    generator = np.random.default_rng(0)
    X, Y = generator.random((12, 30, 30, 1), np.float32), np.arange(12) % 7
    nets = [network(threads) for threads in (1, 2)]
    for _ in range(shared_batch.EXERCISES + 1):
        figures = [net.train(X, Y, 0.1) for net in nets]
    helpers = team_of(nets[1])
    assert helpers is not None
    os.kill(helpers._pids[0], signal.SIGKILL)
    with pytest.warns(UserWarning, match="threads go on with its work"):
        figures = [net.train(X, Y, 0.1) for net in nets]
    assert figures[0] == figures[1]
    assert team_of(nets[1]) is None
    assert nets[0].train(X, Y, 0.1) == nets[1].train(X, Y, 0.1)
    assert np.array_equal(nets[0].parameters, nets[1].parameters)


def test_helpers_end_with_their_network():
    net = network(2)
    for _ in range(shared_batch.EXERCISES + 1):
        net.train(np.ones((8, 30, 30)), np.arange(8) % 7, 0.1)
    helpers = team_of(net)
    assert helpers is not None
    (pid,) = helpers._pids
    assert is_there(pid)
    del helpers, net
    assert not is_there(pid)  # at once: it does not wait for cycles to be collected


def test_where_no_process_can_be_made_threads_do_it(monkeypatch):
    def fork():
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    net = network(2)
    for _ in range(shared_batch.EXERCISES + 2):
        net.train(np.ones((8, 30, 30)), np.arange(8) % 7, 0.1)
    assert team_of(net) is None


def test_a_network_that_is_measured_has_no_helpers():
    net = network(2)
    profile = net.profile()
    for _ in range(shared_batch.EXERCISES + 2):
        net.train(np.ones((8, 30, 30)), np.arange(8) % 7, 0.1)
    assert team_of(net) is None
    assert profile.times()["dense1"]["samples"] == 8 * (shared_batch.EXERCISES + 2)


def in_a_fork(work: Callable[[], None]) -> None:
    """Do something in a forked process that is no helper, as `multiprocessing` makes them."""
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
    for _ in range(6):  # so that there are helpers
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
