"""Jobs in processes of their own, some side by side, on this machine.

A job that crashes, or is killed for its memory, takes nothing with it. The parent gives each child
what its config is composed from, waits, and reads the result from the run folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from cnnexp.app.stopping import Interrupted, StopRequest, on_signals
from cnnexp.nn.workers import available_cores

POLL = 0.05  # seconds between looks at the children


def run_jobs(
    config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int, n_jobs: int
) -> list[JobReturn]:
    """Run jobs, `n_jobs` at a time, and wait for all of them.

    Raises
    ------
    Interrupted
        If a signal asked to stop; running jobs ended at their next batch, the others did not start.
    """
    waiting = list(enumerate(job_overrides))
    running: dict[int, subprocess.Popen[bytes]] = {}
    codes: dict[int, int] = {}
    with _pass_on_signals(running) as stop:
        while (waiting and not stop.asked) or running:
            while waiting and len(running) < n_jobs and not stop.asked:
                k, overrides = waiting.pop(0)
                running[k] = _start(config, list(overrides), first + k, n_jobs)
            for k in [k for k, child in running.items() if child.poll() is not None]:
                codes[k] = running.pop(k).returncode
            time.sleep(POLL)
    if stop.asked:
        raise Interrupted
    return [_result(codes[k]) for k in range(len(job_overrides))]


def _start(
    config: DictConfig, overrides: list[str], number: int, n_jobs: int
) -> subprocess.Popen[bytes]:
    """Start a child and tell it what to do."""
    sources = OmegaConf.to_container(config.hydra.runtime.config_sources)
    task = {
        "config_dir": next(
            (s["path"] for s in sources if s["provider"] == "command-line"),  # type: ignore[index, union-attr, call-overload]
            None,
        ),
        "config_name": config.hydra.job.config_name,
        "hydra_overrides": OmegaConf.to_container(config.hydra.overrides.hydra),
        "task_overrides": OmegaConf.to_container(config.hydra.overrides.task),
        "overrides": overrides,
        "number": number,
        "cores": max(available_cores() // n_jobs, 1),
        "bars": n_jobs == 1,
    }
    own_group: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
    child = subprocess.Popen(
        [sys.executable, "-m", "cnnexp.app.child"], stdin=subprocess.PIPE, **own_group
    )
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(task).encode())
        child.stdin.close()
    except BrokenPipeError:  # it ended at once; its exit code tells
        pass
    return child


def _result(code: int) -> JobReturn:
    """Return Hydra's form of a result; the figures themselves are in the run folder."""
    return JobReturn(status=JobStatus.COMPLETED if code == 0 else JobStatus.FAILED)


@contextmanager
def _pass_on_signals(children: dict[int, subprocess.Popen[bytes]]) -> Iterator[StopRequest]:
    """Pass signals on to the children, which stand in process groups of their own."""
    stop = StopRequest()

    def pass_on(number: int, frame: Any) -> None:
        stop.asked = True
        for child in list(children.values()):
            child.send_signal(number)

    with on_signals(pass_on):
        yield stop
