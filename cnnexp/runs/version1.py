"""Runs of version 0.1.0, read as if they had been written today.

Their records have format 1. What is now the loss was ``cce`` there, the error was ``ce``, and a
micro-batch was a ``sub_batch``. Everything that differs is translated here, when a record or a log
is read; nothing else in the package knows of it.
"""

from __future__ import annotations

import re
from typing import Any

FORMAT = 1
NEW_NAMES = {"cce": "loss", "ce": "error", "sub_batch": "micro_batch"}
DEFAULTS: dict[str, Any] = {
    "loss": {"name": "cross_entropy", "label_smoothing": 0.0},
    "metrics": [],
}
NO_RESUME = (
    "it was made by version 0.1.0, whose checkpoints this version cannot resume: the initial"
    " weights, the optimizer's state and the sums of an epoch are kept in another form. Start the"
    " run again, or begin a new one from its weights with init_from={folder}."
)


def new_name(name: str) -> str:
    """Return today's word for the name of a figure or a setting.

    Examples
    --------
    >>> [new_name(name) for name in ("test_ce", "cce", "inference_sub_batch", "once")]
    ['test_error', 'loss', 'inference_micro_batch', 'once']
    """
    for old, new in NEW_NAMES.items():
        name = re.sub(rf"(^|[._]){old}$", rf"\g<1>{new}", name)
    return name


def translate_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of format 1 as a record of today; it keeps its format."""
    found = {key: _renamed(value) if key in _RENAMED else value for key, value in record.items()}
    config = found.get("config")
    if isinstance(config, dict):
        for key, value in DEFAULTS.items():
            config.setdefault(key, value)
        impl, sweep = config.get("impl"), config.get("sweep")
        if isinstance(impl, dict):
            impl.setdefault("inference_micro_batch", "auto")
            impl.setdefault("fuse", True)
        if isinstance(sweep, dict) and isinstance(sweep.get("objective"), str):
            sweep["objective"] = new_name(sweep["objective"])
    network = found.get("network")
    if isinstance(network, dict) and "micro_batch" in network:
        network.setdefault("inference_micro_batch", network["micro_batch"])
    return found


_RENAMED = ("config", "network", "results")


def _renamed(value: Any) -> Any:
    """Return nested mappings with today's names."""
    if isinstance(value, dict):
        return {new_name(str(key)): _renamed(inner) for key, inner in value.items()}
    return value
