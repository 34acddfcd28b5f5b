"""Telling trackers of a run; whatever happens to them, the run goes on.

``trackers.json`` in the run folder says what each tracker calls the run, and how many epochs it was
told of, so that a run that was cut off goes on in the same tracked run.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cnnexp.app.screen import warn
from cnnexp.errors import CnnexpError, foreign
from cnnexp.registry import made
from cnnexp.runs.files import read_bytes, replace_json
from cnnexp.runs.finding import flatten
from cnnexp.runs.fingerprint import PATHS
from cnnexp.runs.record import Record
from cnnexp.runs.trust import is_signed, words_of
from cnnexp.runs.writing import EPOCHS, RunWriter
from cnnexp.trackers import TRACKERS, Tracked, Tracker

log = logging.getLogger("cnnexp")

FILE = "trackers.json"
PATIENCE = 3  # failures one after another, until a tracker is left alone
NO_HYPERPARAMETER = ("sweep", "checkpoint", "trackers", "init_from", "name", "tags", "note")

Row = Mapping[str, float]


class Telling:
    """One tracker, and what it was told.

    Parameters
    ----------
    tracker : Tracker
        Whom to tell.
    saved : dict
        Its entry of ``trackers.json``; changed as it is told more.
    label : str
        Stands before every warning.
    """

    def __init__(self, tracker: Tracker, saved: dict[str, Any], label: str) -> None:
        self.tracker, self.saved, self.label = tracker, saved, label
        self.name = TRACKERS.name_of(type(tracker))
        self.waiting: list[Row] = []  # epochs that it was not told of
        self.failures = 0
        self.left_alone = self.warned = False

    def begin(self, run: Tracked, rows: Sequence[Row]) -> None:
        """Begin, and tell it of the epochs that it missed."""
        told = int(self.saved.get("epochs", 0))

        def do() -> None:
            found = self.tracker.begin(run._replace(epochs=told), self.saved.get("found") or {})
            self.saved["found"] = json.loads(json.dumps(dict(found)))

        self.left_alone = not self._try("begin", do)
        self.saved.setdefault("epochs", 0)
        self.waiting = [row for row in rows if row["epoch"] > told]
        self._tell()

    def epoch_done(self, row: Row) -> None:
        """Tell it of an epoch, and of those before that it missed."""
        self.waiting.append(row)
        self._tell()

    def _tell(self) -> None:
        while self.waiting and not self.left_alone:
            row = self.waiting[0]
            if not self._try("epoch_done", partial(self.tracker.epoch_done, row)):
                self.failures += 1
                self.left_alone = self.failures == PATIENCE
                return
            self.failures = 0
            self.saved["epochs"] = int(row["epoch"])
            self.waiting.pop(0)

    def end(self, status: str, results: Row) -> None:
        """Tell it what it missed, and how the run ended."""
        self._tell()
        self._try("end", partial(self.tracker.end, status, results))

    def _try(self, hook: str, do: Callable[[], None]) -> bool:
        """Call it, and say whether that went well; the first failure is a warning."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of packages whose versions we do not choose
                do()
        except (Exception, SystemExit) as error:
            self._note(f"'{self.name}' failed in {hook}: {type(error).__name__}: {error}")
            return False
        return True

    def _note(self, failure: str) -> None:
        log.warning("trackers: %s", failure)
        if not self.warned:
            first = failure.splitlines()[0]
            warn(f"{self.label}warning: trackers: {first}; the run goes on without it")
        self.warned = True


