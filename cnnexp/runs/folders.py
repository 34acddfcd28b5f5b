"""Names of run folders: never one for two."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cnnexp.errors import RunError, system_reason
from cnnexp.runs.archives import refuse_archive
from cnnexp.runs.files import refuse_link
from cnnexp.runs.record import FILE, is_a_run

LOCK = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
TRASH = ".trash"  # beside the runs; folders that begin with a dot are not looked into


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep a run folder to this process; the lock ends with the process, however that ends.

    Raises
    ------
    RunError
        If another process holds it, it is in an archive, or nothing may be written into it.
    """
    from filelock import Timeout

    refuse_archive(folder)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / LOCK, timeout=0))
        except Timeout:
            raise RunError(
                f"{folder}: another process is writing this run. Stop it first."
            ) from None
        except PermissionError as error:
            raise RunError(f"{folder}: cannot be written: {system_reason(error)}.") from None
        yield


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold a lock of a file; the system lets go of it when the process ends.

    Raises
    ------
    RunError
        If the file system has no locks.
    Timeout
        If it was not to be had in time; below 0: wait as long as it takes.
    """
    from filelock import FileLock

    refuse_link(path)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except OSError as error:
        if error.errno not in NO_LOCKS or isinstance(error, TimeoutError):
            raise
        raise RunError(
            f"{path.parent}: its file system has no file locks ({error.strerror}), and without them"
            " two processes could write one run. Choose another folder, or mount it with locks (of"
            " NFS: the option local_lock=flock, if one machine alone writes there)."
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_number(name: str) -> bool:
    """Say whether a name is a number as jobs of a sweep have it.

    Examples
    --------
    >>> [is_number(name) for name in ("12", "²", "", "9" * 30)]
    [True, False, False, False]
    """
    return name.isascii() and name.isdigit() and len(name) < 19


def claim(wanted: Path) -> Path:
    """Make a new folder under the wanted name, or under that name with a number after it.

    Making a folder either succeeds or finds it there, so two processes never get the same one.
    """
    wanted.parent.mkdir(parents=True, exist_ok=True)
    names = (wanted.with_name(f"{wanted.name}_{number}") for number in itertools.count(2))
    return _first_free(itertools.chain([wanted], names))


def claim_number(parent: Path) -> Path:
    """Make a new folder in `parent` under the next free number."""
    parent.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name) for path in parent.iterdir() if is_number(path.name)]
    numbers = itertools.count(max(taken, default=-1) + 1)
    return _first_free(parent / str(number) for number in numbers)


def _first_free(folders: Iterator[Path]) -> Path:
    """Make the first of endlessly many folders that is not there yet, and return it."""
    while True:
        folder = next(folders)
        with suppress(FileExistsError):
            folder.mkdir()
            return folder


def remove_empty(folder: Path, kept: Path) -> None:
    """Remove a folder and those above it, up to one that was there before, if they are empty."""
    for path in (folder.absolute(), *folder.absolute().parents):
        if path == kept:
            return
        try:
            path.rmdir()
        except OSError:
            return


def run_below(folder: Path) -> Path | None:
    """Return a run in a folder or in those in it, if there is one, or what is left of a sweep."""
    patterns = (f"*/{FILE}", f"*/*/{FILE}", "sweep.json", "multirun.yaml")
    return next((found.parent for each in patterns for found in folder.glob(each)), None)


def run_around(folder: Path) -> Path | None:
    """Return the run in whose folder another one lies, if that is so."""
    return next((path for path in folder.absolute().parents if is_a_run(path)), None)
