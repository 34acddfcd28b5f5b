"""Worker processes that run micro-batches on shared memory.

Python threads hold the interpreter lock for everything but NumPy's loops, and waiting for it takes
about fifty microseconds on a virtual machine, as long as a small layer. Every process has its own
lock. So the workers are forks of this process, made once all memory is allocated: they have the
same arrays at the same addresses, and those of `Processes.allocate` are shared memory. A control
block in shared memory holds the current job and a generation counter, and for each worker the last
generation that it has finished::

    this process   generation 1 ──job──────┐  …  generation 2 ──job───┐
    worker 1                    ──job───┐  │                  ──job┐  │
                                        all done                   all done

A worker polls the counter for about a millisecond and then sleeps in a read of a pipe; a byte wakes
it, and the end of the pipe ends it, so it does not outlive the process that it was forked from.

This relies on x86 processors, where writes become visible in order, and on Linux, where forking is
safe. Elsewhere threads are used.
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
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array
from cnnexp.nn.blas import ignore_fp_warnings
from cnnexp.nn.executor import Executor, Job, Threads

POSSIBLE = sys.platform == "linux" and platform.machine() == "x86_64"
WARMUP = 4  # mini-batches on threads before processes are forked
SPINS = 20_000  # polls of the control block, about a millisecond, before a worker sleeps
POLL_SECONDS = 1e-4  # between polls of this process after its own spins
ROW = 3  # numbers of a row of the control block
JOB, COUNT, GENERATION = 0, 1, 2  # columns of the first row, which all read
DONE, ASLEEP, CPU_TIME = 0, 1, 2  # columns of the row of each worker
LOST = "a worker process has gone, perhaps for lack of memory; threads go on with its work."


class Processes(Executor):
    """Worker processes for the jobs of training, threads for all else and for the first steps.

    Parameters
    ----------
    workers : int
        Processes that share a mini-batch, this process included.
    """

    shared = True

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._threads = Threads(workers)
        self._jobs: list[weakref.WeakMethod[Job]] = []
        self._mini_batches = 0
        self._team: _Team | None = None
        self._wanted = True

    @property
    def forked(self) -> bool:
        """Whether there are worker processes now."""
        return self._team is not None

    def map(self, job: Job, count: int) -> None:
        """Call the job for every micro-batch: w, w + n, w + 2n, and so on by worker w of n."""
        known = [method() for method in self._jobs]
        if self._team is None or count == 1 or job not in known:
            self._threads.map(job, count)
            return
        if not self._team.run(known.index(job), count):
            warnings.warn(LOST, stacklevel=2)
            self._team, self._wanted = None, False
            raise WorkerLost

    def allocate(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Return zeros in memory that processes forked later share."""
        size = math.prod(shape)
        memory = mmap.mmap(-1, max(size, 1) * np.dtype(dtype).itemsize)
        array: Array = np.frombuffer(memory, dtype)[:size].reshape(shape)
        return array

    def ready(self, jobs: Sequence[Job], count: int, prepare: Callable[[], None]) -> None:
        """Count the mini-batches, and fork after `WARMUP` of them."""
        self._mini_batches += 1
        enough = self._mini_batches > WARMUP and count > 1
        if self._team is not None or not self._wanted or not enough:
            return
        # Weak references, so that the workers end when the owner of these methods is deleted.
        self._jobs = [weakref.WeakMethod(job) for job in jobs]
        try:
            self._team = _Team(min(self.workers, count), self._jobs, prepare)
        except OSError:  # no memory or no process number is left
            self._wanted = False

    def forget(self) -> None:
        """End the processes; new ones are forked once memory is allocated again."""
        if self._team is not None:
            self._team.close()
        self._team = None

    def close(self) -> None:
        """End processes and threads."""
        self.forget()
        self._threads.close()


class WorkerLost(Exception):
    """A worker process has ended; the mini-batch must be run again."""


