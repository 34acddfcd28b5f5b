"""Learning curves: the epochs of a run, as its log has them."""

from __future__ import annotations

import csv
import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path

from cnnexp.errors import OptionError, RunError, did_you_mean
from cnnexp.runs.files import read_bytes
from cnnexp.runs.version1 import new_name

FILE = "epochs.csv"
METRICS = (
    "test_error",
    "test_loss",
    "validation_error",
    "validation_loss",
    "train_error",
    "train_loss",
)
SHORT = {"error": "test_error", "loss": "test_loss"}

History = dict[str, list[float]]


def read_history(folder: str | os.PathLike[str]) -> History:
    """Return the log of epochs of a run, column by column.

    A run that has logged nothing, or whose log cannot be read, has an empty history. A last line
    that was cut off by a kill, and rows that hold anything but numbers, are left out.

    Returns
    -------
    dict of str to list of float
        As in ``epochs.csv``; and ``elapsed``, the seconds of training up to the end of each epoch.
    """
    try:
        return history_of(folder)
    except (OSError, RunError):
        return {}


def chance_error(folders: Sequence[str | os.PathLike[str]]) -> float | None:
    """Return the error of guessing among the classes of some runs, all classes equally likely.

    None where the first record cannot be read or is not one of classes. Runs are taken to share
    their data: the first one speaks for all.
    """
    from cnnexp.runs.record import read_record

    try:
        data = read_record(Path(folders[0])).data if folders else None
    except (OSError, RunError):
        return None
    classes = len(data["classes"]) if data else 0
    return 1 - 1 / classes if classes > 1 else None


def history_of(folder: str | os.PathLike[str]) -> History:
    """Return the log of epochs as `read_history` does.

    Raises
    ------
    FileNotFoundError
        If there is none.
    RunError
        If it cannot be read.
    """
    content = read_bytes(Path(folder, FILE))
    try:
        lines = content[: content.rfind(b"\n") + 1].decode(errors="replace").splitlines()
        columns, *rows = list(csv.reader(lines)) or [[]]
    except csv.Error:
        return {}
    columns = [new_name(name) for name in columns]
    numbers = [row for row in map(_numbers, rows) if row is not None and len(row) == len(columns)]
    history = {name: [row[k] for row in numbers] for k, name in enumerate(columns)}
    if "seconds" in history:
        history["elapsed"] = list(itertools.accumulate(history["seconds"]))
    return history


def _numbers(row: Sequence[str]) -> list[float] | None:
    """Return a row as numbers; an empty cell is not a number."""
    try:
        return [float(cell) if cell else math.nan for cell in row]
    except ValueError:
        return None


def parse_target(text: str) -> tuple[str, float]:
    """Return metric and value of a target such as ``error=0.02``.

    Raises
    ------
    OptionError
        If it is not one of the metrics and a number.

    Examples
    --------
    >>> parse_target("error=0.02")
    ('test_error', 0.02)
    """
    name, _, number = text.partition("=")
    metric = SHORT.get(name, name)
    if metric not in METRICS:
        known = (*SHORT, *METRICS)
        raise OptionError(
            f"--target {text}: no metric is named '{name}'.{did_you_mean(new_name(name), known)}"
            f" Metrics: {', '.join(known)}."
        )
    try:
        value = float(number)
    except ValueError:
        raise OptionError(
            f"--target {text}: must be a metric and a number, for example error=0.02."
        ) from None
    return metric, value


def seconds_to(history: History, metric: str, value: float) -> float:
    """Return the seconds of training until an epoch first ended with `metric` at most `value`.

    It is NaN if none did.
    """
    pairs = zip(history.get(metric, ()), history.get("elapsed", ()), strict=False)
    return next((elapsed for reached, elapsed in pairs if reached <= value), math.nan)
