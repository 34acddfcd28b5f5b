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
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from cnnexp.app.check import Images, Plain, check
from cnnexp.app.experiment import recheck
from cnnexp.app.launchers import patient
from cnnexp.app.messages import in_our_words
from cnnexp.app.search import search_faults
from cnnexp.app.sweep_job import DONE, Job, RecordedReturn
from cnnexp.app.sweep_table import show_plan
from cnnexp.data import SOURCES
from cnnexp.errors import CnnexpError, ConfigError, RunError
from cnnexp.runs.files import replace_json
from cnnexp.runs.fingerprint import fingerprint
from cnnexp.runs.folders import claim_number
from cnnexp.runs.reading import load_run
from cnnexp.runs.rebuild import options_of
from cnnexp.runs.record import FILE, now, read_record

INDEX = "sweep.json"
CUT_OFF = ("killed", "interrupted")
RUN_AGAIN = {"failed": ("failed",), "diverged": ("failed", "diverged"), "all": (*DONE, "failed")}


class Sweep:
    """One sweep: its folder, and the jobs launched so far.

    Parameters
    ----------
    folder : Path
        Where the jobs lie.
    rerun : str
        What is run again: ``failed``, ``diverged`` or ``all``.
    search : bool
        Whether points are chosen by results.
    """

    _current: ClassVar[Sweep | None] = None

    def __init__(self, folder: Path, rerun: str, search: bool = False) -> None:
        self.folder = folder
        self.rerun = rerun
        self.search = search
        self.jobs: list[Job] = []
        self.trouble: list[str] = []
        self._numbers: dict[str, str] = {}

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
        known = {job.folder: job for job in [*jobs, *self.jobs]}
        self.jobs = list({job.folder: job for job in [*self.jobs, *jobs]}.values())
        todo = list({job.folder: job for job in jobs if job.todo}.values())
        if not self.search:
            show_plan(self.jobs)
        if todo:
            self._run(inner, todo, initial_job_idx)
        return [RecordedReturn(known[job.folder], self.search) for job in jobs]

    def _run(self, inner: Launcher, todo: list[Job], first: int) -> None:
        """Let the launcher run jobs, and note how each of them ended."""
        results: Sequence[JobReturn] = []
        try:
            with patient(inner):
                results = inner.launch([job.arguments for job in todo], first)
        except CnnexpError:
            raise
        except Exception as error:  # a launcher may give up when it has lost one job
            lines = str(error).strip().splitlines() or [""]
            self.trouble.append(f"{type(error).__name__}: {lines[0]}")
        for job in todo:
            job.launched = True
        for job, result in zip(todo, results, strict=False):
            if result.status is JobStatus.FAILED:
                job.end = str(result._return_value or "")

    def jobs_of(self, arguments: Sequence[Sequence[str]]) -> list[Job]:
        """Return the jobs that a launcher was given the arguments of."""
        known = {tuple(job.arguments): job for job in self.jobs}
        return [known[tuple(words)] for words in arguments]

    def _plan(
        self, config: DictConfig, loader: ConfigLoader, job_overrides: list[list[str]]
    ) -> list[Job]:
        """Check all jobs, and find or make the folder of each."""
        from filelock import FileLock

        composed = [compose_job(config, loader, overrides) for overrides in job_overrides]
        checked = check_all(composed, job_overrides, self.search)
        prints = [planned_fingerprint(config) for config in checked]
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".sweep.lock"):
            content = self._read_index()
            places = [self._place(key) for key in prints]
            if not self.jobs:
                content["started"].append({"at": now(), "command": sys.argv})
            replace_json(self.folder / INDEX, content | {"jobs": self._numbers})
            jobs = map(Job, job_overrides, composed, checked, places)
            return [self._decide(job) for job in jobs]

    def _read_index(self) -> Plain:
        """Read which job has which folder; at first, from the folders themselves too."""
        path = self.folder / INDEX
        content: Plain = json.loads(path.read_bytes()) if path.exists() else {"started": []}
        self._numbers |= content.get("jobs", {})
        if not self.jobs:
            self._numbers |= recorded_fingerprints(self.folder)
        return content

    def _place(self, key: str) -> Path:
        """Return the folder of a job; one that now holds another run is not its folder."""
        if key in self._numbers:
            folder = self.folder / self._numbers[key]
            if _fingerprint_in(folder) in (None, key):
                return folder
        folder = claim_number(self.folder)
        self._numbers[key] = folder.name
        return folder

    def _decide(self, job: Job) -> Job:
        """Say what is to be done about a job, and make room for it."""
        if any(job.folder == earlier.folder for earlier in self.jobs):
            job.todo, job.note = False, "skipped"  # it had its turn in this very sweep
            return job
        damaged = job.status == "not started" and (job.folder / FILE).exists()
        if job.status in RUN_AGAIN[self.rerun] or damaged:
            put_aside(job.folder)
            job.note = "run again"
        elif job.status in CUT_OFF:
            job.note = "resumed"
        elif job.status != "not started":
            job.todo = False
            job.note = "skipped" if job.status in DONE else "left alone"
        return job


def compose_job(config: DictConfig, loader: ConfigLoader, overrides: list[str]) -> DictConfig:
    """Compose the config of one job."""
    with in_our_words(lambda: config):
        return loader.load_sweep_config(config, overrides)


def check_all(
    configs: list[DictConfig], job_overrides: list[list[str]], search: bool
) -> list[Plain]:
    """Check the configs of all jobs, and show the faults of all of them at once."""
    checked: list[Plain] = []
    faults: list[str] = []
    for cfg, overrides in zip(configs, job_overrides, strict=True):
        try:
            config = check(cfg)
            found = search_faults(config) if search else []
            recheck(config, source_of(config).images)
            checked.append(config)
        except ConfigError as error:
            found = list(error.faults)
        faults += [f"{' '.join(overrides)}: {fault}" for fault in found]
    if faults:
        raise ConfigError(faults)
    return checked


def planned_fingerprint(config: Plain) -> str:
    """Return the fingerprint that a job will have; what it begins from is read for that."""
    weights = None
    if config["init_from"] is not None:
        weights = load_run(config["init_from"]).weights_checksum
    return fingerprint(config, source_of(config).checksum, weights)


class SourceFacts(NamedTuple):
    """What a plan needs of a data set."""

    checksum: str
    images: Images


def source_of(config: Plain) -> SourceFacts:
    """Read the source of a config's data; each is read once."""
    name = config["data"]["name"]
    return _read_source(name, json.dumps(options_of(SOURCES[name], config["data"])))


@lru_cache(maxsize=16)
def _read_source(name: str, options: str) -> SourceFacts:
    raw = SOURCES[name](**json.loads(options)).load()
    return SourceFacts(raw.checksum, Images(name, raw.X.shape[1:], len(raw.classes)))


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
        return read_record(folder).get("fingerprint")
    except RunError:
        return None


def put_aside(folder: Path) -> None:
    """Move what an earlier attempt left in a job's folder to ``earlier/<n>`` within it.

    Its record goes last: cut off in between, the attempt is still the one that was recorded.
    """
    earlier = folder / "earlier"
    left = [path for path in folder.iterdir() if path != earlier]
    target = claim_number(earlier)
    for path in sorted(left, key=lambda path: path.name == FILE):
        path.rename(target / path.name)
