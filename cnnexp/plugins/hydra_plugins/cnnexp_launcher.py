"""Our launchers, where Hydra looks for plugins.

Hydra finds launchers only in the namespace package ``hydra_plugins``. This folder is a part of it:
`cnnexp.app` puts its parent on the path, which works alike in a clone and in an installed package.
What the launchers do is in `cnnexp.app.sweeps` and `cnnexp.app.processes`, imported when used.

Hydra runs this file before it stands in ``sys.modules``, where a dataclass looks up annotations
that are text: so there is no ``from __future__ import annotations`` here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class ProcessesConfig:
    """Options of ``hydra/launcher=processes``.

    Parameters
    ----------
    n_jobs : int, optional
        How many jobs run side by side; by default as ``sweep.jobs`` says.
    """

    _target_: str = "hydra_plugins.cnnexp_launcher.Processes"
    n_jobs: Optional[int] = None  # noqa: UP045 (OmegaConf reads it)


ConfigStore.instance().store(group="hydra/launcher", name="processes", node=ProcessesConfig)


class Processes(Launcher):
    """Runs each job in a process of its own on this machine."""

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Do nothing: the sweep has composed the jobs."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run jobs, and return what each of them recorded."""
        from cnnexp.app.processes import run_jobs, side_by_side
        from cnnexp.app.sweeps import Sweep

        jobs = Sweep.current().jobs_of(job_overrides)
        return run_jobs(jobs, initial_job_idx, self.n_jobs or side_by_side(jobs))


class Guard(Launcher):
    """Stands before any launcher: skips what is done, resumes what was cut off.

    Parameters
    ----------
    inner : DictConfig
        The launcher that runs what is left to do.
    """

    def __init__(self, inner: DictConfig) -> None:
        self.inner_config = inner

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Set up the inner launcher under the config that names it."""
        from hydra.core.plugins import Plugins
        from omegaconf import open_dict

        own: Any = config.copy()
        with open_dict(own):
            own.hydra.launcher = self.inner_config
        self.inner = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=own
        )
        self.config, self.loader = own, hydra_context.config_loader

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Launch what is left to do, and return a result for every job."""
        from cnnexp.app.sweeps import Sweep

        return Sweep.current().launch(
            self.inner, self.config, self.loader, job_overrides, initial_job_idx
        )
