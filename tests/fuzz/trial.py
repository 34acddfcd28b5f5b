"""Inputs tried in processes that are watched, and started again when they die."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.fuzz import guided
from tests.fuzz.child import CRASH, ERROR, LARGE, READ, REFUSED, ROW, SECONDS, SLOW, load_readers

BATCH = 20_000  # inputs of a process
STILL = 60.0  # seconds without progress after which a process is taken to be stuck
PAUSE = 0.2  # seconds between two looks at a process
MOST_DEATHS = 20  # of the processes of a reader, before it is given up
HERE = Path(__file__).parents[2]

ENGINES = {"mutation": "tests.fuzz.child", "atheris": "tests.fuzz.guided"}

Job = tuple[str, int, int]


@dataclass
class Found:
    """What came of a trial of one reader.

    Attributes
    ----------
    reader : str
        Its name.
    rows : array
        Outcome, microseconds and kilobytes of each input.
    cpu_seconds : float
        Of the processor; what a process took that died is not in it.
    faults : list of dict
        The kept inputs of each kind of fault.
    """

    reader: str
    rows: Any
    cpu_seconds: float
    faults: list[dict[str, Any]] = field(default_factory=list)

    def count(self, outcome: int) -> int:
        """Return the number of inputs with an outcome."""
        return int((self.rows["outcome"] == outcome).sum())

    def row(self, engine: str = "mutation") -> dict[str, Any]:
        """Return a row of the table."""
        tried = self.rows[self.rows["outcome"] > 0]
        times = tried["microseconds"]
        return {
            "reader": self.reader,
            "engine": engine,
            "inputs": len(tried),
            "refused": self.count(REFUSED),
            "read": self.count(READ),
            "other_errors": self.count(ERROR),
            "crashes": self.count(CRASH),
            "too_slow": self.count(SLOW),
            "too_much_memory": self.count(LARGE),
            "median_ms": float(np.median(times)) / 1e3 if len(tried) else 0.0,
            "largest_ms": float(times.max(initial=0)) / 1e3,
            "peak_mb": float(tried["kilobytes"].max(initial=0)) / 1e3,
            "cpu_seconds": self.cpu_seconds,
        }


def names_of(*groups: str, engine: str = "mutation") -> list[str]:
    """Return the readers that can be tried here, all or those of some groups."""
    known = {name: cls for name, cls in load_readers().items() if cls.group != "broken"}
    found = {name: cls for name, cls in known.items() if not groups or cls.group in groups}
    if engine == "mutation":
        return list(found)
    return [name for name, cls in found.items() if cls.pure] if guided.is_there() else []


def trial(
    root: Path, names: Sequence[str], inputs: int, seed: int = 0, engine: str = "mutation"
) -> list[Found]:
    """Try so many inputs on each reader, all in one process unless it dies.

    Parameters
    ----------
    root : Path
        A folder for the inputs, best in memory; faults are kept in it.
    names : sequence of str
        The readers.
    inputs : int
        Of each reader; the first ones are its corpus.
    seed : int
        The same seed makes the same inputs, with mutation.
    engine : str
        What makes the inputs, one of `ENGINES`.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.zeros(inputs, ROW).tofile(root / f"{name}.tried")
        (root / f"{name}.cpu").write_text("")
    (root / "faults.jsonl").write_text("")
    waiting: list[Job] = [
        (name, first, min(BATCH, inputs - first))
        for name in names
        for first in range(0, inputs, BATCH)
    ]
    deaths = dict.fromkeys(names, 0)
    while waiting:
        together = 1 if inputs > BATCH or engine != "mutation" else len(waiting)
        why = _run_child(root, seed, waiting[:together], ENGINES[engine])
        waiting = [job for job in (_remaining(root, job) for job in waiting) if job[2]]
        if why and waiting:
            waiting = _after_death(root, seed, waiting, why, deaths)
    return [_found(root, name) for name in names]


def _run_child(root: Path, seed: int, jobs: Sequence[Job], module: str) -> str:
    """Run a process, and return why it died; an empty text if it did not."""
    words = [sys.executable, "-m", module, str(root), str(seed), json.dumps(jobs)]
    variables = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with open(root / "errors.txt", "wb") as errors:
        process = subprocess.Popen(words, cwd=HERE, env=variables, stdout=errors, stderr=errors)
    try:
        stuck = _watch(process, root, jobs)
    finally:
        process.kill()
        process.wait()
    if stuck:
        return "stuck"
    if not process.returncode:
        return ""
    said = (root / "errors.txt").read_text(errors="replace")[-2000:]
    return f"exit code {process.returncode}: {said}"


def _watch(process: subprocess.Popen[bytes], root: Path, jobs: Sequence[Job]) -> bool:
    """Wait for a process; return whether it is stuck, in Python or in code that is not."""
    rows = [
        np.memmap(root / f"{name}.tried", ROW, "r") for name in dict.fromkeys(j[0] for j in jobs)
    ]
    done, since, used = -1, time.monotonic(), 0.0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PAUSE)
            return False
        now_done = sum(int(np.count_nonzero(one["outcome"])) for one in rows)
        with contextlib.suppress(psutil.Error):
            cpu = sum(psutil.Process(process.pid).cpu_times()[:2])
        if now_done != done:
            done, since, used = now_done, time.monotonic(), cpu
        if cpu - used > 3 * SECONDS or time.monotonic() - since > STILL:
            return True


def _remaining(root: Path, job: Job) -> Job:
    """Return what of a job has not been tried."""
    name, first, count = job
    rows = np.fromfile(root / f"{name}.tried", ROW)[first : first + count]
    done = np.flatnonzero(rows["outcome"])
    begun = int(done[-1]) + 1 if len(done) else 0
    return name, first + begun, count - begun


def _after_death(
    root: Path, seed: int, waiting: list[Job], why: str, deaths: dict[str, int]
) -> list[Job]:
    """Note the input that a process died of, and return what is to be tried after it."""
    if not (root / "current").exists():
        raise RuntimeError(f"a process for inputs cannot start: {why}")
    (name, k, count), *later = waiting
    rows = np.memmap(root / f"{name}.tried", ROW, "r+")
    rows[k] = (SLOW if why == "stuck" else CRASH, 0, 0)
    kept = root / f"{name}.{seed}.{k}"
    shutil.copy(root / "current", kept)
    fault = {"reader": name, "index": k, "input": str(kept), "error": why[:300], "where": why}
    with open(root / "faults.jsonl", "a") as file:
        file.write(json.dumps(fault) + "\n")
    deaths[name] += 1
    if deaths[name] >= MOST_DEATHS:
        return [job for job in later if job[0] != name]
    return [(name, k + 1, count - 1), *later] if count > 1 else later


def _found(root: Path, name: str) -> Found:
    lines = (root / "faults.jsonl").read_text(encoding="utf-8").splitlines()
    faults = [fault for fault in map(json.loads, lines) if fault["reader"] == name]
    cpu = sum(map(float, (root / f"{name}.cpu").read_text().split()))
    return Found(name, np.fromfile(root / f"{name}.tried", ROW), cpu, faults)
