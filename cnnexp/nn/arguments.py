"""Checks of what a user gives to a network in Python: options, arrays, learning rates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.engine import AUTO, IMPLEMENTATIONS, Array, Implementation, automatic
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.layer import Layer, Shape, expand_activations, walk
from cnnexp.nn.losses import LOSSES, METRICS, Loss, Metric


def checked_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers of a network, those that an ``activation`` stands for included."""
    if isinstance(layers, (str, Layer)) or not isinstance(layers, Iterable):
        raise OptionError(f"layers must be a list of layers. Got {layers!r}.")
    expanded = expand_activations(list(layers))
    everything = list(walk(expanded))
    if len({id(layer) for layer in everything}) < len(everything):
        raise OptionError("a layer object stands in the list twice; make two of them.")
    if not expanded:
        raise OptionError("a network needs at least one layer.")
    return expanded


def checked_implementation(impl: str | Implementation) -> Implementation:
    """Return an implementation by its name, or as it is."""
    found = _named(impl) if isinstance(impl, str) else impl
    if not isinstance(found, Implementation):
        raise OptionError(f"impl must be one of {', '.join(IMPLEMENTATIONS)}. Got {impl!r}.")
    if missing := found.missing():
        raise OptionError(missing)
    return found


def computes_here(impl: str) -> bool:
    """Say whether the implementation of a name needs no GPU, and nothing that is not installed.

    A name that is not known is for others to refuse.
    """
    if impl not in IMPLEMENTATIONS:
        return True
    found = IMPLEMENTATIONS[impl]
    return found.device is None and not found.missing()


def _named(impl: str) -> Implementation:
    """Return the implementation of a name; "auto" is the fastest that is installed."""
    return IMPLEMENTATIONS[automatic() if impl == AUTO else impl]


def checked_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return one of the two types of numbers that a network computes in."""
    try:
        found = np.dtype(dtype) if dtype is not None else None
    except (TypeError, ValueError):
        found = None
    if found is None or found not in (np.float32, np.float64):
        raise OptionError(f"dtype must be float32 or float64. Got {found or repr(dtype)}.")
    return found


def checked_seed(seed: int) -> int:
    """Return a seed."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise OptionError(f"seed must be a whole number of at least 0. Got {seed!r}.")
    return int(seed)


def checked_loss(loss: str | Loss) -> Loss:
    """Return a loss by its name, or as it is."""
    if isinstance(loss, str):
        return LOSSES[loss]()
    if isinstance(loss, Loss):
        return loss
    raise OptionError(f"loss must be a name or a Loss. Got {loss!r}.")


def checked_metrics(names: Iterable[str]) -> dict[str, Metric]:
    """Return metrics by their names."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise OptionError(f"metrics must be a list of names. Got {names!r}.")
    return {name: METRICS[name] for name in names}


def checked_count(name: str, value: int | str) -> int | str:
    """Return a positive number or "auto"."""
    whole = isinstance(value, Integral) and not isinstance(value, bool) and value >= 1
    if whole or (isinstance(value, str) and value == "auto"):
        return value
    raise OptionError(f"{name} must be 'auto' or a number of at least 1. Got {value!r}.")


def check_workers(implementation: Implementation, threads: int | str) -> None:
    """Raise OptionError if several workers are asked for, and there can be one alone."""
    if fault := workers_fault(implementation, threads):
        raise OptionError(fault)


def workers_fault(implementation: Implementation, threads: Any) -> str:
    """Say that a device has one worker, if more are asked for; empty otherwise."""
    if implementation.device is None or threads in ("auto", 1):
        return ""
    return (
        f"threads must be auto or 1 under impl={implementation.name}: a GPU gets its work from one"
        f" worker. Got {threads!r}."
    )


def checked_rate(learning_rate: float) -> float:
    """Return a learning rate: any real number of Python or NumPy that is finite.

    Examples
    --------
    >>> checked_rate(np.float32(0.5))
    0.5
    >>> checked_rate(None)
    Traceback (most recent call last):
    ...
    cnnexp.errors.OptionError: learning_rate must be a finite number. Got None.
    """
    if isinstance(learning_rate, np.ndarray) and learning_rate.ndim == 0:
        learning_rate = learning_rate.item()
    real = isinstance(learning_rate, Real) and not isinstance(learning_rate, bool)
    if not real or not math.isfinite(learning_rate):
        raise OptionError(f"learning_rate must be a finite number. Got {learning_rate!r}.")
    return float(learning_rate)


def checked_shape(shape: Sequence[int]) -> Shape:
    """Return the shape of a sample."""
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise ShapeError(f"input_shape must be sizes, such as (28, 28, 1). Got {shape!r}.")
    sizes = tuple(shape)
    if not all(isinstance(size, Integral) and size >= 1 for size in sizes):
        raise ShapeError(f"input_shape must be sizes of at least 1. Got {sizes}.")
    return tuple(int(size) for size in sizes)


def as_array(name: str, values: Any) -> Array:
    """Return an array, or raise ShapeError for rows that are not equally long."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError):
        raise ShapeError(f"{name} must be an array: all its rows must be equally long.") from None


def as_numbers(name: str, values: Any) -> Array:
    """Return real numbers as an array.

    Raises
    ------
    ShapeError
        If they are ragged, or no real numbers.
    """
    found = as_array(name, values)
    if found.dtype.kind not in "biuf":
        raise ShapeError(f"{name} must be numbers. Got {found.dtype}.")
    return found


def wrong_ending(loss: Loss, last: Layer) -> OptionError:
    """Return the error of a network that does not end in the layer that its loss needs."""
    return OptionError(
        f"the loss is {LOSSES.name_of(type(loss)).replace('_', '-')}, so the last layer must be"
        f" {loss.fuses} after a dense layer. Got {last.type} of output shape {last.output_shape}."
    )


def check_sample_shape(found: Shape, expected: Shape) -> None:
    """Raise ShapeError if samples are not of the shape that a network was built for."""
    if found != expected:
        raise ShapeError(
            f"X must be samples of shape {expected}, the network was built for them. Got {found}."
        )


def as_finite(name: str, values: Array, dtype: np.dtype[Any], first: int = 0) -> Array:
    """Return an array in a type of numbers in which all of them are finite.

    Of a part of an array, `first` is the number of its first row.

    The sum of their squares tells in one pass and without memory; only if it is not finite, which
    it may also be where numbers are large, each number is looked at.

    Raises
    ------
    ShapeError
        If a number is not finite, or too large for the type.
    """
    with np.errstate(all="ignore"):
        found = values.astype(dtype, copy=False)
        total = np.vdot(found, found) if found.flags.c_contiguous else found.sum()
        if not np.isfinite(total) and not np.isfinite(found).all():
            where = np.argwhere(~np.isfinite(found))[0].tolist()
            value, where[0] = found[tuple(where)], where[0] + first
            raise ShapeError(f"{name} must be finite. Got {value} as {dtype}, at {where}.")
    return found
