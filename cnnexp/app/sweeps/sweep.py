"""Sweeps that survive: every job keeps its folder, and nothing that is done is done again.

A sweep folder holds one folder a job, under a number, and ``sweep.json``, which says which job has
which number. A job is known by its fingerprint. When the same sweep is started again, jobs that
finished or diverged are skipped, those that were cut off go on, those that failed are run again,
and new ones take the next number. What an earlier attempt left behind moves to ``earlier/<n>`` in
the job's own folder.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from cnnexp.app.locations import near
from cnnexp.app.running.planned import CHANGED
from cnnexp.app.screen import say
from cnnexp.app.sweeps.auto import of_another_auto
from cnnexp.app.sweeps.job import DONE, Job, Point
from cnnexp.app.sweeps.points import equals, faults_of, unfit
from cnnexp.app.sweeps.table import show_plan
from cnnexp.errors import ConfigError, RunError, foreign
from cnnexp.runs.files import read_bytes, refuse_link, refuse_links, replace_json
from cnnexp.runs.folders import claim_number, is_number, locked
from cnnexp.runs.forms import fits
from cnnexp.runs.record import FILE, Record, read_record

INDEX = "sweep.json"
POINTS = "points"  # in the index of a search: the overrides of its jobs
CUT_OFF = ("killed", "interrupted")
NAMED = 5  # combinations that have the result of another one
RUN_AGAIN = {"failed": ("failed",), "diverged": ("failed", "diverged"), "all": (*DONE, "failed")}

Runner = Callable[[Sequence[Job]], None]


class Sweep:
    """One sweep: its folder, and the jobs planned so far.

    Parameters
    ----------
    folder : Path
        Where the jobs lie.
    rerun : str
        What is run again: ``failed``, ``diverged`` or ``all``.
    run : callable
        Runs jobs, and returns when all of them have ended.
    start : dict
        What is noted of this start: when it was, and by which command.
    search : bool
        Whether points are chosen by results.

    Attributes
    ----------
    trouble : list of str
        What went wrong besides the jobs.
    left_out : int
        How many points of a glob do not fit, and are no jobs.
    """

    def __init__(
        self, folder: Path, rerun: str, run: Runner, start: dict[str, Any], search: bool = False
    ) -> None:
        self.folder = folder
        self.rerun = rerun
        self.search = search
        self.trouble: list[str] = []
        self.left_out = 0
        self._run = run
        self._start = start
        self._jobs: dict[str, Job] = {}
        self._names: dict[str, str] = {}
        self._recorded: dict[str, Record] = {}

    @property
    def jobs(self) -> list[Job]:
        """The jobs planned so far, each once."""
        return list(self._jobs.values())

    @property
    def exit_code(self) -> int:
        """0 if every job has a result, else 1."""
        done = all(job.status in DONE for job in self.jobs)
        return 0 if done and not self.trouble else 1

    def carry_out(self, points: Sequence[Point], globs: Collection[str] = ()) -> None:
        """Run what is left to do of some points; keys of `globs` stand for what fits."""
        left_out = unfit(points, globs)
        self._refuse([point for point in points if not any(point is left for left in left_out)])
        self._leave_out(left_out, points, globs)
        self._plan([point for point in points if not point.faults])
        todo = [job for job in self.jobs if job.todo]
        if todo:
            self._run(todo)
        for job in todo:
            job.todo, job.launched = False, True
        self.trouble += [
            f"job {job.folder.name}: its data or its code {CHANGED}"
            for job in todo
            if (record := job.record()) is not None
            and record.status in DONE
            and record.fingerprint not in (None, job.fingerprint)
        ]

    def job_of(self, point: Point) -> Job:
        """Return the job of a point that has no faults."""
        return self._jobs[self._names[point.fingerprint]]

    def recorded_overrides(self) -> dict[str, list[str]]:
        """Return the overrides of the jobs in the folder, by the names of their folders."""
        found = dict(read_index(self.folder).get(POINTS, {}))
        for name, record in records_in(self.folder).items():
            found[name] = record.overrides
        there = [name for name in found if is_number(name) and (self.folder / name).is_dir()]
        return {name: found[name] for name in sorted(there, key=int)}

    def other_jobs(self) -> list[Job]:
        """Return the jobs in the folder that are none of those planned this time."""
        config = {"sweep": self.jobs[0].config["sweep"]} if self.jobs else {}
        return [
            Job(overrides, config, folder=self.folder / name, todo=False, note="left alone")
            for name, overrides in self.recorded_overrides().items()
            if name not in self._jobs and (self.folder / name / FILE).exists()
        ]

    def _leave_out(
        self, left_out: Sequence[Point], points: Sequence[Point], globs: Collection[str]
    ) -> None:
        """Say which points a glob stands for that do not fit."""
        if left_out:
            self.left_out += len(left_out)
            asked = " and ".join(f"{key}=glob(…)" for key in sorted(globs))
            say(f"{asked} means those that fit; left out:")
            say("\n".join(f"  {fault}" for fault in faults_of(left_out, points)))

    def _refuse(self, points: Sequence[Point]) -> None:
        """Refuse a sweep with a fault in it; a search that is under way goes on without it."""
        faults = faults_of(points, self.jobs)
        if faults and not (self.search and (self.jobs or any(not p.faults for p in points))):
            raise ConfigError(faults)
        self.trouble += [f"not run: {fault}" for fault in faults]

    def _plan(self, points: Sequence[Point]) -> None:
        """Give each job its folder, note them, and see what is to be done about each.

        Several sweeps may work in one folder; a lock keeps them from changing the index at once.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / ".sweep.lock"):
            index = read_index(self.folder)
            self._names |= index["jobs"]
            if not self._jobs:
                self._recorded = records_in(self.folder)
                known = {record.fingerprint: name for name, record in self._recorded.items()}
                self._names |= {key: name for key, name in known.items() if key is not None}
                index["started"].append(self._start)
            self._tell_of_equal(points)
            for point in points:
                name = self._place(point.fingerprint)
                if name not in self._jobs:
                    refuse_links(self.folder / name)  # .hydra is written there too
                    job = Job(**vars(point), folder=self.folder / name)
                    self._jobs[name] = decide(job, self.rerun, self._recorded.get(name))
            if self.search:
                asked = {name: job.overrides for name, job in self._jobs.items()}
                index[POINTS] = index.get(POINTS, {}) | asked
            replace_json(self.folder / INDEX, index | {"jobs": self._names})
        if not self.search:
            show_plan(self.jobs)
            for notice in of_another_auto(self.jobs, self._recorded):
                say(notice)

    def _tell_of_equal(self, points: Sequence[Point]) -> None:
        """Say which combinations of a grid have the result of another one, and are no jobs."""
        equal = [] if self.search else equals(points)
        if equal:
            one = "combination is" if len(equal) == 1 else "combinations are"
            told = list(dict.fromkeys(equal))
            more = f" and {len(told) - NAMED:,} more" if len(told) > NAMED else ""
            named = "; ".join(told[:NAMED]) + more
            say(f"{len(equal):,} {one} the same job as another one: {named}")

    def _place(self, key: str) -> str:
        """Return the folder's name of a job; one that now holds another run is not its folder."""
        name = self._names.get(key)
        recorded = self._recorded.get(name or "")
        if name is None or (recorded and recorded.fingerprint not in (None, key)):
            name = self._names[key] = claim_number(self.folder).name
        return name


