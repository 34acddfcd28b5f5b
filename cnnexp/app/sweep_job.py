"""One point of a sweep, and what the sweep makes of its folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from cnnexp.app.check import Plain
from cnnexp.app.search import objective
from cnnexp.errors import RunError
from cnnexp.runs.process import is_here
from cnnexp.runs.record import FILE, Record, read_record

DONE = ("finished", "diverged")
REASONS = {
    "killed": "its process has gone without a word",
    "interrupted": "a signal asked it to stop",
    "running": "another process is at it",
}


class JobFailed(Exception):
    """A trial of a search has no result."""


@dataclass
class Job:
    """One point of a sweep.

    Attributes
    ----------
    overrides : list of str
        What distinguishes it.
    composed : DictConfig
        Its config as Hydra composed it, with Hydra's own settings.
    config : dict
        The same, checked and complete.
    folder : Path
        Where it lies.
    todo : bool
        Whether it is to be run, or resumed.
    note : str
        What is done about it: new, run again, resumed, or skipped.
    launched : bool
        Whether a launcher has run it, and has come back.
    end : str
        How its process ended, where a launcher saw that.
    """

    overrides: list[str]
    composed: DictConfig
    config: Plain
    folder: Path
    todo: bool = True
    note: str = "new"
    launched: bool = False
    end: str = ""
    _done: Record | None = field(default=None, repr=False)  # read once: it does not change
    _unreadable: str = field(default="", repr=False)

    @property
    def arguments(self) -> list[str]:
        """What a launcher composes the job from."""
        return [*self.overrides, f"hydra.sweep.subdir={self.folder.name}"]

    def record(self) -> Record | None:
        """Return what the job recorded, if it has begun."""
        if self._done is not None:
            return self._done
        try:
            record = read_record(self.folder)
        except RunError as error:
            self._unreadable = str(error) if (self.folder / FILE).exists() else ""
            return None
        if record.status == "running" and self.launched and not is_here(record.process):
            record = replace(record, status="killed")  # its launcher has come back without an end
        if self.launched and record.status in DONE:
            self._done = record
        return record

    @property
    def status(self) -> str:
        """The job's status; ``not started`` if it has not recorded anything."""
        record = self.record()
        return "not started" if record is None else record.status

    @property
    def reason(self) -> str:
        """Why the job has no result, or why it diverged."""
        record = self.record()
        if record is None:
            return self._unreadable or self.end or "it has recorded nothing"
        status = record.status
        if record.reason or status == "finished":
            return record.reason or ""
        return self.end if status == "killed" and self.end else REASONS.get(status, "")

    def outcome(self, strict: bool) -> Outcome:
        """Return what a sweeper is told; `strict` as in `Outcome`."""
        done = self.status in DONE
        failure = None if done else f"job {self.folder.name} {self.status}: {self.reason}"
        return Outcome(self.overrides, self.objective(), failure, strict)

    def objective(self) -> float | None:
        """Return the figure that the sweep is about; only a job that is done has it."""
        record = self.record()
        if record is None or record.status not in DONE:
            return None
        return objective(record, self.config["sweep"]["objective"])


class Outcome(JobReturn):
    """What a sweeper is told of a point.

    Parameters
    ----------
    overrides : list of str
        What distinguishes the point.
    value : float, optional
        Its objective.
    failure : str, optional
        Why it has no result.
    strict : bool
        Whether asking for the value of a failure raises, as a search expects it. A grid goes on.
    """

    def __init__(
        self,
        overrides: list[str],
        value: float | None = None,
        failure: str | None = None,
        strict: bool = True,
    ) -> None:
        super().__init__(overrides=overrides, _return_value=value)
        self.status = JobStatus.COMPLETED if failure is None else JobStatus.FAILED
        self._failure = failure if strict else None

    @property
    def return_value(self) -> Any:
        """The objective."""
        if self._failure is not None:
            raise JobFailed(self._failure)
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value
