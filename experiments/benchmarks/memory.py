"""Peak memory of a training job, beyond what stands after imports and data.

Each job runs in a fresh process. Libraries are imported and the images are made; then the network
is built and trained for some batches of 128. What counts is how far the resident memory rose above
where it stood before; of a process that helps, all counts that it shares with nobody. glibc's
malloc is as everybody has it, or raised as for the benchmarks of speed.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.jobs import LAYOUTS, NETS, Job, made_samples
from experiments.benchmarks.machine import describe, has_torch
from experiments.benchmarks.processes import (
    DEFAULT_MALLOC,
    RAISED_MALLOC,
    Environment,
    Worker,
    as_columns,
    runner_of,
)

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "peak memory of training, against PyTorch's"
NEEDS = ()
SHOWN = ("net", "threads", "malloc", "by", "megabytes", "ratio")
POOL, BATCHES = 4_096, 12

MALLOCS: dict[str, Environment] = {"default": DEFAULT_MALLOC, "raised": RAISED_MALLOC}

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS)
    parser.add_argument("--impls", nargs="+", default=["fast"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--malloc", nargs="+", choices=MALLOCS, default=["default"])


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Measure every job in a process of its own."""
    if asked.quick:
        asked.nets, asked.threads = ["flat"], [1]
    contenders = [*asked.impls, *(LAYOUTS if has_torch() else ())]
    for malloc in asked.malloc:
        for net in asked.nets:
            for threads in asked.threads:
                jobs = [Job(net, by, threads=threads, pool=POOL) for by in contenders]
                yield from with_ratios([measured(job, MALLOCS[malloc]) for job in jobs])


def measured(job: Job, malloc: Any) -> Row:
    """Return a row for one job, run in a fresh process."""
    with Worker(malloc) as worker:
        base, peak = worker.call(rise, job)
        machine = worker.call(describe)
    return as_columns(job) | {"base_megabytes": base, "megabytes": peak - base} | machine


def with_ratios(rows: list[Row]) -> Iterator[Row]:
    """Add to each row its memory over that of the more frugal peer."""
    peers = [row["megabytes"] for row in rows if row["by"] in LAYOUTS]
    for row in rows:
        yield row | ({"ratio": row["megabytes"] / min(peers)} if peers else {})


def rise(job: Job) -> tuple[float, float]:
    """Run a job in this process; return the resident memory before it and its peak, in MB."""
    _prepare(job)
    forget_peak()
    base = resident("VmRSS")
    runner = runner_of(job)
    runner.train(BATCHES)
    return base, resident("VmHWM") + sum(map(of_its_own, children()))


def _prepare(job: Job) -> None:
    """Import all that a job needs, and make its images as it keeps them."""
    import threadpoolctl

    threadpoolctl.threadpool_info()
    if job.by in LAYOUTS:
        from experiments.benchmarks.peer import made_tensors

        made_tensors(job.pool, job.dtype, job.by)
    else:
        from experiments.benchmarks import ours

        assert ours
        made_samples(job.pool, job.dtype)


def forget_peak() -> None:
    """Let the system count the peak from now on."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise SystemExit(f"memory: only Linux tells what this needs: {error}") from None


def resident(name: str) -> float:
    """Return what the system says of the memory of this process, in MB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024 / 1e6


def children() -> list[str]:
    """Return the processes that help this one, which are here as long as the network is."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def of_its_own(pid: str) -> float:
    """Return the memory that a process shares with nobody, in MB; it keeps what it has needed."""
    sizes = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"Private_\w+:\s+(\d+) kB", sizes)) * 1024 / 1e6


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw bars for each net."""
    from experiments.benchmarks.pictures import draw_memory

    draw_memory(frame, path)