def read_index(folder: Path) -> dict[str, Any]:
    """Read ``sweep.json``; an empty index, if there is none.

    Raises
    ------
    RunError
        If it is damaged, or names anything but numbered folders of the sweep.
    """
    path = folder / INDEX
    index: dict[str, Any] = {"started": [], "jobs": {}}
    if path.exists():
        try:
            with foreign(path):
                index = json.loads(read_bytes(path))
                _check_index(index)
        except RunError as error:
            raise RunError(
                f"{error} Remove it, and start the sweep again by {same_command(folder)}; its jobs"
                " are found by their own records."
            ) from None
    return index


def signed_words(start: dict[str, Any]) -> list[str]:
    """Return what is signed of a start; earlier versions did not note what "auto" stood for."""
    auto = [f"auto={start['auto']}"] if start.get("auto") is not None else []
    return [start["folder"], *start["words"], *auto]


def _check_index(index: Any) -> None:
    """Raise ValueError for what is no index of jobs."""
    if not fits(index, {"jobs": {str: str}, "started": [dict]}):
        raise ValueError("it is not an index of jobs")
    if not fits(index.get(POINTS, {}), {str: [str]}):
        raise ValueError(f"{POINTS} must hold overrides")
    if odd := [name for name in index["jobs"].values() if not is_number(name)]:
        raise ValueError(f"it names the folder {odd[0]!r}, and jobs have numbers")


def same_command(folder: Path) -> str:
    """Return, in words, how a sweep goes on without a command that the user has signed.

    Records in a folder may be a stranger's: a command from them is not named.
    """
    return f"the same command as before, with {shlex.quote(f'sweep.dir={near(folder)}')}"


def decide(job: Job, rerun: str, record: Record | None = None) -> Job:
    """Say what is to be done about a job that has recorded something, and make room for it."""
    damaged = record is None and (job.folder / FILE).exists()
    status = "not started" if record is None else record.status
    if status in RUN_AGAIN[rerun] or damaged:
        put_aside(job.folder)
        job.note = "run again"
    elif status in CUT_OFF:
        job.note = "resumed"
    elif record is not None:
        job.todo = False
        job.note = "skipped" if status in DONE else "left alone"
        job.done = record if status in DONE else None
    return job


def records_in(folder: Path) -> dict[str, Record]:
    """Return what the jobs in a sweep have recorded, by the names of their folders."""
    found = {}
    for path in sorted(folder.glob(f"*/{FILE}")):
        with contextlib.suppress(RunError):
            found[path.parent.name] = read_record(path.parent)
    return found


def put_aside(folder: Path) -> None:
    """Move what an earlier attempt left in a job's folder to ``earlier/<n>`` within it.

    Its record goes last: cut off in between, the attempt is still the one that was recorded.
    """
    earlier = folder / "earlier"
    refuse_link(earlier)
    left = [path for path in folder.iterdir() if path != earlier]
    target = claim_number(earlier)
    for path in sorted(left, key=lambda path: path.name == FILE):
        path.rename(target / path.name)
