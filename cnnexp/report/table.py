"""Runs side by side: what differs among them, what is the same, and how long each took."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp.errors import RunError
from cnnexp.report.histories import History, history_of, seconds_to
from cnnexp.runs.finding import NO_RECORD, load_runs
from cnnexp.runs.policy import GROUPS

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = ("run", "status", "reason", "created", "name", "tags", "note")
LABELS = ("name", "tags")  # which are shown where a run has them
TARGET = "seconds_to_target"
FIGURES = (
    "test_error",
    "test_loss",
    "validation_error",
    "validation_loss",
    TARGET,
    "seconds_per_epoch",
    "samples_per_second",
    "seconds",
)
OTHER_RESULTS = ("epoch", "best_epoch", "eval_seconds")
OF_PART = re.compile(r"(best_)?(train|validation|test)_\w+")  # what is measured of a part
NO_RESULT = ("sweep.", "checkpoint.", "profile")  # settings that leave the result alone


def read(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Read the runs below some folders.

    Raises
    ------
    RunError
        If a folder is not there, or there is no run in any of them.
    """
    frame = load_runs(*paths)
    if frame.empty:
        raise RunError(
            f"{', '.join(str(path) for path in paths)}: no runs here. A run is a folder with a"
            " run.json; python -m cnnexp makes one."
        )
    return frame


def with_target(frame: pd.DataFrame, metric: str, value: float) -> pd.DataFrame:
    """Return the table with the seconds that each run trained until it reached a figure.

    A run whose log cannot be read has none, and that as its reason.
    """
    seconds, reasons = [], list(frame["reason"])
    for k, run in enumerate(frame["run"]):
        history: History = {}
        try:
            history = history_of(run)
        except FileNotFoundError:
            pass  # it has logged nothing yet
        except (OSError, RunError) as error:
            reasons[k] = str(error) if is_missing(reasons[k]) else reasons[k]
        seconds.append(seconds_to(history, metric, value))
    return frame.assign(**{TARGET: seconds, "reason": reasons})


def is_result(column: str) -> bool:
    """Say whether a column of `load_runs` is something that was measured.

    Examples
    --------
    >>> is_result("best_validation_error"), is_result("test_top_3_error")
    (True, True)
    >>> is_result("best_weights"), is_result("data.test_file")
    (False, False)
    """
    return column in FIGURES or column in OTHER_RESULTS or OF_PART.fullmatch(column) is not None


def figures_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns of figures that some run has, metrics of one's choice behind the errors.

    Those of the training part and the best ones are left out: a table shows what was held back.
    """
    names = [str(name) for name in frame if frame[name].notna().any()]
    known = [name for name in FIGURES if name in names]
    others = [
        name for name in names if name not in FIGURES and name.startswith(("test_", "validation_"))
    ]
    first = [name for name in known if name.startswith(("test_", "validation_"))]
    return [*first, *others, *known[len(first) :]]


def settings_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns that are settings."""
    names = map(str, frame.columns)
    return [name for name in names if name not in IDENTITY and not is_result(name)]


@dataclass(frozen=True)
class Comparison:
    """Some runs, and in which settings they differ.

    Parameters
    ----------
    frame : DataFrame
        Runs as `cnnexp.load_runs` returns them.
    """

    frame: pd.DataFrame

    def _repr_html_(self) -> str:
        """Return the table for notebooks."""
        from cnnexp.report.notebook import html_of  # which imports this file

        return html_of(self)

    @cached_property
    def readable(self) -> pd.DataFrame:
        """The runs whose record could be read."""
        return self.frame[~self.frame["status"].isin(NO_RECORD)]

    @cached_property
    def varying(self) -> list[str]:
        """All settings that do not have the same value in all runs."""
        runs = self.readable
        return [column for column in settings_of(runs) if different(runs[column]) > 1]

    @cached_property
    def differing(self) -> list[str]:
        """The settings that differ, without those that follow from another one that does.

        An option of a group counts only if it differs among runs with the same choice in that
        group: that ``adam`` has no momentum goes without saying.
        """
        return [
            column
            for column in self.varying
            if not column.startswith(NO_RESULT) and not self._follows(column)
        ]

    @cached_property
    def same(self) -> dict[str, Any]:
        """The settings that are the same in all runs, and their values."""
        runs = self.readable
        if runs.empty:
            return {}
        return {
            column: runs[column].iloc[0]
            for column in settings_of(runs)
            if column not in self.varying
        }

    @cached_property
    def folder(self) -> str:
        """The folder that holds all runs."""
        parents = [str(Path(run).absolute().parent) for run in self.frame["run"]]
        return os.path.relpath(os.path.commonpath(parents))

    def short_name(self, run: str) -> str:
        """Return the path of a run below the folder that holds all of them."""
        return os.path.relpath(run, self.folder)

    @cached_property
    def columns(self) -> list[str]:
        """The columns worth showing, in order."""
        figures = figures_of(self.frame)
        if TARGET in self.frame and TARGET not in figures:
            figures.append(TARGET)
        labels = [name for name in LABELS if name in self.frame and self.frame[name].any()]
        settings = [*labels, *self.differing]
        return ["run", "status", *settings, *self._epoch(), *figures, *self._reason()]

    def _epoch(self) -> list[str]:
        """Say how far the runs are if some are not at their end."""
        frame = self.frame
        if "epoch" not in frame:
            return []
        return ["epoch"] if (frame["epoch"] < frame["epochs"]).any() else []

    def _reason(self) -> list[str]:
        """Say why a run ended as it did if there is such a run."""
        frame = self.frame
        return ["reason"] if "reason" in frame and frame["reason"].notna().any() else []

    def _follows(self, column: str) -> bool:
        """Say whether an option differs only because its group has another choice."""
        group, dot, _ = column.partition(".")
        if not dot or group not in GROUPS:
            return False
        parts = self.readable.groupby(group, dropna=False)
        return all(different(part[column]) == 1 for _, part in parts)


def different(values: pd.Series[Any]) -> int:
    """Return how many different values there are; nothing counts as one."""
    return len({comparable(value) for value in values})


def comparable(value: Any) -> Any:
    """Return a value that equals another one exactly if both mean the same setting."""
    if is_missing(value):
        return None
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def is_missing(value: Any) -> bool:
    """Say whether a cell is empty: None or not a number."""
    return value is None or (isinstance(value, float) and value != value)
