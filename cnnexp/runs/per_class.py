"""How a network classifies each class: confusion matrix, precision and recall, predictions, as CSV.

Of a class, *precision* is the fraction of the samples taken for it that are of it; *recall* the
fraction of its samples that are taken for it; *F1* their harmonic mean. Where there is nothing to
divide by, they are 0, as in scikit-learn. A macro average is the mean over the classes, each of
which counts alike however many samples it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnnexp.runs.files import replace_csv

CONFUSION, PER_CLASS, PREDICTIONS = "confusion.csv", "per_class.csv", "predictions.csv"
FILES = (CONFUSION, PER_CLASS, PREDICTIONS)
COLUMNS = ("part", "class", "samples", "precision", "recall", "f1")
MACRO = "macro average"

Array = npt.NDArray[Any]


class Classified(NamedTuple):
    """The classes of a part's samples, and what they were taken for: arrays (n_m,)."""

    true: Array
    predicted: Array


class ClassRow(NamedTuple):
    """One class of a part, a row of ``per_class.csv``; the last row of a part is the average.

    Attributes
    ----------
    part : str
        ``validation`` or ``test``.
    name : str
        The class, or ``macro average``: the mean over the classes.
    samples : int
        Samples of the class.
    precision : float
        Fraction of the samples predicted as the class that belong to it.
    recall : float
        Fraction of its samples that are predicted as it.
    f1 : float
        Harmonic mean of precision and recall.
    """

    part: str
    name: str
    samples: int
    precision: float
    recall: float
    f1: float


def confusion(found: Classified, classes: int) -> Array:
    """Return how many samples of each class (rows) were taken for each class (columns).

    Examples
    --------
    >>> confusion(Classified(np.array([0, 0, 1]), np.array([0, 1, 1])), 2)
    array([[1, 1],
           [0, 1]])
    """
    cells = found.true * classes + found.predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def class_rows(part: str, found: Classified, names: Sequence[str]) -> list[ClassRow]:
    """Return a row for each class, and one for their average."""
    matrix = confusion(found, len(names))
    samples, taken, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    precision, recall = _ratio(right, taken), _ratio(right, samples)
    f1 = _ratio(2 * right, samples + taken)
    rows = [
        ClassRow(part, *row)
        for row in zip(
            names, samples.tolist(), precision.tolist(), recall.tolist(), f1.tolist(), strict=True
        )
    ]
    means = (float(figure.mean()) for figure in (precision, recall, f1))
    return [*rows, ClassRow(part, MACRO, len(found.true), *means)]


def occurring(rows: Sequence[ClassRow]) -> list[ClassRow]:
    """Return the rows of those classes of a part that have samples, and their average."""
    *classes, average = rows
    kept = [row for row in classes if row.samples]
    means = (sum(figures) / len(kept) for figures in zip(*(row[3:] for row in kept), strict=True))
    return [*kept, ClassRow(average.part, MACRO, average.samples, *means)]


def _ratio(above: Array, below: Array) -> Array:
    """Return a quotient, 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)


def write(folder: Path, parts: Mapping[str, Classified], names: Sequence[str]) -> None:
    """Write the files for the parts of a data set.

    In ``predictions.csv`` samples are counted from 0, in the order of the part.
    """
    matrices = {part: confusion(found, len(names)).tolist() for part, found in parts.items()}
    replace_csv(
        folder / CONFUSION,
        ("part", "class", *names),
        [
            (part, name, *counts)
            for part, matrix in matrices.items()
            for name, counts in zip(names, matrix, strict=True)
        ],
    )
    rows = [row for part, found in parts.items() for row in class_rows(part, found, names)]
    replace_csv(folder / PER_CLASS, COLUMNS, rows)
    replace_csv(
        folder / PREDICTIONS,
        ("part", "sample", "class", "predicted"),
        [
            (part, k, names[true], names[predicted])
            for part, found in parts.items()
            for k, (true, predicted) in enumerate(
                zip(found.true.tolist(), found.predicted.tolist(), strict=True)
            )
        ],
    )


def as_texts(rows: Sequence[ClassRow]) -> list[tuple[str, ...]]:
    """Return rows of a part for people to read, below the names of their columns."""
    cells: list[tuple[str, ...]] = [COLUMNS[1:]]
    for row in rows:
        figures = (f"{figure:.4f}" for figure in (row.precision, row.recall, row.f1))
        cells.append((row.name, f"{row.samples:,}", *figures))
    return cells
