"""Names of run folders: never one for two."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnexp.errors import RunError

LOCK = ".lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep a run folder to this process; the lock ends with the process, however that ends.

    Raises
    ------
    RunError
        If another process holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{folder}: another process is writing this run. Stop it first.") from None
    try:
        yield
    finally:
        lock.release()


def claim(wanted: Path) -> Path:
    """Make a new folder under the wanted name, or under that name with a number after it.

    Making a folder either succeeds or finds it there, so two processes never get the same one.
    """
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")


def claim_number(parent: Path) -> Path:
    """Make a new folder in `parent` under the next free number."""
    parent.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name) for path in parent.iterdir() if path.name.isdigit()]
    for number in itertools.count(max(taken, default=-1) + 1):
        folder = parent / str(number)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")
