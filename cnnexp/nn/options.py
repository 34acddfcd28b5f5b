"""Checks of options and shapes that several layers share."""

from __future__ import annotations

import math
import operator
from numbers import Integral, Real
from typing import Any

from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.nn.layer import Shape, check_activation


def at_least(name: str, value: int, bound: int) -> None:
    """Raise OptionError if a number is below its bound, or no whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionError(f"{name} must be a whole number. Got {value!r}.")
    if value < bound:
        raise OptionError(f"{name} must be at least {bound}. Got {value}.")


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> None:
    """Raise OptionError unless a value is a number within bounds.

    Examples
    --------
    >>> check_number("rate", 0.5, least=0, below=1)
    >>> check_number("rate", 1.5, least=0, below=1)
    Traceback (most recent call last):
    ...
    cnnexp.errors.OptionError: rate must be at least 0 and below 1. Got 1.5.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise OptionError(f"{name} must be a number. Got {value!r}.")
    number = float(value)
    bounds = (
        ("above", above, operator.gt),
        ("at least", least, operator.ge),
        ("below", below, operator.lt),
        ("at most", most, operator.le),
    )
    given = [(word, bound, holds) for word, bound, holds in bounds if bound is not None]
    if not all(holds(number, bound) for _, bound, holds in given):  # NaN is in no bounds
        wanted = " and ".join(f"{word} {bound:g}" for word, bound, _ in given)
        wanted = wanted.replace(" and below inf", ", and finite")
        raise OptionError(f"{name} must be {wanted}. Got {value}.")


def check_weights(initializer: str | float, activation: str | None) -> None:
    """Raise an error if the initializer or the activation is unknown."""
    if isinstance(initializer, str) and initializer not in INITIALIZERS:
        raise OptionError(f"initializer: {INITIALIZERS.complaint(initializer)}")
    if not isinstance(initializer, str) and not math.isfinite(initializer):
        raise OptionError(f"initializer must be a name or a finite number. Got {initializer}.")
    check_activation(activation)


def image_shape(input_shape: Shape) -> tuple[int, int, int]:
    """Return (ih, iw, n_c), or raise ShapeError."""
    if len(input_shape) != 3:
        raise ShapeError(
            f"needs images of (rows, columns, channels). Got samples of shape {input_shape};"
            " it must stand before flatten and dense."
        )
    ih, iw, n_c = input_shape
    return ih, iw, n_c
