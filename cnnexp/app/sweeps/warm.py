"""What a run imports sooner or later, imported once by the process that jobs are forked from."""

from __future__ import annotations

import gc
import importlib
import os
import signal

from cnnexp.app.stopping import SIGNALS

MODULES = (
    "cnnexp.app.sweeps.child",
    "filelock",
    "numpy.random",
    "psutil",
    "rich.console",
    "threadpoolctl",
)

SERVER = "CNNEXP_FORK_SERVER"  # set, to an implementation, for the process jobs are forked from


def prepare(impl: str) -> None:
    """Import everything, and leave what is sent to the user's process group to the program.

    The program passes it on to the jobs, and goes on to look after them. What is imported is frozen
    for the garbage collector, which would otherwise walk through all of it in every job, and so
    have it copied.
    """
    for module in MODULES:
        importlib.import_module(module)
    if impl == "compiled":
        from cnnexp.engine.compiled.preparing import import_all

        import_all()
    gc.collect()
    gc.freeze()
    os.setpgid(0, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if server := os.environ.pop(SERVER, ""):
    prepare(server)
