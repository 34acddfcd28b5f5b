"""Finding runs in folders, and what is known of each from its record alone, as rows of a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp.errors import RunError, UnreadableRun, foreign
from cnnexp.runs.files import entries_of, is_file, is_folder
from cnnexp.runs.fingerprint import FOR_PEOPLE
from cnnexp.runs.folders import is_number
from cnnexp.runs.policy import GROUPS
from cnnexp.runs.record import FILE, Record, read_record

if TYPE_CHECKING:
    import pandas as pd

    from cnnexp.runs.reading import Run

NO_RECORD = ("damaged", "unreadable")  # the status of runs of which nothing else is known
COLUMNS = ("run", "status", *GROUPS, "learning_rate", "epochs", "batch_size", "seed", "dtype")


def refuse_folder_of_runs(path: str | Path) -> None:
    """Raise RunError for a folder that is no run and holds some, and say how to look at them."""
    if not is_folder(Path(path)) or is_file(Path(path) / FILE):
        return
    inside = [run for run in find_runs(path) if run != str(path)]
    if inside:
        raise RunError(
            f"{path}: not a run, but it holds {len(inside)}, for example {inside[0]}. To see"
            f" all of them: python -m cnnexp compare {path}"
        )


def load_runs(*paths: str | Path) -> pd.DataFrame:
    """Read all runs below some folders into a table, from their ``run.json`` alone.

    Parameters
    ----------
    *paths : str or Path
        Folders or archives that hold runs at any depth, or run folders; ``outputs`` if none is
        given.

    Returns
    -------
    DataFrame
        A row for each run: ``run`` (its path), ``status``, the names chosen in the groups
        (``model``, ``impl``, ``data``, ``optimizer``, ``schedule``), all settings under their
        dotted paths, and the results. One whose record is no record has the status ``damaged``, one
        that the system does not let be read ``unreadable``, and both a ``reason``.

    Raises
    ------
    RunError
        If a folder is not there.
    """
    import pandas as pd

    found: Iterable[str] = (f for path in paths or ("outputs",) for f in find_runs(path))
    if len(paths) > 1:  # one may lie within another
        found = {os.path.realpath(folder): folder for folder in found}.values()
    frame = pd.DataFrame([flat_row(folder) for folder in found])
    first = [column for column in COLUMNS if column in frame]
    return frame[first + [column for column in frame if column not in first]]


def find_runs(path: str | Path) -> Iterator[str]:
    """Yield the run folders at or below a folder, or in an archive, in order of their names.

    Raises
    ------
    RunError
        If there is no such folder.
    """
    root = str(path)
    with foreign(root):
        there = is_folder(Path(root))
    if not there:
        raise RunError(f"{root}: there is no such folder.")
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = entries_of(folder)
        except OSError:
            yield folder  # reading its record will say what is wrong
            continue
        found = sorted(entries, key=lambda entry: _number_first(entry.name), reverse=True)
        if any(entry.name == FILE for entry in found):
            yield folder
            continue
        inner = [e.path for e in found if e.is_dir(follow_symlinks=False)]
        if any(os.path.basename(name) == ".hydra" for name in inner) and not any(
            entry.name == "multirun.yaml" for entry in found
        ):
            yield folder  # begun, and ended before its record was written
            continue
        waiting += [name for name in inner if not os.path.basename(name).startswith(".")]


def flat_row(folder: str) -> dict[str, Any]:
    """Return one run as a row of the table; one without a record as a row that says why."""
    try:
        with foreign(os.path.join(folder, FILE)):
            return _row(folder, read_record(folder))
    except UnreadableRun as error:
        return {"run": folder, "status": "unreadable", "reason": str(error)}
    except RunError as error:
        return {"run": folder, "status": "damaged", "reason": str(error)}


def _row(folder: str, record: Record) -> dict[str, Any]:
    """Return a record as a row."""
    config = record.config
    row: dict[str, Any] = {"run": folder, "status": record.status, "reason": record.reason}
    for group in GROUPS:
        row[group] = record.choices.get(group) or (config.get(group) or {}).get("name")
    flatten({key: value for key, value in config.items() if key not in FOR_PEOPLE}, "", row)
    row |= labels_of(config)
    row |= record.results
    row["created"] = record.created
    return row


def labels_of(config: dict[str, Any]) -> dict[str, str]:
    """Return name, tags and note of a run; empty texts where it has none."""
    tags = ", ".join(map(str, config.get("tags") or []))
    found = {"name": config.get("name"), "tags": tags, "note": config.get("note")}
    return {key: str(value or "") for key, value in found.items()}


def name_in(run: Run, group: str) -> str | None:
    """Return what a run chose in a group, such as ``model``."""
    return run.recorded.choices.get(group) or (run.config.get(group) or {}).get("name")


def flatten(value: Any, path: str, row: dict[str, Any]) -> None:
    """Enter nested settings under dotted paths; a group's own name is its column already."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not (key == "name" and path in GROUPS):
                flatten(inner, f"{path}.{key}" if path else str(key), row)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for k, item in enumerate(value):
            flatten(item, f"{path}.{k}", row)
    else:
        row[path] = value


def _number_first(name: str) -> tuple[int, str]:
    """Sort numbered folders by their numbers."""
    return (int(name), "") if is_number(name) else (-1, name)
