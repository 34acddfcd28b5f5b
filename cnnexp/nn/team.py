"""Processes that work in lockstep on memory that they share.

Threads of Python take turns at everything but NumPy's loops. A turn that is not free costs a sleep
and a wake-up by the operating system, some fifty microseconds on a virtual machine, which is as
long as a small layer takes. Processes need no turns. So the helpers of a network are forks of this
process, made once all memory is in place: they have the same arrays at the same places, those of
`shared_array` are truly the same memory, and every turn all members do the same job, each its part
of it::

    this process   turn 1 ──job──────┐  …  turn 2 ──job───┐
    a helper              ──job───┐  │            ──job┐  │
                                  all done             all done

What is to be done is written on a board of shared numbers. A helper that waits looks at the board
for a moment and then sleeps; a byte in a pipe wakes it, and the end of the pipe ends it, so it does
not outlive the process that it came from.

That numbers become visible in the order in which they were written is a promise of x86 processors,
and forking is safe on Linux. Elsewhere there are no teams, and threads do the work.
"""

from __future__ import annotations

import contextlib
import gc
import math
import mmap
import os
import platform
import signal
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array

POSSIBLE = sys.platform == "linux" and platform.machine() == "x86_64"
GLANCES = 20_000  # looks at the board, about a millisecond, before a helper sleeps
NAP = 1e-4  # seconds between looks of a process that has waited for a helper as long
ROW = 3  # numbers of a row of the board
JOB, TURN = 0, 1  # in its first row, which is for all
DONE, ASLEEP, TIME = 0, 1, 2  # in the row of each helper


def shared_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return zeros in memory that processes forked later share."""
    size = math.prod(shape)
    memory = mmap.mmap(-1, max(size, 1) * np.dtype(dtype).itemsize)
    array: Array = np.frombuffer(memory, dtype)[:size].reshape(shape)
    return array


class Forked(Protocol):
    """What has to know that it is in a process of its own from now on."""

    def after_fork(self) -> None:
        """Share nothing with the process that this one was forked from."""


_to_be_told: weakref.WeakSet[Forked] = weakref.WeakSet()
_makes_a_helper = [False]


def tell_after_fork(thing: Forked) -> None:
    """Have `thing` told when it finds itself in a forked process that is no helper.

    A program may fork for reasons of its own, as `multiprocessing` does. What is shared with
    helpers is not to be shared with such a process: both would train one network.
    """
    _to_be_told.add(thing)


def _after_fork() -> None:
    if not _makes_a_helper[0]:
        for thing in list(_to_be_told):
            thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Team:
    """A process and helpers that were forked from it.

    Parameters
    ----------
    members : int
        How many, the process itself included.
    jobs : sequence of callable
        What they can do, each ``job(member)``. They leave their results in shared memory.

    Examples
    --------
    >>> results = shared_array((2,), int)
    >>> def write(member):
    ...     results[member] = member + 1
    >>> with Team(2, [write]) as team:
    ...     team.run(0), results.tolist()
    (True, [1, 2])
    """

    def __init__(self, members: int, jobs: Sequence[Callable[[int], None]]) -> None:
        self._jobs = jobs
        self._board = memoryview(mmap.mmap(-1, 8 * ROW * members)).cast("q")
        self._turn = 0
        self._pids: list[int] = []
        self._bells: list[int] = []
        parts = (self._pids, self._bells, self._board)
        self.close = weakref.finalize(self, _dismiss, os.getpid(), *parts)
        _boards[id(self._board)] = self._board
        for member in range(1, members):
            self._fork(member)

    def run(self, job: int) -> bool:
        """Have every member do a job, and wait for all of them.

        Returns
        -------
        bool
            Whether all did it. If a helper was lost, to an error or a signal, the team is closed.
        """
        if not self.close.alive:
            return False
        self._turn += 1
        self._board[JOB] = job
        self._board[TURN] = self._turn
        helpers = range(1, len(self._pids) + 1)
        try:
            for helper in helpers:
                self._wake(helper)
            self._jobs[job](0)
            done = all(self._wait_for(helper) for helper in helpers)
        except BaseException:
            self.close()  # its helpers may be at it still
            raise
        if not done:
            self.close()
        return done

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wake(self, helper: int) -> None:
        """Ring, if a helper sleeps."""
        if self._board[ROW * helper + ASLEEP]:
            with contextlib.suppress(BrokenPipeError):  # it has gone: that will be noticed
                os.write(self._bells[helper - 1], b"!")

    def _wait_for(self, helper: int) -> bool:
        """Wait until a helper has done its job; False if it has gone."""
        board, place, turn = self._board, ROW * helper + DONE, self._turn
        while True:
            for _ in range(GLANCES):
                if board[place] >= turn:
                    return True
            self._wake(helper)  # it may have fallen asleep just when its bell was not rung
            time.sleep(NAP)
            if _has_ended(self._pids[helper - 1]) and board[place] != turn:
                return False

    def _fork(self, member: int) -> None:
        """Make a helper."""
        listening, bell = os.pipe()
        gc.freeze()  # what there is now is not for the helper to collect
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # it needs no other threads
                _makes_a_helper[0] = True
                pid = os.fork()
            if pid == 0:
                self._help(member, listening)
        except OSError:
            os.close(listening)
            os.close(bell)
            raise
        finally:
            _makes_a_helper[0] = False
            gc.unfreeze()
        os.close(listening)
        self._pids.append(pid)
        self._bells.append(bell)

    def _help(self, member: int, listening: int) -> NoReturn:
        """Do every job from now on: the whole life of a helper."""
        try:
            _let_go_of_all_but(listening)
            board, row = self._board, ROW * member
            turn = 1
            while _next_turn(board, row + ASLEEP, turn, listening):
                self._jobs[board[JOB]](member)
                board[row + TIME] = time.process_time_ns()
                board[row + DONE] = turn
                turn += 1
        finally:
            os._exit(0)


def _next_turn(board: memoryview[int], asleep: int, turn: int, listening: int) -> bool:
    """Wait for a turn; False if there will be none, as the other end of the pipe has gone."""
    for _ in range(GLANCES):
        if board[TURN] >= turn:
            return True
    board[asleep] = 1
    while board[TURN] < turn:
        if not os.read(listening, 64):
            return False
    board[asleep] = 0
    return True


def _let_go_of_all_but(listening: int) -> None:
    """Close files, which others may wait to see closed, and leave signals to the first process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.closerange(3, listening)
    os.closerange(listening + 1, os.sysconf("SC_OPEN_MAX"))


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # known before
        return True


_boards: dict[int, memoryview[int]] = {}
_ended_seconds = [0.0]


def _dismiss(owner: int, pids: list[int], bells: list[int], board: memoryview[int]) -> None:
    """End the helpers; in the process that made them, not in one that was forked from it."""
    if os.getpid() != owner:
        return
    for bell in bells:
        os.close(bell)
    for pid in pids:
        if not _has_ended(pid):
            os.kill(pid, signal.SIGKILL)  # it writes nothing that is still of use
            os.waitpid(pid, 0)
    _ended_seconds[0] += _seconds_on(board)
    del _boards[id(board)]


def _seconds_on(board: memoryview[int]) -> float:
    return sum(board[row + TIME] for row in range(ROW, len(board), ROW)) / 1e9


def helpers_seconds() -> float:
    """Return the processor seconds that all helpers of this process have taken so far."""
    return _ended_seconds[0] + sum(map(_seconds_on, list(_boards.values())))
