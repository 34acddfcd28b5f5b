"""Sweeps that survive: every job keeps its folder, and nothing that is done is done again.

A sweep folder holds one folder a job, under a number, and ``sweep.json``, which says which job has
which number. A job is known by its fingerprint. When the same sweep is started again, jobs that
finished or diverged are skipped, those that were cut off go on, those that failed are run again,
and new ones take the next number. What a failed job left behind moves to ``earlier/`` in its own
folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from cnnexp.app.check import Plain, check
from cnnexp.app.messages import in_our_words
from cnnexp.app.objective import objective
from cnnexp.data import SOURCES
from cnnexp.errors import ConfigError, RunError
from cnnexp.runs.files import replace_json
from cnnexp.runs.fingerprint import fingerprint
from cnnexp.runs.folders import claim_number
from cnnexp.runs.rebuild import options_of
from cnnexp.runs.record import FILE, Record, read_record

INDEX = "sweep.json"
DONE = ("finished", "diverged")
CUT_OFF = ("killed", "interrupted")
RUN_AGAIN = {"failed": ("failed",), "diverged": ("failed", "diverged"), "all": (*DONE, "failed")}


@dataclass
class Job:
    """One point of a sweep.

    Attributes
    ----------
    overrides : list of str
        What distinguishes it.
    folder : Path
        Where it lies.
    todo : bool
        Whether it is to be run, or resumed.
    note : str
        What was done about it: new, run again, resumed, or skipped.
    """

    overrides: list[str]
    folder: Path
    todo: bool
    note: str

    def record(self) -> Record | None:
        """Return what the job recorded, if it has begun."""
        try:
            return read_record(self.folder)
        except RunError:
            return None

    @property
    def status(self) -> str:
        """The job's status; ``not started`` if it has not recorded anything."""
        record = self.record()
        return "not started" if record is None else str(record["status"])


class RecordedReturn(JobReturn):
    """A job's result, read from its folder; a failed job has the result None."""

    def __init__(self, job: Job) -> None:
        record = job.record()
        super().__init__(overrides=job.overrides, working_dir=str(job.folder))
        self.status = JobStatus.COMPLETED if job.status in DONE else JobStatus.FAILED
        self._return_value = objective(record) if record is not None else None

    @property
    def return_value(self) -> Any:
        """The objective; a sweep goes on after a failure, so nothing is raised."""
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


class Sweep:
    """One sweep: its folder, and the jobs launched so far."""

    _current: ClassVar[Sweep | None] = None

    def __init__(self, folder: Path, rerun: str) -> None:
        self.folder = folder
        self.rerun = rerun
        self.jobs: list[Job] = []

    @classmethod
    def begin(cls, folder: Path, rerun: str) -> Sweep:
        """Make the sweep that launchers of this process work for."""
        cls._current = cls(folder, rerun)
        return cls._current

    @classmethod
    def current(cls) -> Sweep:
        """Return the sweep of this process."""
        if cls._current is None:
            raise RuntimeError("no sweep has begun")
        return cls._current

    @property
    def exit_code(self) -> int:
        """0 if every job has a result, else 1."""
        return 0 if all(job.status in DONE for job in self.jobs) else 1

    def launch(
        self,
        inner: Launcher,
        config: DictConfig,
        loader: ConfigLoader,
        job_overrides: Sequence[Sequence[str]],
        initial_job_idx: int,
    ) -> list[JobReturn]:
        """Run what is left to do of these jobs, and return a result for each of them."""
        jobs = self._plan(config, loader, [list(overrides) for overrides in job_overrides])
        known = {job.folder for job in self.jobs}
        self.jobs += [job for job in jobs if job.folder not in known]
        todo = {job.folder: job for job in jobs if job.todo}
        if todo:
            inner.launch(
                [
                    [*job.overrides, f"hydra.sweep.subdir={job.folder.name}"]
                    for job in todo.values()
                ],
                initial_job_idx,
            )
        return [RecordedReturn(job) for job in jobs]

    def _plan(
        self, config: DictConfig, loader: ConfigLoader, job_overrides: list[list[str]]
    ) -> list[Job]:
        """Check all jobs, and find or make the folder of each."""
        from filelock import FileLock

        configs = [
            compose_job(config, loader, [*overrides, "hydra.sweep.subdir=0"])
            for overrides in job_overrides
        ]
        checked = check_all(configs, job_overrides)
        prints = [fingerprint(plain, data_checksum(plain)) for plain in checked]
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".sweep.lock"):
            numbers = self._numbers()
            jobs = []
            for overrides, key in zip(job_overrides, prints, strict=True):
                if key not in numbers:
                    numbers[key] = claim_number(self.folder).name
                jobs.append(self._decide(overrides, self.folder / numbers[key]))
            replace_json(self.folder / INDEX, {"jobs": numbers})
        return jobs

    def _numbers(self) -> dict[str, str]:
        """Return the folder names of all jobs of this sweep by fingerprint."""
        numbers: dict[str, str] = {}
        for path in self.folder.glob(f"*/{FILE}"):
            try:
                key = read_record(path.parent)["fingerprint"]
            except RunError:
                continue
            if key:
                numbers[key] = path.parent.name
        index = self.folder / INDEX
        if index.exists():
            numbers = json.loads(index.read_text())["jobs"] | numbers
        return numbers

    def _decide(self, overrides: list[str], folder: Path) -> Job:
        """Say what is to be done about a job, and make room for it."""
        job = Job(overrides, folder, True, "new")
        record = job.record()
        if record is None:
            return job
        status = record["status"]
        if status in RUN_AGAIN[self.rerun]:
            put_aside(folder)
            job.note = "run again"
        elif status in CUT_OFF:
            job.note = "resumed"
        else:
            job.todo, job.note = False, "skipped" if status in DONE else status
        return job


def compose_job(config: DictConfig, loader: ConfigLoader, overrides: list[str]) -> DictConfig:
    """Compose the config of one job."""
    with in_our_words(lambda: config):
        return loader.load_sweep_config(config, overrides)


def check_all(configs: list[DictConfig], job_overrides: list[list[str]]) -> list[Plain]:
    """Check the configs of all jobs, and show the faults of all of them at once."""
    checked, faults = [], []
    for cfg, overrides in zip(configs, job_overrides, strict=True):
        try:
            checked.append(check(cfg))
        except ConfigError as error:
            faults += [f"{' '.join(overrides)}: {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    return checked


def data_checksum(config: Plain) -> str:
    """Return the checksum of a config's data; each source is read once."""
    name = config["data"]["name"]
    return _checksum(name, json.dumps(options_of(SOURCES[name], config["data"])))


@lru_cache(maxsize=16)
def _checksum(name: str, options: str) -> str:
    return SOURCES[name](**json.loads(options)).load().checksum


def put_aside(folder: Path) -> None:
    """Move what an earlier attempt left in a job's folder to ``earlier/<n>`` within it."""
    earlier = folder / "earlier"
    left = [path for path in folder.iterdir() if path != earlier]
    target = claim_number(earlier)
    for path in left:
        shutil.move(str(path), target / path.name)
