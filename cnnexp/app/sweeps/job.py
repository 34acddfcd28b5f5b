"""A point of a sweep, and a job, which is one in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from cnnexp.app.running.planned import objective
from cnnexp.app.settings.options import Plain
from cnnexp.errors import RunError
from cnnexp.runs.process import is_here
from cnnexp.runs.record import FILE, Record, read_record

DONE = ("finished", "diverged")
REASONS = {
    "killed": "its process has gone without a word",
    "interrupted": "a signal asked it to stop",
    "running": "another process is at it",
}


@dataclass
class Point:
    """One point of a sweep.

    Attributes
    ----------
    overrides : list of str
        What distinguishes it.
    config : dict
        Its settings, checked and complete; empty if it has faults.
    hydra : dict
        Hydra's own settings.
    fingerprint : str
        What determines its result; empty where that is not known.
    faults : tuple of str
        Why it cannot be run.
    """

    overrides: list[str]
    config: Plain = field(default_factory=dict)
    hydra: Plain = field(default_factory=dict)
    fingerprint: str = ""
    faults: tuple[str, ...] = ()


@dataclass
class Job(Point):
    """One job of a sweep: a point, with its folder.

    Attributes
    ----------
    folder : Path
        Where it lies.
    todo : bool
        Whether it is to be run, or resumed.
    note : str
        What is done about it: new, run again, resumed, or skipped.
    launched : bool
        Whether it was run, and has ended.
    end : str
        How its process ended, where that was seen.
    done : dict, optional
        What it recorded, once that does not change any more.
    """

    folder: Path = field(kw_only=True)
    todo: bool = True
    note: str = "new"
    launched: bool = False
    end: str = ""
    done: Record | None = field(default=None, repr=False)
    _unreadable: str = field(default="", repr=False)

    def record(self) -> Record | None:
        """Return what the job recorded, if it has begun."""
        if self.done is not None:
            return self.done
        try:
            record = read_record(self.folder)
        except RunError as error:
            self._unreadable = str(error) if (self.folder / FILE).exists() else ""
            return None
        if record.status == "running" and self.launched and not is_here(record.process):
            record = replace(record, status="killed")  # it has ended, though no end was recorded
        if record.status in DONE and self.launched:
            self.done = record
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

    def objective(self) -> float | None:
        """Return the figure that the sweep is about; only a job that is done has it."""
        return self.figure(self.config["sweep"]["objective"])

    def figure(self, name: str) -> float | None:
        """Return a figure; only a job that is done has it."""
        record = self.record()
        if record is None or record.status not in DONE:
            return None
        return objective(record, name)
