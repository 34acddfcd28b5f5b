"""How long it takes to read very many run folders into a table.

One real run is made, on a few digits. Its folder is copied with other settings and results, into
sweeps of 100 jobs: ``run.json`` is written anew, all other files are hard links. Then `load_runs`
reads them, and beside it a plain loop that only opens and reads each ``run.json``. Everything was
just written, so the file cache is warm.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnnexp.app.main import main as cnnexp
from cnnexp.runs.finding import load_runs
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import DEFAULT_MALLOC, Worker

SUMMARY = "how long it takes to read 10,000 run folders into a table"
NEEDS = ()
SHOWN = ("runs", "plain_loop_seconds", "load_runs_seconds", "kilobytes_per_run")
JOBS_PER_SWEEP = 100
LEARNING_RATES = (0.3, 0.1, 0.03, 0.01)
FILTERS = (8, 16, 32, 64)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=10_000)


def measure(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Make the folders and read them, in a fresh process."""
    with Worker(DEFAULT_MALLOC) as worker:
        yield worker.call(read_back, 120 if asked.quick else asked.runs) | worker.call(describe)


def read_back(count: int) -> dict[str, Any]:
    """Make folders, read them, and return what it took."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folders = make_folders(make_run(root / "template"), root / "outputs", count)
        size = sum((folder / "run.json").stat().st_size for folder in folders)
        load_runs(folders[0])  # pandas is imported now, and not timed
        plain_seconds, _ = timed(lambda: read_only(folders))
        before = peak_bytes()
        seconds, frame = timed(lambda: load_runs(root / "outputs"))
    assert len(frame) == count
    return {
        "runs": count,
        "megabytes_of_records": size / 1e6,
        "plain_loop_seconds": plain_seconds,
        "load_runs_seconds": seconds,
        "rows": frame.shape[0],
        "columns": frame.shape[1],
        "kilobytes_per_run": (peak_bytes() - before) / count / 1e3,
    }


def make_run(folder: Path) -> Path:
    """Train for a moment, as a user does."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = cnnexp(["data.limit=60", "epochs=2", f"hydra.run.dir={folder}"])
    assert code == 0
    return folder


def make_folders(template: Path, root: Path, count: int) -> list[Path]:
    """Copy a run folder `count` times with other settings and results."""
    record = json.loads((template / "run.json").read_text())
    files = [path for path in template.iterdir() if path.is_file() and path.name != "run.json"]
    hydra = list((template / ".hydra").iterdir())
    generator = random.Random(0)
    folders = []
    for number in range(count):
        sweep, job = divmod(number, JOBS_PER_SWEEP)
        folder = root / "sweeps" / f"2026-01-01_{sweep:06}" / str(job)
        (folder / ".hydra").mkdir(parents=True)
        for path in files:
            os.link(path, folder / path.name)
        for path in hydra:
            os.link(path, folder / ".hydra" / path.name)
        varied = vary(record, number, generator)
        (folder / "run.json").write_text(json.dumps(varied, indent=1) + "\n")
        folders.append(folder)
    return folders


def vary(record: dict[str, Any], number: int, generator: random.Random) -> dict[str, Any]:
    """Return a record with other settings and results."""
    varied = copy.deepcopy(record)
    varied["config"]["learning_rate"] = generator.choice(LEARNING_RATES)
    varied["config"]["model"]["layers"][0]["filters"] = generator.choice(FILTERS)
    varied["config"]["seed"] = number
    for key, value in varied["results"].items():
        if isinstance(value, float):
            varied["results"][key] = value * generator.uniform(0.5, 1.5)
    return varied


def read_only(folders: list[Path]) -> int:
    """Read the files, and do nothing with them."""
    total = 0
    for folder in folders:
        with open(folder / "run.json", "rb") as file:
            total += len(file.read())
    return total


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of one call, and what it returned."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def peak_bytes() -> int:
    """Return the most memory that this process has had at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
