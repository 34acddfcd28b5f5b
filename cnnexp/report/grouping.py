"""Several runs as one row: mean, standard deviation, and how many, for example over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cnnexp.report.selection import check_columns, ordered
from cnnexp.report.table import (
    NO_RESULT,
    TARGET,
    Comparison,
    comparable,
    different,
    figures_of,
)
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
    figures = figures_of(runs)
    rows = [_row(part, keys, figures) for part in _groups(runs, keys)]
    table = pd.DataFrame(rows, columns=list(rows[0]) if rows else [*keys, "n"])
    if not table.get("not_finished", pd.Series([0])).any():
        table = table.drop(columns="not_finished", errors="ignore")
    return ordered(table, keys)


def _groups(runs: pd.DataFrame, keys: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield the runs of each group."""
    comparables = [runs[key].map(comparable) for key in keys]
    for _, part in runs.groupby(comparables, dropna=False, sort=False):
        yield part


def chosen_columns(names: Sequence[str], keys: Sequence[str], frame: pd.DataFrame) -> list[str]:
    """Return the columns of groups for some names: what tells groups apart and ``n`` stay.

    Examples
    --------
    >>> import pandas
    >>> frame = pandas.DataFrame(columns=["impl", "n", "test_error", "test_error_std"])
    >>> chosen_columns(["test_error"], ["impl"], frame)
    ['impl', 'n', 'test_error', 'test_error_std']
    """
    always = [*dict.fromkeys(keys), "n"]
    return [*always, *with_spread([name for name in names if name not in always], frame)]


def notes(comparison: Comparison, keys: Sequence[str], shown: pd.DataFrame) -> list[str]:
    """Say over what the means of groups are, in lines below their table.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    keys : sequence of str
        The columns that they are grouped by.
    shown : DataFrame
        The table of the groups, of which the figures are.

    Returns
    -------
    list of str
        The settings that differ within groups, how many runs repeat another one of their group,
        and the figures that only some runs of a group have; no line where there is nothing to say.
    """
    runs = comparison.frame
    finished = runs[runs["status"] == "finished"]
    groups = list(_groups(finished, keys))
    figures = [name for name in figures_of(finished) if name in shown and name != TARGET]
    lines = [_averaged_over(comparison, keys, groups), _repeated(comparison, groups)]
    return [line for line in (*lines, _of_fewer(figures, groups)) if line]


def _averaged_over(
    comparison: Comparison, keys: Sequence[str], groups: Sequence[pd.DataFrame]
) -> str:
    """Name the settings that differ within groups, with the most values that a group has."""
    settings = [name for name in comparison.differing if name not in keys]
    most = {name: max((different(part[name]) for part in groups), default=0) for name in settings}
    said = [f"{name} ({count} values)" for name, count in most.items() if count > 1]
    return f"averaged over: {', '.join(said)}" if said else ""


def _repeated(comparison: Comparison, groups: Sequence[pd.DataFrame]) -> str:
    """Count the runs that have all settings of another one in their group."""
    names = [name for name in comparison.varying if not name.startswith(NO_RESULT)]
    count = sum(
        len(part)
        - len({tuple(map(comparable, row)) for row in part[names].itertuples(index=False)})
        if names
        else len(part) - 1
        for part in groups
    )
    runs = "1 run repeats" if count == 1 else f"{count} runs repeat"
    return f"{runs} another one: the same settings and the same seed" if count else ""


def _of_fewer(figures: Sequence[str], groups: Sequence[pd.DataFrame]) -> str:
    """Name the figures that some runs of a group have and others do not."""
    said = []
    for figure in figures:
        counts = [(int(part[figure].notna().sum()), len(part)) for part in groups]
        partly = [(some, whole) for some, whole in counts if 0 < some < whole]
        if partly:
            some, whole = map(sum, zip(*partly, strict=True))
            said.append(f"{figure} ({some} of {whole} runs)")
    return f"means of fewer than n runs: {', '.join(said)}" if said else ""


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
