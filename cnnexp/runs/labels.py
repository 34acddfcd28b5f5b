"""What is written on runs afterwards, for people: tags and notes; and runs that are thrown away."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnexp.errors import RunError
from cnnexp.runs.archives import place_of, refuse_archive
from cnnexp.runs.finding import find_runs
from cnnexp.runs.folders import TRASH, hold
from cnnexp.runs.record import read_record, write_record

OF_SWEEPS = ("sweep.json", "multirun", "optimization_results")  # files beside the jobs


def relabel(run: Path, **labels: Any) -> None:
    """Change what a run's ``run.json`` says for people; nothing else of it.

    Parameters
    ----------
    run : Path
        The run folder.
    **labels : object
        ``name``, ``tags`` or ``note`` of the settings.

    Raises
    ------
    RunError
        If there is no run, or it is still going on and would write over the change.
    """
    record = read_record(run)
    _refuse_running(run, record.status)
    if record.is_of_version_1:
        raise RunError(f"{run}: was made by version 0.1.0, whose runs have no tags and notes.")
    with hold(run):
        write_record(run, replace(record, config=record.config | labels))


def add_tags(run: Path, tags: Iterable[str], removed: Iterable[str] = ()) -> list[str]:
    """Add tags to a run, take others away, and return all that it has."""
    gone, before = set(removed), read_record(run).config.get("tags") or []
    found = [tag for tag in dict.fromkeys([*before, *tags]) if tag not in gone]
    relabel(run, tags=found)
    return found


def set_note(run: Path, note: str) -> None:
    """Write a note on a run, in place of an earlier one."""
    relabel(run, note=note)


def check_trash(folder: Path) -> None:
    """Raise RunError unless a folder is a run or holds runs and sweeps alone, none under way.

    Raises
    ------
    RunError
        If there is no run in it, something else is, or one is still going on.
    """
    if (whole := place_of(folder)) is not None and whole.name:
        refuse_archive(folder)
    place = folder.resolve()
    if place in (Path.cwd(), *Path.cwd().parents):
        raise RunError(f"{folder}: is the working folder, or around it. Nothing was moved.")
    runs = [Path(run) for run in find_runs(folder)]
    if not runs:
        raise RunError(f"{folder}: there is no run in it. Nothing was moved.")
    refuse_others(folder, runs, "Nothing was moved. ")
    for run in runs:
        try:
            status = read_record(run).status
        except RunError:  # a damaged one may go
            continue
        _refuse_running(run, status)


def refuse_others(folder: Path, runs: Iterable[Path], so: str = "") -> None:
    """Raise RunError if something in a folder belongs to no run and no sweep; say what is so."""
    if (other := _other_file(folder, {run.resolve() for run in runs})) is not None:
        raise RunError(
            f"{folder}: holds more than runs, for example {other}. {so}Name the runs or sweeps in"
            " it."
        )


def _other_file(folder: Path, runs: set[Path]) -> Path | None:
    """Return a file that belongs to no run and no sweep, if there is one."""
    waiting = [] if place_of(folder) else [folder]  # an archive holds runs alone
    while waiting:
        place = waiting.pop()
        if place.resolve() in runs:
            continue
        for path in place.iterdir():
            if path.is_dir() and not path.is_symlink():
                if path.name not in (TRASH, ".hydra"):
                    waiting.append(path)
            elif not path.name.startswith((*OF_SWEEPS, ".")) or path.is_symlink():
                return path
    return None


def throw_away(folder: Path) -> Path:
    """Move a run, or a folder of runs, into a folder ``.trash`` beside it; return its new place."""
    check_trash(folder)
    place = folder.resolve()
    trash = place.parent / TRASH
    trash.mkdir(exist_ok=True)
    for number in itertools.count(1):
        target = trash / (place.name if number == 1 else f"{place.name}_{number}")
        if not target.exists():
            break
    place.rename(target)
    return target


def _refuse_running(run: Path, status: str) -> None:
    if status == "running":
        raise RunError(f"{run}: is still going on. Wait for its end, or stop it first.")
