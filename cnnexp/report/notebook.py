"""A comparison as a notebook shows it: the table of runs, what they share, and what went wrong."""

from __future__ import annotations

from cnnexp.report.formats import cells, is_numeric
from cnnexp.report.sentences import ratio_lines, reasons, same_line
from cnnexp.report.table import Comparison
from cnnexp.runs.foreign_text import printable
from cnnexp.runs.notebook import cell, table

MOST_RUNS = 100


def html_of(comparison: Comparison) -> str:
    """Return the HTML of a comparison; of many runs the first ones."""
    frame = comparison.frame
    shown = frame[[name for name in comparison.columns if name != "reason"]].head(MOST_RUNS)
    shown = shown.assign(run=[comparison.short_name(run) for run in shown["run"]])
    names, rows = cells(shown)
    words = [name for name in names if not is_numeric(shown, name)]
    order = [names.index(name) for name in (*words, *(n for n in names if n not in words))]
    left = len(frame) - len(shown)
    above = [f"{len(frame):,} runs in {comparison.folder}", same_line(comparison)]
    below = [f"and {left:,} more"] * bool(left) + ratio_lines(comparison) + reasons(comparison)
    return (
        f"<div>{_lines(above)}"
        f"{table([[row[k] for k in order] for row in [names, *rows]], left=len(words))}"
        f"{_lines(below)}</div>"
    )


def _lines(lines: list[str]) -> str:
    """Return lines as paragraphs."""
    return "".join(f"<p>{cell(printable(line))}</p>" for line in lines if line)