class Trackers:
    """All trackers of a run.

    Parameters
    ----------
    writer : RunWriter
        Of the run.
    label : str
        Stands before every warning.
    """

    def __init__(self, writer: RunWriter, label: str = "") -> None:
        self.writer, self.ended = writer, False
        config = writer.record.config
        entries = config.get("trackers") or []
        saved = read_saved(writer.folder) if entries else []
        self.told = [
            Telling(made(TRACKERS, options, "type"), _entry(saved, k, options["type"]), label)
            for k, options in enumerate(entries)
        ]

    def begin(self) -> None:
        """Begin with all of them."""
        if self.told:
            run = tracked(self.writer.folder, self.writer.record.config)
            rows = logged_epochs(self.writer.folder)
            for telling in self.told:
                telling.begin(run, rows)
            self._save()

    def epoch_done(self, row: Mapping[str, Any]) -> None:
        """Tell all of them of an epoch."""
        if self.told:
            figures = {key: float(value) for key, value in row.items() if value is not None}
            for telling in self.told:
                telling.epoch_done(figures)
            self._save()

    def end(self, status: str) -> None:
        """Tell all of them how the run ended, once."""
        if self.told and not self.ended:
            self.ended = True
            usage, found = self.writer.usage(), self.writer.record.results
            results = {**found, "wall_seconds": usage["wall_seconds"]}
            numbers = {k: float(v) for k, v in results.items() if isinstance(v, (int, float))}
            for telling in self.told:
                telling.end(status, numbers)
            self._save()

    def _save(self) -> None:
        replace_json(self.writer.folder / FILE, [telling.saved for telling in self.told])


@contextmanager
def telling(writer: RunWriter, label: str) -> Iterator[Trackers]:
    """Begin with the trackers of a run; an error that ends the run is told to them as well."""
    trackers = Trackers(writer, label)
    trackers.begin()
    try:
        yield trackers
    except (KeyboardInterrupt, SystemExit):
        trackers.end("interrupted")
        raise
    except BaseException:
        trackers.end("failed")
        raise


def tracked(folder: Path, config: Mapping[str, Any]) -> Tracked:
    """Return what trackers are told of a run."""
    kept = {key: value for key, value in config.items() if key not in NO_HYPERPARAMETER}
    settings: dict[str, Any] = {}
    flatten(kept, "", settings)
    for group in ("model", "impl", "data", "optimizer", "schedule", "loss", "augment"):
        settings[group] = (config.get(group) or {}).get("name")
    for group, key in PATHS:
        settings.pop(f"{group}.{key}", None)
    name = config.get("name") or f"{folder.parent.name}/{folder.name}"
    tags, note = tuple(config.get("tags") or ()), config.get("note") or ""
    return Tracked(folder, name, tags, note, settings)


def logged_epochs(folder: Path) -> list[Row]:
    """Return the rows of ``epochs.csv``, without empty cells."""
    if not (folder / EPOCHS).exists():
        return []
    with foreign(folder / EPOCHS):
        text = read_bytes(folder / EPOCHS).decode()
        rows = csv.DictReader(io.StringIO(text, newline=""))
        found = [{key: float(value) for key, value in row.items() if value} for row in rows]
        return [{"epoch": row["epoch"], **row} for row in found]


def own_trackers(folder: Path, record: Record) -> list[Any]:
    """Return the trackers of a run that the user chose; those of a stranger's run are left out.

    They would send what is learnt to whom the stranger names, or write where the stranger says.
    """
    entries = list(record.config.get("trackers") or [])
    if not entries or is_signed(words_of(entries), record.trackers):
        return entries
    warn(
        f"warning: {folder}: its trackers are left out, since nothing shows that the run is yours."
        " To use them, name them: trackers=[…]"
    )
    return []


def read_saved(folder: Path) -> list[Any]:
    """Return the entries of ``trackers.json``; none if it is not there, or is damaged."""
    try:
        found = json.loads(read_bytes(folder / FILE))
    except (FileNotFoundError, CnnexpError, ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _entry(saved: Sequence[Any], k: int, name: str) -> dict[str, Any]:
    """Return what is known of the tracker with number `k`; only of that kind."""
    new = {"type": name}
    if k >= len(saved) or not isinstance(saved[k], dict) or saved[k].get("type") != name:
        return new
    found, epochs = saved[k].get("found"), saved[k].get("epochs")
    usable = isinstance(found, dict) and type(epochs) is int and epochs >= 0
    return {**new, "found": found, "epochs": epochs} if usable else new
