"""Where a figure was taken: the columns at the end of every row."""

from __future__ import annotations

import importlib.util
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from experiments.provenance import commit

COLUMNS = (
    "cpu",
    "cores",
    "blas",
    "blas_version",
    "blas_architecture",
    "openblas_coretype",
    "malloc",
    "system",
    "python",
    "numpy",
    "torch",
    "cnnexp",
    "commit",
    "date",
)


def describe() -> dict[str, Any]:
    """Return machine, libraries and versions, as this process sees them."""
    from cnnexp.runs import environment

    found = environment.describe_environment()
    blas = found["blas"] or {}
    return {
        "cpu": found["cpu"],
        "cores": found["cores"],
        "blas": blas.get("internal_api"),
        "blas_version": blas.get("version"),
        "blas_architecture": blas.get("architecture"),
        "openblas_coretype": found["openblas_coretype"],
        "malloc": "raised" if "MALLOC_MMAP_THRESHOLD_" in os.environ else "default",
        "system": platform.system(),
        "python": found["python"],
        "numpy": found["numpy"],
        "torch": metadata.version("torch") if has_torch() else None,
        "cnnexp": found["cnnexp"],
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def facts(command: str, data: str) -> dict[str, str]:
    """Return what stands in the comments of a file that has no columns for it."""
    found = describe()
    kept = ("date", "cpu", "cores", "system", "python", "numpy", "blas", "blas_version", "cnnexp")
    named = {name: str(found[name]) for name in kept}
    return {"command": command, **named, "commit": str(found["commit"]), "data": data}


def has_torch() -> bool:
    """Say whether PyTorch is installed; it is not imported."""
    return importlib.util.find_spec("torch") is not None
