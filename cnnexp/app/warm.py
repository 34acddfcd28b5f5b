"""What a run imports sooner or later, imported once by the process that jobs are forked from."""

from __future__ import annotations

import importlib

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
