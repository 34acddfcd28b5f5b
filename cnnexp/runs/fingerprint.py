"""What determines a run's result, as one number."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnexp.runs.sources import Source

RESULTS_VERSION = 5
"""Raised only when the same config gives other numbers than before."""

OF_IMPLEMENTATION = {"compiled": 3, "fast": 1}
"""The same for runs under one implementation alone; one that is not here has 0."""

PATHS = tuple(
    ("data", key)
    for key in ("dir", "file", "test_file", "images", "labels", "test_images", "test_labels")
)  # where something lies does not change what it is
FOR_PEOPLE = ("name", "tags", "note")
OUTSIDE = ("sweep", "trackers", *FOR_PEOPLE)  # a run itself is the same with others
NO_RESULT = ("checkpoint", "init_from", "profile", "diagnostics", "evaluate", *OUTSIDE)
NEWER: dict[str, Any] = {
    "evaluate": "each_epoch",
    "early_stopping": None,
    "best_weights": False,
    "ema": None,
    "accumulate": 1,
    "callbacks": [],
}
"""Keys that runs of earlier versions do not have, with the values that say what those runs did.

At these values they do not count, so that such a run is still known as the same.
"""
LATER = (
    ("model", "target", "label"),
    ("schedule", "warmup_epochs", 0.0),
    ("data", "task", None),
    ("data", "target_scaling", None),
    ("impl", "tune", True),  # runs before it had sizes of micro-batches that depend on the machine
)
"""The same for options of groups."""


def config_hash(config: dict[str, Any]) -> str:
    """Return a hash of a config: all but its sweep, its trackers, and what is for people."""
    return _digest({key: value for key, value in config.items() if key not in OUTSIDE})


def fingerprint(
    config: dict[str, Any],
    data_checksum: str,
    weights_checksum: str | None = None,
    sources: Iterable[Source] | None = None,
) -> str:
    """Return a hash of what determines the result of a run.

    That is the config without paths, the checksum of the data, that of the weights it begins from
    if it begins from a run's, those of the user's modules (`sources.sources_of`), and
    `RESULTS_VERSION`.

    Examples
    --------
    >>> one, other = {"epochs": 1, "data": {"dir": "/a"}}, {"epochs": 1, "data": {"dir": "/b"}}
    >>> fingerprint(one, "sha256:0") == fingerprint(other, "sha256:0")
    True
    >>> fingerprint(one, "sha256:0") == fingerprint(one, "sha256:1")
    False
    """
    kept = copy.deepcopy(
        {
            key: value
            for key, value in config.items()
            if key not in NO_RESULT and not (key in NEWER and value == NEWER[key])
        }
    )
    if not (kept.get("augment") or {}).get("transforms"):
        kept.pop("augment", None)  # as in runs that are older than augmentation
    for group, key in PATHS:
        if isinstance(kept.get(group), dict):
            kept[group].pop(key, None)
    for group, key, value in LATER:
        if isinstance(kept.get(group), dict) and kept[group].get(key) == value:
            kept[group].pop(key, None)
    code = [[source["name"], source["checksum"]] for source in sources or ()]
    parts = [kept, data_checksum, weights_checksum, RESULTS_VERSION]
    parts += [OF_IMPLEMENTATION[name] for name in OF_IMPLEMENTATION if name == _impl(config)]
    return _digest([*parts, code] if code else parts)


def _impl(config: dict[str, Any]) -> str | None:
    found: str | None = (config.get("impl") or {}).get("name")
    return found


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
