"""What a run took for what: its confusion matrix, and the samples that it mistook."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from cnnexp.errors import foreign
from cnnexp.report.formats import aligned
from cnnexp.runs.files import is_file, whole_lines
from cnnexp.runs.per_class import CONFUSION, PREDICTIONS

MOST_CLASSES = 12  # of a matrix that people see whole
MOST_PAIRS = 10
MOST_SAMPLES = 8
WIDTH = 12  # characters of a class's name above a column


def _rows(path: Path, part: str) -> Iterator[list[str]]:
    """Yield the rows of a part from a CSV file, the head first, without the name of the part."""
    head, *rows = csv.reader(whole_lines(path).splitlines())
    for row in (head, *(row for row in rows if row and row[0] == part)):
        if len(row) != len(head):
            raise ValueError("a row has more or fewer cells than there are columns")
        yield row[1:]


def matrix(folder: Path, part: str = "test") -> list[str]:
    """Return the confusion matrix of a part as lines; of many classes the most frequent mistakes.

    Raises
    ------
    RunError
        If the file is no such matrix.
    """
    path = folder / CONFUSION
    if not is_file(path):
        return []
    with foreign(path):
        (_, *names), *rows = _rows(path, part)
        counts = [[int(cell) for cell in row[1:]] for row in rows]
        if not rows:
            return []
        if [row[0] for row in rows] != names:
            raise ValueError("its rows are not of the classes that its columns are of")
        return _whole(names, counts) if len(names) <= MOST_CLASSES else _pairs(names, counts)


def _whole(names: list[str], counts: list[list[int]]) -> list[str]:
    """Return a matrix; a dot stands for none."""
    head = ["", *(name[:WIDTH] for name in names)]
    cells = [
        [name, *(f"{count:,}" if count else "." for count in row)]
        for name, row in zip(names, counts, strict=True)
    ]
    return aligned([head, *cells], right=range(1, len(head)))


def _pairs(names: list[str], counts: list[list[int]]) -> list[str]:
    """Return the mistakes that happen most."""
    found = [
        (count, name, other, sum(row))
        for name, row in zip(names, counts, strict=True)
        for other, count in zip(names, row, strict=True)
        if count and other != name
    ]
    found.sort(key=lambda one: -one[0])
    lines = [
        (name, "taken for", other, f"{count:,}", f"of {whole:,}")
        for count, name, other, whole in found[:MOST_PAIRS]
    ]
    return aligned(lines, right=(3,)) if lines else ["none"]


def mistaken(folder: Path, part: str = "test") -> list[str]:
    """Say how many samples of a part were taken for another class, and which the first ones are.

    Raises
    ------
    RunError
        If the file is no table of predictions.
    """
    path = folder / PREDICTIONS
    if not is_file(path):
        return []
    with foreign(path):
        _, *rows = _rows(path, part)
        wrong = [(int(sample), name, taken) for sample, name, taken in rows if name != taken]
    if not rows:
        return []
    first = ", ".join(f"{k} ({name} for {taken})" for k, name, taken in wrong[:MOST_SAMPLES])
    more = ", …" if len(wrong) > MOST_SAMPLES else ""
    which = f": samples {first}{more}" if wrong else ""
    return [f"{len(wrong):,} of {len(rows):,} are taken for another class{which}"]
