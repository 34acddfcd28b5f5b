"""Where a run was made: versions, processor, BLAS, commit, and what it used."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import cnnexp
from cnnexp.runs.code import command, git, project, user
from cnnexp.runs.fingerprint import RESULTS_VERSION

PACKAGES = ("numpy", "hydra-core", "omegaconf", "pandas")
SAME_BITS = ("results_version", "numpy", "blas", "cpu", "machine")  # what the bits depend on


def describe_environment() -> dict[str, Any]:
    """Return versions, machine, BLAS, commits, user and command line."""
    from cnnexp.nn.blas import one_blas_thread
    from cnnexp.nn.executor import available_cores

    with one_blas_thread():  # as during a run
        libraries = blas()
    package = git()
    return {
        "cnnexp": cnnexp.__version__,
        "results_version": RESULTS_VERSION,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "numpy": _version("numpy"),
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpu": cpu_name(),
        "cores": available_cores(),
        "blas": libraries,
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE"),
        "git": package,
        "project": project(package),
        "user": user(),
        "command": command(),
        "folder": os.getcwd(),
    }


def differences(recorded: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """Say in what two environments differ that can change the last bits of a result."""
    return [
        f"{key}: {_short(recorded.get(key))} then, {_short(present.get(key))} now"
        for key in SAME_BITS
        if recorded.get(key) != present.get(key)
    ]


def usage(wall_start: float, cpu_start: float) -> dict[str, Any]:
    """Return wall and processor seconds since a start, and the peak memory of the process.

    The start is of ``time.monotonic``, which goes on when somebody sets the clock.
    """
    return {
        "wall_seconds": round(time.monotonic() - wall_start, 3),
        "cpu_seconds": round(cpu_seconds() - cpu_start, 3),
        "peak_memory_bytes": peak_memory(),
    }


def cpu_seconds() -> float:
    """Return the processor seconds that this process has taken, and those that help it."""
    from cnnexp.nn.processes import worker_seconds

    return time.process_time() + worker_seconds()


def peak_memory() -> int | None:
    """Return the most memory that this process has had at once, in bytes."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def cpu_name() -> str:
    """Return the name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def blas() -> dict[str, Any] | None:
    """Return NumPy's BLAS library, with its architecture and threads.

    Other packages may have loaded more of them; NumPy's lies beside it, or was loaded first.
    """
    from threadpoolctl import threadpool_info

    found = [library for library in threadpool_info() if library.get("user_api") == "blas"]
    found.sort(key=lambda library: "numpy" not in library["filepath"])
    wanted = ("internal_api", "version", "architecture", "num_threads")
    return {key: found[0].get(key) for key in wanted} if found else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values())
    return str(value)
