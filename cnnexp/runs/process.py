"""Which process a run belongs to, and whether it is still there."""

from __future__ import annotations

import os
import platform
from typing import TypedDict

STARTED_TOLERANCE = 2.0  # seconds: the clock that processes are dated by may be set


class Process(TypedDict, total=False):
    """A process: its host, its number, and when it started.

    Attributes
    ----------
    host : str
        Name of the machine.
    pid : int
        Number of the process.
    started : float
        When it began, in seconds since 1970.
    """

    host: str
    pid: int
    started: float


def this_process() -> Process:
    """Return what identifies this process: its host, its number, and when it started."""
    import psutil

    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
    }


def is_here(process: Process) -> bool:
    """Say whether a process is, or was, on this host."""
    return process.get("host") == platform.node()


def is_gone(process: Process) -> bool:
    """Say whether a process of this host has ended.

    A process that has the same number but started at another time is another process.
    """
    import psutil

    try:
        found = psutil.Process(process["pid"])
        if found.status() == psutil.STATUS_ZOMBIE:
            return True
        return bool(abs(found.create_time() - process["started"]) > STARTED_TOLERANCE)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
