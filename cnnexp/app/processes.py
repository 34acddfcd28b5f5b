"""Jobs in processes of their own, some side by side, on this machine.

A job that crashes, or is killed for its memory, takes nothing with it. The parent gives each child
its config, waits, and reads the result from the run folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from cnnexp.app.stopping import Interrupted, StopRequest, on_signals
from cnnexp.app.sweep_job import Job
from cnnexp.nn.executor import available_cores

POLL = 0.05  # seconds between looks at the children

Child = subprocess.Popen[bytes]


def run_jobs(jobs: Sequence[Job], first: int, n_jobs: int) -> list[JobReturn]:
    """Run jobs, `n_jobs` at a time, and wait for all of them.

    Parameters
    ----------
    jobs : sequence of Job
        What to run.
    first : int
        Hydra's number of the first job.
    n_jobs : int
        How many run side by side; they share the processor's cores.

    Raises
    ------
    Interrupted
        If a signal asked to stop; running jobs ended at their next batch, the others did not start.
    """
    waiting = list(range(len(jobs)))
    running: dict[int, Child] = {}
    stop, passed_on = StopRequest(), 0
    with on_signals(stop.note):
        while (waiting and not stop.asked) or running:
            while waiting and len(running) < n_jobs and not stop.asked:
                k = waiting.pop(0)
                running[k] = _start(jobs[k], first + k, n_jobs)
            for k in [k for k, child in running.items() if child.poll() is not None]:
                jobs[k].end = describe_end(running.pop(k).returncode, stop.asked)
                jobs[k].launched = True
            passed_on = _pass_on(stop, passed_on, list(running.values()))
            time.sleep(POLL)
    if stop.asked:
        raise Interrupted
    return [_result(job) for job in jobs]


def _start(job: Job, number: int, n_jobs: int) -> Child:
    """Start a child and tell it what to do."""
    hydra = OmegaConf.to_container(job.composed.hydra, resolve=False)
    task = {
        "config": job.config,
        "hydra": OmegaConf.to_yaml(OmegaConf.create(hydra)),
        "folder": str(job.folder),
        "number": number,
        "cores": max(available_cores() // n_jobs, 1),
        "bars": n_jobs == 1,
        "command": sys.argv,
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


def _pass_on(stop: StopRequest, passed_on: int, children: Sequence[Child]) -> int:
    """Pass new signals on to the children, which stand in process groups of their own.

    The terminal sends them nothing. The third signal is one that they cannot handle.
    """
    for number in stop.signals[passed_on:]:
        passed_on += 1
        for child in children:
            child.send_signal(number if passed_on <= 2 else signal.SIGKILL)
    return passed_on


def describe_end(code: int, asked: bool = False) -> str:
    """Say how a process ended.

    Parameters
    ----------
    code : int
        What its parent was told; below 0 for a signal.
    asked : bool
        Whether it had been asked to stop.

    Examples
    --------
    >>> describe_end(-9)
    'killed by SIGKILL; was it out of memory?'
    >>> describe_end(1)
    'its process ended with exit code 1'
    """
    if asked:
        return "it was asked to stop"
    if code == 0:
        return ""
    if code > 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"killed by {name}" + ("; was it out of memory?" if name == "SIGKILL" else "")


def _result(job: Job) -> JobReturn:
    """Return Hydra's form of a result; the figures themselves are in the run folder."""
    status = JobStatus.FAILED if job.end else JobStatus.COMPLETED
    return JobReturn(status=status, _return_value=job.end)
