"""What a sweep costs beside the training of its jobs.

Twenty tiny jobs are trained three times: by one process, one after the other, each with a folder of
its own (``in a row``); by a sweep whose jobs are forked from a warm process (``warm``); and by one
that starts Python for each (``fresh``). A sweep of one job tells what is fixed, so that the
overhead of a job is ``(sweep of 20 - sweep of 1) / 19`` less what a job takes in a row. Then the
finished sweep is asked for again, and the settings of a run are shown (``--cfg job``).

Wall seconds mean little on a machine that others use; on Linux the processor seconds of all
processes are counted too. The lowest of several rounds is taken, as disturbances only add.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from experiments.benchmarks.machine import describe

SUMMARY = "the overhead of a sweep's job, of a finished sweep, of showing settings"
NEEDS = ()
SHOWN = ("what", "jobs", "seconds", "cpu_seconds", "ms_per_job", "cpu_ms_per_job")
TINY = ("epochs=1", "data.limit=100")
LINUX = sys.platform == "linux"
SUBREAPER = 36  # of prctl: orphans become children of this process, which can then count them
NAN = float("nan")
SAID = "cost: "


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    cpu: float


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)


def measure(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure all, in turns, and yield the lowest figures."""
    jobs, rounds = (2, 1) if asked.quick else (asked.jobs, asked.rounds)
    found: dict[tuple[str, int], list[Cost]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(rounds):
            for what, count, words in commands(jobs, turn):
                cost = carry_out(words, Path(temporary))
                found.setdefault((what, count), []).append(cost)
    best = {key: Cost(*map(min, zip(*costs, strict=True))) for key, costs in found.items()}
    machine = describe()
    for (what, count), cost in best.items():
        row = {"what": what, "jobs": count, "seconds": cost.seconds, "cpu_seconds": cost.cpu}
        if count == jobs and what in ("warm", "fresh"):
            row |= overhead(cost, best[what, 1], best["in a row", jobs], jobs)
        yield row | {"rounds": rounds} | machine


def commands(jobs: int, turn: int) -> Iterator[tuple[str, int, Sequence[str]]]:
    """Yield the name of each measurement, its jobs, and its command."""
    run = (sys.executable, "-m", "cnnexp")
    here = "from experiments.benchmarks.sweeps import in_a_row; in_a_row({}, 'row{}')"
    yield "in a row", jobs, (sys.executable, "-c", here.format(jobs, turn))
    for isolation in ("warm", "fresh"):
        for count in (1, jobs):
            words = (f"seed=range({count})", "sweep.jobs=1", f"sweep.isolation={isolation}")
            folder = f"sweep.dir={isolation}{count}_{turn}"
            yield isolation, count, (*run, "-m", *TINY, *words, folder)
    yield "again", jobs, (*run, "-m", *TINY, *words, folder)
    yield "--cfg job", 0, (*run, "--cfg", "job")


def overhead(sweep: Cost, single: Cost, row: Cost, jobs: int) -> dict[str, float]:
    """Return the overhead of a job in milliseconds."""
    wall, cpu = (
        (sweep[k] - single[k]) / max(jobs - 1, 1) - row[k] / jobs for k in range(len(Cost._fields))
    )
    return {"ms_per_job": 1e3 * wall, "cpu_ms_per_job": 1e3 * cpu}


def carry_out(words: Sequence[str], folder: Path) -> Cost:
    """Carry out a command, and return what it took; a command that says it itself is believed."""
    with adopting_orphans():
        return _carried_out(words, folder)


def _carried_out(words: Sequence[str], folder: Path) -> Cost:
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users have their code compiled once
    others = {child.pid for child in psutil.Process().children()}
    before, start = cpu_of_children(), time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(done.stderr)
    wait_for_orphans(others)
    if done.stdout.startswith(SAID):
        return Cost(*json.loads(done.stdout.removeprefix(SAID)))
    return Cost(seconds, cpu_of_children() - before if LINUX else NAN)


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Let what a command leaves behind become a child of this process, where Linux does that."""
    if not LINUX:
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(SUBREAPER, 0, 0, 0, 0)


def wait_for_orphans(others: set[int]) -> None:
    """Wait for the processes that a command left behind, such as its fork server.

    Parameters
    ----------
    others : set of int
        Children that were there before; they may live for ever.
    """
    while LINUX:
        left = {child.pid for child in psutil.Process().children()} - others
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def cpu_of_children() -> float:
    """Return the processor seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_a_row(jobs: int, name: str, words: Sequence[str] = TINY) -> None:
    """Train jobs one after the other in this process, and print what that took."""
    import contextlib
    import io

    from hydra.types import RunMode

    from cnnexp.app.compose.configs import make_app
    from cnnexp.app.running.experiment import begin
    from cnnexp.app.settings.check import check
    from cnnexp.runs.record import new_record

    cfg = make_app().compose_config(
        config_name="config", overrides=list(words), run_mode=RunMode.RUN
    )
    configs = [check(cfg) | {"seed": seed} for seed in range(jobs)]
    start, cpu = time.perf_counter(), time.process_time()
    for config in configs:
        folder = Path(name, str(config["seed"]))
        folder.mkdir(parents=True)
        with contextlib.redirect_stdout(io.StringIO()):
            begin(folder, new_record(config, {}, []))
    print(SAID + json.dumps([time.perf_counter() - start, time.process_time() - cpu]))
