"""What is learnt: classes or real values, recognised from an array of targets.

==================================== ===================================================
text, or whole numbers               classes; text gives them their names
rows with a single 1, all others 0   classes, as one-hot rows
numbers with fractions, rows of them real values
==================================== ===================================================

``task`` says which of both is meant where that is not what the array looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnnexp.errors import DataError, OptionError, did_you_mean, foreign

Array = npt.NDArray[Any]

TASKS = ("classification", "regression")
MOST_CLASSES = 100_000


class Targets(NamedTuple):
    """Targets of one kind.

    Attributes
    ----------
    parts : list of array
        As given: class indices (n_m,), or real values (n_m, …).
    classes : tuple of str
        Names of the classes; empty for real values.
    """

    parts: list[Array]
    classes: tuple[str, ...]


def check_task(task: str | None) -> None:
    """Raise OptionError for a task that is not known."""
    if task is not None and task not in TASKS:
        raise OptionError(
            f"task must be one of {', '.join(TASKS)}, or null.{did_you_mean(task, TASKS)}"
            f" Got '{task}'."
        )


def targets_of(parts: Sequence[Array], task: str | None, where: str) -> Targets:
    """Return targets as class indices or as real values.

    Parameters
    ----------
    parts : sequence of array
        The targets of the training part, and of the test part if there is one.
    task : {"classification", "regression"} or None
        What they are; None: what they look like.
    where : str
        What stands before a fault: usually the file.

    Raises
    ------
    DataError
        If they are not numbers or text, not finite, or no classes where classes are asked for.
    """
    arrays = [np.asarray(part) for part in parts]
    if any(Y.dtype.kind in "US" for Y in arrays):
        return _named(arrays, task, where)
    for Y in arrays:
        if Y.dtype.kind not in "biuf":
            raise DataError(f"{where}: labels must be numbers or text. Got {Y.dtype.str}.")
        if not Y.ndim or not len(Y):
            raise DataError(f"{where}: labels must be one for each sample. Got {Y.shape}.")
        if not np.isfinite(Y).all():
            raise DataError(f"{where}: labels or targets must be finite numbers.")
    arrays = [Y.reshape(-1) if Y.ndim == 2 and Y.shape[1] == 1 else Y for Y in arrays]
    if task != "regression" and all(map(_is_one_hot, arrays)):
        classes = arrays[0].shape[1]
        return Targets([Y.argmax(axis=1) for Y in arrays], _numbered(classes, where))
    whole = all(Y.ndim == 1 and bool((np.floor(Y) == Y).all()) for Y in arrays)
    if task == "regression" or (not whole and task is None):
        return Targets([columns(Y) for Y in arrays], ())
    if not whole:
        raise DataError(
            f"{where}: labels of classes must be whole numbers, one for each sample, or one-hot"
            f" rows. Got shape {arrays[0].shape} of {arrays[0].dtype}. Real values are"
            " data.task=regression."
        )
    lowest, highest = (min(Y.min() for Y in arrays), max(Y.max() for Y in arrays))
    if lowest < 0:
        raise DataError(f"{where}: labels must be at least 0. Found {lowest:g}.")
    classes = _numbered(int(highest) + 1, where)
    return Targets([Y.astype(np.intp) for Y in arrays], classes)


def named_classes(parts: Sequence[Sequence[Any]], where: str) -> Targets:
    """Return class indices of any values that can be sorted; their texts are the classes."""
    values = sorted(set().union(*(set(part) for part in parts)))
    _check_count(len(values), where)
    index = {value: k for k, value in enumerate(values)}
    found = [np.array([index[value] for value in part], np.intp) for part in parts]
    return Targets(found, tuple(str(value) for value in values))


def class_indices(
    parts: Sequence[Array], names: Sequence[str], known: Sequence[str], where: str
) -> list[Array]:
    """Return class indices among other classes, matched by name.

    Parameters
    ----------
    parts : sequence of array
        Class indices (n_m,).
    names : sequence of str
        Their classes.
    known : sequence of str
        The classes that are wanted.
    where : str
        What stands before a fault.

    Raises
    ------
    DataError
        If there are samples of a class that is not among the known ones, or of none at all.

    Examples
    --------
    >>> class_indices([np.array([0, 1, 1])], ["3", "7"], ["1", "3", "7"], "data")
    [array([1, 2, 2])]
    """
    place = {name: k for k, name in enumerate(known)}
    used = np.unique(np.concatenate(parts))
    if not np.isin(used, np.arange(len(names))).all():
        raise DataError(f"{where}: labels must be whole numbers from 0 to {len(names) - 1:,}.")
    unknown = [str(names[int(k)]) for k in used if names[int(k)] not in place]
    if unknown:
        raise DataError(
            f"{where}: knows no class named {_some(unknown)}. It knows {_some(known)}. Name the"
            " classes as it does, and leave out the others."
        )
    table = np.array([place.get(name, -1) for name in names], np.intp)
    return [table[np.asarray(part, np.intp)] for part in parts]


def _some(names: Sequence[str], most: int = 20) -> str:
    """Return names in a list, of many the first ones."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more


def _named(arrays: Sequence[Array], task: str | None, where: str) -> Targets:
    """Return class indices of labels that are text."""
    if task == "regression":
        raise DataError(f"{where}: data.task=regression needs numbers. Its targets are text.")
    if any(Y.ndim != 1 or Y.dtype.kind not in "US" for Y in arrays):
        raise DataError(f"{where}: labels that are text must be one for each sample.")
    with foreign(where, error=DataError):  # numbers that are no characters
        texts = [[_text(value) for value in Y] for Y in arrays]
    return named_classes(texts, where)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _is_one_hot(Y: Array) -> bool:
    """Say whether every row has a single 1 and is 0 elsewhere."""
    if Y.ndim != 2 or not len(Y):
        return False
    ones = np.count_nonzero(Y == 1, axis=1)
    return bool((ones == 1).all() and (np.count_nonzero(Y, axis=1) == 1).all())


def columns(Y: Array) -> Array:
    """Return real values with an axis of targets."""
    return Y.reshape(len(Y), 1) if Y.ndim == 1 else Y


def _numbered(count: int, where: str) -> tuple[str, ...]:
    """Return the numbers from 0 as names of classes."""
    _check_count(count, where)
    return tuple(str(k) for k in range(count))


def _check_count(count: int, where: str) -> None:
    """Raise DataError if there would be too many classes; nothing was made for them yet."""
    if count > MOST_CLASSES:
        raise DataError(
            f"{where}: its labels would make {count:,} classes; at most {MOST_CLASSES:,} are"
            " allowed. If they are values to predict, say data.task=regression."
        )
