"""What a sweep shows: what it is going to do, and at the end every job, its result, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnexp.app.sweep_job import DONE, Job

if TYPE_CHECKING:
    from cnnexp.app.sweeps import Sweep

LEFT = ("what differs", "status", "this time")


def show_table(sweep: Sweep, maximize: bool = False) -> None:
    """Print the jobs of a sweep, the reasons of failures, and how many have a result."""
    jobs = sweep.jobs
    objective = jobs[0].config["sweep"]["objective"]
    for line in [*aligned(*table_of(jobs, objective)), *reasons(jobs), *sweep.trouble]:
        print(line)
    if sweep.search and (found := best(jobs, maximize)) is not None:
        print(f"best {objective}: job {found.folder.name}, {' '.join(_differing(found, jobs))}")
    done = sum(job.status in DONE for job in jobs)
    print(f"{done} of {len(jobs)} jobs have a result, in {sweep.folder}")


def table_of(jobs: Sequence[Job], objective: str) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of the table; the objective has a column where any job has it."""
    columns = ["job", "what differs", "status", "test_ce", "seconds", "this time"]
    figures: dict[str, int] = {"test_ce": 4, "seconds": 2}
    if objective not in figures and any(objective in _results(job) for job in jobs):
        columns.insert(4, objective)
        figures[objective] = 4
    rows = []
    for job in jobs:
        results = _results(job)
        cells = {name: _figure(results.get(name), n) for name, n in figures.items()}
        cells |= {"job": job.folder.name, "what differs": " ".join(_differing(job, jobs))}
        cells |= {"status": job.status, "this time": job.note}
        rows.append([cells[column] for column in columns])
    return columns, rows


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines of text, numbers to the right."""
    cells = [list(columns), *map(list, rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
    return [
        "  ".join(
            cell.ljust(width) if name in LEFT else cell.rjust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def reasons(jobs: Sequence[Job]) -> list[str]:
    """Return a line for each job that has a reason to give."""
    return [f"job {job.folder.name} {job.status}: {job.reason}" for job in jobs if job.reason]


def best(jobs: Sequence[Job], maximize: bool) -> Job | None:
    """Return the finished job with the best objective."""
    found = [job for job in jobs if job.status == "finished" and job.objective() is not None]
    sign = -1 if maximize else 1
    return min(found, key=lambda job: sign * (job.objective() or 0.0), default=None)


def show_plan(jobs: Sequence[Job]) -> None:
    """Say what is done about jobs of which some have been run before."""
    notes = Counter(job.note for job in jobs)
    if set(notes) > {"new"} or "new" not in notes:
        print(f"{len(jobs)} jobs: {', '.join(f'{n} {note}' for note, n in notes.items())}")


def _results(job: Job) -> dict[str, Any]:
    """Return the figures of a finished job; of another one, only how long it took."""
    record = job.record()
    results = {} if record is None else dict(record["results"])
    if job.status == "finished":
        return results
    return {"seconds": results.get("seconds")}


def _differing(job: Job, jobs: Sequence[Job]) -> list[str]:
    """Return the overrides of a job that differ among jobs."""
    values: dict[str, set[str]] = {}
    for other in jobs:
        for override in other.overrides:
            values.setdefault(override.partition("=")[0], set()).add(override)
    return [o for o in job.overrides if len(values[o.partition("=")[0]]) > 1]


def _figure(value: Any, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
