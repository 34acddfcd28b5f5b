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
import numpy.typing as npt

from cnnexp.errors import RunError, foreign
from cnnexp.runs.checksums import read_checked
from cnnexp.runs.files import is_file, lines_of

FILE = "histograms.csv"
COLUMNS = ("epoch", "parameter", "low", "high", "counts")
BINS = 200
EPSILON = 4 * float(np.finfo(np.float64).eps)  # what is nearer to one another counts as equal


class Histogram(NamedTuple):
    """How the numbers of one parameter are spread after one epoch.

    Attributes
    ----------
    epoch : int
        0 is before training.
    parameter : str
        For example ``conv1.W``.
    low : float
        Where the first interval begins.
    high : float
        Where the last interval ends.
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
        finite = array[np.isfinite(array)].astype(np.float64)
        low, high = _range_of(finite)
        counts, _ = np.histogram(finite, BINS, (low, high))
        yield epoch, name, low, high, " ".join(map(str, counts.tolist()))


def _range_of(finite: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return where the intervals begin and end; far enough apart for each to have a width."""
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    largest = max(abs(low), abs(high))
    if high - low > largest * BINS * EPSILON:
        return low, high
    half = max(largest, 1.0) / 2
    return low - half, low + half


def read_histograms(folder: Path, accept_changes: bool = False) -> dict[str, list[Histogram]]:
    """Return the histograms of a run by parameter, in order of their epochs; none if not logged.

    Parameters
    ----------
    folder : Path
        The run folder.
    accept_changes : bool
        Read the log whatever its checksum is.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    path = folder / FILE
    if not is_file(path):
        return {}
    with foreign(path):
        text = lines_of(read_checked(folder, FILE, accept_changes))
        found: dict[str, list[Histogram]] = {}
        for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
            try:
                counts = [int(count) for count in row["counts"].split()]
                low, high = float(row["low"]), float(row["high"])
                histogram = Histogram(int(row["epoch"]), row["parameter"], low, high, counts)
            except (KeyError, ValueError, AttributeError) as error:
                raise RunError(f"{path}, line {number}: damaged: {error}") from None
            found.setdefault(histogram.parameter, []).append(histogram)
    return found
