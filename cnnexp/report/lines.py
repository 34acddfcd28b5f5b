"""Which lines a plot has: one a run, or one a group of runs, and how each looks.

Up to seven runs have a line each, with its name at its end. More runs are coloured by a setting
that divides them into at most seven groups, and each group gets its mean; where there is no such
setting the best three are named, and the others are grey.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cnnexp.report.formats import text
from cnnexp.report.histories import History, read_history
from cnnexp.report.sentences import short_labels
from cnnexp.report.table import Comparison, comparable, is_missing
from cnnexp.runs.policy import GROUPS

MOST = 7
NAMED = 3  # of too many
MOST_DRAWN = 300  # runs; further ones would only darken the page
LONGEST_LABEL = 36  # letters; where settings need more, runs go by their folders
LEAST_SHARE = 0.5  # of the runs of a group that have an epoch, for its mean to be drawn


@dataclass(frozen=True)
class Style:
    """The look of a line: what tells it from others without colour as well."""

    color: str
    marker: str
    dashes: str


# Okabe and Ito's colours, without yellow, which is hard to see on white
STYLES = (
    Style("#0072B2", "o", "-"),
    Style("#D55E00", "s", "--"),
    Style("#009E73", "^", "-."),
    Style("#CC79A7", "D", ":"),
    Style("#E69F00", "v", "-"),
    Style("#56B4E9", "P", "--"),
    Style("#000000", "X", "-."),
)
GREY = Style("#B8B8B8", "", "-")


@dataclass(frozen=True)
class Line:
    """One or more runs that share a line.

    Attributes
    ----------
    label : str
        What to call it.
    histories : list of dict
        The logs of its runs.
    seconds_per_epoch : list of float
        One a run that was timed.
    style : Style
        How it looks; a grey line is not named in a plot of curves.
    """

    label: str
    histories: list[History]
    seconds_per_epoch: list[float]
    style: Style

    def curve(self, x: str, y: str) -> tuple[list[float], list[float]]:
        """Return the mean course of column `y` over column `x` of the logs.

        It goes as far as at least half of the runs go.
        """
        curves = [self.member(k, x, y) for k in range(len(self.histories))]
        longest = max((len(xs) for xs, _ in curves), default=0)
        means: tuple[list[float], list[float]] = ([], [])
        for epoch in range(longest):
            there = [(xs[epoch], ys[epoch]) for xs, ys in curves if len(xs) > epoch]
            if len(there) < LEAST_SHARE * len(curves):
                break
            for column, values in zip(means, zip(*there, strict=True), strict=True):
                column.append(sum(values) / len(values))
        return means

    def band(self, x: str, y: str) -> tuple[list[float], list[float], list[float]]:
        """Return the course of x as `curve` has it, with the lowest and highest y of all runs."""
        curves = [self.member(k, x, y)[1] for k in range(len(self.histories))]
        xs = self.curve(x, y)[0]
        there = [[ys[epoch] for ys in curves if len(ys) > epoch] for epoch in range(len(xs))]
        return xs, [min(ys) for ys in there], [max(ys) for ys in there]

    def member(self, k: int, x: str, y: str) -> tuple[list[float], list[float]]:
        """Return the course of one of its runs, up to the first figure that is not finite.

        Epochs before the first figure are left out: the test part may be evaluated at the end only.
        """
        xs, ys = self.histories[k].get(x, []), self.histories[k].get(y, [])
        start = next((n for n, value in enumerate(ys) if not math.isnan(value)), len(ys))
        rest = range(start, len(ys))
        good = next((n for n in rest if not math.isfinite(ys[n])), len(ys))
        return xs[start:good], ys[start:good]

    @property
    def mean_seconds(self) -> float:
        """Mean seconds of an epoch."""
        return sum(self.seconds_per_epoch) / len(self.seconds_per_epoch)


def lines_of(
    comparison: Comparison, keys: Sequence[str] = (), metric: str = "test_error"
) -> list[Line]:
    """Return the lines for some runs.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    keys : sequence of str
        Columns by which runs are joined, if wanted.
    metric : str
        By which the best are chosen, where there are too many.
    """
    import pandas as pd

    runs = comparison.readable.head(MOST_DRAWN)
    if runs.empty:
        return []
    if not keys and len(runs) > MOST:
        keys = _dividing(comparison)
    labels = _labels(comparison, keys)
    parts: dict[str, list[int]] = {}
    for k, label in enumerate(labels[: len(runs)]):
        parts.setdefault(label, []).append(k)
    histories = [read_history(run) for run in runs["run"]]
    seconds = runs.get("seconds_per_epoch", pd.Series(dtype=float)).reindex(runs.index).tolist()
    bare = [
        Line(
            label,
            [histories[k] for k in rows],
            [s for s in (seconds[k] for k in rows) if not is_missing(s)],
            GREY,
        )
        for label, rows in parts.items()
    ]
    return _styled(bare, metric)


def _labels(comparison: Comparison, keys: Sequence[str]) -> list[str]:
    """Return a label for each run; runs with the same one are joined."""
    runs = comparison.readable
    if not keys:
        labels = short_labels(Comparison(runs))
        if max(map(len, labels)) <= LONGEST_LABEL:
            return labels
        return [comparison.short_name(run) for run in runs["run"]]
    return [
        ", ".join(
            text(key, value) if key in GROUPS else f"{key}={text(key, value) or 'null'}"
            for key, value in zip(keys, row, strict=True)
        )
        for row in runs[list(keys)].itertuples(index=False, name=None)
    ]


def _dividing(comparison: Comparison) -> list[str]:
    """Return the setting that divides many runs best: few values, and not the seed."""
    for column in comparison.differing:
        values = {comparable(value) for value in comparison.readable[column]}
        if column != "seed" and len(values) <= MOST:
            return [column]
    return []


def _styled(lines: list[Line], metric: str) -> list[Line]:
    """Give each line a look of its own, or the best ones if there are too many."""
    if len(lines) <= MOST:
        return [_as(line, style) for line, style in zip(lines, STYLES, strict=False)]
    best = sorted(range(len(lines)), key=lambda k: _last(lines[k], metric))[:NAMED]
    look = dict(zip(best, STYLES, strict=False))
    return [_as(line, look.get(k, GREY)) for k, line in enumerate(lines)]


def _last(line: Line, metric: str) -> float:
    ys = line.curve("epoch", metric)[1]
    return ys[-1] if ys else math.inf


def _as(line: Line, style: Style) -> Line:
    return Line(line.label, line.histories, line.seconds_per_epoch, style)


def note_of(comparison: Comparison, lines: Sequence[Line]) -> str:
    """Say what a reader of a plot must know about its lines."""
    notes = []
    if (count := len(comparison.readable)) > MOST_DRAWN:
        notes.append(f"the first {MOST_DRAWN} of {count:,} runs")
    if any(len(line.histories) > 1 for line in lines):
        notes.append("lines are means, bands reach from the lowest run to the highest")
    if any(line.style is GREY for line in lines):
        notes.append(f"the {NAMED} that end best are named, the other {len(lines) - NAMED} grey")
    return "; ".join(notes)


def series_of(history: History, kind: str) -> list[tuple[str, str]]:
    """Return name and column of what one run measured: ``error`` or ``loss`` of each part."""
    columns = {part: f"{part}_{kind}" for part in ("train", "validation", "test")}
    return [(part, column) for part, column in columns.items() if history.get(column)]
