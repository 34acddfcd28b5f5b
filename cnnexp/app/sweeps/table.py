"""What a sweep shows: what it is going to do, and at the end every job, its result, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cnnexp.app.screen import say
from cnnexp.app.sweeps.job import Job
from cnnexp.app.sweeps.points import varying
from cnnexp.engine import AUTO
from cnnexp.report import formats

FIGURES = {"test_error": 4, "seconds": 2}  # shown in every table, with so many decimals


def table_of(jobs: Sequence[Job], objective: str) -> list[dict[str, str]]:
    """Return a row for each job: what differs, its status, its figures, what was done about it.

    The objective has a column where any job has it.
    """
    figures = dict(FIGURES)
    if any(objective in _results(job) for job in jobs):
        figures = {objective: 4} | figures
    rows, keys = [], varying(jobs)
    for job in jobs:
        values = {key: value for key, _, value in (o.partition("=") for o in job.overrides)}
        results = _results(job)
        rows.append(
            {"job": job.folder.name}
            | {key: _shown(job, key, values.get(key, "")) for key in keys}
            | {"status": job.status}
            | {name: _figure(results.get(name), digits) for name, digits in figures.items()}
            | {"this time": job.note}
        )
    return rows


def aligned(rows: Sequence[dict[str, str]]) -> list[str]:
    """Return a table as lines of text, columns of numbers to the right."""
    names = list(rows[0])
    right = [k for k, name in enumerate(names) if all(_is_number(row[name]) for row in rows)]
    return formats.aligned([names, *(list(row.values()) for row in rows)], right)


def short(value: str) -> str:
    """Return a swept value with at most four digits of a fraction, and no quotation marks.

    Examples
    --------
    >>> short("0.08558894657793088"), short("0.3"), short("naive"), short("'1.10'")
    ('0.08559', '0.3', 'naive', '1.10')
    """
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1]
    return f"{float(value):.4g}" if _is_number(value) and len(value) > 7 else value


def _shown(job: Job, key: str, value: str) -> str:
    """Return a swept value; of "auto" also what it stood for."""
    resolved = job.config.get("impl", {}).get("name", AUTO)
    if key in ("impl", "impl.name") and value == AUTO != resolved:
        return f"{value} ({resolved})"
    return short(value)


def _is_number(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return False
    return True


def reasons(jobs: Sequence[Job]) -> list[str]:
    """Return a line for each job that has a reason to give; an early stop is nothing special."""
    told = [job for job in jobs if job.status != "finished" and job.reason]
    return [f"job {job.folder.name} {job.status}: {job.reason}" for job in told]


def best(jobs: Sequence[Job], figure: str, maximize: bool = False) -> Job | None:
    """Return the finished job with the best value of a figure."""
    found = [(job.figure(figure), job) for job in jobs if job.status == "finished"]
    sign = -1 if maximize else 1
    measured = [(sign * value, job) for value, job in found if value is not None]
    return min(measured, key=lambda pair: pair[0], default=(0.0, None))[1]


def figure_of(jobs: Sequence[Job]) -> str:
    """Return the figure that jobs are compared by: their objective, if any job has it."""
    objective: str = jobs[0].config["sweep"]["objective"]
    measured = any(job.status == "finished" and job.objective() is not None for job in jobs)
    return objective if measured else "test_error"


def show_plan(jobs: Sequence[Job]) -> None:
    """Say what is done about jobs of which some have been run before."""
    notes = Counter(job.note for job in jobs)
    if set(notes) > {"new"} or "new" not in notes:
        told = ", ".join(f"{count} {note}" for note, count in notes.items())
        say(f"{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}: {told}")


def _results(job: Job) -> dict[str, Any]:
    """Return the figures of a finished job; of another one, only how long it took."""
    record = job.record()
    results = {} if record is None else dict(record.results)
    if job.status == "finished":
        return results
    return {"seconds": results.get("seconds")}


def _figure(value: Any, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
