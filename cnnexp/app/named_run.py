"""How a run is named on the command line: by its folder, by the beginning of it, or ``last``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cnnexp.errors import RunError
from cnnexp.runs.archives import place_of
from cnnexp.runs.finding import find_runs
from cnnexp.runs.record import FILE, read_record

OUTPUTS = "outputs"
LAST = "last"
HELP = f"a run folder or an archive, the beginning of its name, or {LAST}"
SHOWN = 5  # of the runs that a beginning might mean


def named_run(text: str) -> Path:
    """Return the folder of the run that a word means.

    Parameters
    ----------
    text : str
        A folder; ``last``, the run below ``outputs`` that began last; or what only one run's name
        begins with. A name is the path of a run's folder from here or from ``outputs``, or the
        last part of it.

    Returns
    -------
    Path
        The folder; if there is none that is meant, the text as it is.

    Raises
    ------
    RunError
        If several runs are meant, or there is no last one.
    """
    if not _is_absent(text) or place_of(text) is not None:
        _refuse_file(Path(text))
        return Path(text)
    below = list(find_runs(OUTPUTS)) if os.path.isdir(OUTPUTS) else []
    if text == LAST:
        return _last(below)
    beside = [entry for entry in _entries(Path(text).parent) if (entry / FILE).exists()]
    found = _meant(text, sorted({*map(Path, below), *beside}))
    if len(found) > 1:
        more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        names = ", ".join(map(str, found[:SHOWN]))
        raise RunError(
            f"{text}: begins the names of {len(found):,} runs: {names}{more}. Give more of it."
        )
    return found[0] if found else Path(text)


def _refuse_file(path: Path) -> None:
    """Raise RunError if a path is a file and no archive."""
    if path.is_file() and place_of(str(path)) is None:
        beside = (path.parent / FILE).exists()
        hint = f" The run is {path.parent}." if beside else " Give a run folder or an archive."
        raise RunError(f"{path}: is a file, not a run.{hint}")


def _is_absent(path: str) -> bool:
    """Say whether there is nothing of a name; what cannot be looked at may be there."""
    try:
        Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder that can be read."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _meant(text: str, runs: Sequence[Path]) -> list[Path]:
    """Return the runs with a name that begins with a text, or if there are any, that is it."""
    text = os.path.normpath(text)
    names = {run: (str(run), os.path.relpath(run, OUTPUTS), run.name) for run in runs}
    whole = [run for run in runs if text in names[run]]
    return whole or [run for run in runs if any(name.startswith(text) for name in names[run])]


def _last(runs: Sequence[str]) -> Path:
    """Return the run that began last."""
    began: list[tuple[str, int, Path]] = []
    for run in map(Path, runs):
        try:
            began.append((read_record(run).created, (run / FILE).stat().st_mtime_ns, run))
        except (RunError, OSError):
            continue
    if not began:
        raise RunError(f"{LAST}: there is no run below {OUTPUTS}.")
    return max(began)[2]
