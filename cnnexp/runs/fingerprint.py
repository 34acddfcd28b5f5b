"""What determines a run's result, as one number."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

RESULTS_VERSION = 1
"""Raised only when the same config gives other numbers than before."""

PATHS = (("data", "dir"), ("data", "file"))  # where something lies does not change what it is
NO_RESULT = ("sweep", "checkpoint")


def config_hash(config: dict[str, Any]) -> str:
    """Return a hash of a whole config."""
    return _digest(config)


def fingerprint(config: dict[str, Any], data_checksum: str) -> str:
    """Return a hash of what determines the result of a run.

    That is the config without paths, the checksum of the data, and `RESULTS_VERSION`. Weights that
    a run begins from count by their contents.
    """
    kept = copy.deepcopy({key: config[key] for key in config if key not in NO_RESULT})
    for group, key in PATHS:
        if isinstance(kept.get(group), dict):
            kept[group].pop(key, None)
    if kept.get("init_from"):
        kept["init_from"] = hashlib.sha256(_weights_of(Path(kept["init_from"]))).hexdigest()
    return _digest([kept, data_checksum, RESULTS_VERSION])


def _weights_of(path: Path) -> bytes:
    """Return the bytes of the weights of a run."""
    file = path / "weights.pkl" if path.is_dir() else path
    return file.read_bytes() if file.is_file() else b""


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
