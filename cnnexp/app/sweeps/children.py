"""Processes for jobs: forked from a warm one where that is possible, else started afresh.

A fresh process takes 0.4 s before it trains, to start Python and import what a run needs. A fork
server (`multiprocessing`) imports it once, before any job, and forks a process for each one: that
takes milliseconds, and the job is still alone in its process, with memory of its own. The server
knows no module of the user's, which each job imports for itself.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Protocol

from cnnexp.app.screen import warn
from cnnexp.app.sweeps import child
from cnnexp.app.sweeps.child import Task
from cnnexp.app.sweeps.warm import SERVER

FORKING = sys.platform == "linux"  # elsewhere system libraries may not survive a fork
WARM = ("cnnexp.app.sweeps.warm",)
SERVERS = {  # variables of the server, which are not those of the jobs
    "PYTHONSAFEPATH": "1",  # nothing is to be imported from the working folder
    SERVER: "",
    # In each forked process OpenBLAS would start threads, which spin for 30 ms until they sleep; a
    # run holds it to one thread anyway.
    "OPENBLAS_NUM_THREADS": "1",
}
GONE = 255  # what multiprocessing says of a process whose server has gone

_failed: list[Exception] = []  # why there is no server


class Child(Protocol):
    """A process that carries out a job."""

    def poll(self) -> int | None:
        """Return its exit code, below 0 for a signal; None while it runs."""

    def send_signal(self, number: int) -> None:
        """Send it a signal."""


def start(task: Task, isolation: str) -> Child:
    """Start a process for a job.

    Parameters
    ----------
    task : Task
        What the job is.
    isolation : {"warm", "fresh"}
        Whether it may be forked from a process that has imported what runs need.
    """
    if isolation == "warm" and FORKING and not _failed:
        try:
            return Forked(task)
        except (OSError, EOFError) as error:  # a path too long for a socket, for example
            _failed.append(error)
            warn(f"warning: no fork server ({error}); each job starts Python anew")
    return fresh(task)


def fresh(task: Task) -> Child:
    """Start Python anew for a job."""
    own_group: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
    safe = [] if "" in sys.path or os.getcwd() in sys.path else ["-P"]  # as this process has it
    process = subprocess.Popen(
        [sys.executable, *safe, "-m", "cnnexp.app.sweeps.child"], stdin=subprocess.PIPE, **own_group
    )
    assert process.stdin is not None
    try:
        process.stdin.write(pickle.dumps(task))
        process.stdin.close()
    except BrokenPipeError:  # it ended at once; its exit code tells
        pass
    return process


class Forked:
    """A process for a job, forked from the fork server.

    Parameters
    ----------
    task : Task
        What the job is.
    """

    def __init__(self, task: Task) -> None:
        self._process = _server().Process(target=child.run_forked, args=(pickle.dumps(task),))
        with _no_main_module(task.config["impl"]["name"]):
            self._process.start()

    def poll(self) -> int | None:
        """Return its exit code, below 0 for a signal; None while it runs."""
        import psutil

        code: int | None = self._process.exitcode
        return None if code == GONE and psutil.pid_exists(self._process.pid) else code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None and self._process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


@cache
def _server() -> Any:
    """Return the fork server of this process; it is started with the first job."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(WARM))
    return context


@contextmanager
def _no_main_module(impl: str) -> Iterator[None]:
    """Hide the main module, which `multiprocessing` would import again in every job.

    Should the server begin now, it is told what it is, and the implementation to import for.
    """
    main = sys.modules["__main__"]
    before = {name: os.environ.get(name) for name in SERVERS}
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ |= SERVERS | {SERVER: impl}
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
