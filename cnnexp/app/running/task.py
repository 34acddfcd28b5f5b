"""What a run and a job of a sweep are to Hydra: a function of a config.

Launchers hand `train_task` to other processes and machines, which import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cnnexp.app.compose.hydra_bridge import GRID
from cnnexp.app.running.experiment import begin
from cnnexp.app.running.planned import Planned, objective
from cnnexp.app.running.resume import resume_held
from cnnexp.app.settings.check import check
from cnnexp.app.settings.options import Plain
from cnnexp.engine import AUTO
from cnnexp.runs.folders import hold
from cnnexp.runs.plugins import load_plugins
from cnnexp.runs.policy import GROUPS
from cnnexp.runs.record import FILE, Record, new_record


def train_task(cfg: DictConfig) -> float | None:
    """Carry out one job in the folder that Hydra made, and return its objective.

    A job that was cut off lies in its folder already, and goes on.
    """
    search = HydraConfig.get().sweeper.get("_target_") != GRID
    return _train(cfg["plugins"], lambda: check(cfg, search))


def train_checked(config: Plain, planned: Planned) -> float | None:
    """Carry out a job whose config was checked, as `train_task` does.

    Parameters
    ----------
    config : dict
        The checked config.
    planned : Planned
        What the sweep knows of the job.
    """
    load_plugins(config["plugins"])
    return _train(config["plugins"], lambda: config, planned)


def _train(
    plugins: Iterable[str], checked: Callable[[], Plain], planned: Planned | None = None
) -> float | None:
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    label = f"[{folder.name}] "
    with hold(folder):
        if (folder / FILE).exists():
            record = resume_held(folder, label=label, plugins=list(plugins))
        else:
            record = record_of(checked(), hydra, planned.environment if planned else None)
            record = begin(folder, record, label, planned)
    return objective(record)


def record_of(config: Plain, hydra: Any, environment: Plain | None = None) -> Record:
    """Return the record of a run that Hydra is about to begin."""
    choices: dict[str, str | None] = {
        group: str(hydra.runtime.choices.get(group)) for group in GROUPS
    }
    if choices["impl"] == AUTO:
        choices["impl"] = config["impl"]["name"]  # what it stood for
    return new_record(config, choices, list(hydra.overrides.task), environment)
