"""What a run imports sooner or later, imported once by the process that jobs are forked from."""

from __future__ import annotations

import importlib
import os
import signal

from cnnexp.app.stopping import SIGNALS

MODULES = (
    "cnnexp.app.child",
    "filelock",
    "numpy.random",
    "psutil",
    "rich.console",
    "sklearn.datasets",
    "threadpoolctl",
)

SERVER = "CNNEXP_FORK_SERVER"  # set for the process that jobs are forked from


def prepare() -> None:
    """Import everything, and leave what is sent to the user's process group to the program.

    The program passes it on to the jobs, and goes on to look after them.
    """
    for module in MODULES:
        importlib.import_module(module)
    os.setpgid(0, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if os.environ.pop(SERVER, ""):
    prepare()
