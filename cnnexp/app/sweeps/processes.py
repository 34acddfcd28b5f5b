"""Jobs in processes of their own, some side by side, on this machine.

A job that crashes, or is killed for its memory, takes nothing with it. The parent gives each child
its config, waits, and reads the result from the run folder.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence

from cnnexp.app.running.planned import Planned
from cnnexp.app.stopping import Interrupted, StopRequest, on_signals
from cnnexp.app.sweeps.child import Task
from cnnexp.app.sweeps.children import Child, start
from cnnexp.app.sweeps.job import Job
from cnnexp.app.sweeps.progress import shown
from cnnexp.app.sweeps.sizes import micro_batches_for
from cnnexp.nn.executor import available_cores
from cnnexp.runs import code
from cnnexp.runs.environment import describe_environment

MOST = 8  # jobs side by side unless more are asked for: each has a data set of its own in memory
POLL = 0.01  # seconds between looks at the children


def run_jobs(jobs: Sequence[Job], n_jobs: int, beside: Sequence[Job] = ()) -> None:
    """Run jobs, `n_jobs` at a time, and wait for all of them.

    Parameters
    ----------
    jobs : sequence of Job
        What to run.
    n_jobs : int
        How many run side by side; they share the processor's cores.
    beside : sequence of Job
        All jobs of the sweep, to say how far it is.

    Raises
    ------
    Interrupted
        If a signal asked to stop; running jobs ended at their next batch, the others did not start.
    """
    waiting = list(range(len(jobs)))
    running: dict[int, Child] = {}
    tasks, stop, passed_on = tasks_of(jobs, n_jobs), StopRequest(), 0
    with on_signals(stop.note), shown(jobs, beside or jobs) as progress:
        while (waiting and not stop.asked) or running:
            while waiting and len(running) < n_jobs and not stop.asked:
                k = waiting.pop(0)
                output = None if progress is None else progress.file_of(jobs[k])
                task = tasks[k]._replace(output=output)
                running[k] = start(task, jobs[k].config["sweep"]["isolation"])
            passed_on = _pass_on(stop, passed_on, list(running.values()))
            codes = {k: child.poll() for k, child in running.items()}
            for k, ended in codes.items():
                if ended is not None:
                    del running[k]
                    jobs[k].end = describe_end(ended, stop.asked)
                    jobs[k].launched = True
            if progress is not None:
                progress.look([jobs[k] for k in running])
            time.sleep(POLL)
    if stop.asked:
        raise Interrupted


def side_by_side(jobs: Sequence[Job], cores: int | None = None) -> int:
    """Return how many jobs run at a time: what ``sweep.jobs`` says.

    ``auto`` is one for each core, and 8 at most. Where options of ``impl`` are varied it is one
    alone, because the times of jobs are compared then, and jobs that run side by side slow each
    other down.
    """
    if not jobs:
        return 1
    wanted = jobs[0].config["sweep"]["jobs"]
    if wanted != "auto":
        return int(wanted)
    if any(job.config["impl"] != jobs[0].config["impl"] for job in jobs):
        return 1
    return max(min(cores or available_cores(), len(jobs), MOST), 1)


def tasks_of(jobs: Sequence[Job], n_jobs: int) -> list[Task]:
    """Return what children must know; what all jobs share is found out once."""
    cores = max(available_cores() // n_jobs, 1)
    environment = describe_environment() | {"cores": cores} if jobs else {}
    changes = code.changes(environment, jobs[0].folder.parent) if jobs else ""
    sizes, variables = micro_batches_for(jobs, cores), dict(os.environ)
    return [
        Task(
            config=job.config,
            hydra=job.hydra,
            folder=job.folder,
            number=number,
            cores=cores,
            output=None,
            command=sys.argv,
            planned=Planned(environment, changes, job.fingerprint, size),
            variables=variables,
        )
        for number, (job, size) in enumerate(zip(jobs, sizes, strict=True))
    ]


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
