"""What determines a run's result, as one number."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

RESULTS_VERSION = 3
"""Raised only when the same config gives other numbers than before."""

PATHS = (("data", "dir"), ("data", "file"))  # where something lies does not change what it is
LATER = (("model", "target", "label"), ("schedule", "warmup_epochs", 0.0))
"""Options that earlier versions do not have, with the values that say what these did.

At these values they do not count, so that such a run is still known as the same.
"""
NO_RESULT = ("sweep", "checkpoint", "init_from", "profile")


def config_hash(config: dict[str, Any]) -> str:
    """Return a hash of a config, all but the sweep it belongs to, whose folder has the time."""
    return _digest({key: value for key, value in config.items() if key != "sweep"})


def fingerprint(
    config: dict[str, Any], data_checksum: str, weights_checksum: str | None = None
) -> str:
    """Return a hash of what determines the result of a run.

    That is the config without paths, the checksum of the data, that of the weights it begins from
    if it begins from a run's, and `RESULTS_VERSION`.

    Examples
    --------
    >>> one, other = {"epochs": 1, "data": {"dir": "/a"}}, {"epochs": 1, "data": {"dir": "/b"}}
    >>> fingerprint(one, "sha256:0") == fingerprint(other, "sha256:0")
    True
    >>> fingerprint(one, "sha256:0") == fingerprint(one, "sha256:1")
    False
    """
    kept = copy.deepcopy({key: config[key] for key in config if key not in NO_RESULT})
    for group, key in PATHS:
        if isinstance(kept.get(group), dict):
            kept[group].pop(key, None)
    for group, key, value in LATER:
        if isinstance(kept.get(group), dict) and kept[group].get(key) == value:
            del kept[group][key]
    return _digest([kept, data_checksum, weights_checksum, RESULTS_VERSION])


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
