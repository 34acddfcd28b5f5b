"""Sweeps that survive: every job keeps its folder, and nothing that is done is done again.

A sweep folder holds one folder a job, under a number, and ``sweep.json``, which says which job has
which number. A job is known by its fingerprint. When the same sweep is started again, jobs that
finished or diverged are skipped, those that were cut off go on, those that failed are run again,
and new ones take the next number. What an earlier attempt left behind moves to ``earlier/<n>`` in
the job's own folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from cnnexp.app.launchers import first_words, patient
from cnnexp.app.screen import say
from cnnexp.app.sweep_composer import SweepComposer
from cnnexp.app.sweep_job import DONE, Job, Outcome
from cnnexp.app.sweep_points import Point, faults_of, glob_keys, make_point, unfit
from cnnexp.app.sweep_table import show_plan
from cnnexp.errors import CnnexpError, ConfigError, RunError, foreign
from cnnexp.runs.files import read_bytes, refuse_link, refuse_links, replace_json
from cnnexp.runs.folders import claim_number
from cnnexp.runs.forms import fits
from cnnexp.runs.record import FILE, now, read_record

INDEX = "sweep.json"
POINTS = "points"  # in the index of a search: the overrides of its jobs
CUT_OFF = ("killed", "interrupted")
RUN_AGAIN = {"failed": ("failed",), "diverged": ("failed", "diverged"), "all": (*DONE, "failed")}


class Sweep:
    """One sweep: its folder, and the jobs planned so far.

    Parameters
    ----------
    folder : Path
        Where the jobs lie.
    rerun : str
        What is run again: ``failed``, ``diverged`` or ``all``.
    search : bool
        Whether points are chosen by results.

    Attributes
    ----------
    trouble : list of str
        What went wrong besides the jobs.
    left_out : int
        How many points of a glob do not fit, and are no jobs.
    """

    _current: ClassVar[Sweep | None] = None

    def __init__(self, folder: Path, rerun: str, search: bool = False) -> None:
        self.folder = folder
        self.rerun = rerun
        self.search = search
        self.trouble: list[str] = []
        self.left_out = 0
        self._jobs: dict[str, Job] = {}
        self._names: dict[str, str] = {}

    @classmethod
    def begin(cls, folder: Path, rerun: str, search: bool) -> Sweep:
        """Make the sweep that launchers of this process work for."""
        cls._current = cls(folder, rerun, search)
        return cls._current

    @classmethod
    def current(cls) -> Sweep:
        """Return the sweep of this process."""
        if cls._current is None:
            raise RuntimeError("no sweep has begun")
        return cls._current

    @property
    def jobs(self) -> list[Job]:
        """The jobs planned so far, each once."""
        return list(self._jobs.values())

    @property
    def exit_code(self) -> int:
        """0 if every job has a result, else 1."""
        done = all(job.status in DONE for job in self.jobs)
        return 0 if done and not self.trouble else 1

    def launch(
        self,
        inner: Launcher,
        config: DictConfig,
        loader: ConfigLoader,
        job_overrides: Sequence[Sequence[str]],
        initial_job_idx: int,
    ) -> list[JobReturn]:
        """Run what is left to do of these points, and return a result for each of them."""
        composer = SweepComposer(loader)
        points = [make_point(words, config, composer, self.search) for words in job_overrides]
        globs = glob_keys(config)
        left_out = unfit(points, globs)
        self._refuse([point for point in points if not any(point is left for left in left_out)])
        self._leave_out(left_out, points, globs)
        self._plan([point for point in points if not point.faults])
        todo = [job for job in self.jobs if job.todo]
        if todo:
            self._run(inner, todo, initial_job_idx)
        return [self._result(point) for point in points]

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

    def _run(self, inner: Launcher, todo: list[Job], first: int) -> None:
        """Let the launcher run jobs, and note how each of them ended."""
        results: Sequence[JobReturn] = []
        try:
            with patient(inner):
                results = inner.launch([job.arguments for job in todo], first)
        except CnnexpError:
            raise
        except Exception as error:  # a launcher may give up when it has lost one job
            self.trouble.append(f"the launcher gave up: {first_words(error)}")
        for job in todo:
            job.todo, job.launched = False, True
        for job, result in zip(todo, results, strict=False):
            if result.status is JobStatus.FAILED:
                job.end = str(result._return_value or "")

    def _result(self, point: Point) -> JobReturn:
        """Return what a sweeper is told of a point."""
        if point.faults:
            return Outcome(point.overrides, failure="; ".join(point.faults), strict=self.search)
        return self._jobs[self._names[point.fingerprint]].outcome(strict=self.search)

    def jobs_of(self, arguments: Sequence[Sequence[str]]) -> list[Job]:
        """Return the jobs that a launcher was given the arguments of."""
        known = {tuple(job.arguments): job for job in self.jobs}
        return [known[tuple(words)] for words in arguments]

    def _plan(self, points: Sequence[Point]) -> None:
        """Find or make the folder of each point, and say what is to be done about it."""
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        refuse_link(self.folder / ".sweep.lock")
        with FileLock(self.folder / ".sweep.lock"):
            index = self._read_index()
            for point in points:
                name = self._place(point.fingerprint)
                if name not in self._jobs:
                    refuse_links(self.folder / name)  # Hydra writes there too
                    job = Job(point.overrides, point.composed, point.config, self.folder / name)
                    self._jobs[name] = decide(job, self.rerun)
            if self.search:
                asked = {name: job.overrides for name, job in self._jobs.items()}
                index[POINTS] = index.get(POINTS, {}) | asked
            replace_json(self.folder / INDEX, index | {"jobs": self._names})
        if not self.search:
            show_plan(self.jobs)

    def _read_index(self) -> dict[str, Any]:
        """Read which job has which folder; at first, from the folders themselves too."""
        path = self.folder / INDEX
        index: dict[str, Any] = {"started": []}
        if path.exists():
            with foreign(path, "Remove it: the jobs are found by their own records."):
                index = json.loads(read_bytes(path))
                if not fits(index, {"jobs": {str: str}, "started": [dict]}):
                    raise ValueError("it is not an index of jobs")
                self._refuse_places(index["jobs"].values())
            self._names |= index["jobs"]
        if not self._jobs:
            self._names |= recorded_fingerprints(self.folder)
            index["started"].append({"at": now(), "command": sys.argv})
        return index

    @staticmethod
    def _refuse_places(names: Iterable[str]) -> None:
        """Refuse an index that names anything but numbered folders of the sweep."""
        if odd := [name for name in names if not name.isdigit()]:
            raise ValueError(f"it names the folder {odd[0]!r}, and jobs have numbers")

    def _place(self, key: str) -> str:
        """Return the folder's name of a job; one that now holds another run is not its folder."""
        name = self._names.get(key)
        if name is None or _fingerprint_in(self.folder / name) not in (None, key):
            name = self._names[key] = claim_number(self.folder).name
        return name


def decide(job: Job, rerun: str) -> Job:
    """Say what is to be done about a job, and make room for it."""
    damaged = job.status == "not started" and (job.folder / FILE).exists()
    if job.status in RUN_AGAIN[rerun] or damaged:
        put_aside(job.folder)
        job.note = "run again"
    elif job.status in CUT_OFF:
        job.note = "resumed"
    elif job.status != "not started":
        job.todo = False
        job.note = "skipped" if job.status in DONE else "left alone"
    return job


def recorded_fingerprints(folder: Path) -> dict[str, str]:
    """Return the names of the job folders in a sweep by the fingerprints they recorded."""
    found = {}
    for path in sorted(folder.glob(f"*/{FILE}")):
        key = _fingerprint_in(path.parent)
        if key is not None:
            found[key] = path.parent.name
    return found


def _fingerprint_in(folder: Path) -> str | None:
    try:
        return read_record(folder).fingerprint
    except RunError:
        return None


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