class _Team:
    """A process, and the workers that were forked from it.

    Parameters
    ----------
    members : int
        Processes, this one included.
    jobs : sequence of weak references to methods
        The jobs that they can run.
    prepare : callable
        Called first in each worker.
    """

    def __init__(
        self,
        members: int,
        jobs: Sequence[weakref.WeakMethod[Job]],
        prepare: Callable[[], None],
    ) -> None:
        self._members, self._jobs = members, jobs
        self._block = memoryview(mmap.mmap(-1, 8 * ROW * members)).cast("q")
        self._generation = 0
        self._pids: list[int] = []
        self._pipes: list[int] = []
        parts = (self._pids, self._pipes, self._block)
        self.close = weakref.finalize(self, _end, os.getpid(), *parts)
        _blocks[id(self._block)] = self._block
        for member in range(1, members):
            self._fork(member, prepare)

    def run(self, job: int, count: int) -> bool:
        """Run a job on all members, and wait for all of them.

        Returns
        -------
        bool
            Whether all have finished. If a worker was lost, to an error or a signal, all are ended.
        """
        if not self.close.alive:
            return False
        self._generation += 1
        self._block[JOB], self._block[COUNT] = job, count
        self._block[GENERATION] = self._generation
        workers = range(1, self._members)
        try:
            for worker in workers:
                self._wake(worker)
            self._share(0, job, count)
            done = all(self._wait_for(worker) for worker in workers)
        except BaseException:
            self.close()  # the workers may still be running the job
            raise
        if not done:
            self.close()
        return done

    def _share(self, member: int, job: int, count: int) -> None:
        """Run the micro-batches of one member."""
        work = self._jobs[job]()
        assert work is not None
        for k in range(member, count, self._members):
            work(0, k)

    def _wake(self, worker: int) -> None:
        """Wake a worker that sleeps, by a byte in its pipe."""
        if self._block[ROW * worker + ASLEEP]:
            with contextlib.suppress(BrokenPipeError):  # it has ended, which `_wait_for` finds
                os.write(self._pipes[worker - 1], b"!")

    def _wait_for(self, worker: int) -> bool:
        """Wait until a worker has finished; return False if it has ended."""
        block, done, generation = self._block, ROW * worker + DONE, self._generation
        while True:
            for _ in range(SPINS):
                if block[done] >= generation:
                    return True
            self._wake(worker)  # it may have begun to sleep just after the first call
            time.sleep(POLL_SECONDS)
            if _has_ended(self._pids[worker - 1]) and block[done] != generation:
                return False

    def _fork(self, member: int, prepare: Callable[[], None]) -> None:
        """Fork a worker."""
        reading, writing = os.pipe()
        gc.freeze()  # the worker must not collect objects of this process
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # it needs no other threads
                pid = os.fork()
            if pid == 0:
                self._work(member, reading, prepare)
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        finally:
            gc.unfreeze()
        os.close(reading)
        self._pids.append(pid)
        self._pipes.append(writing)

    def _work(self, member: int, reading: int, prepare: Callable[[], None]) -> NoReturn:
        """Run jobs until the pipe is closed: the main loop of a worker."""
        try:
            _close_files_but(reading)
            block, row = self._block, ROW * member
            prepare()
            generation = 1
            with ignore_fp_warnings():
                while _next_generation(block, row + ASLEEP, generation, reading):
                    generation = block[GENERATION]
                    self._share(member, block[JOB], block[COUNT])
                    block[row + CPU_TIME] = time.process_time_ns()
                    block[row + DONE] = generation
                    generation += 1
        finally:
            os._exit(0)


def _next_generation(block: memoryview[int], asleep: int, generation: int, reading: int) -> bool:
    """Wait for a generation; return False if the other end of the pipe is closed."""
    for _ in range(SPINS):
        if block[GENERATION] >= generation:
            return True
    block[asleep] = 1
    while block[GENERATION] < generation:
        if not os.read(reading, 64):
            return False
    block[asleep] = 0
    return True


def _close_files_but(reading: int) -> None:
    """Close all inherited files but one, and leave signals to the first process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.closerange(3, reading)
    os.closerange(reading + 1, os.sysconf("SC_OPEN_MAX"))


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # waited for before
        return True


_blocks: dict[int, memoryview[int]] = {}
_ended_seconds = [0.0]


def _end(owner: int, pids: list[int], pipes: list[int], block: memoryview[int]) -> None:
    """End the workers, but only in the process that made them."""
    if os.getpid() != owner:
        return
    for pipe in pipes:
        os.close(pipe)
    for pid in pids:
        if not _has_ended(pid):
            os.kill(pid, signal.SIGKILL)  # its results are not needed any more
            os.waitpid(pid, 0)
    _ended_seconds[0] += _seconds_on(block)
    del _blocks[id(block)]


def _seconds_on(block: memoryview[int]) -> float:
    return sum(block[row + CPU_TIME] for row in range(ROW, len(block), ROW)) / 1e9


def worker_seconds() -> float:
    """Return the processor seconds that all worker processes have taken so far."""
    return _ended_seconds[0] + sum(map(_seconds_on, list(_blocks.values())))
