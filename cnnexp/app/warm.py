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

for module in MODULES:
    importlib.import_module(module)

# What is sent to the user's process group is for the program, which passes it on to the jobs.
os.setpgid(0, 0)
for number in SIGNALS:
    signal.signal(number, signal.SIG_IGN)
