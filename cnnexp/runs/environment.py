"""Where a run was made: versions, processor, BLAS, commit, and what it used."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import cnnexp

PACKAGES = ("numpy", "hydra-core", "omegaconf", "pandas", "scikit-learn")
SAME_BITS = ("numpy", "blas", "cpu", "machine")  # what the last bits of a result depend on


def describe_environment() -> dict[str, Any]:
    """Return versions, machine, BLAS, commit and command line."""
    from cnnexp.nn.workers import available_cores

    return {
        "cnnexp": cnnexp.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "numpy": _version("numpy"),
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpu": cpu_name(),
        "cores": available_cores(),
        "blas": blas(),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE"),
        "git": git(),
        "command": sys.argv,
        "folder": os.getcwd(),
    }


def differences(recorded: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """Say in what two environments differ that can change the last bits of a result."""
    return [
        f"{key}: {_short(recorded.get(key))} then, {_short(present.get(key))} now"
        for key in SAME_BITS
        if _comparable(recorded.get(key)) != _comparable(present.get(key))
    ]


def usage(wall_start: float, cpu_start: float) -> dict[str, Any]:
    """Return wall and processor seconds since a start, and the peak memory of the process."""
    return {
        "wall_seconds": round(time.time() - wall_start, 3),
        "cpu_seconds": round(time.process_time() - cpu_start, 3),
        "peak_memory_bytes": peak_memory(),
    }


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


def blas() -> list[dict[str, Any]]:
    """Return the BLAS libraries that are loaded, with their architecture and threads."""
    from threadpoolctl import threadpool_info

    wanted = ("internal_api", "version", "architecture", "num_threads")
    return [
        {key: library.get(key) for key in wanted}
        for library in threadpool_info()
        if library.get("user_api") == "blas"
    ]


def git() -> dict[str, Any] | None:
    """Return the commit of the repository in the working folder, and whether it is changed."""

    def ask(*words: str) -> str:
        answer = subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=10, check=True
        )
        return answer.stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _comparable(value: Any) -> Any:
    """Leave the number of BLAS threads out: a run holds it at one."""
    if isinstance(value, list):
        return [{k: v for k, v in item.items() if k != "num_threads"} for item in value]
    return value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(" ".join(str(part) for part in item.values()) for item in value)
    return str(value)
