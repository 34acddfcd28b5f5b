"""One job of a sweep in a process of its own.

``python -m cnnexp.app.child`` reads on standard input what the job is.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from hydra import version
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig

from cnnexp.app import progress
from cnnexp.app.check import Plain
from cnnexp.app.hydra_bridge import Callbacks
from cnnexp.app.job import train_checked
from cnnexp.app.screen import warn
from cnnexp.app.stopping import EXIT_CODE, SIGNALS
from cnnexp.errors import CnnexpError, system_message
from cnnexp.nn import executor


class Task(NamedTuple):
    """What the process of a job must know."""

    config: DictConfig  # as Hydra composed it, with Hydra's own settings
    checked: Plain  # the same, checked and complete
    folder: Path
    number: int
    cores: int
    bars: bool
    command: list[str]
    environment: Plain  # as the parent described it, for the record
    changes: str  # since the commits
    variables: dict[str, str]  # of the parent's environment


def run_forked(pickled: bytes) -> NoReturn:
    """Run a job in a process that was forked for it, as a fresh one would, and end the process."""
    os.setpgid(0, 0)  # the parent passes signals on, which the server ignores
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    np.random.seed()  # a fork has the state of its server; ours are drawn from the run's seed  # noqa: NPY002
    task: Task = pickle.loads(pickled)
    os.environ.clear()
    os.environ.update(task.variables)
    sys.exit(_code_of(task))


def _code_of(task: Task) -> int:
    """Run a job, and return the exit code of its process."""
    try:
        return main(task)
    except KeyboardInterrupt:
        return EXIT_CODE


def main(task: Task) -> int:
    """Run the job, and return an exit code."""
    sys.argv = task.command
    executor.limit_cores(task.cores)
    progress.use_bars(task.bars)
    version.setbase("1.3")
    setup_globals()
    cfg = task.config
    cfg.hydra.sweep.subdir = task.folder.name
    cfg.hydra.job.id, cfg.hydra.job.num = str(task.number), task.number
    JobRuntime.instance().set("name", cfg.hydra.job.name)
    context = HydraContext(config_loader=None, callbacks=Callbacks(cfg))  # type: ignore[arg-type]
    try:
        ret = run_job(
            hydra_context=context,
            task_function=lambda _: train_checked(task.checked, task.environment, task.changes),
            config=cfg,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except OSError as error:  # Hydra writes into the folder before the job begins
        ret = JobReturn(status=JobStatus.FAILED, _return_value=error)
    return exit_code(ret, task.folder.name)


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
    sys.exit(_code_of(pickle.load(sys.stdin.buffer)))
