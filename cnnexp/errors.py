"""The family of errors that this package raises for a mistake a user can mend.

Each message is whole: what was asked, what was found, what to do. The command line prints it
without a traceback and exits with code 2. An error that is not of this family is a bug of ours.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike


class CnnexpError(Exception):
    """Base of all errors that a user can mend."""


class OptionError(CnnexpError, ValueError):
    """An option has a value that is not allowed."""


class ShapeError(CnnexpError, ValueError):
    """An array or an image does not have the shape that is needed."""


class UnknownName(CnnexpError, LookupError):
    """A name that stands in no table."""


class DataError(CnnexpError):
    """A data set is absent, damaged, or not what it should be."""


class RunError(CnnexpError):
    """A run folder is absent, damaged, in use, or does not allow what was asked."""


class UnreadableRun(RunError):
    """The system does not let a file of a run be read, as without permission."""


class CallbackError(CnnexpError):
    """A callback of the user's raised an error, and the run has ended with it."""


class UnsafePickle(RunError):
    """A pickle asks for something that is not on the list of harmless things."""


class CodeChanged(UserWarning):
    """A module of the user's is not what it was when a run was made."""


class ConfigError(CnnexpError):
    """One or more faults in a config, each a line with its path.

    Parameters
    ----------
    faults : sequence of str
        Each fault as ``path: what was found, what is allowed``.

    Examples
    --------
    >>> print(ConfigError(["epochs: must be at least 0. Got -1."]))
    epochs: must be at least 0. Got -1.
    >>> print(ConfigError(["a: no", "b: no"]))
    2 faults in the config:
      a: no
      b: no
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        if len(self.faults) == 1:
            super().__init__(self.faults[0])
        else:
            lines = "\n".join(f"  {fault}" for fault in self.faults)
            super().__init__(f"{len(self.faults)} faults in the config:\n{lines}")

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[str, ...]]]:
        return type(self), (self.faults,)


@contextmanager
def foreign(
    path: str | PathLike[str], remedy: str = "", error: type[CnnexpError] = RunError
) -> Iterator[None]:
    """Turn whatever reading foreign bytes raises into one error that names the file.

    Bytes that somebody else wrote, or that a disk has damaged, make a reader fail in any way. Every
    reader of such bytes stands in this block. Errors of the family pass unchanged, and so does
    FileNotFoundError: whoever reads knows what an absent file means.

    Parameters
    ----------
    path : str or path
        The file that is read.
    remedy : str
        What the user can do, as whole sentences.
    error : type
        The kind of error that is raised.

    Examples
    --------
    >>> with foreign("run.json", "Start the run again."):
    ...     int("x")
    Traceback (most recent call last):
    ...
    cnnexp.errors.RunError: run.json: damaged: invalid literal for int() with base 10: 'x'. Start
    the run again.
    """
    try:
        yield
    except (CnnexpError, FileNotFoundError):
        raise
    except Exception as found:
        message = f"{path}: {_trouble(found)}."
        kind = UnreadableRun if error is RunError and isinstance(found, OSError) else error
        raise kind(" ".join(filter(None, (message, remedy)))) from None


def _trouble(found: Exception) -> str:
    """Say in a few words what went wrong with a file."""
    if isinstance(found, OSError):
        return f"cannot be read: {system_reason(found)}"
    if isinstance(found, RecursionError):
        return "damaged: it is nested too deeply"
    if isinstance(found, MemoryError):
        return "needs more memory than there is"
    text = " ".join(str(found).split())[:200].rstrip(".")
    if isinstance(found, ValueError) and text:
        return f"damaged: {text}"
    return f"damaged: {type(found).__name__}{f': {text}' if text else ''}"


REMEDIES = {
    errno.ENOSPC: "Make room on the disk",
    errno.EDQUOT: "Make room: the quota of the disk is used up",
    errno.EACCES: "Check who may read and write there",
    errno.EPERM: "Check who may read and write there",
    errno.EROFS: "Choose a folder that can be written to",
    errno.EIO: "Check the disk, or the connection to it",
    errno.EMFILE: "Close other programs, or raise the limit on open files: ulimit -n",
}


def system_reason(error: OSError) -> str:
    """Return why the system refused something, and what to do; the last full stop is left out.

    Examples
    --------
    >>> system_reason(OSError(errno.ENOSPC, "No space left on device"))
    'No space left on device. Make room on the disk'
    >>> system_reason(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    'No such file or directory'
    """
    reason = error.strerror or str(error)
    remedy = REMEDIES.get(error.errno) if error.errno is not None else None
    return f"{reason}. {remedy}" if remedy else reason


def system_cause(error: BaseException | None) -> OSError | None:
    """Return the error of the system that lies behind one, except that there is no such file."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in REMEDIES:
            return error
        error = error.__context__
    return None


def system_message(error: OSError) -> str:
    """Return a message that names the file, why the system refused it, and what to do.

    Notes that were added to the error say what comes next.

    Examples
    --------
    >>> error = PermissionError(errno.EACCES, "Permission denied", "run/run.json")
    >>> error.add_note("Then start again.")
    >>> system_message(error)
    'run/run.json: Permission denied. Check who may read and write there. Then start again.'
    """
    place = f"{error.filename}: " if error.filename else ""
    notes = getattr(error, "__notes__", [])
    return " ".join([f"{place}{system_reason(error)}.", *notes])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known word nearest to `word`, or an empty string.

    Examples
    --------
    >>> did_you_mean("cnnn", ["cnn", "flat"])
    " Did you mean 'cnn'?"
    >>> did_you_mean("zebra", ["cnn", "flat"])
    ''
    """
    import difflib  # needed by those who err alone

    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(names), n=1, cutoff=0.6)
    return f" Did you mean '{names[near[0]]}'?" if near else ""


def require(module: str, who: str, extra: str, package: str = "") -> None:
    """Raise an OptionError that names the extra to install, unless a module is installed.

    Parameters
    ----------
    module : str
        What is imported; it is looked for, and not imported here.
    who : str
        The setting or the option that needs it, as the user wrote it.
    extra : str
        The extra of this package that brings it.
    package : str, optional
        The name of what is installed, where it is not that of the module.
    """
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise OptionError(
            f"{who} needs {package or module}, which is not installed:"
            f" pip install 'cnnexp[{extra}]'."
        )
