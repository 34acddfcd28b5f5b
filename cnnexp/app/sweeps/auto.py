"""Earlier jobs of a sweep that are the same but for what ``impl=auto`` stood for."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from cnnexp.app.compose.words import chooses_impl
from cnnexp.app.settings.options import Plain
from cnnexp.app.sweeps.job import DONE, Job
from cnnexp.runs.fingerprint import fingerprint
from cnnexp.runs.record import Record, sources_in


def of_another_auto(jobs: Sequence[Job], recorded: Mapping[str, Record]) -> list[str]:
    """Say which earlier jobs are left alone because another implementation is the default now.

    Parameters
    ----------
    jobs : sequence of Job
        What is planned.
    recorded : mapping of str to Record
        What lies in the folder, by the names of the jobs' folders.

    Returns
    -------
    list of str
        A line for each implementation of earlier jobs.
    """
    new = {job.fingerprint: job.config["impl"]["name"] for job in jobs if _is_new_by_default(job)}
    planned = {job.folder.name for job in jobs}
    found: dict[tuple[str, str], int] = {}
    for name, record in recorded.items():
        before = record.config["impl"]["name"]
        for now in set(new.values()) - {before} if record.status in DONE else ():
            if name not in planned and new.get(_under(record, now)) == now:
                found[now, before] = found.get((now, before), 0) + 1
    return [_notice(now, before, count) for (now, before), count in found.items()]


def _is_new_by_default(job: Job) -> bool:
    """Say whether a job is new, and its implementation was not typed."""
    return job.note == "new" and not chooses_impl(job.overrides)


def _under(record: Record, impl: str) -> str:
    """Return the fingerprint that a job would have under another implementation."""
    config: Plain = copy.deepcopy(dict(record.config))
    config["impl"]["name"] = impl
    weights = (record.init_from or {}).get("checksum")
    checksum = record.data["checksum"] if record.data else ""
    return fingerprint(config, checksum, weights, sources_in(record))


def _notice(now: str, before: str, count: int) -> str:
    """Put it in words."""
    jobs, them = ("job", "it") if count == 1 else ("jobs", "them")
    return (
        f"{count:,} earlier {jobs} of this sweep used impl={before}, and the default is {now} now:"
        f" left alone. With impl={before} the sweep counts {them}"
    )
