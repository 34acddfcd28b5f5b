"""Searches: what is made small, and on which samples."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from cnnexp.app.compose.hydra_bridge import GRID
from cnnexp.app.settings.options import Plain


def is_search(cfg: DictConfig) -> bool:
    """Say whether a sweep chooses its points by the results of earlier ones."""
    return bool(cfg.hydra.sweeper.get("_target_") != GRID)


def allow_failures(cfg: DictConfig, asked: list[str]) -> None:
    """Let a search go on after failed trials, unless the user asked for a limit."""
    limit: Any = "max_failure_rate"
    if limit in cfg.hydra.sweeper and not any(limit in override for override in asked):
        cfg.hydra.sweeper[limit] = 1.0


def search_faults(config: Plain) -> list[str]:
    """Return why a search by the config's objective is refused."""
    name = config["sweep"]["objective"]
    if "test" in name and not config["sweep"]["search_on_test"]:
        return [
            f"sweep.objective={name}: a search on the test samples is refused. The best of many"
            " trials is partly lucky on the samples it was chosen by, so none would be left to"
            " tell how good it is. Search by validation_error with data.validation=0.1, or ask for"
            " it with sweep.search_on_test=true."
        ]
    if "validation" in name and not config["data"]["validation"]:
        return [
            f"sweep.objective={name}: the search needs samples to choose by. Keep some of the"
            " training samples apart: data.validation=0.1."
        ]
    return []
