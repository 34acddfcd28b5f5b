"""How the weights are spread, epoch by epoch: the log ``histograms.csv``.

A row says of one parameter after one epoch (0: before training) how many of its numbers lie in each
of `BINS` equal intervals between the lowest and the highest::

    epoch,parameter,low,high,counts
    0,conv1.W,-1.2,1.4,0 2 5 9 …
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnexp.errors import RunError
from cnnexp.runs.files import whole_lines

FILE = "histograms.csv"
COLUMNS = ("epoch", "parameter", "low", "high", "counts")
BINS = 200


class Histogram(NamedTuple):
    """How the numbers of one parameter are spread after one epoch.

    Attributes
    ----------
    epoch : int
        0 is before training.
    parameter : str
        For example ``conv1.W``.
    low, high : float
        Where the first interval begins, and the last one ends.
    counts : list of int
        Numbers in each of the equal intervals.
    """

    epoch: int
    parameter: str
    low: float
    high: float
    counts: list[int]


def rows_of(epoch: int, weights: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each parameter; numbers that are not finite are not counted.

    Examples
    --------
    >>> rows = list(rows_of(1, {"dense1.b": np.array([0.0, 3.0, 6.0])}))
    >>> rows[0][:4], rows[0][4].split()[::199]
    ((1, 'dense1.b', 0.0, 6.0), ['1', '1'])
    """
    for name, array in weights.items():
        finite = array[np.isfinite(array)]
        counts, edges = np.histogram(finite, BINS)
        yield epoch, name, float(edges[0]), float(edges[-1]), " ".join(map(str, counts.tolist()))


def read_histograms(folder: Path) -> dict[str, list[Histogram]]:
    """Return the histograms of a run by parameter, in order of their epochs; none if not logged.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    found: dict[str, list[Histogram]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(whole_lines(path))), 2):
        try:
            counts = [int(count) for count in row["counts"].split()]
            low, high = float(row["low"]), float(row["high"])
            histogram = Histogram(int(row["epoch"]), row["parameter"], low, high, counts)
        except (KeyError, ValueError, AttributeError) as error:
            raise RunError(f"{path}, line {number}: damaged: {error}") from None
        found.setdefault(histogram.parameter, []).append(histogram)
    return found
