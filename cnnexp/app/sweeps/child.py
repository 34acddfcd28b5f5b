"""One job of a sweep in a process of its own.

``python -m cnnexp.app.sweeps.child`` reads on standard input what the job is.
"""

from __future__ import annotations

import os
import pickle
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, setup_globals
from omegaconf import OmegaConf

from cnnexp.app.compose.hydra_bridge import Callbacks
from cnnexp.app.exit_codes import INTERRUPTED
from cnnexp.app.running.planned import Planned
from cnnexp.app.running.task import train_checked, train_task
from cnnexp.app.screen import warn
from cnnexp.app.settings.options import Plain
from cnnexp.app.stopping import SIGNALS
from cnnexp.errors import CnnexpError, system_message
from cnnexp.nn import executor


class Task(NamedTuple):
    """What the process of a job must know."""

    config: Plain  # the settings, checked and complete
    hydra: Plain  # Hydra's own
    folder: Path
    number: int
    cores: int
    output: Path | None  # where it prints, if not where its parent does
    command: list[str]
    planned: Planned
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
        return INTERRUPTED


def main(task: Task) -> int:
    """Run the job, and return an exit code."""
    if task.output is not None:
        file = os.open(task.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file, stream.fileno())
        os.close(file)
    sys.argv = task.command
    executor.limit_cores(task.cores)
    try:
        with as_hydra(task):
            train_checked(task.config, task.planned)
    except Exception as error:
        tell(error, task.folder.name)
        return 1
    return 0


@contextmanager
def as_hydra(task: Task) -> Iterator[None]:
    """Make the folder, and what is around a job, as ``hydra.core.utils.run_job`` does.

    It copies the config five times and writes it as YAML in Python, which takes as long as all else
    that a small job does.
    """
    hydra = _of_this_job(task)
    setup_globals()
    both: Any = OmegaConf.create({"hydra": hydra})
    HydraConfig.instance().cfg = both
    JobRuntime.instance().set("name", hydra["job"]["name"])
    task.folder.mkdir(parents=True, exist_ok=True)
    if hydra["output_subdir"] is not None:
        _save(task, hydra, task.folder / hydra["output_subdir"])
    if hydra["job"]["chdir"]:
        os.chdir(task.folder)
    configure_log(both.hydra.job_logging, both.hydra.verbose)
    os.environ.update({key: str(value) for key, value in hydra["job"]["env_set"].items()})
    if not hydra["callbacks"]:
        yield
        return
    config = OmegaConf.create(task.config | {"hydra": hydra})
    callbacks, ended = Callbacks(config), JobReturn(status=JobStatus.COMPLETED, cfg=config)
    callbacks.on_job_start(config=config, task_function=train_task)
    try:
        yield
    except Exception as error:
        ended = JobReturn(status=JobStatus.FAILED, cfg=config, _return_value=error)
        raise
    finally:
        callbacks.on_job_end(config=config, job_return=ended)


def _of_this_job(task: Task) -> Plain:
    """Return Hydra's own settings with what it enters when a job begins."""
    hydra, folder = task.hydra, task.folder
    return hydra | {
        "sweep": hydra["sweep"] | {"dir": str(folder.parent), "subdir": folder.name},
        "job": hydra["job"] | {"id": str(task.number), "num": task.number},
        "runtime": hydra["runtime"] | {"output_dir": str(folder.absolute())},
    }


def _save(task: Task, hydra: Plain, folder: Path) -> None:
    """Write the settings, Hydra's own and the overrides, as Hydra does."""
    contents = {"config": task.config, "hydra": {"hydra": hydra}}
    contents["overrides"] = hydra["overrides"]["task"]
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes members of enumerations by their names."""


_Dumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_str(value.name))
# In YAML 1.1, which PyYAML writes, 1e-3 is a text, and so needs no quotation marks. OmegaConf, and
# YAML 1.2, read a number.
NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[-+]?\d+)?$|0o[0-7]+$", re.IGNORECASE)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def tell(error: Exception, name: str) -> None:
    """Say what went wrong in a job."""
    if isinstance(error, OSError):
        warn(f"[{name}] error: {system_message(error)}")
    else:
        kind = "error" if isinstance(error, CnnexpError) else type(error).__name__
        warn(f"[{name}] {kind}: {error}")


if __name__ == "__main__":
    sys.exit(_code_of(pickle.load(sys.stdin.buffer)))
