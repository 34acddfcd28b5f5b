"""The table at the end of a sweep: every job, how it ended, and why."""

from __future__ import annotations

import sys
from typing import Any

from cnnexp.app.sweeps import DONE, Job, Sweep

REASONS = {
    "killed": "its process has gone without a word; was it out of memory?",
    "interrupted": "a signal asked it to stop",
}


def show_table(sweep: Sweep) -> None:
    """Print the jobs of a sweep, and how many of them have a result."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("job", "what differs", "status", "test_ce", "objective", "seconds", "this time"):
        table.add_column(name, justify="left" if name in ("what differs", "status") else "right")
    varying = _varying(sweep.jobs)
    for job in sweep.jobs:
        record = job.record() or {"results": {}}
        results = record["results"]
        table.add_row(
            job.folder.name,
            " ".join(o for o in job.overrides if o.partition("=")[0] in varying),
            job.status,
            _figure(results.get("test_ce")),
            _figure(results.get(record.get("config", {}).get("sweep", {}).get("objective", ""))),
            _figure(results.get("seconds"), 2),
            job.note,
        )
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    console.print(table)
    for job in sweep.jobs:
        reason = reason_of(job)
        if reason:
            print(f"job {job.folder.name} {job.status}: {reason}")
    done = sum(job.status in DONE for job in sweep.jobs)
    print(f"{done} of {len(sweep.jobs)} jobs have a result, in {sweep.folder}")


def reason_of(job: Job) -> str:
    """Say why a job has no result, or why it diverged."""
    record = job.record()
    if record is None:
        return "it has recorded nothing"
    return str(record["reason"] or REASONS.get(job.status, ""))


def _varying(jobs: list[Job]) -> set[str]:
    """Return the keys whose overrides differ among jobs."""
    values: dict[str, set[str]] = {}
    for job in jobs:
        for override in job.overrides:
            values.setdefault(override.partition("=")[0], set()).add(override)
    return {key for key, found in values.items() if len(found) > 1}


def _figure(value: Any, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"
