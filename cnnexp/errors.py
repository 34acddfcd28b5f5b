"""The family of errors that this package raises for a mistake a user can mend.

Each message is whole: what was asked, what was found, what to do. The command line prints it
without a traceback and exits with code 2. An error that is not of this family is a bug of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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


class CallbackError(CnnexpError):
    """A callback of the user's raised an error, and the run has ended with it."""


class UnsafePickle(RunError):
    """A pickle asks for something that is not on the list of harmless things."""


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
