"""Sweep over a thousand jobs, and kill a sweep five times.

The first sweep trains a tiny model a thousand times, two jobs side by side. Meanwhile its process
is looked at from outside: memory and open files must not grow with the jobs. How long a job takes
is compared with jobs that one process trains in a row.

The second sweep is killed with SIGKILL at five random moments, and started again each time. In the
end every job must have finished, and one that had finished before a kill must not have been touched
since. Jobs that run when their sweep is killed end by themselves; the next start leaves them alone,
and takes up what had not begun.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from cnnexp.errors import RunError
from cnnexp.runs.record import FILE, Record, read_record
from experiments.benchmarks.page import markdown, number
from experiments.benchmarks.sweeps import in_a_row

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "sweep over a thousand jobs, and kill a sweep five times"
SHOWN = (
    "what", "jobs", "finished", "seconds", "ms_per_job", "in_a_row_ms", "megabytes", "open_files",
    "lost", "run_twice",
)  # fmt: skip
TINY = ("model=linear", "data.limit=20", "epochs=1", "impl.threads=1", "sweep.jobs=2")
SIDE_BY_SIDE = 2
LOOKS = 10  # rows of the first sweep
KILLS = 5
PAUSE = 0.05  # seconds between two looks
SEED = 0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=1000, help="of the first sweep")
    parser.add_argument("--killed-jobs", type=int, default=200, help="of the second")


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Carry out both sweeps."""
    jobs, killed = (6, 8) if chosen.quick else (chosen.jobs, chosen.killed_jobs)
    kills = 2 if chosen.quick else KILLS
    with tempfile.TemporaryDirectory(prefix="sweeps_") as folder:
        yield from many_jobs(Path(folder, "many"), jobs)
        yield from killed_and_started(Path(folder, "killed"), killed, kills)


def many_jobs(folder: Path, jobs: int) -> Iterator[dict[str, Any]]:
    """Sweep, and yield what the sweep's process needs after each tenth of the jobs."""
    alone = train_in_a_row(folder.with_name("row"), min(jobs, 50))
    start, sweep = time.perf_counter(), begin(folder, jobs)
    process = psutil.Process(sweep.pid)
    for look in range(1, LOOKS + 1):
        wanted = max(jobs * look // LOOKS, 1)
        while sweep.poll() is None and begun_in(folder) < wanted:
            time.sleep(PAUSE)
        if sweep.poll() is not None:
            break
        yield {
            "what": "many jobs",
            "jobs": jobs,
            "finished": begun_in(folder),
            "seconds": time.perf_counter() - start,
            "megabytes": process.memory_info().rss / 1e6,
            "open_files": process.num_fds(),
        }
    code, seconds = sweep.wait(), time.perf_counter() - start
    records = records_in(folder)
    finished = sum(record.status == "finished" for record in records.values())
    yield {
        "what": "many jobs, at the end",
        "jobs": jobs,
        "finished": finished,
        "seconds": seconds,
        "ms_per_job": 1e3 * seconds * SIDE_BY_SIDE / jobs,
        "in_a_row_ms": 1e3 * alone,
        "lost": jobs - finished,
        "exit_code": code,
    }


def train_in_a_row(folder: Path, jobs: int) -> float:
    """Return the seconds that one process takes for each of some jobs in a row."""
    code = f"from {in_a_row.__module__} import in_a_row; in_a_row({jobs}, {str(folder)!r}, {TINY})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.partition(": ")[2])[0]) / jobs


def killed_and_started(folder: Path, jobs: int, kills: int) -> Iterator[dict[str, Any]]:
    """Kill a sweep at random moments, start it again each time, and judge what is there then."""
    generator = random.Random(SEED)
    seen: dict[str, Record] = {}
    for kill in range(1, kills + 1):
        sweep, left = begin(folder, jobs), jobs - begun_in(folder)
        target = begun_in(folder) + generator.randrange(max(left // (kills - kill + 2), 1)) + 1
        start = time.perf_counter()
        while sweep.poll() is None and begun_in(folder) < target:
            time.sleep(PAUSE / 10)
        time.sleep(generator.uniform(0, 0.2))
        sweep.send_signal(signal.SIGKILL)
        sweep.wait()
        seconds, now = time.perf_counter() - start, records_in(folder)
        done = {name: record for name, record in now.items() if record.status == "finished"}
        yield {
            "what": f"kill {kill}",
            "jobs": jobs,
            "finished": len(done),
            "seconds": seconds,
            "run_twice": touched(seen, now),
        }
        seen |= done
    starts, code = 0, 1
    while code and starts < 5:  # a job that outlives its sweep is left alone by the next start
        code, starts = begin(folder, jobs).wait(), starts + 1
    now = records_in(folder)
    finished = sum(record.status == "finished" for record in now.values())
    yield {
        "what": "killed, at the end",
        "jobs": jobs,
        "finished": finished,
        "lost": jobs - finished,
        "run_twice": touched(seen, now) + len(list(folder.glob("*/earlier"))),
        "resumed": sum(len(record.resumed) > 0 for record in now.values()),
        "starts": kills + starts,
        "exit_code": code,
    }


def touched(before: dict[str, Record], now: dict[str, Record]) -> int:
    """Return how many jobs that had finished are not as they were."""
    return sum(now.get(name) != record for name, record in before.items())


def begin(folder: Path, jobs: int) -> subprocess.Popen[bytes]:
    """Start a sweep in a process of its own."""
    words: Sequence[str] = (f"seed=range({jobs})", f"sweep.dir={folder.name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "cnnexp", "-m", *TINY, *words],
        cwd=folder.parent,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def begun_in(folder: Path) -> int:
    """Return how many jobs have begun; their folders are there before."""
    return sum(1 for _ in folder.glob(f"*/{FILE}"))


def records_in(folder: Path) -> dict[str, Record]:
    """Return the records of all jobs."""
    found = {}
    for path in folder.glob(f"*/{FILE}"):
        try:
            found[path.parent.name] = read_record(path.parent)
        except RunError:
            continue
    return found


def section(frame: pd.DataFrame) -> str:
    """Return the part of the page."""
    many = frame[frame["what"] == "many jobs"]
    ended = frame[frame["what"] == "many jobs, at the end"].iloc[0]
    killed = frame[frame["what"].str.startswith("kill ")]
    last = frame[frame["what"] == "killed, at the end"].iloc[0]
    cells = [
        [f"{int(row.finished):,}", number(row.seconds), number(row.megabytes), int(row.open_files)]
        for row in many.itertuples()
    ]
    moments = ", ".join(f"{int(done)}" for done in killed["finished"])
    return f"""## A thousand jobs, and kills of a sweep

A sweep of {int(ended["jobs"]):,} tiny jobs, two side by side: {int(ended["finished"]):,} finished
and were recorded. A job took {number(ended["ms_per_job"])} ms of one of the two workers. One
process that trains the jobs one after the other, each in a folder of its own, takes
{number(ended["in_a_row_ms"])} ms per job. Memory and open files of the sweep's process:

{markdown(["jobs begun", "seconds", "memory [MB]", "open files"], cells)}
A sweep of {int(last["jobs"])} jobs was killed with SIGKILL {len(killed)} times, when {moments} of
them had finished, and started again each time. In the end {int(last["finished"])} had finished,
{int(last["lost"])} were lost, and {int(last["run_twice"])} that had finished were touched again;
{int(last["resumed"])} were resumed.
"""
