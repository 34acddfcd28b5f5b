"""Several runs as one row: mean, standard deviation, and how many, for example over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnexp.report.selection import check_columns, ordered
from cnnexp.report.table import FIGURES, TARGET, comparable
from cnnexp.runs.finding import NO_RECORD

if TYPE_CHECKING:
    import pandas as pd

STD = "_std"


def grouped(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return a row for each combination of values of some columns.

    Means and standard deviations are those of finished runs; others are counted beside them, since
    the last figures of a run that diverged or is half done would spoil a mean.

    Parameters
    ----------
    frame : DataFrame
        Runs.
    keys : sequence of str
        Columns; runs with the same values in all of them are one group.

    Returns
    -------
    DataFrame
        The keys; ``n``, the number of finished runs; ``not_finished``, if there are any; and for
        each figure its mean, under its name, and its sample standard deviation, under its name
        with ``_std``. With a target, ``reached`` is the number of runs that reached it, and its
        mean is theirs.
    """
    import pandas as pd

    check_columns("--group-by", keys, frame)
    runs = frame[~frame["status"].isin(NO_RECORD)]
    comparables = [runs[key].map(comparable) for key in keys]
    groups = runs.groupby(comparables, dropna=False, sort=False)
    figures = [c for c in FIGURES if c in runs and runs[c].notna().any()]
    rows = [_row(part, keys, figures) for _, part in groups]
    table = pd.DataFrame(rows, columns=list(rows[0]) if rows else [*keys, "n"])
    if not table.get("not_finished", pd.Series([0])).any():
        table = table.drop(columns="not_finished", errors="ignore")
    return ordered(table, keys)


def with_spread(names: Sequence[str], frame: pd.DataFrame) -> list[str]:
    """Return names of columns of groups, with the standard deviation of each figure behind it.

    Examples
    --------
    >>> import pandas
    >>> frame = pandas.DataFrame(columns=["impl", "n", "test_error", "test_error_std"])
    >>> with_spread(["test_error", "impl"], frame)
    ['test_error', 'test_error_std', 'impl']
    """
    return [
        column
        for name in names
        for column in (name, name + STD)
        if column == name or (column in frame and column not in names)
    ]


def _row(part: pd.DataFrame, keys: Sequence[str], figures: Sequence[str]) -> dict[str, Any]:
    """Return one group as a row."""
    done = part[part["status"] == "finished"]
    row = {key: part[key].iloc[0] for key in keys}
    row |= {"n": len(done), "not_finished": len(part) - len(done)}
    for figure in figures:
        if figure == TARGET:
            row["reached"] = int(done[figure].notna().sum())
        row[figure], row[figure + STD] = done[figure].mean(), done[figure].std()
    return row
