"""Checks of what a source has read, before it becomes a data set."""

from __future__ import annotations

import numpy as np

from cnnexp.data.scale import Scale, not_finite
from cnnexp.data.sources import Raw, Shape, Source
from cnnexp.errors import DataError


def too_few(source: Source, raw: Raw) -> str:
    """Say how many samples there were, and that whole numbers need not be classes."""
    if not raw.classes:
        return f" There are {len(raw.X):,} in all."
    said = f" There are {len(raw.X):,} in all, of {len(raw.classes):,} classes."
    if getattr(source, "task", "none") is None:
        said += " If the targets are values and not classes, say data.task=regression."
    return said


def check_scale(source: Source, scale: Scale | None, shape: Shape) -> None:
    """Raise DataError if a scale of another data set has other columns."""
    columns = () if scale is None else np.shape(scale.factor)
    if columns and columns != shape:
        raise DataError(
            f"data={source.name}: has rows of {shape} numbers, and the run learnt from rows of"
            f" {columns}."
        )


def check_raw(source: Source, raw: Raw) -> None:
    """Raise DataError if samples or targets are not finite, or labels are no whole numbers."""
    parts = ((raw.X, raw.Y, ""), (raw.X_test, raw.Y_test, "test "))
    for X, Y, part in parts:
        if X is None or Y is None:
            continue
        if len(X) != len(Y):
            raise DataError(f"data={source.name}: {len(X)} samples, and {len(Y)} targets.")
        on_disk = isinstance(X, np.memmap)  # its source has looked at it
        if not on_disk and (where := not_finite(X)) is not None:
            raise DataError(f"data={source.name}: {part}images must be finite numbers. {where}")
        if Y.dtype.kind == "f" and not np.isfinite(Y).all():
            raise DataError(f"data={source.name}: labels or targets must be finite numbers.")
        if raw.classes and Y.dtype.kind == "f" and (np.floor(Y) != Y).any():
            raise DataError(f"data={source.name}: labels of classes must be whole numbers.")
