"""Checks of options and shapes that several layers share."""

from __future__ import annotations

import math
from numbers import Integral

from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.nn.layer import Shape, check_activation


def at_least(name: str, value: int, bound: int) -> None:
    """Raise OptionError if a number is below its bound, or no whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionError(f"{name} must be a whole number. Got {value!r}.")
    if value < bound:
        raise OptionError(f"{name} must be at least {bound}. Got {value}.")


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
