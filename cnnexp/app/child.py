"""``python -m cnnexp.app.child``: one job of a sweep; what it is comes on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra.conf import HydraConf
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from cnnexp.app import progress
from cnnexp.app.job import train_task
from cnnexp.app.screen import warn
from cnnexp.app.stopping import EXIT_CODE
from cnnexp.errors import CnnexpError, system_message
from cnnexp.nn import executor


def main() -> int:
    """Run the job, and return an exit code."""
    task = json.load(sys.stdin)
    sys.argv = task["command"]
    executor.limit_cores(task["cores"])
    progress.use_bars(task["bars"])
    version.setbase("1.3")
    setup_globals()
    cfg = config_of(task)
    JobRuntime.instance().set("name", cfg.hydra.job.name)
    context = HydraContext(config_loader=None, callbacks=Callbacks(cfg))  # type: ignore[arg-type]
    try:
        ret = run_job(
            hydra_context=context,
            task_function=train_task,
            config=cfg,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except OSError as error:  # Hydra writes into the folder before the job begins
        ret = JobReturn(status=JobStatus.FAILED, _return_value=error)
    return exit_code(ret, Path(task["folder"]).name)


def config_of(task: dict[str, Any]) -> DictConfig:
    """Return the config as the parent composed and checked it, Hydra's part with its types."""
    hydra = OmegaConf.structured(HydraConf)
    with open_dict(hydra):
        hydra.merge_with(OmegaConf.create(task["hydra"]))
    cfg: DictConfig = OmegaConf.create(task["config"] | {"hydra": hydra})
    cfg.hydra.sweep.subdir = Path(task["folder"]).name
    cfg.hydra.job.id, cfg.hydra.job.num = str(task["number"]), task["number"]
    return cfg


def exit_code(ret: JobReturn, name: str) -> int:
    """Return the exit code of a job, and say what went wrong."""
    if ret.status is JobStatus.COMPLETED:
        return 0
    error = ret._return_value
    if isinstance(error, OSError):
        warn(f"[{name}] error: {system_message(error)}")
    else:
        kind = "error" if isinstance(error, CnnexpError) else type(error).__name__
        warn(f"[{name}] {kind}: {error}")
    return 1


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = EXIT_CODE
    sys.exit(code)
