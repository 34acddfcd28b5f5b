"""The figure that a search makes small."""

from __future__ import annotations

from typing import Any


def objective(record: dict[str, Any]) -> float | None:
    """Return a run's objective: None if it has none, infinity if the run diverged."""
    if record["status"] == "diverged":
        return float("inf")
    value = record["results"].get(record["config"]["sweep"]["objective"])
    return None if value is None else float(value)
